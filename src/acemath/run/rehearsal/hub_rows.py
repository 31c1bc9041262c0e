"""The first rows of data sets of the hub, where it can be reached, for a rehearsal: the columns are then the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import KNOWN_COLUMNS
from acemath.files.hub import hub_records
from acemath.models.hub import reachable
from acemath.recipe.sources import Source
from acemath.run.rehearsal.rows import CONVERSATIONS, put

Rows = list[dict[str, Any]]


def first_rows(name: str, source: Source, count: int) -> tuple[Rows, str]:
    """The first rows of a data set with all their columns, or none and the reason.

    None of a hub that cannot be reached or must not be asked (HF_HUB_OFFLINE), and of a data set that is gated or cannot be read.
    """
    if not reachable():
        return [], "the hub cannot be reached"
    assert source.hub is not None
    try:
        return list(islice(hub_records(f"source {name!r}", source.hub, source.config, source.revision, source.split, {}), count)), ""
    except UserError as error:
        return [], str(error)


def asking(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], questions: Sequence[str]) -> Rows:
    """Copies of rows for each of some questions, which they ask: rows that leak benchmark problems, in the real columns."""
    return [_asking(row, columns, text, f"leak-{number}") for number, text in enumerate(questions) for row in rows]


def _asking(row: Mapping[str, Any], columns: Mapping[str, str], text: str, name: str) -> dict[str, Any]:
    found = deepcopy(dict(row))
    talk = next((found[key] for key in (columns.get("prompt", ""), *CONVERSATIONS) if isinstance(found.get(key), list)), None)
    if talk is None:
        put(found, columns.get("prompt", "prompt"), text)
    for turn in talk or ():
        if turn.get("role", turn.get("from")) in ("user", "human"):
            turn["content" if "content" in turn else "value"] = text
    for key in found.keys() & {columns.get("id"), *KNOWN_COLUMNS["id"]}:
        found[key] = name if isinstance(found[key], str) else None
    return found
