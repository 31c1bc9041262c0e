"""Where the rows are: the Parquet parts of a stage, or the records of a file in memory.

Both give the small columns of all responses at once, and texts only of the rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from acemath.files.atomic import check_rows, opened_table

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = (
    "problem_id",
    "sample",
    "model",
    "finish_reason",
    "tokens",
    "status",
    "extracted",
    "reason",
    "reward",
)
PIECE = 8192  # rows of a table in memory that are searched at a time


class Rows(Protocol):
    """The responses of one set, numbered from 0 in the order of their files."""

    def small(self) -> pa.Table:
        """The columns `SMALL` of all rows."""

    def full(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows with all their columns, in the order of `rows`."""

    def pieces(self) -> Iterator[tuple[int, pa.ChunkedArray]]:
        """All texts, piece by piece, each with the number of its first row."""

    def stamp(self) -> object:
        """A value that changes when the rows may have changed on disk."""


@dataclass(frozen=True, slots=True)
class _Group:
    """One row group of a part file."""

    path: Path
    number: int
    start: int  # the number of its first row
    count: int


class PartRows:
    """The rows of Parquet files. A text is read with its row group, of which a stage's parts have one per 2,048 rows."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._groups: list[_Group] = []
        self._stamp = self.stamp()
        start = 0
        for path in self.paths:
            with opened_table(path) as file:
                for number in range(file.metadata.num_row_groups):
                    count = file.metadata.row_group(number).num_rows
                    self._groups.append(_Group(path, number, start, count))
                    start += count

    def small(self) -> pa.Table:
        """The columns `SMALL` of all rows. UserError naming a file that is damaged."""
        import pyarrow as pa

        tables = []
        for path in self.paths:
            with opened_table(path) as file:
                table = file.read([name for name in SMALL if name in file.schema_arrow.names])
                check_rows(path, table.num_rows, file.metadata.num_rows)
                tables.append(table)
        return pa.concat_tables(tables, promote_options="default")

    def full(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows with all their columns: each row group that holds one is read once."""
        starts = np.array([group.start for group in self._groups])
        where = np.searchsorted(starts, rows, side="right") - 1
        found: dict[int, dict[str, Any]] = {}
        for at in np.unique(where):
            group = self._groups[at]
            mine = [row for row, place in zip(rows, where, strict=True) if place == at]
            with opened_table(group.path) as file:
                table = file.read_row_group(group.number).take([row - group.start for row in mine])
            found.update(zip(mine, table.to_pylist(), strict=True))
        return [found[row] for row in rows]

    def pieces(self) -> Iterator[tuple[int, pa.ChunkedArray]]:
        """The texts of one row group after another."""
        for group in self._groups:
            with opened_table(group.path) as file:
                yield group.start, file.read_row_group(group.number, columns=["text"]).column("text")

    def stamp(self) -> object:
        """The files' sizes, times and inodes."""
        stats = [path.stat() for path in self.paths if path.exists()]
        return self.paths, tuple((s.st_size, s.st_mtime_ns, s.st_ino) for s in stats)


class TableRows:
    """Rows of a file that was read into memory whole."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()

    def small(self) -> pa.Table:
        """The columns `SMALL`."""
        return self._table.select(SMALL)

    def full(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Some rows with all their columns."""
        return self._table.take(list(rows)).to_pylist()

    def pieces(self) -> Iterator[tuple[int, pa.ChunkedArray]]:
        """The texts, some thousand rows at a time."""
        for start in range(0, self._table.num_rows, PIECE):
            yield start, self._table.column("text").slice(start, PIECE)

    def stamp(self) -> object:
        """Always the same: the file is not read again."""
        return id(self._table)
