"""Commands on data sets: the registry, reading one of it, writing one from a run."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from acemath.conversations import chat_of
from acemath.curate.columns import groups_of
from acemath.curate.licences import non_commercial
from acemath.curate.sources import KNOWN, known_source
from acemath.errors import UserError
from acemath.pipeline.context import Run
from acemath.pipeline.display import Display
from acemath.pipeline.export import export as export_run
from acemath.pipeline.export import push as push_folder
from acemath.pipeline.run import recipe_of
from acemath.pipeline.sources import read_source, records_of
from acemath.recipe import Source
from acemath.records import Chat, Group, Problem
from acemath.store import write_rows

Shown = tuple[dict[str, Any], bool, tuple[str, ...], list[list[Any]]]


def sources(as_json: bool) -> Shown:
    """The registry, as `show` takes it: record, table's head and rows."""
    rows = [
        {
            "name": name,
            "hub": known.hub,
            "split": known.split,
            "kind": known.kind,
            "subject": known.subject,
            "rows": known.rows or None,
            "columns": dict(known.columns),
            "license": known.license,
            "non_commercial": bool(non_commercial([known.license])),
        }
        for name, known in KNOWN.items()
    ]
    head = ("name", "data set", "kind", "rows", "licence")
    table = [
        [
            r["name"],
            r["hub"],
            r["kind"],
            f"{r['rows']:,}" if isinstance(r["rows"], int) else "unknown",
            f"{r['license']}{' (no commercial use)' if r['non_commercial'] else ''}",
        ]
        for r in rows
    ]
    return {"sources": rows}, as_json, head, table


def fetch(
    name: str,
    file: Path | None,
    hub: str | None,
    split: str | None,
    revision: str | None,
    count: int | None,
    out: Path,
) -> dict[str, Any]:
    """Rows of a registered data set into a file: prompts, conversations, or groups where it holds labelled responses.

    `count` is of its rows, not of the groups that they make.
    """
    known = known_source(name)
    source = Source.model_validate(
        {"known": name, "file": file, "hub": hub, "split": split, "revision": revision, "count": count}
    )
    records = islice(records_of(name, source), source.count)
    kind: type[Any]
    rows: list[Any]
    more: dict[str, Any] = {}
    if known.kind == "prompts":
        kind = Problem
        rows = read_source(name, source, 0)
    elif known.kind == "chats":
        kind = Chat
        rows = [
            chat_of(row, f"source {name!r}, record {at}", name, source.license)
            for at, row in enumerate(records, 1)
        ]
    else:
        kind = Group
        groups = list(groups_of(records, f"source {name!r}"))
        more["sizes"] = dict(Counter(len(group.labels) for group in groups))
        rows = groups
    write_rows(out, rows, kind)
    return {
        "out": str(out),
        "rows": len(rows),
        "kind": kind.__name__.lower(),
        "license": source.license,
        "non_commercial": non_commercial([source.license]),
        **more,
    }


def export(folder: Path, out: Path, push: str | None, public: bool, processes: int | None) -> dict[str, Any]:
    """A run's blends as a folder of the hub, uploaded where `push` names a data set."""
    if public and push is None:
        raise UserError("--public says how a data set is pushed; name it with --push owner/name")
    record = export_run(Run(recipe_of(folder), folder, Display(quiet=True)), out, processes)
    licences = sorted({name for blend in record["blends"].values() for name in blend["licences"]})
    found = {
        "out": str(out),
        "conversations": {name: blend["conversations"] for name, blend in record["blends"].items()},
        "licenses": licences,
        "non_commercial": non_commercial(licences),
        "hits": record["hits"],
    }
    return found if push is None else {**found, "pushed": push_folder(out, push, not public)}
