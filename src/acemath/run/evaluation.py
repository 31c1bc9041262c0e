"""The stages of evaluation: responses on the benchmarks, their rewards, and the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any

from acemath.benchmarks.tables import (
    ACCEPTED,
    BENCHMARK,
    HEADLINE,
    STANDARD,
    UNTRAINED,
    Answer,
    Record,
    benchmarks_of,
    curves,
    measure,
    over_benchmarks,
    per_problem,
    record_of,
    reward_bench,
    selectors,
)
from acemath.errors import UserError
from acemath.files.atomic import write_json
from acemath.models.engine import close
from acemath.models.spec import TransformersModel
from acemath.recipe.schema import REWARD
from acemath.records import Problem, Response, by_id, by_problem
from acemath.run.context import Run
from acemath.run.demonstrations import after_demonstrations, stage_of
from acemath.run.engines import make_ranker
from acemath.run.findings import apart, at_lengths, between_policies, choice, parts, percent
from acemath.run.problems import BENCHMARKS
from acemath.run.responses import Responder, copies_of, responses_of, rows_of
from acemath.run.selection import chosen
from acemath.run.stage import Facts, Making, MapStage, Part, Stage, Training, whole
from acemath.run.store import StageStore

if TYPE_CHECKING:
    from acemath.models.score.score import RewardModel

NUMBERS = "numbers"  # the folder that the stage `tables` makes
TABLES = f"tables/{NUMBERS}/tables.json"
START = "reward-start"  # the stage of the reward model before its training


def with_answers(problems: Sequence[Problem]) -> tuple[list[Problem], int]:
    """The problems that have a reference answer, and how many have none. UserError where none has one."""
    found = [p for p in problems if p.answer]
    if not found:
        raise UserError(
            f"none of {len(problems):,} problems has a reference answer to measure by; name the column that holds it: "
            "--columns answer=…"
        )
    return found, len(problems) - len(found)


def measured(limit: int | None) -> str:
    """The stage of the benchmark problems that a policy is measured on; policies with the same limit share it."""
    return "bench-problems" if limit is None else f"bench-problems-{limit}"


def samples(run: Run) -> list[Stage]:
    """Every policy's sampled responses to the benchmarks, and one greedy response to each problem."""
    shots = stage_of(run)
    found: dict[str, Stage] = {stage.name: stage for stage in shots}
    for name, policy in run.recipe.bench.policies.items():
        given = measured(policy.problems)
        found[given] = chosen(given, BENCHMARKS, policy.problems, answered=True, space="benchmarks")
        for kind, count, temperature in (("samples", policy.each, None), ("greedy", 1, 0.0)):
            responder = Responder(
                run, f"{kind}-{name}", policy, count, name, temperature, run.recipe.bench.seed, reuse=True
            )
            found[responder.stage] = responses_of(
                responder,
                (given,),
                _asked(given) if shots else rows_of(given),
                grade=True,
                keep_refused=True,
                space="benchmarks",
                also=[stage.name for stage in shots],
            )
    return list(found.values())


def _asked(stage: str) -> Callable[[Part], list[Problem]]:
    """A reader of a stage's benchmark problems, after their demonstrations."""
    return lambda part: after_demonstrations(part, part.rows(stage, Problem))


def reward_start(run: Run) -> list[Training]:
    """The reward model before its training, if `bench.before_training` is set."""
    reward = run.recipe.reward
    if not run.recipe.bench.before_training:
        return []

    def work(making: Making) -> Facts:
        from acemath.train.reward.start import untrained

        untrained(run.place(reward.base), making.out, reward.train, reward.chat, run.recipe.seed)
        return {}

    settings = {
        "base": run.recipe.base_of(reward.base),
        "page": reward.train.page,
        "head_words": reward.train.head_words,
        "chat": reward.chat.model_dump(),
        "seed": run.recipe.seed,
    }
    return [Training(START, settings, run.made_by(reward.base), work=work, summary=lambda facts: "the reward model before its first step")]


def scores(run: Run) -> list[MapStage]:
    """The reward model's rewards of all sampled responses, and those before its training if the recipe wants them."""
    judges = ("reward", START) if run.recipe.bench.before_training else ("reward",)
    chat, spec = run.recipe.reward.chat, run.recipe.judge or TransformersModel(id=REWARD)

    @contextmanager
    def tool() -> Iterator[list[RewardModel]]:
        places = (str(run.folder / name / "model") for name in judges)
        models = [make_ranker(spec.model_copy(update={"id": place}), chat) for place in places]
        try:
            yield models
        finally:
            for model in models:
                close(model)

    def work(name: str, given: str, part: Part) -> None:
        problems = by_id(part.rows(given, Problem))
        rows = part.rows(f"samples-{name}", Response)
        prompts = {key: p.prompt for key, p in problems.items()}
        now, *before = (model.score_responses(prompts, rows, part.progress) for model in part.tool)
        scored = []
        for at, row in enumerate(rows):
            meta = {**row.meta, BENCHMARK: problems[row.problem_id].meta[BENCHMARK]}
            if before:
                meta[UNTRAINED] = before[0][at]
            scored.append(replace(row, reward=now[at], meta=meta))
        part.write(scored, Response, facts=_reward_sums(scored))

    return [
        MapStage(
            f"scores-{name}",
            {"chat": chat.model_dump()} | spec.model_dump(mode="json", exclude={"id", *spec.OPERATION}, exclude_defaults=True),
            (f"samples-{name}", measured(policy.problems), *map(whole, judges)),
            work=partial(work, name, measured(policy.problems)),
            tool=tool,
            summary=_reward_words,
            space="benchmarks",
            copies=copies_of(spec),
        )
        for name, policy in run.recipe.bench.policies.items()
    ]


def _reward_sums(rows: Sequence[Response]) -> dict[str, dict[str, float]]:
    found = {}
    for side, right in (("right", True), ("wrong", False)):
        rewards = [r.reward for r in rows if r.correct == right and r.reward is not None and not isnan(r.reward)]
        found[side] = {"responses": len(rewards), "sum": sum(rewards)}
    return found


def _reward_words(facts: Facts) -> str:
    count = sum(facts[side]["responses"] for side in ("right", "wrong"))
    means = [facts[side]["sum"] / max(1, facts[side]["responses"]) for side in ("right", "wrong")]
    return f"{count:,} rewards, mean {means[0]:+.2f} where right, {means[1]:+.2f} where wrong"


def records_of(problems: Mapping[str, Problem], responses: Sequence[Response]) -> list[Record]:
    """Graded responses as records for the tables. UserError for a problem whose meta does not name its benchmark."""
    return [
        record_of(
            _benchmark_of(problems[key]),
            key,
            problems[key].level,
            [
                Answer(
                    r.extracted,
                    r.correct,
                    r.reward,
                    r.meta.get(UNTRAINED),
                    len(r.text),
                    r.model,
                    r.finish_reason,
                    r.meta.get(ACCEPTED),
                )
                for r in rows
            ],
            problems[key].subject,
        )
        for key, rows in by_problem(responses).items()
    ]


def _benchmark_of(problem: Problem) -> str:
    """The benchmark in a problem's meta. A subject never stands in: its problems are a part of a benchmark."""
    name = problem.meta.get(BENCHMARK)
    if not name:
        raise UserError(f"problem {problem.id!r} does not say which benchmark it belongs to; name it in meta[{BENCHMARK!r}]")
    return str(name)


def stored_records(problems: StageStore, responses: StageStore) -> list[Record]:
    """The records of a stage's responses, read one partition at a time."""
    return [
        record
        for number in range(responses.count)
        for record in records_of(by_id(problems.rows(Problem, number)), responses.rows(Response, number))
    ]


def tables(run: Run) -> Training:
    """All numbers of the run in one JSON file: headline, differences, curves, RewardBench, levels."""
    bench = run.recipe.bench

    def work(making: Making) -> Facts:
        problems = making.store(BENCHMARKS)
        everything = {n: stored_records(problems, making.store(f"scores-{n}")) for n in bench.policies}
        by_policy = {n: apart(records, bench.validation)[0] for n, records in everything.items()}
        stores = {n: making.store(f"greedy-{n}") for n in bench.policies}
        greedy = {n: apart(stored_records(problems, store), bench.validation)[0] for n, store in stores.items()}
        mine = by_policy[bench.headline]
        head = _headline(mine, bench.k)
        found: dict[str, Any] = {
            "policies": {n: _policy_numbers(run, n, records, greedy[n]) for n, records in by_policy.items()},
            "headline": {name: percent(over_benchmarks(mine, values)) for name, values in head.items()},
            "differences": _differences(mine, head, bench.k),
            "between policies": between_policies(by_policy, greedy, bench.headline),
            "rewardbench": _reward_bench(run, making),
            "levels": _levels(mine, bench.k),
            "parts": parts(mine, problems.all_rows(Problem), bench.k),
        }
        if bench.lengths:
            kinds = {f"{kind}-{n}": making.store(f"{kind}-{n}") for n in bench.policies for kind in ("greedy", "scores")}
            of = {r.problem_id: r.benchmark for records in by_policy.values() for r in records}
            found["lengths"] = at_lengths(kinds, bench.lengths, of)
        if bench.validation is not None:
            found["choice"] = choice(mine, apart(everything[bench.headline], bench.validation)[1], bench.k)
        write_json(making.out / "tables.json", found)
        return {"headline": {name: round(e["value"], 2) for name, e in found["headline"].items()}}

    def summary(facts: Facts) -> str:
        return ", ".join(f"{key} {value:.1f}" for key, value in facts["headline"].items())

    settings: dict[str, Any] = {
        "k": bench.k,
        "curve": bench.curve,
        "headline": bench.headline,
        "validation": bench.validation,
        "lengths": bench.lengths,
    }
    if not_pooled := [name for name, policy in bench.policies.items() if not policy.pooled]:
        settings["not pooled"] = not_pooled
    inputs = [f"{kind}-{name}" for name in bench.policies for kind in ("scores", "greedy")]
    return Training("tables", settings, (BENCHMARKS, *inputs), work=work, makes=NUMBERS, summary=summary)


def _headline(records: list[Record], k: int) -> dict[str, list[float]]:
    """The value of each problem for the headline's measures: pass@1, maj@k, rm@k, pass@k, and rm@k before training."""
    known = selectors(records)
    return {measure(s, k): per_problem(records, s, k) for s in HEADLINE if s in known}


def _differences(records: list[Record], head: Mapping[str, list[float]], k: int) -> dict[str, Any]:
    """rm@k minus each other measure of the headline that picks a response, by that measure's name.

    The differences are paired over problems and averaged over benchmarks, as the headline's numbers are.
    """
    mine = head[measure("reward model", k)]
    others = [
        name for s in HEADLINE if s not in ("reward model", "oracle") and (name := measure(s, k)) in head
    ]
    return {
        name: percent(over_benchmarks(records, [a - b for a, b in zip(mine, head[name], strict=True)]))
        for name in others
    }


def _policy_numbers(run: Run, name: str, records: list[Record], greedy: list[Record]) -> dict[str, Any]:
    bench = run.recipe.bench
    ks = bench.ks(name)
    right = [float(r.correct[0]) for r in greedy]
    by_benchmark = {
        b: [v for v, r in zip(right, greedy, strict=True) if r.benchmark == b] for b in benchmarks_of(greedy)
    }
    return {
        "n": bench.policies[name].each,
        "ks": ks,
        "greedy": percent(over_benchmarks(greedy, right)),
        "greedy by benchmark": {b: 100 * sum(v) / len(v) for b, v in by_benchmark.items()},
        "curves": {s: [percent(e) for e in row] for s, row in curves(records, ks).items()},
    }


def _reward_bench(run: Run, making: Making) -> dict[str, Any]:
    """The table for the responses of all pooled policies together, over the problems that all of them answered."""
    policies = [name for name, policy in run.recipe.bench.policies.items() if policy.pooled]
    problems = making.store(BENCHMARKS)
    stores = [making.store(f"scores-{name}") for name in policies]
    records: list[Record] = []
    for number in range(problems.count):
        by_policy = [by_problem(store.rows(Response, number)) for store in stores]
        shared = set.intersection(*(set(found) for found in by_policy))
        together = [row for found in by_policy for key in found if key in shared for row in found[key]]
        records += apart(records_of(by_id(problems.rows(Problem, number)), together), run.recipe.bench.validation)[0]
    rows = reward_bench(records, run.recipe.bench.k, only=STANDARD)
    return {"k": run.recipe.bench.k, "policies": policies, "rows": [asdict(row) for row in rows]}


def _levels(records: list[Record], k: int) -> list[dict[str, float]]:
    """The headline's measures by level of difficulty, each the mean over the level's problems."""
    found = []
    for level in sorted({r.level for r in records}):
        mine = [r for r in records if r.level == level]
        row: dict[str, float] = {"level": level, "problems": len(mine)}
        row |= {name: 100 * sum(values) / len(values) for name, values in _headline(mine, k).items()}
        found.append(row)
    return found
