"""How right and wrong responses look: a reward model can learn such a difference instead of correctness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from acemath.records import Response


@dataclass(frozen=True, slots=True)
class Looks:
    """Length and style of responses: mean words and lines, the share with a box, and responses by model."""

    responses: int
    words: float
    lines: float
    boxed: float
    models: dict[str, int]


def looks_of(responses: Sequence[Response]) -> Looks:
    """The looks of these responses; zeros if there are none."""
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
    """The looks of right and wrong responses: {"right": …, "wrong": …}."""
    return {
        name: looks_of([r for r in responses if r.correct == right])
        for name, right in (("right", True), ("wrong", False))
    }
