"""The `acemath` command: parse, call, print. A user's mistake is one line on standard error and exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.commands import curation, files
from acemath.commands.output import Json, show
from acemath.commands.settings import changes
from acemath.errors import UserError

UsageError: Any = typer.BadParameter.__base__  # whichever click typer brings along
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Curate, fine-tune, judge and answer: the AceMath recipe as software.",
)


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's file, or laptop, acemath-1.5b, acemath-7b, acemath-72b.")
    ] = "laptop",
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/NAME by default.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting to change: key.of.setting=value (YAML).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe and print the plan; run nothing.")
    ] = False,
    until: Annotated[
        str, typer.Option(help="Where to stop: data (the training sets), sft, reward or report.")
    ] = "report",
    budget: Annotated[
        float | None,
        typer.Option(help="Stop before more US$ than these are spent on all endpoints together."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a whole recipe; stages that are done are not done again.

    Example: acemath run laptop --set seed=1 --out runs/second
    """
    from acemath.pipeline.display import Display
    from acemath.recipe import load_recipe

    spend = {} if budget is None else {"budget_usd": budget}
    loaded = load_recipe(recipe, changes(change or []) | spend)
    if dry_run:
        _show_plan(loaded, as_json)
        return
    from acemath.pipeline.run import run_recipe, run_until

    folder = out or Path("runs") / loaded.name
    if until != "report":
        show(run_until(loaded, folder, Display(), until), as_json)
        return
    outcome = run_recipe(loaded, folder, Display())
    if as_json:
        show(outcome.as_json(), True)
        return
    show({}, False, ("measure", "percent"), sorted(outcome.headline.items(), key=lambda row: row[1]))
    typer.echo(f"{outcome.seconds:.0f} s, {outcome.peak_mb:.0f} MB at most; report: {outcome.report}")


def _show_plan(recipe: Any, as_json: bool) -> None:
    """The stages of a recipe as a table, with what the estimates rest on."""
    from acemath.pipeline.plan import plan

    result = plan(recipe)
    rows = [tuple(row.values()) for row in result["stages"]]
    show(result, as_json, ("stage", "rows", "tokens (M)", "GPU hours", "US$"), rows)
    if not as_json:
        typer.echo(result["note"])


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    recipe: str = "laptop",
    as_json: Json = False,
) -> None:
    """Write a run's report anew from its folder.

    Example: acemath report runs/laptop
    """
    from acemath.pipeline.context import Run
    from acemath.pipeline.display import Display
    from acemath.pipeline.reporting import make_report
    from acemath.pipeline.run import RECIPE, recipe_of
    from acemath.recipe import load_recipe

    if not (folder / "tables" / "manifest.json").exists():
        raise UserError(f"{folder} holds no finished run; run a recipe first: acemath run --out {folder}")
    loaded = recipe_of(folder) if (folder / RECIPE).exists() else load_recipe(recipe)
    (folder / "report" / "manifest.json").unlink(missing_ok=True)
    show({"report": str(make_report(Run(loaded, folder, Display(quiet=True))))}, as_json)


@app.command("pretrain-nano")
def pretrain_nano(
    out: Annotated[Path, typer.Argument(help="The model's folder; a stopped run goes on where it was.")],
    share: Annotated[float, typer.Option(min=0.0001, help="Share of the tokens.")] = 1.0,
    seed: int = 0,
    base: Annotated[
        str | None,
        typer.Option(
            help="Go on from this run's weights, at half the learning rates; another seed draws new pages."
        ),
    ] = None,
) -> None:
    """Pre-train nano-base on worksheet pages. Hours on two cores.

    Example: acemath pretrain-nano nano
    """
    import logging

    from acemath.nano.pretrain import PretrainSettings, pretrain

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    settings = PretrainSettings(seed=seed)
    pretrain(out, (settings.going_on(base) if base else settings).scaled(share))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, and what is missing for which part.

    Example: acemath doctor
    """
    from acemath.commands.doctor import examine

    show(examine(), as_json)


app.add_typer(curation.app)
app.add_typer(files.app)


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    try:
        code = app(standalone_mode=False)  # a command's own result is None, an early end's is its exit code
    except UserError as error:
        typer.echo(f"acemath: {error}", err=True)
        sys.exit(error.exit_code)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
        else:
            typer.echo(
                f"acemath: {error.format_message()} (acemath COMMAND --help shows an example)", err=True
            )
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        typer.echo("acemath: stopped; the same command goes on from here", err=True)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
