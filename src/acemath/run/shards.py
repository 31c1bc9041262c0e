"""A stage's folder in a run: shards, dropped rows, artifacts and a manifest, so that a stopped run can be resumed.

A stage is done when its manifest exists, which is written last. Everything before it is written to a
temporary name and renamed, so a file under its final name is complete. A shard's key comes from the content it
covers; a shard that exists is not made again. A manifest remembers the settings and inputs of the stage:
when one of them changes, the stage is cleared and run again, and says which one changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from acemath.errors import UserError
from acemath.files.atomic import (
    disk_full_explained,
    explained,
    flush_folder,
    flush_tree,
    read_json,
    read_table,
    write_json,
    write_table,
)
from acemath.files.versions import versions
from acemath.records import (
    Chat,
    Dropped,
    Group,
    Problem,
    Response,
    content_key,
    fingerprint,
    from_table,
    to_table,
)

R = TypeVar("R", Problem, Response, Group, Chat)
MANIFEST = "manifest.json"
OPENED = "opened.json"
FORMAT = 1  # of the folder; a change here re-runs everything



def shards(rows: Sequence[R], size: int, key: str = "id") -> dict[str, list[R]]:
    """Rows cut into about len/size shards by a hash of their `key`, whatever order they come in.

    The shard's name says which rows it holds: a changed row changes its own shard's name and no other's.
    """
    count = max(1, round(len(rows) / size))
    parts: list[list[R]] = [[] for _ in range(count)]
    for row in rows:
        parts[int(content_key(getattr(row, key)), 16) % count].append(row)
    named = {}
    for part in parts:
        part.sort(key=lambda row: getattr(row, key))
        if part:
            named[content_key(*(getattr(row, key) for row in part))] = part
    return dict(sorted(named.items()))


class Stage:
    """One stage's folder, opened for the settings and inputs of this run.

    `done` is True if a manifest of the same settings and inputs exists, with all its files; otherwise `why` says in one
    line why the stage runs, and whatever a changed setting or input invalidated has been removed.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = folder.name
        self.identity = {
            "format": FORMAT,
            "settings": json.loads(json.dumps(settings, default=str)),
            "inputs": dict(inputs),
        }
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._artifacts: set[str] = set()
        with explained(folder):
            for temporary in folder.glob(".*.tmp"):
                _remove(temporary)
        self.done, self.why = self._decide()

    @classmethod
    def read(cls, folder: Path) -> Stage:
        """A stage opened for reading alone: nothing is decided, cleared or written."""
        stage = cls.__new__(cls)
        stage.folder, stage.name, stage.identity, stage.done, stage.why = folder, folder.name, {}, False, ""
        stage._artifacts = set()
        return stage

    def _decide(self) -> tuple[bool, str]:
        manifest = _json_if_there(self.folder / MANIFEST)
        before = manifest or _json_if_there(self.folder / OPENED)
        if before is None:
            why = "runs for the first time"
        elif (change := _difference(before, self.identity)) is not None:
            why = change
        elif manifest is None:
            return False, "it was stopped before its end; finished shards are kept"
        elif gone := [name for name in manifest.get("files", ()) if not (self.folder / name).exists()]:
            # A damaged file is deleted by hand: its stage must not go on calling itself done without it.
            write_json(self.folder / OPENED, self.identity)
            self._unfinish()
            for name in gone:
                # A shard is made together with what it dropped: without the one the other is made again.
                (self.folder / name.replace("dropped-", "part-", 1)).unlink(missing_ok=True)
            return False, f"its {gone[0]} is gone and is made again; the rest is kept"
        else:
            return True, "nothing changed"
        self._clear()
        write_json(self.folder / OPENED, self.identity)
        return False, why

    def _unfinish(self) -> None:
        with explained(self.folder):
            (self.folder / MANIFEST).unlink(missing_ok=True)
            flush_folder(self.folder)

    def _clear(self) -> None:
        # The manifest goes first: a stop on the way must not leave an emptied stage that calls itself done.
        self._unfinish()
        with explained(self.folder):
            for entry in self.folder.iterdir():
                _remove(entry)

    def has(self, key: str) -> bool:
        """Whether the shard of this key exists."""
        return (self.folder / f"part-{key}.parquet").exists()

    def write(self, key: str, rows: Sequence[R], kind: type[R], dropped: Sequence[Dropped] = ()) -> None:
        """Write a shard and the rows it dropped. The shard is written last: if it exists, both are complete."""
        if dropped:
            import pyarrow as pa

            columns = {name: [getattr(d, name) for d in dropped] for name in Dropped.SCHEMA.names}
            write_table(self.folder / f"dropped-{key}.parquet", pa.table(columns, schema=Dropped.SCHEMA))
        write_table(self.folder / f"part-{key}.parquet", to_table(rows, kind))

    def rows(self, kind: type[R], prefix: str = "") -> list[R]:
        """All rows of the stage's shards whose key starts with `prefix`, in the order of their keys."""
        found: list[R] = []
        for path in sorted(self.folder.glob(f"part-{prefix}*.parquet")):
            found += from_table(read_table(path), kind)
        return found

    def shard(self, kind: type[R], key: str) -> list[R]:
        """The rows of the shard of exactly this key."""
        return from_table(read_table(self.folder / f"part-{key}.parquet"), kind)

    def dropped(self) -> list[Dropped]:
        """All rows that the stage left out."""
        return [
            Dropped(**record)
            for path in sorted(self.folder.glob("dropped-*.parquet"))
            for record in read_table(path).to_pylist()
        ]

    @contextmanager
    def artifact(self, name: str) -> Iterator[Path]:
        """A folder to fill, renamed to `name` when the block ends without an error, else removed.

        UserError where the disk is full; every other error of the block passes as it is.
        """
        temporary, final = self.folder / f".{name}.tmp", self.folder / name
        with explained(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
        try:
            with disk_full_explained(self.folder):
                yield temporary
            with explained(final):
                flush_tree(temporary)
                if final.exists():
                    _remove(final)
                temporary.rename(final)
                flush_folder(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._artifacts.add(name)

    def finish(self, started: float, **facts: Any) -> None:
        """Write the manifest: the stage is done. `facts` (counts, licences …) are kept beside the identity."""
        manifest = {
            **self.identity,
            **facts,
            "output": self._output(),
            "files": sorted([p.name for p in self._files()] + list(self._artifacts)),
            "versions": versions(),
            "seconds": round(time.time() - started, 2),
        }
        write_json(self.folder / MANIFEST, manifest)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage. UserError if the stage is not done."""
        found = _json_if_there(self.folder / MANIFEST)
        if found is None:
            raise UserError(f"{self.folder} holds no finished stage; run the recipe first")
        return found

    def _files(self) -> list[Path]:
        """The plain files that the stage made: shards, dropped rows, and files of its own such as tables."""
        return sorted(
            path
            for path in self.folder.iterdir()
            if path.is_file() and path.name not in (MANIFEST, OPENED) and not path.name.startswith(".")
        )

    def _output(self) -> str:
        """A key of what the stage made: rows by content, other files and artifacts by their bytes.

        Dropped rows are left out, because no later stage reads them; so are working folders.
        """
        parts: list[str] = []
        for path in self._files():
            if path.match("part-*.parquet"):
                parts.append(fingerprint(read_table(path).to_pydict()))
            elif not path.match("dropped-*.parquet"):
                parts += [path.name, _file_key(path)]
        for name in sorted(self._artifacts):
            for path in sorted(p for p in (self.folder / name).rglob("*") if p.is_file()):
                parts += [path.relative_to(self.folder).as_posix(), _file_key(path)]
        return content_key(*parts)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _file_key(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_if_there(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing that changed, as a reason to run again; None where nothing did."""
    if before.get("format") != now["format"]:
        return "the folder's format changed"
    old, new = flatten(before["settings"]), flatten(now["settings"])
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            return f"{key} changed from {old.get(key)!r} to {new.get(key)!r}"
    for key in sorted({*before["inputs"], *now["inputs"]}):
        if before["inputs"].get(key) != now["inputs"].get(key):
            return f"its input {key} changed"
    return None


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
