"""`acemath report`: the report of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Json
from acemath.cli.output import show
from acemath.errors import UserError
from acemath.recipe.schema import load_recipe
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.reporting import make_report
from acemath.run.run import RECIPE, recipe_of


def command(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished run's folder.")],
    recipe: Annotated[
        str, typer.Option(help="The recipe, for a folder that does not keep its own.")
    ] = "laptop",
    as_json: Json = False,
) -> None:
    """Write the report of a finished run again.

    Example: acemath report runs/laptop
    """
    if not (run / "tables" / "manifest.json").exists():
        raise UserError(f"{run} holds no finished run; run a recipe first: acemath run --out {run}")
    loaded = recipe_of(run) if (run / RECIPE).exists() else load_recipe(recipe)
    (run / "report" / "manifest.json").unlink(missing_ok=True)
    with Display().during("report"):
        made = make_report(Run(loaded, run, Display(quiet=True)))
    show({"report": str(made)}, as_json)
