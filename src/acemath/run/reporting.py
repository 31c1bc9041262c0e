"""Collects the data of a run's report, and writes its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from acemath.benchmarks.published import Comparison, beside
from acemath.curate.crosscheck import agreement_shares
from acemath.curate.licences import non_commercial
from acemath.demo.worksheets.sheets import SPLIT_NOTES
from acemath.files.atomic import read_json, write_bytes
from acemath.files.versions import versions
from acemath.grade import classes
from acemath.recipe.schema import Recipe
from acemath.records import Problem, Response, benchmark_of, by_id, by_problem, content_key, fingerprint
from acemath.report.data import Item, ReportData
from acemath.run.context import Run
from acemath.run.evaluation import TABLES
from acemath.run.problems import BENCHMARKS, SEEDS
from acemath.run.result_rows import result_rows
from acemath.run.runner import Runner
from acemath.run.steps import funnel
from acemath.run.store import StageStore
from acemath.train.checkpoints import FACTS

PAGE = "report.html"
PAGE_KEY = ".report.key"  # a hash of what the page was made from
STEPS = (
    "seeds",
    "evolve",
    "filter-prompts",
    "deduplicate",
    "drop-near-copies",
    "prompts",
    "solvable",
    "responses",
    "cross-check",
)


def make_report(run: Run, runner: Runner) -> Path:
    """Write the page of a finished run unless its tables and recipe are unchanged; returns its path.

    The reward model's card gets the table of rm@k, also if the model was made again with the same weights.
    """
    path, known = run.folder / PAGE, run.folder / PAGE_KEY
    key = fingerprint([runner.output("tables"), run.recipe.model_dump(mode="json")])
    new = not path.exists() or not known.exists() or known.read_text() != key
    judge = run.folder / "reward" / "model"
    if new or not read_json(judge / FACTS)["bench"]:
        from acemath.train.reward.card import add_bench

        bench = read_json(run.folder / TABLES)["rewardbench"]
        add_bench(judge, bench["rows"], bench["k"])
    if new:
        from acemath.report.page import render

        run.display.start("report")
        page = render(collect(run, runner))
        write_bytes(path, page.encode())
        write_bytes(known, key.encode())
        run.display.end(f"{path}, {len(page) / 1e6:.1f} MB")
    return path


def collect(run: Run, runner: Runner) -> ReportData:
    """The data of the page, from the stages' rows and manifests."""
    recipe, bench, stores = run.recipe, run.recipe.bench, runner.stores
    facts = {name: store.manifest["facts"] for name, store in stores.items()}
    scored, problems = stores[f"scores-{bench.headline}"], stores[BENCHMARKS]
    names = {n: count for n, count in facts[BENCHMARKS]["benchmarks"].items() if n != bench.validation}
    rewards, tables = _rewards(scored), read_json(run.folder / TABLES)
    measured, known = tables["policies"][bench.headline]["greedy"]["problems"], sum(names.values())
    some = "" if measured == known else f" of {known:,}"
    return ReportData(
        name=recipe.name,
        subtitle=f"{measured:,}{some} held-out problems: {', '.join(sorted(names))}. Seed {recipe.seed}.",
        notes=[
            SPLIT_NOTES[source.worksheets]
            for source in recipe.problems.benchmarks.values()
            if source.worksheets is not None
        ],
        headline=bench.headline,
        k=bench.k,
        benchmarks=len(names),
        tables=tables,
        funnel=funnel(stores[name] for name in (*STEPS, *ready_stages(recipe)) if name in stores),
        teachers=agreement_shares(facts["cross-check"]["checkers"]) if "cross-check" in facts else {},
        blends={name: facts[f"blend-{name}"] for name in recipe.sft.stages},
        sft_curves={name: _points(facts[f"sft-{name}"]["curve"], "loss") for name in recipe.sft.stages},
        reward_loss=_points(facts["reward"]["curve"], "loss"),
        pair_accuracy=_points(facts["reward"]["curve"], "pair_accuracy"),
        held_out=_held_out(facts["reward"]),
        right_rewards=rewards[True],
        wrong_rewards=rewards[False],
        items=_items(scored, problems, bench.browse),
        stages=_stages(runner),
        facts=_facts(run, _licences(run, facts)),
        recipe=yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False),
        published=_published(run),
    )


def ready_stages(recipe: Recipe) -> list[str]:
    """The stages that read and screen data that exist already, in order."""
    names = [name for name, stage in recipe.sft.stages.items() if stage.data is not None]
    groups = ["reward-read", "groups"] if recipe.reward.data is not None else []
    return [stage for name in names for stage in (f"read-{name}", f"blend-{name}")] + groups


def _licences(run: Run, facts: Mapping[str, Any]) -> dict[str, int]:
    """The licences of the seeds, and those of data that exist already: the number of rows of each."""
    found = Counter(facts[SEEDS]["licences"]) if SEEDS in facts else Counter[str]()
    for name, stage in run.recipe.sft.stages.items():
        found += Counter(facts[f"blend-{name}"]["licences"] if stage.data is not None else {})
    found += Counter(facts["groups"]["licences"] if run.recipe.reward.data is not None else {})
    return dict(found)


def _published(run: Run) -> list[Comparison]:
    """The paper's numbers for the models that the recipe is named after: acemath-7b makes AceMath-7B-Instruct and -RM.

    Majority and oracle are left out: the paper's are of other models' responses.
    """
    name, headline = run.recipe.name.removesuffix("-released"), run.recipe.bench.headline
    named = {headline: f"{name}-instruct"}
    rows = [
        {**row, "model": named.get(row.get("model", ""), row.get("model", ""))}
        for row in result_rows(run.folder)
    ]
    return [c for c in beside(rows, judge=f"{name}-rm") if c.paper.judge not in ("majority", "oracle")]


def _rewards(scored: StageStore) -> dict[bool, list[float]]:
    """The rewards of right and of wrong responses."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for batch in scored.batches(("status", "reward")):
        for status, reward in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if reward is not None:
                found[status == "correct"].append(reward)
    return found


def _held_out(reward: dict[str, Any]) -> str:
    """The size of the held-out set, with the training's warnings."""
    measured = f"{reward['held_out_groups']:,} groups, {reward['held_out_pairs']:,} pairs"
    return "; ".join([measured, *reward["warnings"]])


def _points(curve: Sequence[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in curve if name in row]


def _items(scored: StageStore, problems: StageStore, count: int) -> list[Item]:
    """Problems to browse: the same number of each outcome, chosen by the hashes of their ids."""
    outcomes: dict[str, list[tuple[str, str, int]]] = {}
    for number in range(scored.count):
        for key, rows in by_problem(scored.rows(Response, number)).items():
            outcomes.setdefault(_outcome(rows), []).append((content_key(key), key, number))
    each = max(1, count // max(1, len(outcomes)))
    found = []
    for outcome in sorted(outcomes):
        for _, key, number in sorted(outcomes[outcome])[:each]:
            problem = by_id(problems.rows(Problem, number))[key]
            rows = by_problem(scored.rows(Response, number))[key]
            found.append(
                Item(benchmark_of(problem), problem.prompt, problem.answer, outcome, _distinct(rows))
            )
    return found


def _distinct(rows: Sequence[Response]) -> list[Response]:
    """Each text once, highest reward first."""
    once = {r.text: r for r in rows}
    return sorted(once.values(), key=lambda r: -(r.reward or 0.0))


def _outcome(rows: Sequence[Response]) -> str:
    """Whether the reward model and the majority pick a right response."""
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


def _stages(runner: Runner) -> list[list[str]]:
    manifests = {name: store.manifest for name, store in runner.stores.items()}
    return [
        [name, runner.by_name[name].summary(manifest["facts"]), f"{manifest['seconds']:.1f}"]
        for name, manifest in manifests.items()
    ]


def _facts(run: Run, licences: Mapping[str, int]) -> dict[str, str]:
    found = {"recipe": run.recipe.name, "seed": str(run.recipe.seed), "base": run.recipe.sft.base}
    found["licences of the prompts"] = ", ".join(f"{name}: {count:,}" for name, count in licences.items())
    forbidding = non_commercial(licences)
    found["commercial use"] = (
        f"forbidden by {', '.join(forbidding)}" if forbidding else "no licence forbids it"
    )
    made_with = versions()
    found["python"] = made_with.pop("python")
    found["versions"] = ", ".join(f"{name} {version}" for name, version in made_with.items())
    return found
