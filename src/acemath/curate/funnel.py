"""The funnel: how many rows each step got and kept, by source, and how many it dropped for which reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acemath.records import Dropped

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of curation. `examples` holds up to three dropped rows per reason, those with the lowest ids.

    `reported` counts, by kind, rows that were kept although they are similar to a benchmark problem.
    """

    name: str
    rows_in: int
    rows_out: int
    by_source: dict[str, int]  # the rows that it kept
    drops: dict[str, int]  # reason: count
    drops_by_source: dict[str, dict[str, int]]  # source: reason: count
    examples: dict[str, tuple[Dropped, ...]]
    reported: dict[str, int]

    def record(self) -> dict[str, Any]:
        """The step as plain values."""
        return asdict(self)


def step_of(
    name: str, sources: Iterable[str], dropped: Sequence[Dropped], reported: Mapping[str, int] | None = None
) -> Step:
    """A step from the source of each row that it kept and the rows that it dropped.

    Rows that the step itself made (evolution) count as rows in.
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
