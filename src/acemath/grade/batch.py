"""Many responses at once: each different pair is graded once, in one process or in several."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from acemath.errors import UserError
from acemath.grade.base.guards import MAX_ANSWER
from acemath.grade.base.text import clean_latex
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.core import equal, grade_answer, is_complete, unfinished
from acemath.grade.extract.choices import extract_for
from acemath.grade.extract.sentences import Extraction
from acemath.grade.read.plain_numbers import plain_number
from acemath.grade.references import needed_reference
from acemath.records import Verdict

_CHUNK = 2000  # rows that a process grades at a time
# A response, its reference, and its finish reason where that is known.
Gradable = tuple[str | None, Any] | tuple[str | None, Any, str]


def grade_many(
    rows: Sequence[Gradable],
    conventions: str | Conventions = STRICT,
    workers: int | None = None,
    cache: bool = True,
) -> list[Verdict]:
    """A verdict for each (response text, reference), or (text, reference, finish reason), in the order of the rows.

    References and finish reasons are read as `grade` reads them. UserError naming the row that has no reference.

    workers: the number of processes; None and 1 use only this one. A pair of (final answer, reference) that occurs
    many times is compared once.
    """
    chosen = as_conventions(conventions)
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers} is below 1; give 1 or more, or None to use only this process")
    rows = _with_references(rows)
    if workers is None or workers == 1 or len(rows) <= _CHUNK:
        return _grade_chunk(rows, chosen, cache)
    chunks = [rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)]
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
        graded = pool.map(_grade_chunk, chunks, [chosen] * len(chunks), [cache] * len(chunks))
        return [verdict for chunk in graded for verdict in chunk]


def _with_references(rows: Sequence[Gradable]) -> list[tuple[str, str, str]]:
    """Rows with their references as text; each different reference is read once."""
    known: dict[str, str] = {}
    found = []
    for number, (text, reference, *rest) in enumerate(rows):
        read = known.get(reference) if isinstance(reference, str) else None
        if read is None:
            read = needed_reference(reference, f"row {number}")
            if isinstance(reference, str):
                known[reference] = read
        found.append((text or "", read, rest[0] if rest else "stop"))
    return found


def _grade_chunk(rows: Sequence[tuple[str, str, str]], conventions: Conventions, cache: bool) -> list[Verdict]:
    seen: dict[tuple[Extraction, str], Verdict] = {}
    verdicts = []
    for text, reference, finish_reason in rows:
        if not is_complete(finish_reason):
            verdicts.append(unfinished(finish_reason))
            continue
        found = extract_for(text, reference, conventions)
        key = (found, reference)
        verdict = seen.get(key)
        if verdict is None:
            verdict = seen[key] = grade_answer(found.answer, reference, conventions, found.rule, cache)
        verdicts.append(verdict)
    return verdicts


def classes(answers: Sequence[str | None], conventions: str | Conventions = STRICT) -> list[int]:
    """The equivalence class of each answer, numbered from 0 by first occurrence; -1 for None.

    Two answers share a class where `equal` says correct. Equality with tolerances is not transitive, so each
    answer joins the first class whose first member it equals. Plain numbers and equal texts take no
    comparison at all.
    """
    chosen = as_conventions(conventions)
    by_key: dict[object, int] = {}
    firsts: list[tuple[str, bool]] = []  # the first answer of each class, and whether it is an exact number
    result = []
    for answer in answers:
        if answer is None or not answer.strip():
            result.append(-1)
            continue
        key, exact = _class_key(answer)
        exact = exact and chosen.exact_numbers
        if key not in by_key:
            # two exact numbers with different keys are different
            found = (
                index
                for index, (other, other_exact) in enumerate(firsts)
                if not (exact and other_exact) and equal(answer, other, chosen).correct
            )
            by_key[key] = next(found, len(firsts))
            if by_key[key] == len(firsts):
                firsts.append((answer, exact))
        result.append(by_key[key])
    return result


def _class_key(answer: str) -> tuple[object, bool]:
    """A key that only equal answers share, and whether the answer is an exact number."""
    text = answer.strip()
    if len(text) > MAX_ANSWER:
        return text, False
    number = plain_number(text)
    if number is not None and not number.percent:
        return number.value, not number.decimal
    return clean_latex(text).replace(" ", ""), False
