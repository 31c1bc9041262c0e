"""What `--dry-run` prints of a run, of `acemath eval` and of `acemath rewardbench build`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.cli import engines
from acemath.cli.output import show, show_lines
from acemath.errors import require
from acemath.notices import say
from acemath.recipe.rates import known_rates, local_models, measure_rates, rates_file
from acemath.recipe.schema import Recipe

if TYPE_CHECKING:
    from acemath.run.measuring.settings import Plan

COLUMNS = ("policy", "responses", "problems", "wanted", "there already", "to write", "tokens at most", "US$ expected", "US$ at most")


def show_dry_run(plan: Plan, folder: Path, as_json: bool) -> None:
    """Print what a call would ask for, and what of it is in its folder already. Nothing is asked or written there."""
    from acemath.run.context import ENDPOINTS
    from acemath.run.measuring.dry_run import dry_run

    found = dry_run(plan, folder)
    rows: list[dict[str, Any]] = []
    for one in found.responses:
        policy = plan.policies[one.model]
        cost = engines.estimate(one.asked, policy.model, policy.chat, one.sampling, folder / ENDPOINTS)
        kept = one.kept + cost.pop("kept_already")
        rows.append({"policy": one.model, "kind": one.kind, "seed": one.seed, "kept_already": kept, **cost})
    problems, judges = sum(found.benchmarks.values()), dict(found.scores)
    most = round(sum(row["usd_at_most"] for row in rows), 4)
    result = {"folder": str(folder), "benchmarks": dict(found.benchmarks), "responses": rows, "scores": judges, "usd_at_most": most}
    for judge, count in judges.items():
        say(f"{judge} would score {count:,} responses, less those whose scores {plan.cache} has")
    lines = [
        (
            row["policy"], row["kind"] if row["seed"] is None else f"{row['kind']}, seed {row['seed']}", f"{problems:,}",
            f"{row['responses'] + row['kept_already']:,}", f"{row['kept_already']:,}", f"{row['responses']:,}",
            f"{row['tokens_at_most']:,}", f"{row['usd']:.4f}", f"{row['usd_at_most']:.4f}",
        )
        for row in rows
    ]  # fmt: skip
    show(result, as_json, COLUMNS, lines)


def show_plan(recipe: Recipe, folder: Path, as_json: bool, measure: bool, preflight: bool) -> None:
    """Print the plan of a recipe, and what its preflight finds: all of it, or with `preflight` false what needs no network.

    UserError after that if there are faults.
    """
    from acemath.run.preflight.check import preflight as check

    if measure:
        require("--measure", "torch", "transformers")
        measure_rates(recipe, say)
    # Naming the machine needs torch; without it, nothing can have been measured.
    rates = known_rates() if rates_file().exists() else {}
    found = check(recipe, folder, network=preflight, here=preflight, rates=rates)
    result = {**found.plan, "checks": [asdict(line) for line in found.findings.rows]}
    rows = [tuple("" if value is None else value for value in row.values()) for row in found.plan["stages"]]
    show(result, as_json, ("stage", "rows", "tokens (M)", "GPU hours", "US$", "hours here"), rows)
    if not as_json:
        total = found.plan["total"]["hours_here"]
        here = f"{total or 0:g} hours of this machine, at rates that were measured on it with {', '.join(local_models(recipe))}."
        if total is None:
            here = "No hours of this machine, because a model was not measured here: add --measure."
        show_lines([found.plan["note"], here])
        show_lines(f"{state:<11} {where}: {says}" for where, state, says in found.findings.table())
    found.stop_at_faults()
