r"""Reference answers, read in one way for every function, command and recipe.

A reference may be a number, a text, a list, a list that became text (`['70']`), GSM8K's worked solution with its
`#### 24`, or a worked solution with a `\boxed{…}`. None and blank text are no reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import takewhile
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import (
    CHOICE_COLUMNS,
    LETTER_COLUMNS,
    first_value,
    is_missing,
    items_of,
    names_of,
    unpacked,
)
from acemath.grade.base.dialects import restored
from acemath.grade.conventions import STRICT
from acemath.grade.extract.boxes import last_boxes
from acemath.grade.extract.choices import as_choice
from acemath.grade.extract.responses import extract
from acemath.grade.extract.values import WORD

_HASHES = re.compile(r"(?:^|\n)[ \t]*####[ \t]*([^\n]*\S)[ \t]*(?=\n|$)|(?<=\s)####[ \t]*([^\n]*\S)\s*$")
_EMPTY = re.compile(r"(?:\\(?:boxed|fbox)\s*\{\s*\}|####)[\s$.]*\Z")  # an answer that was left out
_NOTHING = frozenset(("nan", "<na>", "n/a", "null", "[]", "proof", "notfound"))  # how NuminaMath 1.5 and tables say that there is none
_STATED = frozenset(("boxed", "boxes", "hashes", "answer-is", "final-answer", "answer-tag", "json", "whole"))
_MOST_BEHIND = 3  # words behind the value of a sentence: its unit, and of what it is
_PROSE = re.compile(r"(?<![A-Za-z])(?:[A-Za-z]{2,20}[ ,]+){6}")
_REFERENCE = STRICT.but(name="reference", think_tags=True)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The columns that may hold one choice each, by form: A, B …; option_a, option_b …
_LETTER_NAMES = tuple(
    [form.format(letter if form == "{}" else letter.lower()) for letter in _LETTERS[:10]] for form in LETTER_COLUMNS
)
_RUNS = (_LETTERS, "0123456789", "123456789")  # what the choices of a record are labelled by


def reference_of(value: Any) -> str | None:
    """A reference answer as text; None where there is none (None, NaN, blank text, an empty list).

    Several answers become one text with commas between them, which the grader reads as a list; a list among them is a
    tuple. UserError for a value that is no answer, such as a record.
    """
    value = unpacked(value)
    if is_missing(value):
        return None
    items = items_of(value)
    if items is not None:
        parts = [(item, part) for item in items if (part := reference_of(item)) is not None]
        several = len(parts) > 1
        return ", ".join(f"({part})" if several and len(items_of(item) or ()) > 1 else part for item, part in parts) or None
    if isinstance(value, str):
        return _from_text(value)
    if hasattr(value, "item"):  # a number of numpy's; a short one as it prints, 0.1 and not 0.10000000149011612
        value = float(str(value)) if isinstance(value.item(), float) else value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool | int | float | Fraction):
        return str(value)
    raise UserError(f"a reference of type {type(value).__name__} ({str(value)[:40]!r}); give text, a number or a list")


def needed_reference(value: Any, where: str = "") -> str:
    """The reference as text, as `reference_of` reads it. UserError, with `where`, if there is none."""
    found = reference_of(value)
    if found is None:
        place = f"{where}: " if where else ""
        raise UserError(f"{place}there is no reference (it is {value!r}); give the answer that is right, or leave the row out")
    return found


def reference_answer(reference: str) -> str:
    """The answer inside a reference: a box's content, or the final statement of a worked solution."""
    boxed = ("boxed" in reference or "fbox" in reference) and last_boxes(reference)
    stated = "\nThe answer is" in reference or "answer is\n" in reference
    spaced = len(reference) > 60 and reference.count(" ") + reference.count(",") > 5  # the search alone is slow
    if not (boxed or stated or spaced and _PROSE.search(reference)):
        return reference.strip()
    found = extract(reference, _REFERENCE)
    answer, text = (" ".join((part or "").split()) for part in (found.answer, reference))
    ends = answer and len(WORD.findall(text.rpartition(answer)[2])) <= _MOST_BEHIND  # of prose the value counts in which it ends
    return found.answer or reference if found.rule in _STATED or ends else reference.strip()


def _is_nothing(text: str) -> bool:
    """Whether a text without blanks around it states that there is no answer, or leaves the answer out."""
    return not text or text.lower() in _NOTHING or ("box" in text or "####" in text) and bool(_EMPTY.search(text))


def _from_text(text: str) -> str | None:
    text = restored(text).strip()
    if _is_nothing(text):
        return None
    if "####" in text:
        marks = list(_HASHES.finditer(text))
        if marks and "boxed" not in text[marks[-1].end() :]:
            return str(marks[-1][1] or marks[-1][2])
    return reference_answer(text) if "box" in text else text


def solution_answer(value: Any) -> str:
    r"""The final answer of a worked solution: its last `\boxed{…}`, what follows `####`, or what it states.

    "" where the solution states none (a proof, a program): the last number of a text is no reference. A text that is
    nothing but an answer counts, because some data sets keep answers in a column called `solution`.
    """
    items = items_of(value)
    if items is not None:
        # Several bare answers are one reference; of several worked solutions each ends in the whole answer.
        answers = [solution_answer(item) for item in items]
        bare = all(not isinstance(i, str) or answer == i.strip() for answer, i in zip(answers, items, strict=True))
        return reference_of(items) or "" if bare else next(filter(None, answers), "")
    if not isinstance(value, str) or not isinstance(unpacked(value), str):
        return reference_of(value) or ""
    if _is_nothing(value.strip()):
        return ""
    found = extract(value, _REFERENCE)
    return found.answer or "" if found.rule in _STATED else ""


def reference_in(record: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> str | None:
    """The reference answer of a record in any known form, None where it has none.

    A choice is a letter, whether the record keeps a letter, an index or the choice's text. A column that `columns`
    names as the solution is not taken for the answer as well. UserError where an answer names no choice.
    """
    chosen = columns or {}
    answers = names_of("answer", chosen)
    if "solution" in chosen and "answer" not in chosen:
        answers = tuple(name for name in answers if name != chosen["solution"])
    given = None if chosen.get("answer") == chosen.get("solution", ()) else first_value(record, answers)
    choices = choices_in(record, chosen)
    if choices is not None and given is None:
        given = first_value(record, CHOICE_COLUMNS)
    if choices is None or given is None:
        given = reference_of(given) or solution_answer(first_value(record, names_of("solution", chosen))) or None
    return given if choices is None or given is None else choice_letter(given, choices)


def choices_in(record: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """The choices of a record, {label: text} in their order; None where it has none.

    A list gets the labels A, B, C …; records of `label` and `text` keep their own, and so does a record from labels to
    texts. Another record under that name holds settings, not choices. UserError for a text that is no list.
    """
    value = unpacked(first_value(record, names_of("choices", columns or {})))
    if value is None:
        return _in_columns(record, columns or {})
    if isinstance(value, Mapping):
        labels, texts = (items_of(value.get(name)) or [] for name in ("label", "text"))
        if not labels or len(labels) != len(texts):
            labels, texts = list(value), list(value.values())
            if not any(run.startswith("".join(map(str, labels)).upper()) for run in _RUNS):
                return None
    else:
        texts = items_of(value) or []
        if not texts or len(texts) > len(_LETTERS):
            raise UserError(f"choices are {str(value)[:60]!r}; give a list of 2 to {len(_LETTERS)} texts")
        labels = list(_LETTERS[: len(texts)])
        if all(isinstance(item, Mapping) and {"label", "text"} <= item.keys() for item in texts):
            labels, texts = ([item[name] for item in texts] for name in ("label", "text"))
    found = {str(label).upper(): str(text) for label, text in zip(labels, texts, strict=True) if text is not None}
    read = {label: as_choice(text) for label, text in found.items()}
    if all(choice is not None and choice.letter == label and choice.text for label, choice in read.items()):
        found = {label: choice.text for label, choice in read.items() if choice is not None}  # AQuA's "A)12"
    return found if any(text.strip() for text in found.values()) else None


def _in_columns(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str] | None:
    """The choices of a record that keeps each in a column of its own: A, B, C, D, or option_a, option_b.

    Columns that are called A, B, C may as well be a problem's own quantities: they are choices where the answer is a letter.
    """
    for names in _LETTER_NAMES:
        texts = list(takewhile(lambda text: not is_missing(text), map(record.get, names)))
        if len(texts) > 1 and (names[0] != "A" or _has_letter(record, columns)):
            return dict(zip(_LETTERS, map(str, texts)))
    return None


def _has_letter(record: Mapping[str, Any], columns: Mapping[str, str]) -> bool:
    """Whether the answer of a record is the letter of a choice."""
    given = first_value(record, (*names_of("answer", columns), *CHOICE_COLUMNS))
    return isinstance(given, str) and as_choice(given.strip().upper()) is not None


def choice_letter(value: Any, choices: Mapping[str, str]) -> str:
    """The label of the choice that an answer names: by label, by index from 0, or by the choice's own text.

    UserError where it names none of them, or could name two.
    """
    labels = list(choices)
    given = value.tolist() if hasattr(value, "tolist") else value
    text = (reference_of(given) or "").strip()
    bare, said = text.strip("(). ").upper(), as_choice(text)
    found: set[str] = set()
    if bare in labels:
        found = {bare}
    elif isinstance(given, int | float) and not isinstance(given, bool):
        found = {labels[int(given)]} if given in range(len(labels)) else set()
    elif said is not None and said.letter in labels and _plain(said.text) in ("", _plain(choices[said.letter])):
        found = {said.letter}
    else:
        found = {label for label, choice in choices.items() if choice.strip() == text}
        found = found or {label for label, choice in choices.items() if _plain(choice) == _plain(text)}
        if text.isdecimal() and int(text) < len(labels):
            found.add(labels[int(text)])
    if len(found) != 1:
        raise UserError(
            f"the answer {value!r} names {'no' if not found else 'more than one'} choice of {labels}; "
            "give its letter, or its index from 0 as a number"
        )
    return found.pop()


def _plain(text: str) -> str:
    return text.strip(" $.").casefold()
