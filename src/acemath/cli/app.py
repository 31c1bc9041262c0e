"""The `acemath` command: parse, call, print. A user's mistake is one line on standard error and exit code 2."""

from __future__ import annotations

import io
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from acemath import __version__
from acemath.cli import checking, curation, files
from acemath.cli.output import Json, folder, show, show_notices
from acemath.cli.settings import Change, changes
from acemath.errors import UserError
from acemath.files.atomic import is_disk_full

UsageError: Any = typer.BadParameter.__base__  # whichever click typer brings along
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
RESUMED = ("run", "sft", "train", "pretrain-nano", "endpoint")  # words of commands that go on where they were
GROUPS = {
    "Data": (
        "sources", "fetch", "curate", "decontaminate", "vote", "synthesize", "filter", "cross-check", "blend", "export",
    ),
    "Training": ("sft", "rm", "pretrain-nano"),
    "Judging": ("grade", "score", "rewardbench", "eval", "parity"),
    "Answering": ("sample", "solve"),
    "Runs": ("run", "report", "doctor"),
}  # fmt: skip
_EXAMPLE = re.compile(r"\n\s*\n(?=\s*\S[^\n]*: acemath )")


class _Grouped(TyperGroup):
    """The commands in the help by the work that they do."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group of commands."""
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(n, self.commands[n].get_short_help_str(limit=200)) for n in names])


app = typer.Typer(
    cls=_Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"acemath {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Curate, fine-tune, judge and answer: the AceMath recipe as software.

    acemath COMMAND --help explains a command and shows an example.
    """


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or one of laptop, acemath-1.5b, acemath-7b, acemath-72b.")
    ] = "laptop",
    out: Annotated[
        Path | None, typer.Option(callback=folder, help="The run's folder. [default: runs/NAME]")
    ] = None,
    change: Change = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe and print the plan; run nothing.")
    ] = False,
    until: Annotated[
        Literal["data", "sft", "reward", "report"],
        typer.Option(help="The last part to run; data makes the training sets and trains nothing."),
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
    from acemath.recipe.load import load_recipe
    from acemath.run.display import Display

    spend = {} if budget is None else {"budget_usd": budget}
    loaded = load_recipe(recipe, changes(change or []) | spend)
    if dry_run:
        _show_plan(loaded, as_json)
        return
    from acemath.run.run import run_recipe, run_until

    place = out or Path("runs") / loaded.name
    if until != "report":
        with Display().during(loaded.name):
            done = run_until(loaded, place, Display(), until)
        show(done, as_json)
        return
    with Display().during(loaded.name):
        outcome = run_recipe(loaded, place, Display())
    if as_json:
        show(outcome.as_json(), True)
        return
    show({}, False, ("measure", "percent"), sorted(outcome.headline.items(), key=lambda row: row[1]))
    typer.echo(f"{outcome.seconds:.0f} s, {outcome.peak_mb:.0f} MB at most; report: {outcome.report}")


def _show_plan(recipe: Any, as_json: bool) -> None:
    """The stages of a recipe as a table, with what the estimates rest on."""
    from acemath.recipe.plan import plan

    result = plan(recipe)
    rows = [tuple(row.values()) for row in result["stages"]]
    show(result, as_json, ("stage", "rows", "tokens (M)", "GPU hours", "US$"), rows)
    if not as_json:
        typer.echo(result["note"])


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished run's folder.")],
    recipe: Annotated[
        str, typer.Option(help="The recipe, for a folder that does not keep its own.")
    ] = "laptop",
    as_json: Json = False,
) -> None:
    """Write the report of a finished run again.

    Example: acemath report runs/laptop
    """
    from acemath.run.display import Display
    from acemath.run.run import write_report

    with Display().during("report"):
        made = write_report(run)
    show({"report": str(made)}, as_json)


@app.command("pretrain-nano")
def pretrain_nano(
    out: Annotated[
        Path, typer.Argument(callback=folder, help="The model's folder. A stopped run continues there.")
    ],
    share: Annotated[float, typer.Option(min=0.0001, help="Share of the usual number of tokens.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed draws other pages.")] = 0,
    base: Annotated[
        str | None,
        typer.Option(help="Start from the weights in this folder, at half the learning rates."),
    ] = None,
) -> None:
    """Pre-train nano-base on worksheet pages. This takes hours on two cores.

    Example: acemath pretrain-nano nano --share 0.01
    """
    import logging

    from acemath.demo.nano.pretrain import PretrainSettings, pretrain
    from acemath.run.display import Display

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    settings = PretrainSettings(seed=seed)
    with Display(every=10).during("pretrain-nano"):
        pretrain(out, (settings.going_on(base) if base else settings).scaled(share))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show what this machine has and which optional parts are missing.

    Example: acemath doctor
    """
    from acemath.cli.doctor import examine

    show(examine(), as_json)


app.add_typer(curation.app)
app.add_typer(checking.app)
app.add_typer(files.app)


@cache
def command() -> Any:
    """The whole command line as a click group, with examples in its help that no line break cuts in two."""
    top = typer.main.get_command(app)
    waiting = [top]
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        one.help = _EXAMPLE.sub("\n\n\b\n", one.help or "")  # click's sign for a paragraph that is not filled
    return top


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    show_notices()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # half a surrogate pair in a text is no reason to fail
    try:
        code = command().main(
            prog_name="acemath", standalone_mode=False
        )  # None, or the code of an early exit
    except UserError as error:
        code = _fail(str(error))
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            sys.exit(2)
        where = error.ctx.command_path if error.ctx is not None else "acemath"
        code = _fail(
            f"{error.format_message().replace('Value error, ', '')} ({where} --help shows how it is used)"
        )
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as error:
        if error.filename is None and not is_disk_full(error):
            raise
        if error.filename is None:  # what is left to print must not fail again when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or "cannot write standard output"
        code = _fail(f"{where}: {error.strerror}; check the path, its permissions and the free space")
    if code == INTERRUPTED:
        resumed = any(word in RESUMED for word in sys.argv[1:])
        again = "; the same command continues from what is on disk" if resumed else ""
        typer.echo(f"acemath: stopped{again}", err=True)
    sys.exit(code or 0)


def _fail(text: str) -> int:
    """Print an error as one line; gives the exit code."""
    typer.echo(f"acemath: {' '.join(text.splitlines())}", err=True)
    return UserError.exit_code


if __name__ == "__main__":
    main()
