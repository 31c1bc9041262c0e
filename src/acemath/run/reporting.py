"""From a run's folder to its report."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from acemath.demo.worksheets.sheets import SPLIT_NOTES
from acemath.files.atomic import read_json, write_bytes
from acemath.grade import classes
from acemath.records import Problem, Response, by_id, by_problem, content_key
from acemath.report.data import Item, ReportData
from acemath.run.context import Run
from acemath.run.funnel import funnel
from acemath.run.shards import MANIFEST

PAGE = "report.html"
VERSIONS = ("acemath", "torch", "transformers", "trl", "accelerate", "datasets")


def make_report(run: Run) -> Path:
    """Write the page where the tables or the page's own stage changed; returns its path."""
    path = run.folder / PAGE
    if not path.exists():
        (run.folder / "report" / MANIFEST).unlink(missing_ok=True)
    with run.stage("report", {"browse": run.recipe.bench.browse}, ["tables"]) as opened:
        if opened is not None:
            from acemath.report.page import render

            stage, facts = opened
            page = render(collect(run))
            write_bytes(path, page.encode())
            stage.write("none", [], Response)
            facts["summary"] = f"{path}, {len(page) / 1e6:.1f} MB"
    return path


def collect(run: Run) -> ReportData:
    """All that the page shows, from the stages' rows and manifests."""
    recipe, bench = run.recipe, run.recipe.bench
    tables = read_json(run.folder / "tables" / "tables.json")
    rows = run.rows(f"scores-{bench.headline}", Response)
    problems = by_id(run.rows("problems", Problem, "benchmarks"))
    curve = run.manifest("reward")["curve"]
    names = ", ".join(dict.fromkeys(p.subject for p in problems.values()))
    return ReportData(
        name=recipe.name,
        subtitle=f"{len(problems):,} held-out problems: {names}. Seed {recipe.seed}.",
        notes=[
            SPLIT_NOTES[source.worksheets]
            for source in recipe.problems.benchmarks.values()
            if source.worksheets is not None
        ],
        headline=bench.headline,
        k=bench.k,
        benchmarks=len({p.subject for p in problems.values()}),
        tables=tables,
        funnel=funnel(run),
        teachers=run.manifest("cross-check")["teachers"],
        blends=run.manifest("blends")["counts"],
        sft_curves={
            name: _points(run.manifest(f"sft-{name}")["curve"], "loss") for name in recipe.sft.stages
        },
        reward_loss=_points(curve, "loss"),
        pair_accuracy=_points(curve, "pair_accuracy"),
        held_out=_held_out(run.manifest("reward")),
        right_rewards=[r.reward for r in rows if r.correct and r.reward is not None],
        wrong_rewards=[r.reward for r in rows if not r.correct and r.reward is not None],
        items=_items(rows, problems, bench.browse),
        stages=_stages(run),
        facts=_facts(run),
        recipe=yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False),
    )


def _held_out(reward: dict[str, Any]) -> str:
    """What pair accuracy was measured over, with the training's warnings."""
    measured = f"{reward['held_out_groups']:,} groups, {reward['held_out_pairs']:,} pairs"
    return "; ".join([measured, *reward["warnings"]])


def _points(curve: Sequence[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in curve if name in row]


def _items(rows: Sequence[Response], problems: dict[str, Problem], count: int) -> list[Item]:
    """Problems for the browser: a share of each outcome, the same for every run of a recipe."""
    mine = by_problem(rows)
    by_outcome: dict[str, list[Item]] = {}
    for key in sorted(mine, key=content_key):
        problem = problems[key]
        item = Item(
            problem.subject, problem.prompt, problem.answer, _outcome(mine[key]), _distinct(mine[key])
        )
        by_outcome.setdefault(item.outcome, []).append(item)
    each = max(1, count // max(1, len(by_outcome)))
    return [item for outcome in sorted(by_outcome) for item in by_outcome[outcome][:each]]


def _distinct(rows: Sequence[Response]) -> list[Response]:
    """Each text once, best reward first."""
    once = {r.text: r for r in rows}
    return sorted(once.values(), key=lambda r: -(r.reward or 0.0))


def _outcome(rows: Sequence[Response]) -> str:
    """Who of reward model and majority picks a right response of all there are."""
    groups = classes([r.extracted for r in rows])
    top = Counter(g for g in groups if g >= 0).most_common(1)
    majority = bool(top) and rows[groups.index(top[0][0])].correct
    judged = max(rows, key=lambda r: r.reward or 0.0).correct
    if judged and majority:
        return "both right"
    if judged:
        return "reward model alone"
    if majority:
        return "majority alone"
    return "both wrong, a right one was there" if any(r.correct for r in rows) else "no right response"


def _stages(run: Run) -> list[list[str]]:
    found = []
    for path in sorted(run.folder.glob(f"*/{MANIFEST}"), key=lambda p: p.stat().st_mtime):
        manifest = read_json(path)
        found.append([path.parent.name, str(manifest.get("summary", "")), f"{manifest['seconds']:.1f}"])
    return found


def _facts(run: Run) -> dict[str, str]:
    licences = run.manifest("problems")["licences"]
    found = {"recipe": run.recipe.name, "seed": str(run.recipe.seed), "base": run.recipe.sft.base}
    found["licences of the prompts"] = ", ".join(f"{name}: {count:,}" for name, count in licences.items())
    forbidding = run.manifest("problems")["non_commercial"]
    found["commercial use"] = (
        f"forbidden by {', '.join(forbidding)}" if forbidding else "no licence forbids it"
    )
    found["versions"] = ", ".join(f"{name} {metadata.version(name)}" for name in VERSIONS)
    found["python"] = platform.python_version()
    return found
