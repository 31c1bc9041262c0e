"""A stage's folder in a run: shards, dropped rows, artifacts, a manifest, and how a stopped run goes on.

A stage is done when its manifest stands, which is written last. Everything before it is written to a
temporary name and renamed, so a file that has its name is whole. A shard's key comes from the content it
covers; a shard that stands is not done again. A manifest remembers the settings and the inputs that made
it: when either changes the stage is cleared and run anew, and says which.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from acemath.errors import UserError
from acemath.records import (
    Chat,
    Group,
    Problem,
    Response,
    Row,
    content_key,
    from_record,
    from_table,
    to_records,
    to_table,
)

R = TypeVar("R", Problem, Response, Group, Chat)
MANIFEST = "manifest.json"
OPENED = "opened.json"
FORMAT = 1  # of the folder; a change here re-runs everything


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was left out, where, and why: `reason` is a short code, `text` the row's own text."""

    id: str
    step: str
    reason: str
    text: str
    source: str = ""
    detail: str = ""

    SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "step", "reason", "text", "source", "detail")])


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a failure of the disk into one clear line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder, "
            "then run the same command again: finished work is kept"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary name, flush to disk, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all."""
    write_bytes(path, _table_bytes(table))


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file; UserError naming the file where it is damaged."""
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); delete it and run the same command again"
        ) from error


def fingerprint(value: Any) -> str:
    """A key of any JSON value, independent of the order of its keys."""
    return content_key(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


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

    `done` is True where a manifest of the same settings and inputs stands; otherwise `why` says in one line
    why the stage runs, and what a changed setting or input made useless has been removed.
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
        for temporary in folder.glob(".*.tmp"):
            temporary.unlink() if temporary.is_file() else shutil.rmtree(temporary)
        self.done, self.why = self._decide()

    @classmethod
    def read(cls, folder: Path) -> Stage:
        """A stage opened for reading alone: nothing is decided, cleared or written."""
        stage = cls.__new__(cls)
        stage.folder, stage.name, stage.identity, stage.done, stage.why = folder, folder.name, {}, False, ""
        return stage

    def _decide(self) -> tuple[bool, str]:
        before = _json_if_there(self.folder / MANIFEST) or _json_if_there(self.folder / OPENED)
        if before is None:
            why = "it has not run yet"
        elif (change := _difference(before, self.identity)) is None:
            if (self.folder / MANIFEST).exists():
                return True, "nothing changed"
            return False, "it was stopped before its end; finished shards are kept"
        else:
            why = change
        self._clear()
        write_json(self.folder / OPENED, self.identity)
        return False, why

    def _clear(self) -> None:
        # The manifest goes first: a stop on the way must not leave an emptied stage that calls itself done.
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def has(self, key: str) -> bool:
        """Whether the shard of this key stands."""
        return (self.folder / f"part-{key}.parquet").exists()

    def write(self, key: str, rows: Sequence[R], kind: type[R], dropped: Sequence[Dropped] = ()) -> None:
        """Write a shard and what it left out. The shard comes last: where it stands, all of it stands."""
        if dropped:
            columns = {name: [getattr(d, name) for d in dropped] for name in Dropped.SCHEMA.names}
            write_table(self.folder / f"dropped-{key}.parquet", pa.table(columns, schema=Dropped.SCHEMA))
        write_table(self.folder / f"part-{key}.parquet", to_table(rows, kind))

    def rows(self, kind: type[R], prefix: str = "") -> list[R]:
        """All rows of the stage's shards whose key starts with `prefix`, in the order of their keys."""
        found: list[R] = []
        for path in sorted(self.folder.glob(f"part-{prefix}*.parquet")):
            found += from_table(read_table(path), kind)
        return found

    def dropped(self) -> list[Dropped]:
        """All rows that the stage left out."""
        return [
            Dropped(**record)
            for path in sorted(self.folder.glob("dropped-*.parquet"))
            for record in read_table(path).to_pylist()
        ]

    @contextmanager
    def artifact(self, name: str) -> Iterator[Path]:
        """A folder to fill, renamed to `name` when the block ends without an error."""
        temporary = self.folder / f".{name}.tmp"
        with explained(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            final = self.folder / name
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)

    def finish(self, started: float, **facts: Any) -> None:
        """Write the manifest: the stage is done. `facts` (counts, licences …) are kept beside the identity."""
        from acemath import __version__

        manifest = {
            **self.identity,
            **facts,
            "output": self._output(),
            "acemath": __version__,
            "seconds": round(time.time() - started, 2),
        }
        write_json(self.folder / MANIFEST, manifest)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage. KeyError-free: UserError where the stage is not done."""
        found = _json_if_there(self.folder / MANIFEST)
        if found is None:
            raise UserError(f"{self.folder} holds no finished stage; run the recipe first")
        return found

    def _output(self) -> str:
        """A key of what the stage made: of rows by content, of artifacts by name and the identity."""
        parts = [fingerprint(self.identity)] if any(p.is_dir() for p in self.folder.iterdir()) else []
        for path in sorted(self.folder.glob("part-*.parquet")):
            parts.append(fingerprint(read_table(path).to_pydict()))
        return content_key(*parts)


def _json_if_there(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; UserError naming the file where it is damaged."""
    try:
        value = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); delete its folder and run the same command again"
        ) from error
    return dict(value)


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


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep a run's folder to one process. A lock whose process is gone is taken over."""
    with explained(run):
        run.mkdir(parents=True, exist_ok=True)
    path = run / ".lock"
    if path.exists():
        text = path.read_text().strip()
        if text.isdigit() and int(text) != os.getpid() and Path(f"/proc/{text}").exists():
            raise UserError(
                f"{run} is in use by process {text}; wait for it, or choose another folder with --out"
            )
    write_bytes(path, str(os.getpid()).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a .jsonl, .jsonl.gz or .parquet file, or of a folder of Parquet shards."""
    if not path.exists():
        raise UserError(f"file {str(path)!r} does not exist; check the path")
    if path.is_dir() or path.suffix == ".parquet":
        for part in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
            yield from read_table(part).to_pylist()
        return
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}, line {number}: not valid JSON ({error.msg}); correct or remove the line"
                ) from error
            if not isinstance(record, dict):
                raise UserError(
                    f"{path}, line {number}: a record is a JSON object, this is {type(record).__name__}"
                )
            yield record


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Rows of one kind from a file of any known form; UserError where a record does not fit."""
    rows = []
    known = set(kind.SCHEMA.names)
    for number, record in enumerate(read_records(path), 1):
        try:
            rows.append(from_record({k: v for k, v in record.items() if k in known}, kind))
        except TypeError as error:
            raise UserError(
                f"{path}, record {number}: not a {kind.__name__} ({error}); its columns are {sorted(known)}"
            ) from error
    return rows


def write_rows(path: Path, rows: Sequence[Row], kind: type[Row]) -> None:
    """Rows to a .parquet or .jsonl file, whole or not at all."""
    if path.suffix == ".parquet":
        write_table(path, to_table(rows, kind))
    else:
        write_bytes(
            path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in to_records(rows)).encode()
        )


def by_id(rows: Iterable[Problem]) -> dict[str, Problem]:
    """Problems by their id."""
    return {row.id: row for row in rows}
