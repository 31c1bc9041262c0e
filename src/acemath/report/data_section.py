"""The report's section on the data: the funnel, the blends, and the teachers that cross-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from acemath.report.data import ReportData
from acemath.report.parts import figure, table
from acemath.report.svg import stacks


def data_section(data: ReportData) -> str:
    """The section as HTML: rows after each step by source, what was dropped and why, with examples."""
    rows = [
        [step["name"], f"{step['rows_in']:,}", f"{step['rows_out']:,}", _each(step["by_source"])]
        for step in data.funnel
    ]
    drops = [
        [step["name"], reason, f"{count:,}", _each(_by_source(step, reason))]
        for step in data.funnel
        for reason, count in step["drops"].items()
    ]
    reported = [
        [step["name"], kind, f"{count:,}"]
        for step in data.funnel
        for kind, count in step.get("reported", {}).items()
    ]
    examples = "".join(
        f"<li><b>{escape(reason)}</b> ({escape(step['name'])}): {escape(row['text'][:240])} <span class=tag>{escape(row['detail'][:160])}</span></li>"
        for step in data.funnel
        for reason, shown in step["examples"].items()
        for row in shown
    )
    picture = figure(
        stacks("From seeds to training sets", _bars(data)),
        "Rows that each step let through, and the conversations of each blend, by the source of the prompt.",
    )
    blends = [
        [name, f"{blend['conversations']:,}", _each(blend["pools"]), _each(blend["sources"])]
        for name, blend in data.blends.items()
    ]
    teachers = [
        [name, f"{row['answers']:,.0f}", f"{100 * row['agree']:.1f}", f"{100 * row['no_answer']:.1f}"]
        for name, row in data.teachers.items()
    ]
    return (
        '<h2 id="data">The data</h2><p>From seeds to training sets: what is left after each step, what was dropped, and why. Cross-checked responses are those that the checking teachers agree with; the others stay in the unchecked pools.</p>'
        f"{picture}{table(['step', 'rows in', 'rows out', 'by source'], rows)}"
        f"<h3>Dropped</h3>{table(['step', 'reason', 'rows', 'by source'], drops)}"
        f"<h3>Kept, though near a benchmark problem</h3>{table(['step', 'kind of hit', 'rows'], reported)}"
        f"<h3>Training sets</h3>{table(['blend', 'conversations', 'by pool', 'by source'], blends)}"
        f"<h3>Teachers that check</h3>{table(['teacher', 'answers', 'agree, %', 'without an answer, %'], teachers)}"
        f"<details><summary>Examples of dropped rows, up to three of each reason</summary><div><ul>{examples}</ul></div></details>"
    )


def _bars(data: ReportData) -> Sequence[tuple[str, Mapping[str, int]]]:
    steps = [(step["name"], step["by_source"]) for step in data.funnel]
    return [*steps, *((f"blend {name}", blend["sources"]) for name, blend in data.blends.items())]


def _by_source(step: Mapping[str, Any], reason: str) -> dict[str, int]:
    found = {source: drops.get(reason, 0) for source, drops in step["drops_by_source"].items()}
    return {source: count for source, count in found.items() if count}


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
