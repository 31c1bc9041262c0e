"""Part files: Parquet files, written whole or not at all, whose footer says what they were made from and what they hold.

Rows are written in row groups of a fixed size, so that neither the bytes of a file nor the hash of its rows depends
on the batches in which the rows came.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from acemath.files.atomic import explained, flush_folder
from acemath.records import Dropped, Row, to_table

GROUP = 2048  # rows of a row group; the hash of the rows depends on it
CONVERTED = 512  # dataclass rows that are converted to Arrow at a time


@dataclass(frozen=True, slots=True)
class Footer:
    """What the footer of a part file records.

    `key` is a hash of the settings and inputs that the part was made from, `content` of its rows, and `dropped` of the
    rows in its file of dropped rows ("" if there are none). `facts` are counts.
    """

    key: str
    content: str
    dropped: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_footer(path: Path) -> Footer | None:
    """The footer of a part file; None if the file is missing, damaged, or not made by a stage."""
    try:
        found = pq.read_metadata(path).metadata or {}
        texts = {
            name: found[f"acemath.{name}".encode()].decode()
            for name in ("key", "content", "dropped", "facts")
        }
        return Footer(texts["key"], texts["content"], texts["dropped"], json.loads(texts["facts"]))
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None


class PartWriter:
    """Writes one part file from Arrow batches of any size. Without `commit`, leaving the block removes the file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._held: list[pa.Table] = []
        self._hash = hashlib.sha256(str(schema).encode())
        with explained(path):
            self._file = self._temporary.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", write_page_checksum=True)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        # An uncommitted file is thrown away. Closing it may fail on a full disk, which has been reported already.
        with suppress(OSError):
            self._writer.close()
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Add rows. UserError if the disk is full."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._held.append(table.select(self._schema.names).cast(self._schema))
        while sum(held.num_rows for held in self._held) >= GROUP:
            self._flush()

    def commit(self, key: str, facts: Mapping[str, Any] | None = None, dropped: str = "") -> Footer:
        """Finish the file and give it its name. UserError if the disk is full."""
        if any(held.num_rows for held in self._held):
            self._flush()
        made = Footer(key, self._hash.hexdigest()[:16], dropped, dict(facts or {}))
        texts = {
            "key": key,
            "content": made.content,
            "dropped": dropped,
            "facts": json.dumps(made.facts, sort_keys=True, ensure_ascii=False),
        }
        with explained(self.path):
            self._writer.add_key_value_metadata({f"acemath.{name}": text for name, text in texts.items()})
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self.path)
            flush_folder(self.path.parent)
        return made

    def _flush(self) -> None:
        held = pa.concat_tables(self._held)
        group = held.slice(0, GROUP).combine_chunks()
        self._held = [held.slice(GROUP)]
        for column in group.columns:
            for chunk in column.chunks:
                _feed(self._hash, chunk)
        with explained(self.path):
            self._writer.write_table(group, row_group_size=GROUP)


def _feed(digest: Any, array: pa.Array) -> None:
    """Add an array to a hash: its length, its nulls, the lengths and bytes of its values."""
    digest.update(len(array).to_bytes(8, "little") + array.null_count.to_bytes(8, "little"))
    if array.null_count:
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        array = array.drop_null()
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        _feed_texts(digest, array)
    elif pa.types.is_list(kind):
        digest.update(pc.list_value_length(array).to_numpy().tobytes())
        _feed(digest, array.flatten())
    elif pa.types.is_struct(kind):
        for inner in array.flatten():
            _feed(digest, inner)
    elif pa.types.is_primitive(kind):
        digest.update(array.to_numpy(zero_copy_only=False).tobytes())
    else:
        raise TypeError(f"a part file cannot hold {kind}")


def _feed_texts(digest: Any, array: pa.Array) -> None:
    if len(array) == 0:
        return
    _, offsets, texts = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    digest.update(np.diff(ends).tobytes())
    if texts is not None:
        digest.update(memoryview(texts)[ends[0] : ends[-1]])


def write_part(
    path: Path,
    rows: Iterable[Row],
    kind: type[Row],
    key: str,
    dropped: Iterable[Dropped] = (),
    facts: Mapping[str, Any] | None = None,
) -> Footer:
    """Write the file of dropped rows, then the part file.

    `rows` may be a generator that fills `dropped` and `facts`: both are read after its end. UserError if the disk is full.
    """
    with PartWriter(path, kind.SCHEMA) as writer:
        rows = iter(rows)
        while batch := list(islice(rows, CONVERTED)):
            writer.write(to_table(batch, kind))
        return writer.commit(key, facts, write_dropped(dropped_path(path), dropped))


def dropped_path(part: Path) -> Path:
    """The file of the rows that were dropped when a part was made."""
    return part.with_name(part.name.replace("part-", "dropped-", 1))


def write_dropped(path: Path, dropped: Iterable[Dropped]) -> str:
    """Write dropped rows and return the hash of their content. Without any, remove the file and return ""."""
    rows = list(dropped)
    if not rows:
        with explained(path):
            path.unlink(missing_ok=True)
        return ""
    with PartWriter(path, Dropped.SCHEMA) as writer:
        columns = {name: [getattr(row, name) for row in rows] for name in Dropped.SCHEMA.names}
        writer.write(pa.table(columns, schema=Dropped.SCHEMA))
        return writer.commit("").content
