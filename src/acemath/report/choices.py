"""The report's section on what was chosen and compared: validation's selector, policies in pairs, token limits, parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from acemath.report.data import ReportData
from acemath.report.parts import table


def _cell(e: Mapping[str, Any]) -> str:
    return f"{e['value']:.1f} ({e['low']:.1f} to {e['high']:.1f})"


def _gap(e: Mapping[str, Any]) -> str:
    return f"{e['value']:+.1f} ({e['low']:+.1f} to {e['high']:+.1f})"


def choices_section(data: ReportData) -> str:
    """The section; empty for a run with one policy and no validation."""
    parts = [_chosen(data.tables.get("choice")), _policies(data), _limits(data.tables.get("lengths", ())), _breakdown(data)]
    body = "".join(parts)
    return f'<h2 id="choices">Choices and comparisons</h2>{body}' if body else ""


def _chosen(choice: Mapping[str, Any] | None) -> str:
    if choice is None:
        return ""
    rows = [[name, _cell(e), "chosen" if name == choice["chosen"] else ""] for name, e in choice["validation"].items()]
    count = next(iter(choice["validation"].values()))["problems"]
    words = (
        f"The selector was chosen on {choice['benchmark']}, {count:,} problems that are in no other number: "
        f"{choice['chosen']}. On the test it is right on {_cell(choice['test'])} percent."
    )
    against = [[name, _gap(e)] for name, e in choice["differences"].items()]
    return (
        f"<h3>The selector</h3><p>{escape(words)}</p>{table(['selector', 'percent on validation (95 % interval)', ''], rows)}"
        f"{table([choice['chosen'] + ' on the test minus', 'points (95 % interval)'], against)}"
    )


def _policies(data: ReportData) -> str:
    rows = [[e["minus"], e["measure"], _gap(e), f"{e['problems']:,}"] for e in data.tables.get("between policies", ())]
    if not rows:
        return ""
    head = [f"{data.headline} minus", "measure", "points (95 % interval)", "problems"]
    return f"<h3>Policies</h3>{table(head, rows)}"


def _limits(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    rows = [
        [e["responses"], "as written" if e["limit"] is None else f"{e['limit']:,}", _cell(e), f"{e['cut']:.1f}", f"{e['tokens']:.0f}"]
        for e in found
    ]
    words = "A response that is longer than a limit counts as cut, which is wrong: its first tokens would have been the same."
    head = ["responses", "token limit", "percent right (95 % interval)", "percent cut", "mean tokens as written"]
    return f"<h3>Token limits</h3><p>{words}</p>{table(head, rows)}"


def _breakdown(data: ReportData) -> str:
    found = data.tables.get("parts", ())
    names = list(dict.fromkeys(e["measure"] for e in found))
    text = ""
    for by, title in (("steps", "steps of the reference solution"), ("length", "mean length of the responses")):
        cells: dict[str, dict[str, Any]] = {}
        for e in found:
            if e["by"] == by:
                cells.setdefault(e["part"], {})[e["measure"]] = e
        rows = [
            [part, f"{next(iter(row.values()))['problems']:,}", *(f"{row[n]['value']:.1f}" if n in row else "" for n in names)]
            for part, row in cells.items()
        ]
        if rows:
            text += f"<h3>By {title}</h3>{table([by, 'problems', *names], rows)}"
    return text
