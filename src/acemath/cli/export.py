"""`acemath export`: a run's training sets as a data set of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import Json, Processes, folder
from acemath.cli.output import show
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.run.display import Display
from acemath.run.export import export as export_run
from acemath.run.export import push as push_folder


def command(
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
    """Write a run's training sets as a data set for the hub: Parquet files with messages, and a card.

    Nothing is uploaded without --push.

    Example: acemath export runs/laptop --out my-data
    """
    with Display().during("export"):
        found = export(run, out, push, public, processes)
    show(found, as_json)


def export(run: Path, out: Path, push: str | None, public: bool, processes: int | None) -> dict[str, Any]:
    """Write a run's blends as a data set for the hub, and upload it if `push` names one."""
    if public and push is None:
        raise UserError("--public needs a data set to push; name it with --push owner/name")
    record = export_run(run, out, processes)
    licences = sorted({name for blend in record["blends"].values() for name in blend["licences"]})
    found = {
        "out": str(out),
        "conversations": {name: blend["conversations"] for name, blend in record["blends"].items()},
        "licenses": licences,
        "non_commercial": non_commercial(licences),
        "hits": record["hits"],
    }
    return found if push is None else {**found, "pushed": push_folder(out, push, not public)}
