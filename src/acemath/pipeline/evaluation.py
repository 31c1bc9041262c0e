"""The stages of evaluation: responses on the benchmarks, their rewards, and the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from acemath.bench.tables import Record, curves, per_problem, reward_bench
from acemath.grade import classes
from acemath.metrics import Estimate, average, paired
from acemath.pipeline.context import Run
from acemath.pipeline.sampling import sample
from acemath.records import Problem, Response, content_key
from acemath.reward.card import add_bench
from acemath.reward.score import RewardModel
from acemath.store import by_problem, write_json

TABLES = "tables.json"


def benchmark_problems(run: Run, limit: int | None) -> list[Problem]:
    """The benchmarks' problems, at most `limit`: an equal share of each, the same for every policy."""
    rows = run.rows("problems", Problem, "benchmarks")
    if limit is None:
        return rows
    names = list(dict.fromkeys(p.subject for p in rows))
    chosen: list[Problem] = []
    for name in names:
        mine = sorted((p for p in rows if p.subject == name), key=lambda p: content_key(p.id))
        chosen += mine[: max(1, limit // len(names))]
    return chosen


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


def scores(run: Run) -> None:
    """The reward model's rewards for all of the policies' responses."""
    for name in run.recipe.bench.policies:
        with run.stage(
            f"scores-{name}",
            {"chat": run.recipe.reward.chat.model_dump()},
            [f"samples-{name}", "reward", "problems"],
        ) as opened:
            if opened is None:
                continue
            stage, facts = opened
            prompts = {p.id: p.prompt for p in run.rows("problems", Problem, "benchmarks")}
            mine = by_problem(run.rows(f"samples-{name}", Response))
            model = RewardModel(run.folder / "reward" / "model", run.recipe.reward.chat)
            items = [(prompts[key], [r.text for r in rows]) for key, rows in mine.items()]
            rewards = model.score_many(items, run.display.progress)
            scored = [
                replace(r, reward=v)
                for rows, values in zip(mine.values(), rewards, strict=True)
                for r, v in zip(rows, values, strict=True)
            ]
            stage.write("all", scored, Response)
            right = [r.reward for r in scored if r.correct and r.reward is not None]
            wrong = [r.reward for r in scored if not r.correct and r.reward is not None]
            facts["counts"] = {"responses": len(scored)}
            means = [sum(side) / max(1, len(side)) for side in (right, wrong)]
            facts["summary"] = (
                f"{len(scored):,} rewards, mean {means[0]:+.2f} where right, {means[1]:+.2f} where wrong"
            )


def records_of(problems: Mapping[str, Problem], responses: Sequence[Response]) -> list[Record]:
    """Scored responses as the tables' records: answers grouped by the grader's equality."""
    records = []
    for key, rows in by_problem(responses).items():
        problem = problems[key]
        rewards = tuple(r.reward for r in rows if r.reward is not None)
        records.append(
            Record(
                problem.subject,
                key,
                problem.level,
                tuple(classes([r.extracted for r in rows])),
                tuple(r.correct for r in rows),
                rewards if len(rewards) == len(rows) else (),
                tuple(len(r.text) for r in rows),
            )
        )
    return records


def tables(run: Run) -> dict[str, Any]:
    """All numbers of the run, as one JSON file: headline, curves, RewardBench, levels."""
    bench = run.recipe.bench
    inputs = [f"{kind}-{name}" for name in bench.policies for kind in ("scores", "greedy")]
    settings = {"k": bench.k, "curve": bench.curve, "headline": bench.headline}
    path = run.folder / "tables" / TABLES
    with run.stage("tables", settings, ["problems", *inputs]) as opened:
        if opened is not None:
            stage, facts = opened
            problems = {p.id: p for p in run.rows("problems", Problem, "benchmarks")}
            scored = {n: run.rows(f"scores-{n}", Response) for n in bench.policies}
            by_policy = {n: records_of(problems, rows) for n, rows in scored.items()}
            found: dict[str, Any] = {
                "policies": {
                    n: _policy_numbers(run, n, problems, records) for n, records in by_policy.items()
                },
                "headline": _headline(run, by_policy[bench.headline]),
                "rewardbench": _reward_bench(run, problems, scored),
                "levels": _levels(by_policy[bench.headline], bench.k),
            }
            write_json(path, found)
            add_bench(run.folder / "reward" / "model", found["rewardbench"]["rows"], bench.k)
            stage.write("none", [], Response)
            head = found["headline"]
            facts["headline"] = {key: round(head[key]["value"], 2) for key in head if "@" in key}
            facts["summary"] = ", ".join(f"{key} {value:.1f}" for key, value in facts["headline"].items())
    return dict(json.loads(path.read_text()))


def _percent(e: Estimate) -> dict[str, float]:
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high, "problems": e.problems}


def _headline(run: Run, records: list[Record]) -> dict[str, Any]:
    """pass@1, maj@k, rm@k and pass@k of the headline policy, and rm@k's paired differences."""
    k = run.recipe.bench.k
    names = {
        "pass@1": ("random", 1),
        f"maj@{k}": ("majority", k),
        f"rm@{k}": ("reward model", k),
        f"pass@{k}": ("oracle", k),
    }
    values = {label: per_problem(records, selector, at) for label, (selector, at) in names.items()}
    where = list(dict.fromkeys(r.benchmark for r in records))
    found: dict[str, Any] = {}
    for label, row in values.items():
        found[label] = _percent(
            average([[v for v, r in zip(row, records, strict=True) if r.benchmark == b] for b in where])
        )
    for label in ("pass@1", f"maj@{k}"):
        found[f"rm minus {label.split('@')[0]}"] = _percent(paired(values[f"rm@{k}"], values[label]))
    return found


def _policy_numbers(
    run: Run, name: str, problems: Mapping[str, Problem], records: list[Record]
) -> dict[str, Any]:
    bench = run.recipe.bench
    n = bench.policies[name].each
    ks = [k for k in bench.curve if k <= n]
    greedy = run.rows(f"greedy-{name}", Response)
    where = list(dict.fromkeys(problems[r.problem_id].subject for r in greedy))
    by_benchmark = {
        b: [float(r.correct) for r in greedy if problems[r.problem_id].subject == b] for b in where
    }
    return {
        "n": n,
        "ks": ks,
        "greedy": _percent(average(list(by_benchmark.values()))),
        "greedy by benchmark": {b: 100 * sum(v) / len(v) for b, v in by_benchmark.items()},
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
    """pass@1 and rm@k by level of difficulty."""
    found = []
    for level in sorted({r.level for r in records}):
        mine = [r for r in records if r.level == level]
        row: dict[str, float] = {"level": level, "problems": len(mine)}
        for label, selector, at in (
            ("pass@1", "random", 1),
            (f"maj@{k}", "majority", k),
            (f"rm@{k}", "reward model", k),
            (f"pass@{k}", "oracle", k),
        ):
            values = per_problem(mine, selector, at)
            row[label] = 100 * sum(values) / len(values)
        found.append(row)
    return found
