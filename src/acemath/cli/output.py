"""How commands speak: a table for people, or one JSON object on standard output with --json."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from acemath.errors import UserError
from acemath.notices import say

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
SharePrefix = Annotated[
    bool,
    typer.Option(help="Read a problem's prompt once for all of its responses; some models cannot do that."),
]
UNWRAPPED = 100_000  # columns of a table that does not go to a terminal
ROWS = (".parquet", ".jsonl", ".jsonl.gz")


def _writable(path: Path | None, endings: Sequence[str]) -> Path | None:
    """The file of an option, if it can be written: known before the work, not after it. UserError otherwise."""
    if path is None:
        return None
    if not path.name.endswith(tuple(endings)):
        raise UserError(f"cannot write {str(path)!r}: the name must end in {' or '.join(endings)}; rename it")
    if path.is_dir():
        raise UserError(f"cannot write {str(path)!r}: it is a folder; name a file")
    if not path.parent.is_dir():
        raise UserError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"cannot write {str(path)!r}: no permission to write in {str(path.parent)!r}; name a file in another folder")
    return path


def _rows_file(path: Path | None) -> Path | None:
    return _writable(path, ROWS)


def html_file(path: Path | None) -> Path | None:
    """The HTML file of an option, if it can be written; UserError otherwise."""
    return _writable(path, [".html"])


def folder(path: Path | None) -> Path | None:
    """The folder of an option, which may exist; UserError where it is a file."""
    if path is not None and path.exists() and not path.is_dir():
        raise UserError(f"cannot write the folder {str(path)!r}: it is a file; name another folder")
    return path


def json_lines(path: Path | None) -> Path | None:
    """The JSONL file of an option, if it can be written; UserError otherwise."""
    return _writable(path, [".jsonl"])


Out = Annotated[
    Path,
    typer.Option("--out", callback=_rows_file, help="The file to write (.parquet, .jsonl or .jsonl.gz)."),
]


def show(
    result: dict[str, Any], as_json: bool, columns: Sequence[str] = (), rows: Sequence[Sequence[Any]] = ()
) -> None:
    """Print a result: as one JSON object, or as a table of `rows`, or as `key: value` lines.

    A notice where a step kept nothing: the next step would have nothing to work on.
    """
    if result.get("kept") == 0:
        say(f"nothing was kept, so {result['out']} is empty; dropped: {_cell(result['dropped'])}")
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        return
    if columns:
        # Folded, not cut: a name that is cut cannot be typed. Only a terminal has a width to fold at.
        table = Table(*(Column(name, overflow="fold") for name in columns), header_style="bold")
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row))  # as text: `[b]` in an answer is no markup
        Console(width=None if sys.stdout.isatty() else UNWRAPPED).print(table)
        return
    for key, value in result.items():
        if isinstance(value, dict) and any(isinstance(part, dict) for part in value.values()):
            for name, part in value.items():
                typer.echo(f"{key} {name}: {_cell(part)}")
        else:
            typer.echo(f"{key}: {_cell(value)}")


class _Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"acemath: {record.getMessage()}", err=True)


def show_notices() -> None:
    """Print each notice (`acemath.models.chat.say`) on standard error, under the name that errors have too."""
    log = logging.getLogger("acemath")
    if not any(isinstance(handler, _Notices) for handler in log.handlers):
        log.addHandler(_Notices(logging.WARNING))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "undefined" if value != value else f"{value:.2f}"  # noqa: PLR0124 (nan is not itself)
    if isinstance(value, dict | list | tuple) and not value:
        return "none"
    if isinstance(value, dict):
        return ", ".join(
            f"{k} ({_cell(v)})" if isinstance(v, dict) else f"{k} {_cell(v)}" for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return str(value)
