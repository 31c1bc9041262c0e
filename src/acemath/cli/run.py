"""`acemath run`: a whole recipe, or its plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from acemath.cli.dry_run import show_plan
from acemath.cli.options import Changes, Json, folder
from acemath.cli.output import show, show_lines
from acemath.errors import UserError, require
from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.run.display import Display


def command(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file, or one of laptop, acemath-0.5b, acemath-1.5b, acemath-7b, acemath-7b-released, acemath-72b; "
            "+OVERLAY after it changes parts."
        ),
    ] = "laptop",
    out: Annotated[
        Path | None, typer.Option(callback=folder, help="The run's folder. [default: runs/NAME]")
    ] = None,
    changes: Changes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check what can be checked without the network, print the plan; run nothing.")
    ] = False,
    checks: Annotated[
        bool,
        typer.Option("--preflight", help="As --dry-run, and check data sets and models of the hub, and this machine, as each run does."),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="With --dry-run: measure how fast this machine runs the recipe's models, and keep it."),
    ] = False,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Run all of the recipe in minutes with tiny random models, a few rows and scripted responses; with kills and resumes.",
        ),
    ] = False,
    until: Annotated[
        Literal["data", "sft", "reward", "report"],
        typer.Option(help="The last part to run; `data` ends with the training sets and trains nothing."),
    ] = "report",
    budget: Annotated[
        float | None,
        typer.Option(
            min=0, help="US$ that all endpoints together may cost; the run stops before it spends more."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a whole recipe. Stages that are already done are not run again.

    Example: acemath run laptop --set seed=1 --out runs/second
    """
    spend = {} if budget is None else {"budget_usd": budget}
    loaded = load_recipe(recipe, dict(changes or ()) | spend)
    place = out or Path("runs") / loaded.name
    if measure and not dry_run:
        raise UserError("--measure belongs to --dry-run, which then gives hours of this machine; add --dry-run")
    if rehearse and (dry_run or checks or until != "report"):
        raise UserError("--rehearse runs the whole recipe; leave out --dry-run, --preflight and --until")
    if dry_run or checks:
        show_plan(loaded, place, as_json, measure, checks)
        return
    if rehearse:
        _rehearse(loaded, out or Path("runs") / f"{loaded.name}-rehearsal", as_json)
        return
    if until != "data":
        require("acemath run", "torch", "transformers", "trl")  # before the data is made
    from acemath.run.run import run_recipe, run_until  # which needs pyarrow, as a plan does not

    display = Display()
    if until != "report":
        with Display().during(loaded.name):
            done = run_until(loaded, place, display, until)
        show(done, as_json)
        return
    with Display().during(loaded.name):
        outcome = run_recipe(loaded, place, display)
    if as_json:
        show(outcome.as_json(), True)
        return
    show({}, False, ("measure", "percent"), sorted(outcome.headline.items(), key=lambda row: row[1]))
    typer.echo(f"{outcome.seconds:.0f} s, {outcome.peak_mb:.0f} MB at most; report: {outcome.report}")


def _rehearse(recipe: Recipe, place: Path, as_json: bool) -> None:
    """Rehearse a recipe and print what was exercised. UserError if the killed run ended otherwise than the undisturbed one."""
    require("--rehearse", "torch", "transformers", "trl")
    from acemath.run.rehearsal.rehearse import rehearse
    from acemath.run.rehearsal.summary import COLUMNS, PLAN, memory_lines, plan_rows, summary
    from acemath.run.rehearsal.summary import as_json as json_of

    found = rehearse(recipe, place)
    if as_json:
        show(json_of(recipe, found), True)
    else:
        for part, *told in summary(recipe, found):
            show_lines([part, *(f"  {column}: {words}" for column, words in zip(COLUMNS[1:], told, strict=True))])
        typer.echo(f"\n{found.seconds:.0f} s here. The plan of the real run, estimated (each stage: --dry-run):")
        show({}, False, PLAN, plan_rows(recipe))
        show_lines(["Its memory, without activations, caches and longer batches, and its disk:", *(f"  {line}" for line in memory_lines(recipe))])
    if found.differing:
        raise UserError(f"after its kills the run differs in {', '.join(found.differing)}; compare the folders in {place}")
