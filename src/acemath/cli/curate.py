"""`acemath curate`: the prompts of a file, filtered, deduplicated and decontaminated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from acemath.cli.options import Against, Columns, DroppedPrompts, Json, Out, Processes, Prompts
from acemath.cli.output import show, write_kept
from acemath.cli.reading import read_benchmarks, read_problems
from acemath.curate.clean import clean
from acemath.curate.settings import (
    CurateSettings,
    DecontaminateSettings,
    Extra,
    FilterSettings,
    Form,
    NearSettings,
)
from acemath.errors import UserError
from acemath.files.rows import check_columns
from acemath.records import Problem
from acemath.run.display import Display

EXTRA = get_args(Extra)
WITHOUT = ("figure", "proof-only", "other-language", *get_args(Form))


def command(
    prompts: Prompts,
    against: Against,
    near: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=1, help="Drop near-duplicates of at least this similarity too, for example 0.9."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join(EXTRA),
            autocompletion=lambda: list(EXTRA),
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
    dropped: DroppedPrompts = None,
    processes: Processes = None,
    out: Out = Path("curated.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Filter, deduplicate and decontaminate prompts.

    Example: acemath curate prompts.jsonl --against gsm8k_test.jsonl --out clean.jsonl
    """
    with Display().during("curate"):
        settings = curation_settings(near, drop or (), without or ())
        check_columns([prompts], columns or {})
        rows = read_problems(prompts, columns)
        found = clean(rows, read_benchmarks(against), settings, processes)
        shown: dict[str, Any] = write_kept(found.rows, found.dropped, Problem, out, dropped)
        shown["dropped"] = dict(Counter(f"{d.step}: {d.reason}" for d in found.dropped))
        shown["reported"] = found.reported  # prompts near a benchmark problem that are kept, by kind of hit
        if found.near is not None:
            shown["near"] = found.near
        shown["out"] = shown.pop("out")
    show(shown, as_json)


def curation_settings(near: float | None, drop: Sequence[str], without: Sequence[str] = ()) -> CurateSettings:
    """The paper's settings, and what else to drop: near-duplicates, kinds of hit, forms of question.

    UserError for a kind of hit or a form that does not exist.
    """
    if wrong := [kind for kind in drop if kind not in EXTRA]:
        raise UserError(
            f"--drop {wrong[0]} is no kind of hit; use {' or '.join(EXTRA)} (a leak is always dropped)"
        )
    if wrong := [form for form in without if form not in WITHOUT]:
        raise UserError(f"--without {wrong[0]} is not a kind of prompt; use any of {', '.join(WITHOUT)}")
    filters = FilterSettings(
        figures="drop" if "figure" in without else "keep",
        proofs="drop" if "proof-only" in without else "keep",
        language="en" if "other-language" in without else None,
        forms=tuple(form for form in get_args(Form) if form in without),
    )
    return CurateSettings(
        filters=filters,
        near=None if near is None else NearSettings(threshold=near),
        decontaminate=DecontaminateSettings.model_validate({"drop": drop}),
    )
