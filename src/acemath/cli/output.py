"""What commands print: a table or `key: value` lines for people, or one JSON object with --json."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

import typer

from acemath.notices import say

if TYPE_CHECKING:
    from acemath.records import Dropped, Problem, Response

UNWRAPPED = 100_000  # width of a table that does not go to a terminal
LINE = 100  # characters of a line of prose, and no more than a terminal has
MEASURES = ("measure", "benchmark", "percent", "95 % interval", "problems")  # the columns of `measure_rows`


def show(
    result: Mapping[str, Any], as_json: bool, columns: Sequence[str] = (), rows: Sequence[Sequence[Any]] = ()
) -> None:
    """Print a result: as one JSON object, as a table of `rows` under `columns`, or as `key: value` lines.

    A notice warns of a step that kept nothing: the next step would have no rows.
    """
    if result.get("kept") == 0:
        say(f"nothing was kept, so {result['out']} is empty; dropped: {_cell(result['dropped'])}")
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    elif columns:
        _print_table(columns, rows)
    else:
        for key, value in result.items():
            nested = isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
            parts = {f"{key} {name}": part for name, part in value.items()} if nested else {key: value}
            for name, part in parts.items():
                typer.echo(f"{name}: {_cell(part)}")


def show_lines(lines: Iterable[str]) -> None:
    """Print lines of prose, folded between words, so that they can be read everywhere. What goes on is set in."""
    width = min(LINE, get_terminal_size((LINE, 24)).columns) if sys.stdout.isatty() else LINE
    for line in lines:
        start = len(line) - len(line.lstrip())
        rest = " " * (start + 4)
        typer.echo(fill(line, width, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # Long cells are folded, not cut: a name that is cut cannot be typed. Only a terminal has a width to fold at.
    table = Table(*(Column(name, overflow="fold") for name in columns), header_style="bold")
    for row in rows:
        table.add_row(
            *(Text(_cell(value)) for value in row)
        )  # Text, so that `[b]` in an answer is not markup
    Console(width=None if sys.stdout.isatty() else UNWRAPPED).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "undefined" if value != value else f"{value:.2f}"  # noqa: PLR0124 (only nan differs from itself)
    if isinstance(value, dict | list | tuple) and not value:
        return "none"
    if isinstance(value, dict):
        return ", ".join(
            f"{k} ({_cell(v)})" if isinstance(v, dict) else f"{k} {_cell(v)}" for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return str(value)


def measure_rows(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float, str, str]]:
    """Rows of AceMath-RewardBench's table (`acemath.benchmarks.tables.BenchRow`) under the columns MEASURES."""
    return [
        (
            r["measure"],
            r["benchmark"],
            float("nan") if r["value"] is None else r["value"],
            _interval(r["low"], r["high"]),
            f"{r['problems']}" + (f" ({r['undefined']} have fewer responses)" if r["undefined"] else ""),
        )
        for r in rows
    ]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None or isnan(low) or isnan(high):
        return "undefined"
    return f"{low:.2f} … {high:.2f}"


def write_kept(
    kept: Sequence[Problem] | Sequence[Response],
    dropped: Sequence[Dropped],
    kind: type[Problem] | type[Response],
    out: Path,
    dropped_to: Path | None,
) -> dict[str, Any]:
    """Write the rows that a step kept and, with `dropped_to`, those that it dropped; returns their numbers."""
    from acemath.files.atomic import write_json_lines
    from acemath.files.rows import write_rows

    write_rows(out, kept, kind)
    if dropped_to is not None:
        write_json_lines(dropped_to, [asdict(row) for row in dropped])
    reasons = dict(Counter(row.reason for row in dropped))
    return {"n": len(kept) + len(dropped), "kept": len(kept), "dropped": reasons, "out": str(out)}


class _Notices(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(f"acemath: {record.getMessage()}", err=True)


def show_notices() -> None:
    """Print each notice (`acemath.notices.say`) on standard error, prefixed like an error."""
    log = logging.getLogger("acemath")
    if not any(isinstance(handler, _Notices) for handler in log.handlers):
        log.addHandler(_Notices(logging.WARNING))
