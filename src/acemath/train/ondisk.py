"""Packed rows as a data set on disk: the trainer reads what it needs, memory holds none of it."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
from datasets import Dataset

from acemath.files.atomic import explained
from acemath.models.hardware import processes
from acemath.train.packing import PackedRows

COLUMNS = ("input_ids", "labels", "position_ids")
SCHEMA = pa.schema([(name, pa.list_(pa.int32())) for name in COLUMNS])
AT_ONCE = 256  # rows laid out in memory at a time


def on_disk(rows: PackedRows, path: Path) -> Dataset:
    """Rows in the form that TRL asks for, in an Arrow file at `path` that is mapped, not loaded.

    12 bytes a token. One process of each machine writes; a file that stands is made anew, for what it was
    made of may have changed. UserError where the disk is full.
    """
    with processes().local_main_process_first():
        if processes().is_local_main_process:
            _write(rows, path)
    return Dataset.from_file(str(path))


def _write(rows: PackedRows, path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
                for at in range(0, len(rows), AT_ONCE):
                    part = [rows[number] for number in range(at, min(at + AT_ONCE, len(rows)))]
                    columns = {name: [row[name] for row in part] for name in COLUMNS}
                    writer.write_table(pa.table(columns, schema=SCHEMA))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove(work: Path) -> None:
    """Delete the data sets in `work`, once nobody reads them any more."""
    with explained(work):
        for path in work.glob("rows-*.arrow"):
            path.unlink(missing_ok=True)
