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
from acemath.grade.core import equal, extract_for, fast_number, grade_answer, is_complete, unfinished
from acemath.grade.extract.responses import Extraction
from acemath.grade.references import needed_reference
from acemath.records import Verdict

_CHUNK = 2000


Gradable = tuple[str | None, Any] | tuple[str | None, Any, str]  # response, reference, and where it is known the finish reason


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
    exact_numbers = not (chosen.rel_tol or chosen.abs_tol or chosen.percent == "any")
    by_key: dict[object, int] = {}
    firsts: list[tuple[str, bool]] = []
    result = []
    for answer in answers:
        if answer is None or not answer.strip():
            result.append(-1)
            continue
        key, integral = _class_key(answer)
        index = by_key.get(key)
        if index is None:
            index = _find_class(answer, integral and exact_numbers, firsts, chosen)
            if index == len(firsts):
                firsts.append((answer, integral and exact_numbers))
            by_key[key] = index
        result.append(index)
    return result


def _class_key(answer: str) -> tuple[object, bool]:
    text = answer.strip()
    if len(text) > MAX_ANSWER:
        return text, False
    value = fast_number(text)
    if value is not None and not value[1]:
        return value[0], not value[2]
    return clean_latex(text).replace(" ", ""), False


def _find_class(answer: str, integral: bool, firsts: list[tuple[str, bool]], conventions: Conventions) -> int:
    for index, (other, other_integral) in enumerate(firsts):
        if integral and other_integral:
            continue  # two exact numbers with different keys are different
        if equal(answer, other, conventions).correct:
            return index
    return len(firsts)
