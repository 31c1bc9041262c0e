"""Commands on data sets: the registry, reading one of it, writing one from a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from acemath.cli.settings import settings_of
from acemath.curate.columns import groups_of
from acemath.curate.licences import non_commercial
from acemath.curate.sources import KNOWN, known_source
from acemath.demo.worksheets.sheets import LICENSE, SOURCE
from acemath.errors import UserError
from acemath.files.conversations import chat_of
from acemath.files.rows import write_rows
from acemath.recipe.sources import Source
from acemath.records import Chat, Group, Problem
from acemath.run.export import export as export_run
from acemath.run.export import push as push_folder
from acemath.run.sources import read_source, records_of

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
    built_in = {"hub": None, "split": "train", "kind": "prompts", "subject": "all", "rows": None}
    rows.insert(0, {"name": SOURCE, **built_in, "columns": {}, "license": LICENSE, "non_commercial": False})
    head = ("name", "data set", "kind", "rows", "licence")
    table = [
        [
            r["name"],
            r["hub"] or "ships with acemath",
            r["kind"],
            f"{r['rows']:,}"
            if isinstance(r["rows"], int)
            else "as asked"
            if r["name"] == SOURCE
            else "unknown",
            f"{r['license']}{' (no commercial use)' if r['non_commercial'] else ''}",
        ]
        for r in rows
    ]
    return {"sources": rows}, as_json, head, table


def fetch(
    name: str, given: Mapping[str, Any], changes: Sequence[str], seed: int, out: Path
) -> dict[str, Any]:
    """Rows of a registered data set into a file: prompts, conversations, or groups where it holds labelled responses.

    `given` are settings of the source, None where the registered one holds; a `count` is of its rows, not of the groups
    that they make. The name "worksheets" draws problems of the worksheets with the seed; its split is "train" or "test".
    """
    settings = {key: value for key, value in given.items() if value is not None}
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
        kind = Problem
        rows = list(read_source(name, source, seed))
    elif held == "chats":
        kind = Chat
        rows = [chat_of(row, place, name, source.license) for place, row in records]
    else:
        kind = Group
        groups = list(groups_of((row for _, row in records), f"source {name!r}"))
        more["sizes"] = dict(Counter(len(group.labels) for group in groups))
        rows = groups
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


def export(folder: Path, out: Path, push: str | None, public: bool, processes: int | None) -> dict[str, Any]:
    """A run's blends as a folder of the hub, uploaded where `push` names a data set."""
    if public and push is None:
        raise UserError("--public says how a data set is pushed; name it with --push owner/name")
    record = export_run(folder, out, processes)
    licences = sorted({name for blend in record["blends"].values() for name in blend["licences"]})
    found = {
        "out": str(out),
        "conversations": {name: blend["conversations"] for name, blend in record["blends"].items()},
        "licenses": licences,
        "non_commercial": non_commercial(licences),
        "hits": record["hits"],
    }
    return found if push is None else {**found, "pushed": push_folder(out, push, not public)}
