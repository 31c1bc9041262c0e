"""Atomic writes: a file is complete or absent, and a failing disk ends in one clear line."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

from acemath.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Libraries that write from native code raise no OSError. safetensors reports Rust's text of the errno; torch's
# archive writer notices the short write, but loses the errno.
_NATIVE_FULL = (*(f"(os error {code})" for code in sorted(FULL)), "PytorchStreamWriter", ". unexpected pos ")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is a disk, quota or file-size limit that was reached."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(sign in str(error) for sign in _NATIVE_FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def _full(path: Path, error: BaseException) -> UserError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else "no space left"
    return UserError(
        f"cannot write {path}: {said}; free some space or choose another folder, "
        "then run the same command again: finished work is kept"
    )


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn a full disk into a UserError; other errors pass. For blocks that do more than write to `path`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise _full(path, error) from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn any OSError into a UserError. For blocks that only write to `path`."""
    with disk_full_explained(path):
        try:
            yield
        except OSError as error:
            if is_disk_full(error):
                raise
            raise UserError(
                f"cannot write {path}: {error.strerror or error}; check the folder and its permissions, or "
                "choose another one, then run the same command again: finished work is kept"
            ) from error


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; the rename itself is still atomic.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Flush every file below a folder to disk, and the folders themselves."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            flush_folder(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    flush_folder(folder)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary name, flush to disk, rename. A link stays, and its target is written."""
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explained(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON value a line, whole or not at all."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_bytes(path, lines.encode("utf-8", "replace"))


def read_json(path: Path, what: str = "its folder") -> dict[str, Any]:
    """Read a JSON object. UserError naming the file if it is damaged or holds something else.

    `what` is what the message tells the user to delete, so that the next run makes it again.
    """
    fix = f"delete {what} and run the same command again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); {fix}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; {fix}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {type(value).__name__}, not a JSON object; {fix}")
    return value


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, whole or not at all, with a checksum on every page."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_bytes(path, bytes(sink.getvalue()))


AGAIN = "delete it and run the same command again"  # how a file of ours is mended


@contextmanager
def opened_table(path: Path, fix: str = AGAIN) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file for reading, with its page checksums verified.

    UserError naming the file if it is missing or damaged; `fix` is what the message tells the user to do.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # pyarrow raises an OSError for a missing file, which would be reported as damage below.
        if not path.is_file():
            raise UserError(f"file {str(path)!r} does not exist; check the path")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); {fix}"
        ) from error


def table_batches(path: Path, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in batches of at most `size`. UserError naming the file if it is missing or damaged."""
    with opened_table(path) as file:
        found = 0
        for batch in file.iter_batches(size, columns=None if columns is None else list(columns)):
            found += batch.num_rows
            yield batch
        check_rows(path, found, file.metadata.num_rows)


def check_rows(path: Path, found: int, stated: int, fix: str = AGAIN) -> None:
    """UserError if a file gave fewer rows than its footer states. A footer has no checksum and may hide row groups."""
    if found != stated:
        raise UserError(f"{path} holds {found:,} of {stated:,} rows; {fix}")


def read_table(path: Path) -> pa.Table:
    """Read a whole Parquet file. UserError naming the file if it is missing or damaged."""
    with opened_table(path) as file:
        table = file.read()
        check_rows(path, table.num_rows, file.metadata.num_rows)
    return table
