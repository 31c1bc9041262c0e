"""The stages of an evaluation: greedy responses and samples of each policy, and the judges' scores of the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.models.score.judge import JudgeSettings, judge_identity
from acemath.records import BENCHMARK, Problem, Response, by_id
from acemath.run.context import ENDPOINTS
from acemath.run.measuring.models import Measuring
from acemath.run.measuring.problems import PROBLEMS
from acemath.run.responses import Responder, responses_of, rows_of
from acemath.run.score_cache import CachedJudge, cached_judge, score_words
from acemath.run.stage import MapStage, Part

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


def responders(measuring: Measuring, name: str) -> list[tuple[Named, Responder]]:
    """Who writes the responses of one policy: one greedy one to each problem, and n samples for each seed.

    The samples of the first seed are in `samples-NAME`, those of another in `samples-NAME@SEED`.
    """
    policy, asked = measuring.policies[name], partial(measuring.asked, name)
    wanted = [(Named(f"{GREEDY}-{name}", GREEDY, name), 1)] if policy.greedy else []
    for at, seed in enumerate(policy.seeds if policy.samples else ()):
        place = f"{SAMPLES}-{name}" + (f"{SEEDED}{seed}" if at else "")
        wanted.append((Named(place, SAMPLES, name, seed), policy.n))
    return [
        (
            one,
            Responder(
                measuring, one.stage, policy.role(name, one.kind == SAMPLES), n, name, seed=one.seed, prompts=asked, reuse=True
            ),
        )
        for one, n in wanted
    ]


def response_stages(measuring: Measuring, name: str) -> list[Named]:
    """The stages of the responses of one policy."""
    return [
        replace(
            one, work=responses_of(responder, (PROBLEMS,), rows_of(PROBLEMS), grade=True, keep_refused=True, space="benchmarks")
        )
        for one, responder in responders(measuring, name)
    ]


def score_stages(
    measuring: Measuring, judges: Mapping[str, JudgeSettings], samples: Sequence[Named], cache: Path
) -> list[Named]:
    """The scores of each judge for all samples, in `scores-JUDGE@NAME`: responses with the score as `reward`."""
    found = []
    for judge, settings in judges.items():
        for given in samples:
            if given.kind == SAMPLES:
                name = f"{SCORES}-{judge}{SEEDED}{given.stage.removeprefix(f'{SAMPLES}-')}"
                stage = _scores(measuring, name, judge, settings, given.stage, cache)
                found.append(Named(name, SCORES, given.model, given.seed, judge, stage))
    return found


def _scores(
    measuring: Measuring, name: str, judge: str, settings: JudgeSettings, source: str, cache: Path
) -> MapStage:
    @contextmanager
    def tool() -> Iterator[CachedJudge]:
        measuring.release()
        with cached_judge(settings, measuring.folder / ENDPOINTS / judge, cache) as opened:
            yield opened

    def work(part: Part) -> None:
        problems = by_id(part.rows(PROBLEMS, Problem))
        prompts = {key: p.prompt for key, p in problems.items()}
        rows, facts = part.tool.scored(prompts, part.rows(source, Response), part.progress)
        scored = [replace(r, meta={**r.meta, BENCHMARK: problems[r.problem_id].meta[BENCHMARK]}) for r in rows]
        part.write(scored, Response, facts=facts)

    return MapStage(
        name, judge_identity(settings), (PROBLEMS, source), work=work, tool=tool, summary=score_words, space="benchmarks"
    )


def check_names(stages: Sequence[Named]) -> None:
    """UserError if two stages would share a folder."""
    seen: dict[str, Named] = {}
    for one in stages:
        before = seen.setdefault(one.stage, one)
        if before is not one:
            raise UserError(f"{before.model!r} and {one.model!r} would share the folder {one.stage!r}; rename one: --model OTHER=…")
