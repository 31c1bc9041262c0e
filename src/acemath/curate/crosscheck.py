"""Cross-check: keep a response when a second teacher, asked twice, comes to the same answer (section 3.2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from acemath.grade import equal, extract
from acemath.records import Response


def agree(answers: Sequence[str | None]) -> bool:
    """Whether all answers are there and equal to the first."""
    first = answers[0] if answers else None
    if first is None or any(a is None for a in answers):
        return False
    return all(equal(first, other).correct for other in answers[1:] if other is not None)


def cross_check(main: Sequence[Response], check: Mapping[str, Sequence[Response]]) -> dict[str, bool]:
    """For each problem of `main`: whether the check teacher's answers agree with each other and with it."""
    verdicts = {}
    for response in main:
        others = check.get(response.problem_id, ())
        answers = [extract(r.text).answer for r in (response, *others)]
        verdicts[response.problem_id] = bool(others) and agree(answers)
    return verdicts
