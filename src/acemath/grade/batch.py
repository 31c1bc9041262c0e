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
from acemath.grade.read.plain_numbers import plain_number
from acemath.grade.references import needed_reference
from acemath.records import Verdict

_CHUNK = 2000  # rows that a process grades at a time
# A response, its reference, and its finish reason where that is known.
Gradable = tuple[str | None, Any] | tuple[str | None, Any, str]


def grade_many(
    rows: Sequence[Gradable], conventions: str | Conventions = STRICT, workers: int | None = None, cache: bool = True
) -> list[Verdict]:
    """A verdict for each (response text, reference), or (text, reference, finish reason), in the order of the rows.

    References and finish reasons are read as `grade` reads them. UserError naming the row that has no reference.
    workers: the number of processes; None and 1 use only this one.
    """
    chosen = as_conventions(conventions)
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers} is below 1; give 1 or more, or None to use only this process")
    read = [
        (text or "", needed_reference(reference, f"row {number}"), rest[0] if rest else "stop")
        for number, (text, reference, *rest) in enumerate(rows)
    ]
    if workers is None or workers == 1 or len(read) <= _CHUNK:
        return _grade_chunk(read, chosen, cache)
    chunks = [read[i : i + _CHUNK] for i in range(0, len(read), _CHUNK)]
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=get_context("spawn")) as pool:
        graded = pool.map(_grade_chunk, chunks, [chosen] * len(chunks), [cache] * len(chunks))
        return [verdict for chunk in graded for verdict in chunk]


def _grade_chunk(rows: Sequence[tuple[str, str, str]], conventions: Conventions, cache: bool) -> list[Verdict]:
    verdicts = []
    for text, reference, finish_reason in rows:
        if is_complete(finish_reason):
            found = extract_for(text, reference, conventions)
            verdicts.append(grade_answer(found.answer, reference, conventions, found.rule, cache))
        else:
            verdicts.append(unfinished(finish_reason))
    return verdicts


def classes(answers: Sequence[str | None], conventions: str | Conventions = STRICT) -> list[int]:
    """The equivalence class of each answer, numbered from 0 by first occurrence; -1 for None.

    Two answers share a class where `equal` says correct. Equality with tolerances is not transitive, so each
    answer joins the first class whose first member it equals. Plain numbers and equal texts take no
    comparison at all.
    """
    chosen = as_conventions(conventions)
    known: dict[object, int] = {}
    firsts: list[tuple[str, bool]] = []  # the first answer of each class, and whether it is an exact number
    keys = [_class_key(answer, chosen) for answer in answers]
    for answer, (key, exact) in zip(answers, keys, strict=True):
        if key is None or key in known:
            continue
        # two exact numbers with different keys are different
        others = (
            at
            for at, (other, other_exact) in enumerate(firsts)
            if not (exact and other_exact) and equal(answer, other, chosen).correct
        )
        known[key] = next(others, len(firsts))
        if known[key] == len(firsts):
            firsts.append((str(answer), exact))
    return [known.get(key, -1) for key, _ in keys]


def _class_key(answer: str | None, conventions: Conventions) -> tuple[object, bool]:
    """A key that only equal answers share, None for no answer, and whether the answer is an exact number."""
    text = (answer or "").strip()
    if not text or len(text) > MAX_ANSWER:
        return text or None, False
    number = plain_number(text)
    if number is not None and not number.percent:
        return number.value, conventions.exact_numbers and not number.decimal
    return clean_latex(text).replace(" ", ""), False
