"""How commands speak: a table for people, or one JSON object on standard output with --json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
SharePrefix = Annotated[
    bool, typer.Option(help="Read a problem's prompt once for all its responses; some models cannot.")
]


def show(
    result: dict[str, Any], as_json: bool, columns: Sequence[str] = (), rows: Sequence[Sequence[Any]] = ()
) -> None:
    """Print a result: as one JSON object, or as a table of `rows`, or as `key: value` lines."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    if columns:
        # Folded, not cut: a name that is cut cannot be typed.
        table = Table(*(Column(name, overflow="fold") for name in columns), header_style="bold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        Console().print(table)
        return
    for key, value in result.items():
        typer.echo(f"{key}: {_cell(value)}")


def notice(text: str) -> None:
    """One line on standard error, for what a user should know though the command goes on."""
    typer.echo(f"acemath: {text}", err=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "undefined" if value != value else f"{value:.2f}"  # noqa: PLR0124 (nan is not itself)
    if isinstance(value, dict):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    return str(value)
