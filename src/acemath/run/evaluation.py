"""The stages of evaluation: responses on the benchmarks, their rewards, and the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from acemath.benchmarks.tables import (
    BENCHMARK,
    HEADLINE,
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
from acemath.metrics import Estimate
from acemath.models.score.score import RewardModel
from acemath.records import Problem, Response, by_id, by_problem, content_key
from acemath.run.context import Run
from acemath.run.sampling import sample
from acemath.train.reward.card import add_bench
from acemath.train.reward.start import untrained

TABLES = "tables.json"
START = "reward-start"  # the stage of the reward model before its training


def benchmark_problems(run: Run, limit: int | None) -> list[Problem]:
    """The benchmarks' problems that have a reference answer, at most `limit`: an equal share of each, the same for every
    policy."""
    rows, _ = with_answers(run.rows("problems", Problem, "benchmarks"))
    if limit is None:
        return rows
    names = list(dict.fromkeys(p.subject for p in rows))
    chosen: list[Problem] = []
    for name in names:
        mine = sorted((p for p in rows if p.subject == name), key=lambda p: content_key(p.id))
        chosen += mine[: max(1, limit // len(names))]
    return chosen


def with_answers(problems: Sequence[Problem]) -> tuple[list[Problem], int]:
    """The problems that have a reference answer, and how many have none. UserError where none has one."""
    found = [p for p in problems if p.answer]
    if not found:
        raise UserError(
            f"none of {len(problems):,} problems has a reference answer to measure by; name the column that holds it: "
            "--columns answer=…"
        )
    return found, len(problems) - len(found)


def samples(run: Run) -> None:
    """Every policy's responses to the benchmarks, and its greedy ones for pass@1."""
    for name, policy in run.recipe.bench.policies.items():
        problems = benchmark_problems(run, policy.problems)
        sample(run, f"samples-{name}", name, policy, problems, ["problems"], count_refused=True)
        sample(
            run,
            f"greedy-{name}",
            name,
            policy,
            problems,
            ["problems"],
            n=1,
            temperature=0.0,
            count_refused=True,
        )


def reward_start(run: Run) -> None:
    """The reward model as it is before its training, where the recipe asks to rank with it too."""
    reward = run.recipe.reward
    inputs = [f"sft-{reward.base}"] if reward.base in run.recipe.sft.stages else []
    settings = {
        "base": run.recipe.base_of(reward.base),
        "page": reward.train.page,
        "head_words": reward.train.head_words,
        "chat": reward.chat.model_dump(),
        "seed": run.recipe.seed,
    }
    with run.stage(START, settings, inputs) as opened:
        if opened is None:
            return
        stage, facts = opened
        with stage.artifact("model") as out:
            untrained(run.place(reward.base), out, reward.train, reward.chat, run.recipe.seed)
        facts["summary"] = "the reward model before its first step"


def scores(run: Run) -> None:
    """The reward model's rewards for all of the policies' responses, and those before its training where asked for."""
    before = run.recipe.bench.before_training
    if before:
        reward_start(run)
    for name in run.recipe.bench.policies:
        with run.stage(
            f"scores-{name}",
            {"chat": run.recipe.reward.chat.model_dump()},
            [f"samples-{name}", "reward", "problems", *([START] if before else [])],
        ) as opened:
            if opened is None:
                continue
            stage, facts = opened
            problems = by_id(run.rows("problems", Problem, "benchmarks"))
            rows = run.rows(f"samples-{name}", Response)
            early = _rewards(run, START, problems, rows) if before else [None] * len(rows)
            scored = [
                replace(r, reward=now, meta={**r.meta, **_scored_meta(problems[r.problem_id], then)})
                for r, now, then in zip(rows, _rewards(run, "reward", problems, rows), early, strict=True)
            ]
            stage.write("all", scored, Response)
            right = [r.reward for r in scored if r.correct and r.reward is not None]
            wrong = [r.reward for r in scored if not r.correct and r.reward is not None]
            facts["counts"] = {"responses": len(scored)}
            means = [sum(side) / max(1, len(side)) for side in (right, wrong)]
            facts["summary"] = (
                f"{len(scored):,} rewards, mean {means[0]:+.2f} where right, {means[1]:+.2f} where wrong"
            )


def _rewards(run: Run, stage: str, problems: Mapping[str, Problem], rows: Sequence[Response]) -> list[float]:
    """The rewards that a stage's reward model gives to responses, in their order."""
    model = RewardModel(run.folder / stage / "model", run.recipe.reward.chat)
    return model.score_responses({p.id: p.prompt for p in problems.values()}, rows, run.display.progress)


def _scored_meta(problem: Problem, before: float | None) -> dict[str, Any]:
    """What is added to a scored response's meta, so that its file can be evaluated without the run."""
    found: dict[str, Any] = {BENCHMARK: problem.meta[BENCHMARK]}
    return found if before is None else {**found, UNTRAINED: before}


def records_of(problems: Mapping[str, Problem], responses: Sequence[Response]) -> list[Record]:
    """Graded responses as the tables' records.

    A problem's benchmark is the one that its meta names, as the problems of a run do, or else its subject.
    """
    return [
        record_of(
            str(problems[key].meta.get(BENCHMARK) or problems[key].subject),
            key,
            problems[key].level,
            [Answer(r.extracted, r.correct, r.reward, r.meta.get(UNTRAINED), len(r.text)) for r in rows],
        )
        for key, rows in by_problem(responses).items()
    ]


def tables(run: Run) -> dict[str, Any]:
    """All numbers of the run, as one JSON file: headline, differences, curves, RewardBench, levels."""
    bench = run.recipe.bench
    inputs = [f"{kind}-{name}" for name in bench.policies for kind in ("scores", "greedy")]
    settings = {"k": bench.k, "curve": bench.curve, "headline": bench.headline}
    path = run.folder / "tables" / TABLES
    with run.stage("tables", settings, ["problems", *inputs]) as opened:
        if opened is not None:
            stage, facts = opened
            problems = by_id(run.rows("problems", Problem, "benchmarks"))
            scored = {n: run.rows(f"scores-{n}", Response) for n in bench.policies}
            by_policy = {n: records_of(problems, rows) for n, rows in scored.items()}
            mine = by_policy[bench.headline]
            head = _headline(mine, bench.k)
            found: dict[str, Any] = {
                "policies": {
                    n: _policy_numbers(run, n, problems, records) for n, records in by_policy.items()
                },
                "headline": {name: _percent(over_benchmarks(mine, values)) for name, values in head.items()},
                "differences": _differences(mine, head, bench.k),
                "rewardbench": _reward_bench(run, problems, scored),
                "levels": _levels(mine, bench.k),
            }
            write_json(path, found)
            add_bench(run.folder / "reward" / "model", found["rewardbench"]["rows"], bench.k)
            stage.write("none", [], Response)
            facts["headline"] = {name: round(e["value"], 2) for name, e in found["headline"].items()}
            facts["summary"] = ", ".join(f"{key} {value:.1f}" for key, value in facts["headline"].items())
    return dict(json.loads(path.read_text()))


def _percent(e: Estimate) -> dict[str, float]:
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high, "problems": e.problems}


def _headline(records: list[Record], k: int) -> dict[str, list[float]]:
    """Each problem's value of the headline's measures: pass@1, maj@k, rm@k and pass@k, and rm@k before training."""
    known = selectors(records)
    return {measure(s, k): per_problem(records, s, k) for s in HEADLINE if s in known}


def _differences(records: list[Record], head: Mapping[str, list[float]], k: int) -> dict[str, Any]:
    """rm@k minus each other measure of the headline that picks a response, by that measure's name.

    Paired over problems and averaged over benchmarks, so that it is the difference of the headline's numbers.
    """
    mine = head[measure("reward model", k)]
    others = [
        name for s in HEADLINE if s not in ("reward model", "oracle") and (name := measure(s, k)) in head
    ]
    return {
        name: _percent(over_benchmarks(records, [a - b for a, b in zip(mine, head[name], strict=True)]))
        for name in others
    }


def _policy_numbers(
    run: Run, name: str, problems: Mapping[str, Problem], records: list[Record]
) -> dict[str, Any]:
    bench = run.recipe.bench
    ks = bench.ks(name)
    greedy = records_of(problems, run.rows(f"greedy-{name}", Response))
    right = [100 * float(r.correct[0]) for r in greedy]
    by_benchmark = {
        b: [v for v, r in zip(right, greedy, strict=True) if r.benchmark == b] for b in benchmarks_of(greedy)
    }
    return {
        "n": bench.policies[name].each,
        "ks": ks,
        "greedy": _percent(over_benchmarks(greedy, [v / 100 for v in right])),
        "greedy by benchmark": {b: sum(v) / len(v) for b, v in by_benchmark.items()},
        "curves": {s: [_percent(e) for e in row] for s, row in curves(records, ks).items()},
    }


def _reward_bench(
    run: Run, problems: Mapping[str, Problem], scored: Mapping[str, list[Response]]
) -> dict[str, Any]:
    """The table over the problems that all policies answered, their responses together."""
    shared = set.intersection(*({r.problem_id for r in rows} for rows in scored.values()))
    together = [r for rows in scored.values() for r in rows if r.problem_id in shared]
    rows = reward_bench(records_of(problems, together), run.recipe.bench.k)
    return {"k": run.recipe.bench.k, "policies": list(scored), "rows": [asdict(row) for row in rows]}


def _levels(records: list[Record], k: int) -> list[dict[str, float]]:
    """The headline's measures by level of difficulty, each the mean over the level's problems."""
    found = []
    for level in sorted({r.level for r in records}):
        mine = [r for r in records if r.level == level]
        row: dict[str, float] = {"level": level, "problems": len(mine)}
        row |= {name: 100 * sum(values) / len(values) for name, values in _headline(mine, k).items()}
        found.append(row)
    return found
