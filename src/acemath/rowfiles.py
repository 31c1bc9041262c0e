"""Rows in files that people bring and take away: Parquet, JSONL, compressed JSONL, JSON, CSV, a folder of shards."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from acemath.atomic import read_table, write_bytes, write_table
from acemath.errors import UserError
from acemath.records import Chat, Group, Problem, Response, Row, from_record, to_records, to_table

R = TypeVar("R", Problem, Response, Group, Chat)
AT_ONCE = 10_000  # records of a Parquet file that are Python objects at a time
CELL = 10_000_000  # characters of a CSV cell at most; the library's own limit is 131,072


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a .jsonl, .jsonl.gz, .json, .csv or .parquet file, or of a folder of Parquet shards.

    Of a stage's folder the rows it kept are read, not those it left out. UserError naming file and line.
    """
    for _, record in _placed(path):
        yield record


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Rows of one kind from a file of any known form.

    Columns that the kind does not have are ignored; null stands for a column's default. UserError naming the
    file, the line and the column where a record does not fit.
    """
    check = _checker(kind)
    rows: list[R] = []
    for place, record in _placed(path):
        known = check(place, record)
        try:
            rows.append(from_record(known, kind))
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{place}: not a {kind.__name__} ({error}); correct or remove it") from error
    return rows


def write_rows(path: Path, rows: Sequence[Row], kind: type[Row]) -> None:
    """Rows to a .parquet, .jsonl or .jsonl.gz file, whole or not at all; UserError for another ending."""
    if path.suffix == ".parquet":
        write_table(path, to_table(rows, kind))
        return
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{str(path)!r} is no kind of row file; name it .parquet, .jsonl or .jsonl.gz")
    # Lone surrogates, which a broken model output may hold, exist in JSON only as escapes.
    lines = (_json_line(record) for record in to_records(rows))
    content = "".join(lines).encode()
    # Without a time in its header the same rows are the same bytes.
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _json_line(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(record)
    return text + "\n"


def _placed(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with where it stands, for messages."""
    if not path.exists():
        raise UserError(f"file {str(path)!r} does not exist; check the path")
    if path.is_dir() or path.suffix == ".parquet":
        for part in _parts(path) if path.is_dir() else [path]:
            batches = read_table(part).to_batches(max_chunksize=AT_ONCE)
            records = chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, record in enumerate(records, 1):
                yield f"{part}, row {number}", record
        return
    if path.suffix == ".csv":
        yield from _csv_records(path)
        return
    if path.suffix == ".json":
        yield from _json_records(path)
        return
    for number, line in _lines(path):
        yield f"{path}, line {number}", _record(f"{path}, line {number}", line)


def _json_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of a JSON file: one object, a list of them, or one a line after all."""
    lines = list(_lines(path, blank=True))
    try:
        loaded = json.loads("".join(line for _, line in lines))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # lines of objects under another name
            for number, line in lines:
                if line.strip():
                    yield f"{path}, line {number}", _record(f"{path}, line {number}", line)
            return
        raise UserError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}); correct the file"
        ) from error
    except RecursionError as error:
        raise UserError(f"{path}: JSON that is nested too deeply; correct the file") from error
    for number, record in enumerate(loaded if isinstance(loaded, list) else [loaded], 1):
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, record {number}: a record is a JSON object, this is {type(record).__name__}"
            )
        yield f"{path}, record {number}", record


def _csv_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of a CSV file whose first row names the columns; every value is text."""
    csv.field_size_limit(CELL)
    reader = csv.DictReader(text for _, text in _lines(path, blank=True))
    number = 0
    try:
        for number, record in enumerate(reader, 1):
            if None in record or None in record.values():
                raise UserError(
                    f"{path}, record {number}: not as many cells as the first row names; correct the record"
                )
            yield f"{path}, record {number}", record
    except csv.Error as error:
        raise UserError(
            f"{path}, record {number + 1}: not valid CSV ({error}); correct the record"
        ) from error


def _parts(folder: Path) -> list[Path]:
    parts = sorted(folder.glob("part-*.parquet")) or sorted(folder.glob("*.parquet"))
    parts = [part for part in parts if not part.name.startswith("dropped-")]
    if not parts:
        raise UserError(f"folder {str(folder)!r} holds no .parquet file; name a stage's folder or a file")
    return parts


def _lines(path: Path, blank: bool = False) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers; empty ones too where `blank` is set."""
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        # "-sig": a byte-order mark, which some editors put first, is no part of the first record.
        with opener(path, "rt", encoding="utf-8-sig", newline="" if blank else None) as file:
            for number, line in enumerate(file, 1):  # noqa: B007  (the handlers name the line)
                if blank or line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, after line {number}: not UTF-8 ({error.reason}); save the file as UTF-8"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path}, after line {number}: not a whole gzip file ({error}); copy or download it again"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; check the path") from error


def _record(place: str, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON ({error.msg}); correct or remove the line") from error
    except RecursionError as error:
        raise UserError(f"{place}: JSON that is nested too deeply; correct or remove the line") from error
    if not isinstance(record, dict):
        raise UserError(f"{place}: a record is a JSON object, this is {type(record).__name__}")
    return record


def _checker(kind: type[R]) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """A function that takes a record's known columns, and refuses what the kind's schema would not hold.

    Arrow itself would cut 3.7 to 3 and a string to a list of letters.
    """
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    types = {field.name: field.type for field in kind.SCHEMA}

    def check(place: str, record: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: record[name] for name in types if record.get(name) is not None}
        missing = [name for name in types if name in needed and name not in known]
        if missing:
            raise UserError(
                f"{place}: not a {kind.__name__}, it has no {' and no '.join(missing)}; its columns are {list(types)}"
            )
        for name, value in known.items():
            if name != "meta" and not _fits(value, types[name]):
                raise UserError(
                    f"{place}: {name} is {_short(value)}, which is no {types[name]}; a {kind.__name__} needs one"
                )
            if name == "meta" and not isinstance(value, str | Mapping):
                raise UserError(f"{place}: meta is {_short(value)}; it is an object, or one as JSON text")
        return known

    return check


def _fits(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_integer(kind):
        limit = 2 ** (kind.bit_width - 1)
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    if pa.types.is_floating(kind):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(_fits(item, kind.value_type) for item in value)
    fields_of = {field.name: field.type for field in kind}
    return isinstance(value, Mapping) and all(_fits(value.get(n), t) for n, t in fields_of.items())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
