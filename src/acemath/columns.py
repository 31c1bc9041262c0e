"""The names under which files of this field keep a problem: one table for every command and recipe.

A column is named by its key, in whatever case, or by a path through nested values ("reward_model.ground_truth",
"message.1.content").
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from acemath.errors import UserError

# Ours: theirs, the first that holds a value. What a `columns` setting names comes before all of them.
KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "problem", "question", "instruction", "query", "messages", "message", "conversations"),
    # The answer itself, before the column "answer", which some files fill with a response.
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
# The top-level columns that may hold a reference answer, or the choices that it names.
REFERENCE_COLUMNS = frozenset(
    path.split(".")[0] for ours in ("answer", "solution", "choices") for path in KNOWN_COLUMNS[ours]
)
# The columns by which a response names the problem that it answers.
PROBLEM_NAMES = ("problem_id", "qid", "idx", "math_test_idx")
OURS = (*KNOWN_COLUMNS, "input")
# What a response's row is called by, for `--columns` on files of responses.
RESPONSE_COLUMNS = ("problem_id", "sample", "text", "model", "finish_reason", "response", "label", "reward")
_LIST_TEXT = re.compile(r"""\s*[\[(]\s*['"].*['"]\s*,?\s*[\])]\s*""", re.DOTALL)
_NO_COMMA = re.compile(r"""(['"])\s+(?=['"])""")  # as numpy prints an array: ['70' '80']
_LONGEST_LIST = 100_000  # characters of a list that became text


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value under a key, or under a path through nested records and lists; None where there is none."""
    if path in record:
        return record[path]
    value: Any = record
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.lstrip("-").isdigit():
            at = int(part)
            value = value[at] if -len(value) <= at < len(value) else None
        else:
            return None
    return value


def lowered(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record that also answers to its column names in lower case: some files write Problem, Answer, answerKey."""
    if all(name.islower() for name in record):
        return record
    return {**{name.lower(): value for name, value in record.items()}, **record}


def names_of(ours: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that may hold `ours` ("prompt", "answer" …): the one that `columns` names, else the known ones."""
    return (columns[ours],) if ours in columns else KNOWN_COLUMNS[ours]


def first_value(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first value that is neither None nor blank under any of these columns; None where there is none."""
    for name in names:
        value = value_at(record, name)
        if value is not None and not (isinstance(value, str) and not value.strip()):
            return value
    return None


def items_of(value: Any) -> list[Any] | None:
    """The items of a list, of an array, or of a list that became text (`"['70']"`); None for anything else."""
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "tolist") and not isinstance(value, str):  # an array, or one of its numbers
        plain = value.tolist()
        return plain if isinstance(plain, list) else None
    if isinstance(value, str) and len(value) <= _LONGEST_LIST and _LIST_TEXT.fullmatch(value):
        try:
            plain = ast.literal_eval(_NO_COMMA.sub(r"\1, ", value.strip()))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        return list(plain) if isinstance(plain, list | tuple) else None
    return None


def parse_columns(text: str | None, known: Sequence[str] = OURS) -> dict[str, str]:
    """{ours: theirs} of "prompt=question,answer=gold". UserError where a part is not of that form."""
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
