"""The folder of a stage: its part files or its model, and the manifest that says what they were made from.

Each part or model carries a key, a hash of its settings and inputs, and is made again only if that key changes. The
manifest sums up a finished stage. It also holds a copy of each footer with the file's size, time and inode, so that a run
with nothing to do opens one file in each stage.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import pyarrow as pa

from acemath.errors import UserError
from acemath.files.atomic import (
    disk_full_explained,
    explained,
    flush_folder,
    flush_tree,
    read_json,
    read_table,
    table_batches,
    write_json,
)
from acemath.files.versions import versions
from acemath.records import Dropped, R, content_key, from_table
from acemath.run.parts import Footer, dropped_path, read_footer
from acemath.run.reasons import Record, reason

MANIFEST = "manifest.json"
MADE = "acemath.json"  # in a model's folder; it stands for the footer of a part file
SAID = ("README.md", "training.json")  # the card of a model and its facts, which are not part of its content
WORK = "work"  # the folder of checkpoints; each subfolder is named by the key of its training
BATCH = 1024  # rows that are read at a time


class StageStore:
    """A stage's folder, with `count` part files or, if `artifact` is given, one folder of that name (a model)."""

    def __init__(self, folder: Path, count: int, artifact: str = "") -> None:
        self.folder = folder
        self.name = folder.name
        self.count = count
        self.artifact = artifact
        # The footers that were read, by file name, with the file's size, time and inode.
        self._known: dict[str, tuple[list[int], Footer]] | None = None

    # The state on disk

    def part(self, number: int) -> Path:
        """The path of a part file."""
        return self.folder / f"part-{number:05}.parquet"

    @property
    def model(self) -> Path:
        """The folder that a training made."""
        return self.folder / self.artifact

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage. UserError if the stage is not finished."""
        found = self._record()
        if "output" not in found:
            raise UserError(f"{self.folder} holds no finished stage; run the recipe first")
        return found

    @property
    def finished(self) -> bool:
        """Whether the stage was finished: `begin` clears its manifest, `finish` writes it."""
        return "output" in self._record()

    def _record(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        return read_json(path, "it") if path.exists() else {}

    def footers(self) -> list[Footer | None]:
        """The footer of each part; None if the part or its file of dropped rows is missing or damaged."""
        if self.artifact:
            return [self._made()]
        self._look()
        found: list[Footer | None] = []
        for number in range(self.count):
            footer, dropped = (
                self._known_footer(f"part-{number:05}"),
                self._known_footer(f"dropped-{number:05}"),
            )
            whole = footer is not None and footer.dropped == (dropped.content if dropped else "")
            found.append(footer if whole else None)
        return found

    def _look(self) -> None:
        """Read the footers of files that are new or changed since the last look or the manifest."""
        if self._known is None:
            files = self._record().get("files", {})
            self._known = {name: (stamp, Footer(*said)) for name, (stamp, *said) in files.items()}
        found = {}
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                stat = entry.stat()
                stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
                before = self._known.get(entry.name)
                same = before is not None and before[0] == stamp
                footer = before[1] if before is not None and same else read_footer(Path(entry.path))
                if footer is not None:
                    found[entry.name] = stamp, footer
        self._known = found

    def _known_footer(self, stem: str) -> Footer | None:
        found = (self._known or {}).get(f"{stem}.parquet")
        return found[1] if found is not None else None

    def _files(self) -> dict[str, list[Any]]:
        """The footers as the manifest stores them."""
        known = sorted((self._known or {}).items())
        return {name: [stamp, f.key, f.content, f.dropped, dict(f.facts)] for name, (stamp, f) in known}

    def _made(self) -> Footer | None:
        path = self.model / MADE
        if not path.exists():
            return None
        value = read_json(path)
        whole = all(
            (file := self.model / name).is_file() and file.stat().st_size == size
            for name, size in value["sizes"].items()
        )
        return Footer(value["key"], value["content"], "", value["facts"]) if whole else None

    # Reading

    def rows(self, kind: type[R], number: int) -> list[R]:
        """The rows of one part. UserError if it is missing or damaged."""
        return from_table(read_table(self.part(number)), kind)

    def batches(
        self, columns: Sequence[str] | None = None, numbers: Sequence[int] | None = None, size: int = BATCH
    ) -> Iterator[pa.RecordBatch]:
        """The rows of all parts (or of the given `numbers`) in order, as Arrow batches of these columns."""
        for number in range(self.count) if numbers is None else numbers:
            yield from table_batches(self.part(number), size, columns)

    def all_rows(self, kind: type[R]) -> Iterator[R]:
        """The rows of all parts in order, one part in memory at a time."""
        for number in range(self.count):
            yield from self.rows(kind, number)

    def stream(self, kind: type[R]) -> Rows[R]:
        """The rows of all parts, which can be iterated over again."""
        return Rows(self, kind)

    def dropped(self, numbers: Sequence[int] | None = None) -> Iterator[Dropped]:
        """The rows that the stage dropped."""
        for number in range(self.count) if numbers is None else numbers:
            if (path := dropped_path(self.part(number))).exists():
                yield from (Dropped(**record) for record in read_table(path).to_pylist())

    # Making

    def stale(self, keys: Sequence[str]) -> list[int]:
        """The numbers of the parts that are missing or have another key."""
        found = zip(keys, self.footers(), strict=True)
        return [number for number, (key, footer) in enumerate(found) if footer is None or footer.key != key]

    def why(self, now: Record, stale: Sequence[int], key: str) -> str:
        """Why the stage runs, in one line: a changed setting or input, a missing file, or an earlier stop."""
        kept = {path.name for path in (self.folder / WORK).glob("*")}
        absent = [
            self.part(n).name if not self.artifact else self.artifact for n in stale if not self._there(n)
        ]
        why = reason(self._record(), now, stale, self.count, absent, key in kept)
        return f"{why}; checkpoints from before the change are removed" if kept - {key} else why

    def _there(self, number: int) -> bool:
        return (self.model if self.artifact else self.part(number)).exists()

    def begin(self, now: Record, key: str) -> None:
        """Record what the stage is about to be made from, and remove files that a stop or other settings left.

        The stage counts as unfinished until `finish`.
        """
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / MANIFEST, dict(now))
        expected = {self.part(n).name for n in range(self.count)} if not self.artifact else set()
        with explained(self.folder):
            for path in self.folder.iterdir():
                surplus = (
                    path.suffix == ".parquet" and path.name.replace("dropped-", "part-", 1) not in expected
                )
                if path.name.startswith(".") or surplus:
                    _remove(path)
            for path in (self.folder / WORK).glob("*"):
                if path.name != key:
                    _remove(path)

    def work(self, key: str) -> Path:
        """A folder for checkpoints. It is removed when the stage is finished or its key changes."""
        path = self.folder / WORK / key
        with explained(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def filling(self) -> Path:
        """The temporary folder of a model that is being made."""
        return self.folder / f".{self.artifact}.tmp"

    @contextmanager
    def making(self, key: str, facts: Mapping[str, Any]) -> Iterator[Path]:
        """A folder to fill. It becomes the stage's model if the block ends without an error, and else is removed.

        `facts` are read at the end. UserError if the disk is full.
        """
        temporary = self.filling
        with explained(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        try:
            with disk_full_explained(self.folder):
                yield temporary
            with explained(self.model):
                write_json(temporary / MADE, _made_of(temporary, key, facts))
                flush_tree(temporary)
                if self.model.exists():
                    _remove(self.model)
                temporary.rename(self.model)
                flush_folder(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def finish(self, now: Record, started: float, more: Mapping[str, Any]) -> dict[str, Any]:
        """Write the manifest of the finished stage, which `time.monotonic` saw begin at `started`. `more` is added to the sum of the parts' facts."""
        facts: dict[str, Any] = {}
        contents = []
        for footer in self.footers():
            if footer is None:
                raise UserError(
                    f"a part of {self.folder} vanished while the stage ran; run the same command again"
                )
            facts = added(facts, footer.facts)
            contents.append(footer.content)
        manifest = {
            **now,
            "facts": added(facts, more),
            "output": content_key(*contents),
            "files": self._files(),
            "versions": versions(),
            "seconds": round(time.monotonic() - started, 2),
        }
        write_json(self.folder / MANIFEST, manifest)
        shutil.rmtree(self.folder / WORK, ignore_errors=True)
        return manifest

    def remember(self) -> None:
        """Update the footers in the manifest of a finished stage, if its files were touched or copied."""
        manifest, files = self.manifest, self._files()
        if not self.artifact and manifest["files"] != files:
            write_json(self.folder / MANIFEST, {**manifest, "files": files})


@dataclass(frozen=True)
class Rows(Generic[R]):
    """The rows of a stage for which `wanted` is true. Each pass reads them again, one part in memory at a time."""

    store: StageStore
    kind: type[R]
    wanted: Callable[[R], bool] = lambda _: True

    def __iter__(self) -> Iterator[R]:
        return filter(self.wanted, self.store.all_rows(self.kind))


def added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of two parts together: numbers are added, mappings are joined key by key.

    ValueError for any other value that differs.
    """
    total = dict(one)
    for name, value in other.items():
        before = total.get(name)
        if name not in total:
            total[name] = value
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            total[name] = added(before, value)
        elif _number(before) and _number(value):
            total[name] = before + value
        elif before != value:
            raise ValueError(f"fact {name!r} is {before!r} in one part and {value!r} in another")
    return total


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _made_of(folder: Path, key: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `MADE` for a model's folder: like a part's footer, with the sizes of the files.

    The card and its facts are left out. They hold paths, evaluation adds numbers to them, and no stage reads them.
    """
    parts, sizes = [], {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in SAID):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            parts += [name, hashlib.file_digest(file, "sha256").hexdigest()]
        sizes[name] = path.stat().st_size
    plain = json.loads(json.dumps(dict(facts)))
    return {"key": key, "content": content_key(*parts), "facts": plain, "sizes": sizes}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
