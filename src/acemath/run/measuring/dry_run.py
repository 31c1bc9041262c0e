"""What an evaluation would ask for, before it asks: problems and responses, and which of them are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from acemath.files.lock import locked
from acemath.models.engine import Sampling
from acemath.records import Problem, Response
from acemath.run.measuring.measure import prepared
from acemath.run.measuring.settings import Plan
from acemath.run.measuring.stages import responders
from acemath.run.partitions import RUN_FILE, partitions_of
from acemath.run.parts import read_footer
from acemath.run.store import StageStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """The responses of one stage that are not in the folder yet."""

    model: str
    kind: str
    seed: int | None
    asked: Sequence[Problem]  # the problems, as the model is asked them
    kept: int  # responses that are used again
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class ToWrite:
    """What a call would do: its benchmarks with their sizes, the responses to be written, the scores to be given."""

    benchmarks: Mapping[str, int]
    responses: Sequence[Wanted]
    scores: Mapping[str, int]  # by judge; those that its cache has are not given again


def dry_run(plan: Plan, folder: Path) -> ToWrite:
    """What `measure` would do with a plan in this folder. Nothing is written there. UserError as for `measure`."""
    benchmarks, measuring, _ = prepared(plan, folder)
    problems = [row for one in benchmarks for row in one.problems]
    found = []
    with locked(folder) if (folder / RUN_FILE).exists() else nullcontext():
        for name in plan.policies:
            measuring.facts(name, problems)  # an error for a model without a chat template
            for one, responder in responders(measuring, name):
                asked = responder.asked(problems)
                kept = responder.kept(_rows(folder / one.stage), asked)
                missing = [problem for problem in asked if problem.id not in kept]
                found.append(Wanted(name, one.kind, one.seed, missing, len(kept) * responder.n, responder.sampling))
    samples = sum(policy.n * len(policy.seeds) * len(problems) for policy in plan.policies.values())
    return ToWrite({one.name: len(one.problems) for one in benchmarks}, found, dict.fromkeys(plan.judges, samples))


def _rows(folder: Path) -> list[Response]:
    """The rows of a stage's whole parts, also of one that was stopped."""
    if not folder.is_dir():
        return []
    store = StageStore(folder, partitions_of(folder.parent)["benchmarks"].count)
    whole = (number for number in range(store.count) if read_footer(store.part(number)) is not None)
    return [row for number in whole for row in store.rows(Response, number)]
