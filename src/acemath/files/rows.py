"""Reading and writing users' files of rows: Parquet, JSONL, compressed JSONL, JSON, CSV, a folder of shards."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

from acemath.errors import UserError
from acemath.files.atomic import AGAIN, check_rows, opened_table, write_bytes, write_table
from acemath.files.columns import id_text, is_missing, lowered, renamed, truth_of, value_at
from acemath.files.fitting import checker, short
from acemath.records import (
    Chat,
    Group,
    Problem,
    Response,
    Row,
    finish_reason,
    from_record,
    reason_in,
    to_records,
    to_table,
    whole_text,
)

R = TypeVar("R", Problem, Response, Group, Chat)
WHOLE = "copy or download it again"  # how a damaged file of the user's is mended
AT_ONCE = 10_000  # records of a Parquet file in memory at a time
LONGEST_INTEGER = 4000  # digits; Python itself refuses to read or print 4,300
_SHARD = re.compile(r"(.+)-\d+-of-(\d+).*")  # `datasets` names shards train-00000-of-00002, perhaps with a hash behind
_NUMBER = re.compile(r"\W?\d")
CELL = 10_000_000  # the most characters of a CSV cell; csv's own limit is 131,072


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a .jsonl, .jsonl.gz, .json, .csv or .parquet file, or of a folder of Parquet shards.

    In a stage's folder, only the rows that it kept are read. UserError naming file and line.
    """
    for _, record in placed_records(path):
        yield record


def columns_of(path: Path) -> list[str]:
    """The columns of a file's first record."""
    return sorted(map(str, next(read_records(path), {})))


def can_be_read_again(path: Path) -> bool:
    """Whether a check may read a file before it is used: not a pipe, which gives its rows once."""
    return path.is_file() or path.is_dir() or not path.exists()


def check_columns(paths: Sequence[Path], columns: Mapping[str, str]) -> None:
    """UserError if no record of the files has a column that `columns` (ours: theirs) names. A pipe is not looked at."""
    left = dict(columns) if all(map(can_be_read_again, paths)) else {}
    there: dict[str, None] = {}
    for path in paths if left else ():
        for record in read_records(path):
            there.update(dict.fromkeys(map(str, record)))
            known = lowered(record)
            left = {ours: name for ours, name in left.items() if name not in known and value_at(known, name) is None}
            if not left:
                return
    for ours, name in left.items():
        raise UserError(
            f"--columns {ours}={name}: no record of {' or '.join(map(str, paths))} has the column {name!r}; the columns are "
            f"{', '.join(there) or 'none'}"
        )


def read_rows(path: Path, kind: type[R], columns: Mapping[str, str] | None = None) -> list[R]:
    """Rows of one kind from a file of any known form, as a list; `iter_rows` does not hold them all in memory."""
    return list(iter_rows(path, kind, columns))


def iter_rows(path: Path, kind: type[R], columns: Mapping[str, str] | None = None) -> Iterator[R]:
    """Rows of one kind from a file of any known form, as they are read.

    `columns` maps our names to the file's. Columns that the kind does not have are ignored; null means the column's
    default. A response without `sample` gets the next number of its problem, one without `model` an empty name.
    UserError naming the file, the line and the column if a record does not fit.
    """
    check = checker(kind)
    numbers: Counter[str] = Counter()
    for place, record in placed_records(path):
        row = renamed(record, columns or {})
        if "text" in (columns or {}):
            row.pop("response", None)
        if kind is Response:
            row = _numbered(row, numbers, place)
        known = check(place, row)
        try:
            yield from_record(known, kind)
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{place}: not a {kind.__name__} ({error}); correct or remove it") from error


def _numbered(record: dict[str, Any], numbers: Counter[str], place: str) -> dict[str, Any]:
    """A response's record with its problem's id as text, a sample number, a model's name, and its text, maybe from `response`.

    UserError if `text` and `response` differ (one of them may be the question), and if a label contradicts the status.
    """
    name, text, response = record.get("problem_id"), record.get("text"), record.get("response")
    if not isinstance(name, str | int | float):
        return record  # the check of the kind reports it
    if None not in (text, response) and text != response:
        raise UserError(
            f"{place}: text is {short(text)} and response is {short(response)}; name the column that holds the response: "
            "--columns text=response or text=text"
        )
    status, label = record.get("status"), truth_of(record.get("label"))
    if label is not None and status in ("correct", "wrong") and label != (status == "correct"):
        raise UserError(f"{place}: status is {status!r}, but label is {record['label']!r}; remove the column that is wrong")
    name, sample = id_text(name), record.get("sample")
    numbers[name] += 1
    return {
        **record,
        "problem_id": name,
        "text": response if text is None else text,
        "sample": numbers[name] - 1 if is_missing(sample) else sample,
        "model": record.get("model") or "",
        "finish_reason": finish_reason(reason_in(record)),
    }


def write_rows(path: Path, rows: Sequence[Row], kind: type[Row]) -> None:
    """Rows to a .parquet, .jsonl or .jsonl.gz file, whole or not at all; UserError for another ending."""
    if path.suffix == ".parquet":
        write_table(path, to_table(rows, kind))
        return
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"{str(path)!r} is not a file of rows; name it .parquet, .jsonl or .jsonl.gz")
    lines = (_json_line(record) for record in to_records(rows))
    content = "".join(lines).encode()
    # Without a time in the header, the same rows give the same bytes.
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _json_line(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate of a broken response: JSON holds it only as an escape
        text = json.dumps(record)
    return text + "\n"


def placed_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its place ("file, line 7"), for messages; see `read_records`."""
    if not path.exists():
        raise UserError(f"file {str(path)!r} does not exist; check the path")
    if path.is_dir() or path.suffix == ".parquet":
        for part in _parts(path) if path.is_dir() else [path]:
            fix = AGAIN if part.name.startswith("part-") else WHOLE  # a stage's part is made again
            with opened_table(part, fix) as file:
                _check_once(part, file.schema_arrow.names)
                records: Iterator[Any] = chain.from_iterable(_records_of(part, b) for b in file.iter_batches(AT_ONCE))
                if not all(map(_is_plain, file.schema_arrow.types)):
                    records = map(plain, records)
                number = 0
                for number, record in enumerate(records, 1):
                    yield f"{part}, row {number}", record
                check_rows(part, number, file.metadata.num_rows, fix)
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
    """Records of a JSON file: one object, a list of them, or one object a line."""
    lines = list(_lines(path, blank=True))
    try:
        loaded = _loads("".join(line for _, line in lines))
    except RecursionError as error:
        raise UserError(f"{path}: nested too deeply to be read; correct the file") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON Lines in a .json file
            for number, line in lines:
                if line.strip():
                    yield f"{path}, line {number}", _record(f"{path}, line {number}", line)
            return
        raise UserError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}); correct the file"
        ) from error
    for number, record in enumerate(loaded if isinstance(loaded, list) else [loaded], 1):
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, record {number}: a record is a JSON object, this is {type(record).__name__}; correct or remove it"
            )
        yield f"{path}, record {number}", record


def _csv_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of a CSV file whose first row names the columns; every value is text."""
    csv.field_size_limit(CELL)
    # strict: a file that was cut inside of quotes would else end in half a cell
    # a byte-order mark inside: the second of two files that were joined
    reader = csv.DictReader((text.lstrip("\ufeff") for _, text in _lines(path, blank=True)), strict=True)
    number = 0
    try:
        _check_once(path, [name for name in reader.fieldnames or () if name])
        header = dict(zip(reader.fieldnames or (), reader.fieldnames or ()))
        for number, record in enumerate(reader, 1):
            if record == header:
                raise UserError(f"{path}, record {number}: it names the columns again, as in joined files; remove the record")
            if None in record or None in record.values():
                raise UserError(
                    f"{path}, record {number}: not as many cells as the first row names; correct the record"
                )
            yield f"{path}, record {number}", record
    except csv.Error as error:
        raise UserError(
            f"{path}, record {number + 1}: not valid CSV ({error}); correct the record"
        ) from error


def _check_once(path: Path, names: Sequence[str]) -> None:
    """UserError if two columns have one name: only one of them would be read."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path} has two columns called {twice!r}; rename one")


def _records_of(part: Path, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The records of a batch, whose 32-bit floats read as people wrote them: 0.1, not 0.10000000149011612.

    UserError for a value that Python does not hold, as a date in the year 33658.
    """
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    for at, field in enumerate(table.schema):
        if (text := _without_floats(field.type, pa.string())) != field.type:
            short = table[at].cast(text).cast(_without_floats(field.type, pa.float64()))
            table = table.set_column(at, field.name, short)
    try:
        return table.to_pylist()
    except (OverflowError, ValueError) as error:
        raise UserError(f"{part}: a value cannot be read ({error}); write its column as text, or remove it") from error


def _without_floats(kind: pa.DataType, instead: pa.DataType) -> pa.DataType:
    """A type with `instead` in place of 32-bit floats, also inside of lists and records."""
    import pyarrow as pa

    if pa.types.is_float32(kind):
        return instead
    if pa.types.is_list(kind):
        return pa.list_(_without_floats(kind.value_type, instead))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, _without_floats(part.type, instead)) for part in kind])
    return kind


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a column holds only text, numbers and booleans, or lists and records of them."""
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def plain(value: Any) -> Any:
    """A value as JSON would hold it: bytes of UTF-8 as text, decimals and dates as they are written."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value  # not text, a picture for example
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | time) else value


def _loads(text: str) -> Any:
    """JSON as values that every file can hold.

    Half of a surrogate pair becomes a replacement character; an integer that is too long for Python to print stays text.
    """
    value = json.loads(text, parse_int=_whole, object_pairs_hook=_object)
    return whole_text(value) if "\\ud" in text or "\\uD" in text else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. JSONDecodeError if it has a key twice: only one of the values would be read."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise json.JSONDecodeError(f"the key {twice!r} stands twice in one object", "", 0)
    return found


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_INTEGER else digits


def _parts(folder: Path) -> list[Path]:
    parts = sorted(folder.glob("part-*.parquet")) or sorted(folder.glob("*.parquet"))
    parts = [part for part in parts if not part.name.startswith("dropped-")]
    if not parts:
        raise UserError(f"folder {str(folder)!r} holds no .parquet file; name a stage's folder or a file")
    shards = [_SHARD.fullmatch(part.stem) for part in parts]
    # other shards have numbers too: part-0, 0001
    sets = sorted({found[1] if found else _NUMBER.split(part.stem)[0] for part, found in zip(parts, shards)})
    if len(sets) > 1:
        raise UserError(f"folder {str(folder)!r} holds several data sets ({', '.join(sets)}); keep one in a folder of its own")
    of = max((int(found[2]) for found in shards if found), default=len(parts))
    if len(parts) != of:
        raise UserError(f"folder {str(folder)!r} holds {len(parts)} of {of} shards of {sets[0]}; {WHOLE}")
    return parts


def _lines(path: Path, blank: bool = False) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers; with `blank`, empty ones too."""
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
        record = _loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON ({error.msg}); correct or remove the line") from error
    except RecursionError as error:
        raise UserError(f"{place}: nested too deeply to be read; correct or remove the line") from error
    if not isinstance(record, dict):
        raise UserError(f"{place}: a record is a JSON object, this is {type(record).__name__}; correct or remove it")
    return record
