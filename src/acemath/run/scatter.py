"""Dividing rows into partitions on disk, so that not all rows are in memory together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from acemath.files.atomic import explained
from acemath.records import Problem, from_table, root_of, to_table
from acemath.run.partitions import Partitions

HELD = 50_000  # rows in memory before they go to disk


def scattered(rows: Iterable[Problem], partitions: Partitions, near: Path) -> Iterator[tuple[int, list[Problem]]]:
    """The number and the rows of each partition, sorted by id.

    Temporary files lie in a subfolder of `near`. UserError where the disk is full.
    """
    rows = iter(rows)
    with explained(near), tempfile.TemporaryDirectory(dir=near, prefix=".scatter-") as folder:
        files: list[pa.ipc.RecordBatchFileReader] = []
        while batch := list(islice(rows, HELD)):
            files.append(_written(batch, partitions, Path(folder) / f"{len(files)}.arrow"))
        for number in range(partitions.count):
            tables = [pa.Table.from_batches([file.get_batch(number)]) for file in files]
            mine = [row for table in tables for row in from_table(table, Problem)]
            yield number, sorted(mine, key=lambda row: row.id)


def _written(rows: list[Problem], partitions: Partitions, path: Path) -> pa.ipc.RecordBatchFileReader:
    """Write rows to a file with one batch for each partition, and open it."""
    parts: list[list[Problem]] = [[] for _ in range(partitions.count)]
    for row in rows:
        parts[partitions.partition_of(root_of(row))].append(row)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, Problem.SCHEMA) as writer:
        for part in parts:
            batches = to_table(part, Problem).combine_chunks().to_batches()
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], Problem.SCHEMA))
    return pa.ipc.open_file(pa.memory_map(str(path)))
