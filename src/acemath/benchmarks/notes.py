"""What a table of AceMath-RewardBench must not hide: rows and columns that were not read, sizes, and judges that do not judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.tables import Record


def notes_on(facts: Mapping[str, Any]) -> list[str]:
    """A line for each set of which something was not understood, or that has another size than the registry says."""
    notes = []
    for name, columns in sorted(facts["ignored"].items()):
        notes.append(f"{name}: columns that are not read: {', '.join(sorted(columns))}")
    for name, reasons in sorted(facts["left out"].items()):
        why = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(reasons.items()))
        notes.append(f"{name}: rows that are left out: {why}")
    return notes + size_notes(facts["problems"], facts["left out"])


def size_notes(problems: Mapping[str, int], left_out: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each set that has another number of problems than its benchmark in the registry."""
    found = []
    for name, count in sorted(problems.items()):
        total = count + sum(left_out.get(name, {}).values())
        known = BENCHMARKS.get(name)
        if known is not None and total not in known.sizes:
            found.append(f"{name} has {total:,} problems, but {known.title} has {known.size:,}: a subset has other numbers")
    return found


def alarms(judge: str, records: Sequence[Record]) -> list[str]:
    """Signs that a judge's numbers mean nothing, one line each: equal scores, or none for some responses."""
    rows = [[reward for reward in record.rewards if not isnan(reward)] for record in records if record.rewards]
    flat = [reward for row in rows for reward in row]
    total = sum(len(record.rewards) for record in records)
    who = f"judge {judge!r}" if judge else "the judge"
    found = []
    if flat and total > 1 and min(flat) == max(flat):
        found.append(
            f"ALARM: {who} gave the same score, {flat[0]:g}, to all {len(flat):,} responses, so it picks at random; is its head "
            "loaded, and its activation off?"
        )
    elif rows and all(len(set(row)) < 2 for row in rows) and any(len(row) > 1 for row in rows):
        found.append(
            f"ALARM: {who} gave all responses to a problem the same score, in each of {len(rows):,} problems, so it picks at "
            "random; does its chat template hold the response?"
        )
    if len(flat) < total:
        found.append(f"{who} gave no score to {total - len(flat):,} of {total:,} responses; they rank below all others")
    return found
