"""The funnel: how many rows each step was given and kept, by source, and what it dropped and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acemath.records import Dropped

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of curation. `examples` holds up to three dropped rows of each reason, those of lowest id.

    `reported` counts rows that it let through with a remark, by what that is: near a benchmark, but no leak.
    """

    name: str
    rows_in: int
    rows_out: int
    by_source: dict[str, int]  # the rows that it let through
    drops: dict[str, int]  # reason: how many
    drops_by_source: dict[str, dict[str, int]]  # source: reason: how many
    examples: dict[str, tuple[Dropped, ...]]
    reported: dict[str, int]

    def record(self) -> dict[str, Any]:
        """The step as plain values, for a manifest or JSON."""
        return asdict(self)


def step_of(
    name: str, sources: Iterable[str], dropped: Sequence[Dropped], reported: Mapping[str, int] | None = None
) -> Step:
    """A step from the sources of the rows that it kept, one a row, and the rows that it dropped.

    What the step adds (evolution) counts among the rows that it was given.
    """
    kept = Counter(source or "unknown" for source in sources)
    drops = Counter(row.reason for row in dropped)
    by_source: dict[str, Counter[str]] = {}
    for row in dropped:
        by_source.setdefault(row.source or "unknown", Counter())[row.reason] += 1
    examples: dict[str, tuple[Dropped, ...]] = {}
    for row in sorted(dropped, key=lambda row: (row.reason, row.id, row.text)):
        shown = examples.get(row.reason, ())
        if len(shown) < EXAMPLES:
            examples[row.reason] = (*shown, row)
    total = sum(kept.values())
    return Step(
        name,
        total + len(dropped),
        total,
        dict(sorted(kept.items())),
        dict(sorted(drops.items())),
        {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())},
        examples,
        dict(reported or {}),
    )
