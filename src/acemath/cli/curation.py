"""The commands on prompts and data sets: where they come from, what they go through, where they go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from acemath.cli.output import Json, Out, folder, html_file, json_lines, show
from acemath.cli.settings import Change, Columns, columns_of
from acemath.curate.settings import Extra, Form
from acemath.errors import UserError
from acemath.run.display import Display

app = typer.Typer()

WITHOUT = ("figure", "proof-only", "other-language", *get_args(Form))
Prompts = Annotated[Path, typer.Argument(help="Prompts: JSONL, JSONL.gz, JSON, CSV or Parquet.")]
Against = Annotated[
    list[Path],
    typer.Option("--against", "--benchmark", help="A benchmark's file; give the option again for more."),
]
Processes = Annotated[
    int | None, typer.Option(min=1, help="[default: one, and one for each core from 50,000 prompts on]")
]
DroppedTo = Annotated[
    Path | None,
    typer.Option(
        "--dropped",
        callback=json_lines,
        help="Write each dropped prompt, with the reason, to this JSONL file.",
    ),
]


@app.command()
def curate(
    prompts: Prompts,
    against: Against,
    near: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=1, help="Drop near-duplicates from this similarity on too, for example 0.9."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(get_args(Extra)),
            autocompletion=lambda: list(get_args(Extra)),
            help="A kind of hit to drop beside leaks; give the option again for more.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(WITHOUT),
            autocompletion=lambda: list(WITHOUT),
            help="A kind of prompt to drop; give the option again for more.",
        ),
    ] = None,
    dropped: DroppedTo = None,
    processes: Processes = None,
    out: Out = Path("curated.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Filter, deduplicate and decontaminate prompts.

    Example: acemath curate prompts.jsonl --against gsm8k_test.jsonl --out clean.jsonl
    """
    with Display().during("curate"):
        from acemath.cli import data

        settings = data.curation_settings(near, drop or (), without or ())
        found = data.curate(
            prompts, against, out, settings, dropped, processes, columns_of(columns)
        )
    show(found, as_json)


@app.command()
def decontaminate(
    prompts: Prompts,
    against: Against,
    hits: Annotated[
        Path | None, typer.Option(callback=json_lines, help="Write every hit to this JSONL file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(callback=html_file, help="Write every hit to this HTML page.")
    ] = None,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Hide changed benchmark problems among the prompts; count what is found."
        ),
    ] = False,
    each: Annotated[int, typer.Option(min=1, help="Copies of each kind that the self-test hides.")] = 500,
    seed: Annotated[int, typer.Option(help="The self-test's seed.")] = 0,
    processes: Processes = None,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Find prompts that leak a benchmark, or test how well that works.

    Example: acemath decontaminate prompts.jsonl --against gsm8k_test.jsonl --report hits.html
    """
    if self_test and (hits is not None or report is not None):
        raise UserError("--self-test writes no hits; leave out --hits and --report, or --self-test")
    with Display().during("decontaminate"):
        from acemath.cli import data

        if self_test:
            shown = data.run_self_test(
                prompts, against, each, seed, processes, as_json, columns_of(columns)
            )
        else:
            shown = data.decontaminate(
                prompts, against, hits, report, processes, columns_of(columns)
            ), as_json, (), []
    show(*shown)


@app.command()
def vote(
    prompts: Prompts,
    responses: Annotated[
        Path, typer.Option(help="Several responses to each, as acemath sample writes them.")
    ],
    answers: Annotated[int, typer.Option(min=2, help="Responses that each prompt must have.")] = 8,
    at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the responses that must agree on one answer.")
    ] = 0.5,
    at_most: Annotated[
        float,
        typer.Option(min=0, max=1, help="A prompt on which a larger share agrees is too easy and dropped."),
    ] = 1.0,
    reference: Annotated[
        bool, typer.Option(help="Whether the majority must agree with the prompt's own answer.")
    ] = True,
    dropped: DroppedTo = None,
    out: Out = Path("solvable.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Keep the math prompts on which enough of a teacher's responses agree.

    Example: acemath vote clean.jsonl --responses samples.jsonl --at-least 0.5 --out solvable.jsonl
    """
    if at_least > at_most:
        raise UserError(f"--at-least {at_least:g} is above --at-most {at_most:g}; no prompt could be kept")
    with Display().during("vote"):
        from acemath.cli import data
        from acemath.curate.settings import SolvabilitySettings

        settings = SolvabilitySettings(
            answers=answers, at_least=at_least, at_most=at_most, reference=reference
        )
        found = data.vote(prompts, responses, settings, dropped, out, columns_of(columns))
    show(found, as_json)


@app.command()
def sources(as_json: Json = False) -> None:
    """List the data sets that acemath fetch knows, with sizes and licences.

    Example: acemath sources
    """
    from acemath.cli import datasets

    show(*datasets.sources(as_json))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name that acemath sources lists.")],
    file: Annotated[
        Path | None, typer.Option(help="Read this copy of the data set instead of the hub's.")
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(help="Read this data set of the hub, or this folder, which has the same form."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Read another split than the registered one.")] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch of the data set.")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Read at most so many rows of the data set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which worksheet problems are drawn.")] = 0,
    change: Change = None,
    out: Out = Path("fetched.parquet"),
    as_json: Json = False,
) -> None:
    """Write a data set as rows of acemath: prompts, conversations, or groups of labelled responses.

    "worksheets" are problems that ship with acemath and need no network.

    Example: acemath fetch worksheets --count 200 --set levels=[1] --out problems.jsonl
    """
    with Display().during("fetch"):
        from acemath.cli import datasets

        given = {"file": file, "hub": hub, "split": split, "revision": revision, "count": count}
        found = datasets.fetch(name, given, change or (), seed, out)
    show(found, as_json)


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run's folder, finished or run with --until data.")
    ],
    out: Annotated[Path, typer.Option(callback=folder, help="The data set's folder.")] = Path("dataset"),
    push: Annotated[
        str | None, typer.Option(help="Upload it to this data set of the hub, owner/name.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a pushed data set public.")] = False,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write a run's training sets as a data set of the hub: Parquet with messages, and a card.

    Nothing is uploaded without --push.

    Example: acemath export runs/laptop --out my-data
    """
    with Display().during("export"):
        from acemath.cli import datasets

        found = datasets.export(run, out, push, public, processes)
    show(found, as_json)
