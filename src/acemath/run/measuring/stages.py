"""The stages of an evaluation: greedy responses and samples of each policy, and the judges' scores of the samples."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from acemath.errors import UserError
from acemath.models.engine import released
from acemath.models.score.judge import Judge, JudgeSettings, judge_identity, open_judge
from acemath.records import BENCHMARK, Problem, Response, by_id
from acemath.run.context import ENDPOINTS
from acemath.run.measuring.models import Measuring
from acemath.run.measuring.problems import PROBLEMS
from acemath.run.responses import Responder, responses_of, rows_of
from acemath.run.stage import Facts, MapStage, Part

GREEDY, SAMPLES, SCORES = "greedy", "samples", "scores"
SEEDED = "@"  # between a stage's name and a seed, or a judge and a policy


@dataclass(frozen=True, slots=True)
class Named:
    """A stage of rows and what is in it: the kind, the policy, the seed of its samples, and the judge of its scores.

    `work` is None for a stage that an earlier call made and this one only reads.
    """

    stage: str
    kind: str
    model: str
    seed: int | None = None
    judge: str = ""
    work: MapStage | None = None

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {"stage": self.stage, "kind": self.kind, "model": self.model, "seed": self.seed, "judge": self.judge}


def response_stages(measuring: Measuring, name: str) -> list[Named]:
    """The responses of one policy: one greedy one to each problem, and n samples for each seed.

    The samples of the first seed are in `samples-NAME`, those of another in `samples-NAME@SEED`.
    """
    policy, asked, found = measuring.policies[name], partial(measuring.asked, name), list[Named]()
    if policy.greedy:
        stage = _responses(
            Responder(measuring, f"{GREEDY}-{name}", policy.role(name, False), 1, name, prompts=asked, reuse=True)
        )
        found.append(Named(stage.name, GREEDY, name, work=stage))
    for at, seed in enumerate(policy.seeds if policy.samples else ()):
        place = f"{SAMPLES}-{name}" + (f"{SEEDED}{seed}" if at else "")
        role = policy.role(name, True)
        stage = _responses(Responder(measuring, place, role, policy.n, name, seed=seed, prompts=asked, reuse=True))
        found.append(Named(place, SAMPLES, name, seed, work=stage))
    return found


def _responses(responder: Responder) -> MapStage:
    return responses_of(
        responder, (PROBLEMS,), rows_of(PROBLEMS), grade=True, keep_refused=True, space="benchmarks"
    )


def score_stages(
    measuring: Measuring, judges: Mapping[str, JudgeSettings], samples: Sequence[Named]
) -> list[Named]:
    """The scores of each judge for all samples, in `scores-JUDGE@NAME`: responses with the score as `reward`."""
    found = []
    for judge, settings in judges.items():
        for given in samples:
            if given.kind == SAMPLES:
                name = f"{SCORES}-{judge}{SEEDED}{given.stage.removeprefix(f'{SAMPLES}-')}"
                stage = _scores(measuring, name, judge, settings, given.stage)
                found.append(Named(name, SCORES, given.model, given.seed, judge, stage))
    return found


def _scores(measuring: Measuring, name: str, judge: str, settings: JudgeSettings, source: str) -> MapStage:
    @contextmanager
    def tool() -> Iterator[Judge]:
        measuring.release()
        with released(open_judge(settings, measuring.folder / ENDPOINTS / judge)) as opened:
            yield opened
        gc.collect()

    def work(part: Part) -> None:
        problems, rows = by_id(part.rows(PROBLEMS, Problem)), part.rows(source, Response)
        prompts = {key: p.prompt for key, p in problems.items()}
        scores = part.tool.score_responses(prompts, rows, part.progress)
        scored = [
            replace(row, reward=score, meta={**row.meta, BENCHMARK: problems[row.problem_id].meta[BENCHMARK]})
            for row, score in zip(rows, scores, strict=True)
        ]
        unscored = sum(score != score for score in scores)  # noqa: PLR0124 (only nan differs from itself)
        part.write(scored, Response, facts={"responses": len(rows), "unscored": unscored})

    def summary(facts: Facts) -> str:
        return f"{facts['responses']:,} scores" + (f", {facts['unscored']:,} without one" if facts["unscored"] else "")

    return MapStage(
        name, judge_identity(settings), (PROBLEMS, source), work=work, tool=tool, summary=summary, space="benchmarks"
    )


def check_names(stages: Sequence[Named]) -> None:
    """UserError if two stages would share a folder."""
    seen: dict[str, Named] = {}
    for one in stages:
        before = seen.setdefault(one.stage, one)
        if before is not one:
            raise UserError(f"{before.model!r} and {one.model!r} would share the folder {one.stage!r}; rename one: --model OTHER=…")
