"""`acemath sources`: the registry of data sets."""

from __future__ import annotations

from typing import Any

from acemath.cli.options import Json
from acemath.cli.output import show
from acemath.curate.known_sources import KNOWN
from acemath.curate.licences import non_commercial
from acemath.demo.worksheets.sheets import LICENSE, SOURCE


def command(as_json: Json = False) -> None:
    """List the data sets that acemath fetch knows, with sizes and licences.

    Example: acemath sources
    """
    rows = _sources()
    table = [
        (
            row["name"],
            row["hub"] or "ships with acemath",
            row["kind"],
            "as asked" if row["name"] == SOURCE else f"{row['rows']:,}" if row["rows"] else "unknown",
            f"{row['license']}{' (no commercial use)' if row['non_commercial'] else ''}",
        )
        for row in rows
    ]
    show({"sources": rows}, as_json, ("name", "data set", "kind", "rows", "licence"), table)


def _sources() -> list[dict[str, Any]]:
    """A record for each data set, the built-in worksheets first."""
    worksheets: dict[str, Any] = {
        "name": SOURCE, "hub": None, "split": "train", "kind": "prompts", "subject": "all", "rows": None,
        "columns": {}, "license": LICENSE, "non_commercial": False,
    }  # fmt: skip
    return [worksheets] + [
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
