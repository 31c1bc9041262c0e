"""The commands on prompts and data sets: where they come from, what they go through, where they go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.commands.output import Json, show
from acemath.errors import UserError

app = typer.Typer()

Out = Annotated[Path, typer.Option("--out", help="Where the result goes (.parquet or .jsonl).")]

Prompts = Annotated[Path, typer.Argument(help="Prompts: JSONL, JSONL.gz or Parquet.")]
Against = Annotated[
    list[Path], typer.Option("--against", "--benchmark", help="A benchmark; give it again for more.")
]
Processes = Annotated[int | None, typer.Option(min=1, help="By default one, one a core for 50,000 prompts.")]


@app.command()
def curate(
    prompts: Prompts,
    against: Against,
    near: Annotated[
        float | None,
        typer.Option(min=0.5, max=1, help="Drop near-duplicates of this similarity too, say 0.9."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Drop near-copy, contained or reworded hits too; several: give it again."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Drop also: figure, proof-only, other-language, multiple-choice, true-false, multi-part."
        ),
    ] = None,
    dropped: Annotated[
        Path | None, typer.Option(help="Write each dropped prompt to this JSONL file.")
    ] = None,
    processes: Processes = None,
    out: Out = Path("curated.jsonl"),
    as_json: Json = False,
) -> None:
    """Filter, deduplicate and decontaminate prompts.

    Example: acemath curate prompts.jsonl --against gsm8k_test.jsonl --out clean.jsonl
    """
    from acemath.commands import data

    settings = data.curation_settings(near, drop or (), without or ())
    show(data.curate(prompts, against, out, settings, dropped, processes), as_json)


@app.command()
def decontaminate(
    prompts: Prompts,
    against: Against,
    hits: Annotated[Path | None, typer.Option(help="Write every hit to this JSONL file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write every hit to this HTML page.")] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Plant changed benchmark problems, count what is found.")
    ] = False,
    each: Annotated[int, typer.Option(min=1, help="Copies of a kind that the self-test plants.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the self-test.")] = 0,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Find prompts that leak a benchmark, or test how well that works.

    Example: acemath decontaminate prompts.jsonl --against gsm8k_test.jsonl --report hits.html
    """
    from acemath.commands import data

    if not self_test:
        show(data.decontaminate(prompts, against, hits, report, processes), as_json)
        return
    if hits is not None or report is not None:
        raise UserError("--self-test writes no hits; leave out --hits and --report, or --self-test")
    show(*data.run_self_test(prompts, against, each, seed, processes, as_json))


@app.command()
def vote(
    prompts: Prompts,
    responses: Annotated[
        Path, typer.Option(help="Several responses to each, as acemath sample writes them.")
    ],
    answers: Annotated[int, typer.Option(min=2, help="Responses that each prompt must have.")] = 8,
    at_least: Annotated[float, typer.Option(min=0, max=1, help="Share that must have one answer.")] = 0.5,
    at_most: Annotated[
        float, typer.Option(min=0, max=1, help="Above this share a prompt is too easy.")
    ] = 1.0,
    reference: Annotated[bool, typer.Option(help="The majority must be the prompt's own answer.")] = True,
    dropped: Annotated[
        Path | None, typer.Option(help="Write each dropped prompt to this JSONL file.")
    ] = None,
    out: Out = Path("solvable.jsonl"),
    as_json: Json = False,
) -> None:
    """Keep the math prompts that a teacher solves often enough, by the agreement of its responses.

    Example: acemath vote clean.jsonl --responses samples.jsonl --at-least 0.5 --out solvable.jsonl
    """
    from acemath.commands import data
    from acemath.curate.settings import SolvabilitySettings

    settings = SolvabilitySettings(answers=answers, at_least=at_least, at_most=at_most, reference=reference)
    show(data.vote(prompts, responses, settings, dropped, out), as_json)


@app.command()
def sources(as_json: Json = False) -> None:
    """The registry: the paper's data sets and those it released, with columns, sizes and licences.

    Example: acemath sources
    """
    from acemath.commands import datasets

    show(*datasets.sources(as_json))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of acemath sources.")],
    file: Annotated[Path | None, typer.Option(help="Read this copy in place of the hub.")] = None,
    hub: Annotated[str | None, typer.Option(help="Read this data set of the same form, or a folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Another split than the registered one.")] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch of the data set.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="At most so many rows of the data set.")] = None,
    out: Out = Path("fetched.parquet"),
    as_json: Json = False,
) -> None:
    """Read a registered data set into rows of acemath: prompts, conversations, or groups of labelled responses.

    Example: acemath fetch acemath-rm --count 6000 --out groups.parquet
    """
    from acemath.commands import datasets

    show(datasets.fetch(name, file, hub, split, revision, count, out), as_json)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A run's folder that has its blends.")],
    out: Annotated[Path, typer.Option(help="The data set's folder.")] = Path("dataset"),
    push: Annotated[
        str | None, typer.Option(help="Upload it to this data set of the hub, owner/name.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a pushed data set public.")] = False,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write a run's blends as a data set of the hub: Parquet with messages, and a card. Pushed only when asked.

    Example: acemath export runs/laptop --out my-data
    """
    from acemath.commands import datasets

    show(datasets.export(folder, out, push, public, processes), as_json)
