"""Tables in the layout of the paper's Tables 3 and 6, as Markdown, HTML and JSON.

A column is a benchmark, a line a policy (Table 3, greedy pass@1) or a selector with its judge (Table 6, one of k). Each cell
has its 95 % interval over problems. The paper's own lines may stand below, marked with their table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import isnan
from typing import Any

from acemath.benchmarks.notes import size_notes
from acemath.benchmarks.published import (
    GREEDY,
    REWARD_MODEL,
    benchmark_key,
    beside,
    measure_name,
    published,
)
from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.tables import AVERAGE
from acemath.errors import UserError

Rows = Sequence[Mapping[str, Any]]  # as `tables.reward_bench` or an evaluation's results hold them
ORACLE = "oracle"  # no selector that a user can have, so never the best of a column
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}table{border-collapse:collapse}"
    "caption{text-align:left;font-weight:600;padding:.4rem 0}th,td{padding:.3rem .7rem;text-align:right;border-top:1px solid #8886}"
    "th:first-child,td:first-child{text-align:left}small{display:block;opacity:.7;white-space:nowrap}.paper{opacity:.75}div{overflow-x:auto}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in percent; a printed one has no interval."""

    value: float
    low: float | None = None
    high: float | None = None
    problems: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: its cells by benchmark. `source` is empty for own numbers, or the paper's table."""

    name: str
    cells: Mapping[str, Cell]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the benchmarks in the order of the columns, the lines, and notes below."""

    title: str
    head: str  # what the lines are
    benchmarks: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())

    def best(self, benchmark: str) -> float | None:
        """The highest own value of a column, without the oracle; None if there is only one line."""
        own = [line for line in self.lines if not line.source and line.name.rpartition(": ")[2] != ORACLE]
        values = [line.cells[benchmark].value for line in own if benchmark in line.cells]
        return max(values) if len(values) > 1 else None


def table_3(rows: Rows, k: int = 1, paper: bool = False) -> Sheet:
    """Policies by greedy pass@1. `k` has no meaning here. UserError if no row is greedy."""
    mine = [row for row in rows if measure_name(row["measure"]) == GREEDY]
    return _sheet("Greedy pass@1", "model", "Table 3", mine, lambda row: str(row.get("model") or "policy"), paper)


def table_6(rows: Rows, k: int = 8, paper: bool = False) -> Sheet:
    """Selectors by the answer that they pick from k. UserError if no row picks from k."""
    mine = [row for row in rows if str(row["measure"]).endswith((f"@{k}", f"@{k} before training")) and row["selector"] != "random"]
    chance = [row for row in rows if row["selector"] == "random"]
    title = f"One answer picked from {k}"
    return _sheet(title, "selector", "Table 6", [*chance, *mine] if mine else [], _picked, paper and k == 8)


def _picked(row: Mapping[str, Any]) -> str:
    judge, selector = str(row.get("judge") or ""), str(row["selector"])
    name = judge if judge and selector == REWARD_MODEL else f"{selector}, {judge}" if judge else selector
    return f"{row['model']}: {name}" if row.get("model") else name


FORMS: dict[str, Callable[[Rows, int, bool], Sheet]] = {"table-3": table_3, "table-6": table_6}


def _sheet(title: str, head: str, table: str, rows: Rows, named: Callable[[Mapping[str, Any]], str], paper: bool) -> Sheet:
    if not rows:
        raise UserError(f"the results hold no number for the form of {table} ({title.lower()}); measure it, or choose another -k")
    cells: dict[str, dict[str, Cell]] = {}
    for row in rows:
        if row["value"] is not None and not isnan(row["value"]):
            cell = Cell(row["value"], row.get("low"), row.get("high"), row.get("problems"))
            if row["benchmark"] in cells.setdefault(named(row), {}):
                raise UserError(f"{named(row)} has two numbers on {row['benchmark']}; give results that measure it once")
            cells[named(row)][row["benchmark"]] = cell
    benchmarks = _ordered({row["benchmark"] for row in rows}, table)
    lines = [Line(name, found) for name, found in cells.items()]
    notes = ["Percent, with 95 % bootstrap intervals over problems. The average is the unweighted mean of the benchmarks."]
    sizes = [(row["benchmark"], row["problems"] + row.get("undefined", 0)) for row in rows]
    notes += size_notes({name: min(size for other, size in sizes if other == name) for name, _ in sizes}, {})
    if paper:
        printed = _printed(table, benchmarks)
        lines += printed
        notes += _words(table, rows) if printed else [f"The paper's {table} has none of these benchmarks."]
    return Sheet(title, head, tuple(benchmarks), tuple(lines), tuple(notes))


def _ordered(names: set[str], table: str) -> list[str]:
    """The benchmarks in the paper's order, then the others, the average last."""
    order = [benchmark_key(b) for b in dict.fromkeys(p.benchmark for p in published() if p.table == table) if b != AVERAGE]
    others = sorted(names - {AVERAGE}, key=lambda n: (order.index(key) if (key := benchmark_key(n)) in order else len(order), n))
    return [*others, *(name for name in names if name == AVERAGE)]


def _printed(table: str, benchmarks: Sequence[str]) -> list[Line]:
    """The paper's lines on these benchmarks; its average only where the benchmarks are the same."""
    found: dict[str, dict[str, Cell]] = {}
    by_key = {benchmark_key(name): name for name in benchmarks}
    for p in published():
        if p.table != table or benchmark_key(p.benchmark) not in by_key:
            continue
        if p.benchmark == AVERAGE and {benchmark_key(b) for b in p.averaged} != set(by_key) - {AVERAGE}:
            continue
        found.setdefault(p.name, {})[by_key[benchmark_key(p.benchmark)]] = Cell(p.value, problems=p.problems)
    return [Line(name, cells, table) for name, cells in found.items()]


def _words(table: str, rows: Rows) -> list[str]:
    setting = next(p.setting for p in published() if p.table == table)
    return [f"{table} of the paper: {setting}.", *(c.words() for c in beside(rows))]


def as_json(sheet: Sheet) -> str:
    """One object: title, columns, lines with their cells, notes."""
    lines = [
        {
            "name": line.name,
            "source": line.source,
            "cells": {b: {"value": c.value, "low": c.low, "high": c.high, "problems": c.problems} for b, c in line.cells.items()},
        }
        for line in sheet.lines
    ]
    value = {"title": sheet.title, "head": sheet.head, "benchmarks": sheet.benchmarks, "lines": lines, "notes": sheet.notes}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def as_markdown(sheet: Sheet) -> str:
    """A heading, a pipe table, the notes. The best own value of a column is bold."""
    rows = [[sheet.head, *map(_title, sheet.benchmarks)], ["---", *("---:" for _ in sheet.benchmarks)]]
    for line in sheet.lines:
        name = line.name + (f" ({line.source})" if line.source else "")
        rows.append([_safe(name), *(_markdown(sheet, line, b) for b in sheet.benchmarks)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"### {sheet.title}\n\n{table}\n\n" + "".join(f"* {_safe(note)}\n" for note in sheet.notes)


def as_html(sheet: Sheet) -> str:
    """A page with the table and its notes, which needs nothing else."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (sheet.head, *map(_title, sheet.benchmarks)))
    body = "".join(
        f'<tr{" class=paper" if line.source else ""}><th scope="row">{escape(line.name)}'
        f"{f' <small>{escape(line.source)}</small>' if line.source else ''}</th>"
        + "".join(f"<td>{_html(sheet, line, b)}</td>" for b in sheet.benchmarks)
        + "</tr>\n"
        for line in sheet.lines
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(sheet.title)}</title><style>{STYLE}</style></head><body><div><table><caption>{escape(sheet.title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div><ul>{notes}</ul></body></html>\n"
    )


WRITERS: dict[str, Callable[[Sheet], str]] = {".md": as_markdown, ".html": as_html, ".json": as_json}


def _title(benchmark: str) -> str:
    return BENCHMARKS[benchmark].title if benchmark in BENCHMARKS else benchmark


def _safe(text: str) -> str:
    """Text that does not end a cell or start markup."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>|#" else c for c in text).replace("\n", " ")


def _interval(cell: Cell) -> str:
    return "" if cell.low is None or cell.high is None else f"{cell.low:.1f} to {cell.high:.1f}"


def _markdown(sheet: Sheet, line: Line, benchmark: str) -> str:
    cell = line.cells.get(benchmark)
    if cell is None:
        return ""
    number, interval = f"{cell.value:.2f}", _interval(cell)
    bold = not line.source and cell.value == sheet.best(benchmark)
    return (f"**{number}**" if bold else number) + (f" ({interval})" if interval else "")


def _html(sheet: Sheet, line: Line, benchmark: str) -> str:
    cell = line.cells.get(benchmark)
    if cell is None:
        return ""
    number, interval = f"{cell.value:.2f}", _interval(cell)
    bold = not line.source and cell.value == sheet.best(benchmark)
    return (f"<b>{number}</b>" if bold else number) + (f"<small>{interval}</small>" if interval else "")
