"""The column names under which data sets keep a problem: one table for every command and recipe.

A column is given by its name, in upper or lower case, or by a path into nested values ("reward_model.ground_truth",
"message.1.content").
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from acemath.errors import UserError

# Our name: the names in files, of which the first with a value counts. A name from a `columns` setting replaces them.
KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "problem", "question", "instruction", "query", "messages", "message", "conversations"),
    # "answer" comes last, because some files keep a response there.
    "answer": (
        "reference", "gold", "expected_answer", "ground_truth", "reward_model.ground_truth", "correct_answer", "gt",
        "target", "final_answer", "solution_answer", "answerkey", "answer",
    ),
    "solution": ("solution", "reference_solution", "gt_cot"),
    "choices": ("choices", "options"),
    "id": ("id", "unique_id", "problem_id", "qid", "idx", "uuid"),
    "level": ("level",),
    "subject": ("subject", "type", "subfield"),
    "source": ("source",),
    "license": ("license",),
}  # fmt: skip
# Which choice is right, in rows with choices and no answer. In other rows these names mean other things.
CHOICE_COLUMNS = ("answer_idx", "answer_index", "correct_option", "correct")
LETTER_COLUMNS = ("{}", "option_{}", "choice_{}")  # a column for each choice: {} is its letter
_REFERENCES = frozenset(
    path.split(".")[0] for ours in ("answer", "solution", "choices") for path in KNOWN_COLUMNS[ours]
).union(CHOICE_COLUMNS)
_LETTER_COLUMN = re.compile(r"[A-J]|(?i:option|choice)_[A-Ja-j]")
# Columns in which a response names its problem.
PROBLEM_NAMES = ("problem_id", "qid", "idx", "math_test_idx")
# Our names that `--columns` accepts: for files of problems, of training conversations (`sft`), of responses.
OURS = (*KNOWN_COLUMNS, "input")
CHAT_COLUMNS = (
    "messages", "conversations", "answer", "prompt", "completion", "instruction", "input", "output", "system", "source",
    "license",
)  # fmt: skip
RESPONSE_COLUMNS = ("problem_id", "sample", "text", "model", "finish_reason", "response", "extracted", "label", "reward")
INPUTS = ("input", "context")  # what an instruction is about: in Alpaca's form, in Dolly's
# A list or record that was written into a text cell.
_PACKED = re.compile(r"""\s*[\[({]+\s*['"].*[\])}]\s*""", re.DOTALL)
_NO_COMMA = re.compile(r"""(?<=[^\[(,\s]['"])\s+(?=['"])""")  # as numpy prints an array: ['70' '80']
_RAW_LATEX = re.compile(r"(?<!\\)\\(?=[a-zA-Z]{2})(?![uxNU]|n(?!(?:u|eq?)\b))")  # in JSON, \frac would start with a form feed
_LONGEST_PACKED = 100_000  # characters; a longer text is not parsed
_NO_VALUE = frozenset(("None", "nan", "NaN", "<NA>", "NaT", "[]"))  # how None, NaN, pandas' NA … print


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value of a column, or at a path into nested records and lists; None if there is none."""
    if path in record:
        return record[path]
    if "." not in path:
        return None
    value: Any = record
    for part in path.split("."):
        value = unpacked(value)
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.lstrip("-").isdigit():
            at = int(part)
            value = value[at] if -len(value) <= at < len(value) else None
        else:
            return None
    return value


def lowered(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record that also has its columns under lower-case names: some files write Problem, Answer, answerKey."""
    if all(name.islower() for name in record):
        return record
    return {**{name.lower(): value for name, value in record.items()}, **record}


def names_of(ours: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that may hold `ours` ("prompt", "answer" …): the one that `columns` gives, else the known ones."""
    return (columns[ours],) if ours in columns else KNOWN_COLUMNS[ours]


def may_hold_reference(name: str) -> bool:
    """Whether a column of this name may hold a reference answer or choices."""
    return name.lower() in _REFERENCES or _LETTER_COLUMN.fullmatch(name) is not None


def is_missing(value: Any) -> bool:
    """Whether a value counts as absent: None, NaN and its kin, blank text, an empty list or record."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping | Sequence):
        return not value
    return str(value) in _NO_VALUE


def renamed(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A record that also has the columns in `columns` (ours: theirs) under our names."""
    return {**record, **{ours: value_at(record, theirs) for ours, theirs in columns.items()}}


def first_value(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first value in these columns that is not missing; None if there is none."""
    for name in names:
        value = value_at(record, name)
        if not is_missing(value):
            return value
    return None


def input_texts(record: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """What these columns add to an instruction. UserError for a list or a record."""
    found = [value for name in names if not is_missing(value := value_at(record, name))]
    faulty = next((value for value in found if not isinstance(value, str | int | float)), None)
    if faulty is not None:
        raise UserError(f"the input of an instruction is {str(faulty)[:60]!r}; it is a text or a number")
    return [str(value) for value in found]


def id_text(value: Any) -> str:
    """An id as text. 7.0 becomes "7": tables turn integers into floats if a cell of the column is empty."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def meta_of(value: Any) -> Mapping[str, Any]:
    """A row's `meta`: an object, or one as JSON text; {} if it has none. UserError for anything else."""
    try:
        found = json.loads(value) if isinstance(value, str) and value else value or {}
    except ValueError:
        found = value
    if not isinstance(found, Mapping):
        raise UserError(f"meta is {str(value)[:60]!r}; it is an object, or one as JSON text")
    return found


def unpacked(value: Any) -> Any:
    """The list or record that a text holds, as JSON or as Python prints it; any other value unchanged."""
    if not isinstance(value, str) or len(value) > _LONGEST_PACKED or not _PACKED.fullmatch(value):
        return value
    text = _RAW_LATEX.sub(r"\\\\", value.strip())
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text if read is json.loads else _NO_COMMA.sub(", ", text))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple | dict):
            return found
    return value


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, of an array, or of a text that holds a list (`"['70']"`); None for anything else."""
    value = unpacked(value)
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "tolist") and not isinstance(value, str):  # an array, or one of its numbers
        plain = value.tolist()
        return plain if isinstance(plain, list) else None
    return None


def parse_columns(text: str | None, known: Sequence[str] = OURS) -> dict[str, str]:
    """{ours: theirs} from "prompt=question,answer=gold". UserError if a part has another form."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        ours, sign, theirs = (piece.strip() for piece in part.partition("="))
        if not sign or not theirs or ours not in known:
            raise UserError(
                f"--columns: {part.strip()!r} names no column; write ours=theirs, where ours is one of {', '.join(known)}"
            )
        found[ours] = theirs
    return found


_TRUTHS = {"true": True, "correct": True, "1": True, "1.0": True, "false": False, "wrong": False, "0": False, "0.0": False}


def truth_of(value: Any) -> bool | None:
    """A label as files write it (true, 1, 1.0, "correct" …); None if it means neither right nor wrong."""
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None


def is_marked(value: Any) -> bool:
    """Whether a cell marks its row, as `uncertain` does. A CSV file writes False as a text."""
    found = truth_of(value)
    return not is_missing(value) if found is None else found
