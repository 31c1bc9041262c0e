"""Rows on disk: what PackedRows lays out, mapped rather than held in memory."""

from __future__ import annotations

from array import array
from pathlib import Path

import pyarrow as pa
import pytest

from acemath.errors import UserError
from acemath.models.encoding import Tokens
from acemath.train.ondisk import AT_ONCE, on_disk, remove
from acemath.train.packing import PackedRows, pack


def _rows(count: int, length: int) -> PackedRows:
    rows = [
        Tokens(array("i", range(i, i + length + i % 7)), ((i % 5 + 1, length + i % 7),)) for i in range(count)
    ]
    return PackedRows(rows, pack([len(row.ids) for row in rows], 3 * length), 3 * length)


def test_rows_are_those_that_were_packed(tmp_path: Path) -> None:
    """All of them, over more than one portion, in their order; a second call replaces the file."""
    rows = _rows(3 * AT_ONCE, 8)
    assert len(rows) > AT_ONCE and len(rows) % AT_ONCE
    on_disk(_rows(3, 8), tmp_path / "new" / "rows-train.arrow")
    found = on_disk(rows, tmp_path / "new" / "rows-train.arrow")
    assert len(found) == len(rows)
    assert all(found[number] == rows[number] for number in range(len(rows)))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["rows-train.arrow"]
    remove(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_memory_holds_none_of_it(tmp_path: Path) -> None:
    """Five megabytes of rows are mapped from the file: Arrow's own memory does not grow by them."""
    before = pa.total_allocated_bytes()
    found = on_disk(_rows(400, 1000), tmp_path / "rows-train.arrow")
    size = (tmp_path / "rows-train.arrow").stat().st_size
    assert size > 4_000_000 and [Path(f["filename"]).name for f in found.cache_files] == ["rows-train.arrow"]
    assert found[7]["input_ids"] and pa.total_allocated_bytes() - before < size / 10


def test_a_disk_that_refuses_is_explained(tmp_path: Path) -> None:
    """A folder that cannot be made: one line, nothing left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        on_disk(_rows(3, 8), tmp_path / "file" / "rows-train.arrow")
