"""`acemath export`: a run's training sets for the hub, its responses for inspect_ai's viewer, results as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from acemath.benchmarks.forms import FORMS, WRITERS
from acemath.cli.options import Json, Pick, Processes, folder
from acemath.cli.output import show
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.atomic import write_bytes
from acemath.run.display import Display
from acemath.run.export import export as export_run
from acemath.run.export import push as push_folder
from acemath.run.inspect_logs import write_logs
from acemath.run.release import release
from acemath.run.result_rows import result_rows

DATASET, INSPECT = "dataset", "inspect"
MODELS = ("policy", "reward-model")
PLACES = {DATASET: "dataset", INSPECT: "inspect-logs", **{kind: kind for kind in MODELS}}  # where each kind goes without --out


def command(
    run: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A run's folder; an evaluation's for logs and tables; or a file of results."),
    ],
    to: Annotated[
        Literal["dataset", "policy", "reward-model", "inspect", "table-3", "table-6"],
        typer.Option(
            help="Training sets for the hub, a model with its card, logs for inspect_ai's viewer, or results in the form of the "
            "paper's Table 3 (policies, greedy pass@1) or Table 6 (selectors, one answer picked from k)."
        ),
    ] = "dataset",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of a data set, a model or logs, or a table's file (.md, .html or .json). [default: dataset, policy, "
            "reward-model, inspect-logs, table-3.md, table-6.md]"
        ),
    ] = None,
    k: Pick = 8,
    paper: Annotated[
        bool, typer.Option("--paper", help="Put the paper's lines below a table, and say where they differ.")
    ] = False,
    policy: Annotated[
        str | None, typer.Option(help="The policy of bench.policies to write. [default: the headline]")
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Upload it to this data set or model of the hub, owner/name.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make what is pushed public.")] = False,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write a run's training sets or models for the hub, its responses as logs for inspect_ai, or results as a table.

    Nothing is uploaded without --push.

    Example: acemath export runs/laptop --out my-data

    For inspect view: acemath export runs/laptop --to inspect --out logs

    A table: acemath export runs/laptop --to table-6 --out table.html

    A model: acemath export runs/laptop --to policy --out my-policy
    """
    if to not in (DATASET, *MODELS) and (push or public):
        raise UserError(f"--push and --public are for data sets and models, not for --to {to}; leave them out")
    if policy is not None and to != "policy":
        raise UserError(f"--policy is for --to policy, not for --to {to}; leave it out")
    place = out or Path(PLACES.get(to, f"{to}.md"))
    with Display().during("export"):
        if to == DATASET:
            folder(place)
            found = export(run, place, push, public, processes)
        elif to in MODELS:
            folder(place)
            found = export_model(run, to, place, policy, push, public)
        elif to == INSPECT:
            found = {"out": str(place), "logs": len(write_logs(run, place))}
        else:
            found = export_table(run, to, place, k, paper)
    show(found, as_json)


def export_model(run: Path, kind: str, out: Path, policy: str | None, push: str | None, public: bool) -> dict[str, Any]:
    """Write a run's policy or reward model with its card, and upload it if `push` names a model of the hub."""
    if public and push is None:
        raise UserError("--public needs a model to push; name it with --push owner/name")
    found = release(run, kind, out, policy)
    return found if push is None else {**found, "pushed": push_folder(out, push, not public, "model")}


def export_table(results: Path, form: str, out: Path, k: int, paper: bool) -> dict[str, Any]:
    """Write results as a table; the ending of `out` decides its form. UserError for another ending."""
    if out.suffix not in WRITERS:
        raise UserError(f"cannot write a table as {out.name!r}: the name must end in {', '.join(WRITERS)}")
    sheet = FORMS[form](result_rows(results, k), k, paper)
    write_bytes(out, WRITERS[out.suffix](sheet).encode("utf-8", "replace"))
    return {"out": str(out), "lines": len(sheet.lines), "benchmarks": list(sheet.benchmarks)}


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
