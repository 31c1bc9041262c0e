"""Records of a data set of the hub, or of a folder that holds one in the hub's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import KNOWN_COLUMNS, may_hold_reference


def hub_records(
    what: str, hub: str, config: str | None, revision: str | None, split: str, columns: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The records of a split, streamed. If `columns` (ours: theirs) are all there, only they and known ones are read.

    `what` names the data set in messages. UserError if it cannot be read.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(hub, config, revision=revision, split=split, streaming=True)
        there = set(rows.column_names or ())
        named = {path if path in there else path.split(".")[0] for path in columns.values()}
        known = {path.split(".")[0] for paths in KNOWN_COLUMNS.values() for path in paths}
        if columns and named <= there:
            kept = {name for name in there if name.lower() in known or may_hold_reference(name)}
            rows = rows.select_columns(sorted(named | kept))
        yield from rows
    except (OSError, ValueError, ConnectionError) as error:
        raise UserError(
            f"{what}: data set {hub!r} cannot be read ({str(error).splitlines()[0]}); check its name, config, revision and "
            "split, and the network"
        ) from error


def commit_of(hub: str) -> str | None:
    """The newest commit of a data set of the hub; None for a folder, and where the hub cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if Path(hub).exists():
        return None
    try:
        return HfApi().dataset_info(hub, timeout=10).sha
    except (ValueError, *HfHubHTTPError.__bases__):  # type: ignore[misc]  # its bases: the errors of its HTTP library, and OSError
        return None
