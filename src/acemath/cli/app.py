"""The `acemath` command: which commands there are, and how it ends. A user's mistake is one line and exit code 2."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from acemath import __version__
from acemath.cli.output import show_notices
from acemath.errors import INTERRUPTED, UserError, needing

UsageError: Any = typer.BadParameter.__base__  # of the click that typer brings along
# Words of commands that a second call continues.
RESUMED = ("run", "sft", "train", "pretrain-nano", "endpoint", "eval", "rewardbench", "sample", "process-bench")
# The commands by group of the overview, with the first sentence of their help, so that the overview imports none.
# A command is the function `command` of the module of its name, or that module's Typer `app` if it has subcommands.
GROUPS = {
    "Data": {
        "sources": "List the data sets that acemath fetch knows, with sizes and licences.",
        "benchmarks": "List the benchmarks that commands and recipes know by name, with sizes, shots and licences.",
        "fetch": "Fetch a data set into a file: prompts, conversations, or groups of labelled responses.",
        "curate": "Filter, deduplicate and decontaminate prompts.",
        "decontaminate": "Find prompts that leak a benchmark, or test how well that works.",
        "vote": "Keep the math prompts on which enough of a teacher's responses agree.",
        "synthesize": "Ask a teacher for one greedy response to each problem (paper, section 3.2.1).",
        "filter": "Drop responses that are too long, cut off, without a boxed answer or in a loop (paper, section 3.2.1).",
        "cross-check": "Keep the math responses whose answer another teacher confirms (paper, section 3.2.2).",
        "blend": "Make training conversations from problems and responses, one for each prompt (paper, section 3.3).",
        "export": "Write a run's training sets or models for the hub, its responses as logs for inspect_ai, or results as a table.",
    },
    "Training": {
        "sft": "Fine-tune a model on conversations, with the loss on responses alone.",
        "rm": "The reward model: choose groups, train, write its card.",
        "pretrain-nano": "Pre-train nano-base on worksheet pages.",
    },
    "Judging": {
        "grade": "Grade responses against references.",
        "score": "Score responses with a judge and write the scores beside them.",
        "rewardbench": "AceMath-RewardBench: score it with judges, build it from policies, print its table.",
        "published": "Show the numbers that the paper prints, with their table, or put own results beside them.",
        "reward-bench-2": "Measure a judge on RewardBench 2: best of four in five subsets, and the score of its Ties subset.",
        "process-bench": "Measure on ProcessBench how well a judge finds the first wrong step: F1 by subset, and its average.",
        "eval": "Measure policies: greedy pass@1, and with samples avg@n, maj@k, rm@k and pass@k.",
        "parity": "Compare a reward model's scores in plain transformers, with shared prompts, and in vLLM where it is "
        "installed.",
    },
    "Answering": {
        "sample": "Ask a policy for several responses to each problem, and grade them.",
        "solve": "Answer a question with policy and reward model together.",
    },
    "Runs": {
        "run": "Run a whole recipe.",
        "recipe": "Show the keys of a recipe, or a recipe in full.",
        "report": "Write the report of a finished run again.",
        "view": "Look at stored problems, responses, verdicts, rewards and votes on a local page.",
        "doctor": "Show what this machine has and which optional parts are missing.",
    },
}
WRITTEN = ("out", "dropped", "hits", "report")  # parameters that name what a command writes
_EXAMPLE = re.compile(r"\n\s*\n(?=\s*\S[^\n]*: acemath )")


class _Commands(TyperGroup):
    """The commands of GROUPS. Each is imported when it is used."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: dict[str, Any] = dict.fromkeys(name for group in GROUPS.values() for name in group)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None if there is none."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group of commands."""
        for title, summaries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(summaries.items()))


def _load(name: str) -> Any:
    """A command as a click object, with a help in which click does not break the lines of examples."""
    module = import_module(f"acemath.cli.{name.replace('-', '_')}")
    holder = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name)(module.command)
    found = typer.main.get_group(holder).commands[name]
    for one in (found, *getattr(found, "commands", {}).values()):
        one.callback = one.callback and _checked(one.callback)
        one.help = _EXAMPLE.sub(
            "\n\n\b\n", one.help or ""
        )  # click does not fill a paragraph that starts with \b
    return found


def _checked(work: Callable[..., Any]) -> Callable[..., Any]:
    """A command's function that first refuses to write over what it reads or two results to one place, and numbers that are not finite."""

    @wraps(work)
    def checked(**given: Any) -> Any:
        wild = next((name for name, value in given.items() if isinstance(value, float) and not isfinite(value)), None)
        if wild is not None:
            raise UserError(f"--{wild.replace('_', '-')} is {given[wild]}; give a number that is finite")
        values = {name: value if isinstance(value, list | tuple) else [value] for name, value in given.items()}
        named = [(name, os.path.realpath(value)) for name, found in values.items() for value in found if _is_place(value)]
        for name, place in named:
            other = next((other for other, same in named if same == place and other != name), None)
            if name in WRITTEN and other is not None and (other in WRITTEN or Path(place).exists()):
                raise UserError(
                    f"--{name} and {other.replace('_', '-')} both name {str(given[name])!r}; a command does not write over what it "
                    "reads, nor two results to one place: give another name"
                )
        return work(**given)

    return checked


def _is_place(value: Any) -> bool:
    """Whether an argument names a place. A text may be a name, as of a recipe or a benchmark, unless it is a file."""
    # unlike `Path.is_file`, `isfile` raises nothing for a long text
    return isinstance(value, Path) or isinstance(value, str) and os.path.isfile(value)  # noqa: PTH113


app = typer.Typer(
    cls=_Commands,
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


@cache
def command_tree() -> Any:
    """The whole command line as a click group with every command loaded, for documentation and tests."""
    top: Any = typer.main.get_command(app)
    for name in top.commands:
        top.get_command(None, name)
    return top


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    show_notices()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a text with half a surrogate pair must not fail
    try:
        with needing(" ".join(["acemath", *sys.argv[1:2]])):
            code = typer.main.get_command(app).main(prog_name="acemath", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (UserError, UsageError, OSError) as error:
        typer.echo(f"acemath: {' '.join(_message(error).splitlines())}", err=True)
        code = UserError.exit_code
    if code == INTERRUPTED:  # typer returns it too
        resumed = any(word in RESUMED for word in sys.argv[1:]) and "--rehearse" not in sys.argv  # which begins anew
        again = "; the same command continues from what is on disk" if resumed else ""
        typer.echo(f"acemath: stopped{again}", err=True)
    sys.exit(code or 0)


def _message(error: Exception) -> str:
    """The message of an error for the user. An error that is not a user's mistake is raised again."""
    if isinstance(error, UsageError):
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            sys.exit(UserError.exit_code)
        where = error.ctx.command_path if error.ctx is not None else "acemath"
        return f"{error.format_message().replace('Value error, ', '')} ({where} --help shows how it is used)"
    if isinstance(error, OSError):
        return _disk_message(error)
    return str(error)


def _disk_message(error: OSError) -> str:
    """The message for a file, or standard output, that cannot be written. Any other error is raised again."""
    from acemath.files.atomic import is_disk_full

    if error.filename is None and not is_disk_full(error):
        raise error
    if error.filename is None:  # Python flushes at its exit, which must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    where = error.filename or "cannot write standard output"
    return f"{where}: {error.strerror}; check the path, its permissions and the free space"


if __name__ == "__main__":
    main()
