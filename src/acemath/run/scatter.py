"""Dividing rows into partitions on disk, so that not all rows are in memory together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from acemath.files.atomic import explained
from acemath.records import Problem, R, Response, from_table, root_of, to_table
from acemath.run.partitions import Partitions

HELD = 50_000  # rows in memory before they go to disk


def scattered(
    rows: Iterable[Problem], partitions: Partitions, near: Path
) -> Iterator[tuple[int, list[Problem]]]:
    """The number and the rows of each partition, sorted by id.

    Temporary files lie in a subfolder of `near`. UserError where the disk is full.
    """
    for number, found in _scattered(rows, Problem, root_of, partitions, near):
        yield number, sorted(found, key=lambda row: row.id)


def scattered_responses(
    rows: Iterable[Response], partitions: Partitions, near: Path
) -> Iterator[tuple[int, list[Response]]]:
    """As `scattered`, for responses to problems that were not evolved; sorted by problem and sample."""
    for number, found in _scattered(rows, Response, lambda row: row.problem_id, partitions, near):
        yield number, sorted(found, key=lambda row: (row.problem_id, row.sample))


def scattered_by_problem(
    rows: Iterable[R], kind: type[R], partitions: Partitions, near: Path
) -> Iterator[tuple[int, list[R]]]:
    """As `scattered`, for conversations or groups; sorted by their `problem_id`."""

    def key(row: Any) -> str:
        return str(row.problem_id)

    for number, found in _scattered(rows, kind, key, partitions, near):
        yield number, sorted(found, key=key)


def _scattered(
    rows: Iterable[R], kind: type[R], root: Callable[[R], str], partitions: Partitions, near: Path
) -> Iterator[tuple[int, list[R]]]:
    rows = iter(rows)
    with explained(near), tempfile.TemporaryDirectory(dir=near, prefix=".scatter-") as folder:
        files: list[pa.ipc.RecordBatchFileReader] = []
        while batch := list(islice(rows, HELD)):
            parts: list[list[R]] = [[] for _ in range(partitions.count)]
            for row in batch:
                parts[partitions.partition_of(root(row))].append(row)
            files.append(_written(parts, kind, Path(folder) / f"{len(files)}.arrow"))
        for number in range(partitions.count):
            tables = [pa.Table.from_batches([file.get_batch(number)]) for file in files]
            yield number, [row for table in tables for row in from_table(table, kind)]


def _written(parts: list[list[R]], kind: type[R], path: Path) -> pa.ipc.RecordBatchFileReader:
    """Write rows to a file with one batch for each partition, and open it."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, kind.SCHEMA) as writer:
        for part in parts:
            batches = to_table(part, kind).combine_chunks().to_batches()
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], kind.SCHEMA))
    return pa.ipc.open_file(pa.memory_map(str(path)))
