"""Cleaning prompts: filter, deduplicate and decontaminate, in that order. Each dropped prompt keeps its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acemath.curate.decontaminate.scan import Decontaminator, reported_of, scan, sorted_out
from acemath.curate.dedup import dedup
from acemath.curate.filters import filter_problems
from acemath.curate.funnel import Step, step_of
from acemath.curate.near import near_dedup
from acemath.curate.settings import CurateSettings
from acemath.records import Dropped, Problem

Kept = tuple[list[Problem], list[Dropped]]


@dataclass(slots=True)
class Cleaned:
    """The prompts that stay, those dropped, the steps of the funnel, and the facts of near-deduplication."""

    rows: list[Problem]
    dropped: list[Dropped] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    near: dict[str, Any] | None = None  # None if it is off

    @property
    def reported(self) -> dict[str, int]:
        """The number of prompts that stay despite a hit, by its kind."""
        return self.steps[-1].reported

    def take(
        self, name: str, step: Callable[[list[Problem]], Kept], reported: Mapping[str, int] | None = None
    ) -> None:
        """Apply one more step to the rows. `reported` counts rows that it keeps despite a hit."""
        self.rows, out = step(self.rows)
        self.steps.append(step_of(name, [row.source for row in self.rows], out, reported))
        self.dropped += out


def clean(
    rows: Sequence[Problem],
    benchmarks: Sequence[Problem],
    settings: CurateSettings,
    processes: int | None = None,
) -> Cleaned:
    """Prompts without those that the filters drop, that are duplicates, or that leak a benchmark.

    `processes` as in `scan`.
    """
    cleaned = Cleaned(list(rows))
    cleaned.take("filter prompts", lambda rows: filter_problems(rows, settings.filters))
    cleaned.take("deduplicate", dedup)
    if (near := settings.near) is not None:

        def without_twins(rows: list[Problem]) -> Kept:
            kept, dropped, facts = near_dedup(rows, near, processes)
            cleaned.near = facts.record()
            return kept, dropped

        cleaned.take("drop near copies", without_twins)
    rule = settings.decontaminate
    hits = scan(cleaned.rows, Decontaminator(benchmarks, rule), processes)
    cleaned.take("decontaminate", lambda rows: sorted_out(rows, hits, rule), reported_of(hits, rule))
    return cleaned
