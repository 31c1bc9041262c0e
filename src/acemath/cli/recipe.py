"""`acemath recipe`: the keys of a recipe, and a recipe in full."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
import yaml

from acemath.cli.options import Changes, Json
from acemath.cli.output import show
from acemath.recipe.keys import reference, sections
from acemath.recipe.load import load_recipe

app = typer.Typer(no_args_is_help=True, help="Show the keys of a recipe, or a recipe in full.")


@app.command()
def keys(as_json: Json = False) -> None:
    """Print every key of a recipe with its type, its default and what it says, as Markdown.

    Example: acemath recipe keys
    """
    if as_json:
        found = [{"places": s.places, "keys": [asdict(key) for key in s.keys]} for s in sections()]
        show({"sections": found}, True)
        return
    typer.echo(reference(), nl=False)


@app.command("show")
def show_recipe(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file, or one of laptop, acemath-0.5b, acemath-1.5b, acemath-7b, acemath-7b-released, acemath-72b; "
            "+OVERLAY after it changes parts."
        ),
    ] = "laptop",
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Print a recipe in full: what it extends, every default, and every short form in its long form.

    Example: acemath recipe show acemath-1.5b --set seed=1
    """
    found = load_recipe(recipe, dict(changes or ())).model_dump(mode="json")
    if as_json:
        show(found, True)
        return
    typer.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120), nl=False)
