"""How responses look, right and wrong apart: what differs there a reward model can learn in place of rightness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from acemath.records import Response


@dataclass(frozen=True, slots=True)
class Looks:
    """Length and style of some responses: means of words and lines, the share with a box, counts by writer."""

    responses: int
    words: float
    lines: float
    boxed: float
    models: dict[str, int]


def looks_of(responses: Sequence[Response]) -> Looks:
    """What these responses look like; zeros where there are none."""
    count = len(responses)
    each = max(1, count)
    return Looks(
        responses=count,
        words=sum(len(r.text.split()) for r in responses) / each,
        lines=sum(len(r.text.strip().splitlines()) for r in responses) / each,
        boxed=sum("\\boxed" in r.text for r in responses) / each,
        models=dict(sorted(Counter(r.model for r in responses).items())),
    )


def looks_by_label(responses: Sequence[Response]) -> dict[str, Looks]:
    """`looks_of` the right and the wrong ones: {"right": …, "wrong": …}."""
    return {
        name: looks_of([r for r in responses if r.correct == right])
        for name, right in (("right", True), ("wrong", False))
    }
