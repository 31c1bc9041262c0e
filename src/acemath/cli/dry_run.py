"""What `acemath eval --dry-run` and `acemath rewardbench build --dry-run` print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.cli import engines
from acemath.cli.output import show
from acemath.notices import say

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
