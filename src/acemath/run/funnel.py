"""The funnel of a run: every step from the seeds to the blends, by the source of the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from acemath.curate.funnel import Step, step_of
from acemath.records import Dropped, Problem, Response
from acemath.run.context import Run

STAGES = ("problems", "evolve", "curate", "solvability", "filter-responses", "cross-check")


def funnel(run: Run) -> list[dict[str, Any]]:
    """The records of all steps, in order; those of stages that the recipe does not have are left out."""
    stages = [name for name in STAGES if name != "solvability" or run.prompts == name]
    return [step for name in stages for step in run.manifest(name)["funnel"]]


def response_step(
    name: str, prompts: Iterable[Problem], kept: Sequence[Response], dropped: Sequence[Dropped]
) -> Step:
    """A step on responses, counted by the source of the prompt that each answers."""
    sources = {p.id: p.source for p in prompts}
    return step_of(
        name,
        [sources[row.problem_id] for row in kept],
        [replace(row, source=sources[row.id]) for row in dropped],
    )
