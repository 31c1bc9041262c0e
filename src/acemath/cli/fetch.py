"""`acemath fetch`: a data set as rows of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.copies import SUSPECT
from acemath.benchmarks.registry import BENCHMARKS, open_benchmark
from acemath.cli.options import Changes, Json, Out, settings_of
from acemath.cli.output import show
from acemath.curate.columns import groups_of
from acemath.curate.known_sources import known_source
from acemath.curate.licences import non_commercial
from acemath.demo.worksheets.sheets import LICENSE, SOURCE
from acemath.errors import UserError
from acemath.files.conversations import chat_of
from acemath.files.rows import write_rows
from acemath.recipe.sources import Source
from acemath.records import Chat, Group, Problem
from acemath.run.display import Display
from acemath.run.source_rows import read_source, records_of


def command(
    name: Annotated[str, typer.Argument(help="A name that acemath sources or acemath benchmarks lists.")],
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
        int | None, typer.Option(min=1, help="Read at most this many rows of the data set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which worksheet problems are drawn.")] = 0,
    changes: Changes = None,
    out: Out = Path("fetched.parquet"),
    as_json: Json = False,
) -> None:
    """Fetch a data set into a file: prompts, conversations, or groups of labelled responses.

    "worksheets" are problems that ship with acemath and need no network.

    Example: acemath fetch worksheets --count 200 --set levels=[1] --out problems.jsonl
    """
    given = {"file": file, "hub": hub, "split": split, "revision": revision, "count": count}
    with Display().during("fetch"):
        found = fetch(name, given, dict(changes or ()), seed, out)
    show(found, as_json)


def fetch(
    name: str, given: Mapping[str, Any], changes: Mapping[str, Any], seed: int, out: Path
) -> dict[str, Any]:
    """Write the rows of a registered data set: prompts, conversations, or groups where it holds labelled responses.

    `given` are settings of the source; None leaves the registered one. `count` is the number of its rows, not of the
    groups that they make. The name "worksheets" draws problems of the worksheets with the seed; its split is "train"
    or "test".
    """
    settings = {key: value for key, value in given.items() if value is not None}
    if name in BENCHMARKS:
        return _fetch_benchmark(name, {**settings, **changes}, out)
    if name == SOURCE:
        settings[SOURCE] = settings.pop("split", "train")
        held = "prompts"
    else:
        settings["known"] = name
        held = known_source(name).kind
    source = settings_of(Source, settings, changes)
    kind: type[Any]
    rows: list[Any]
    more: dict[str, Any] = {}
    records = islice(records_of(name, source), source.count)
    if held == "prompts":
        kind, rows = Problem, list(read_source(name, source, seed))
    elif held == "chats":
        kind, rows = Chat, [chat_of(row, place, name, source.license) for place, row in records]
    else:
        kind, rows = Group, list(groups_of((row for _, row in records), f"source {name!r}"))
        more["sizes"] = dict(Counter(len(group.labels) for group in rows))
    if not rows:
        raise UserError(f"{name} gives no row; nothing was written to {out}")
    write_rows(out, rows, kind)
    return {
        "out": str(out),
        "rows": len(rows),
        "kind": kind.__name__.lower(),
        "license": LICENSE if name == SOURCE else source.license,
        "non_commercial": non_commercial([source.license]),
        **more,
    }


def _fetch_benchmark(name: str, settings: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the problems of a benchmark, whole."""
    if wrong := settings.keys() - {"file", "revision", "columns"}:
        raise UserError(
            f"{min(wrong)} does not apply to the benchmark {name}, which is read whole from its registered split; give "
            "--file, --revision or --set columns={…}"
        )
    rows = open_benchmark(name, **settings)
    write_rows(out, rows, Problem)
    licences = Counter(row.license for row in rows)
    return {
        "out": str(out),
        "rows": len(rows),
        "kind": "problem",
        "license": next(iter(licences)) if len(licences) == 1 else dict(licences),
        "non_commercial": non_commercial(licences),
        "no_reference": sum(not row.answer for row in rows),
        "suspects": sum(SUSPECT in row.meta for row in rows),
    }
