"""What a table of AceMath-RewardBench must not hide: rows and columns of a release that were not read, and its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS


def notes_on(facts: Mapping[str, Any]) -> list[str]:
    """A line for each thing that was not understood in some sets, or that has another size than the registry says."""
    notes: list[str] = []
    alike: dict[str, list[str]] = {}  # the sets, by the columns that are not read
    for name, columns in sorted(facts["ignored"].items()):
        alike.setdefault(", ".join(sorted(columns)), []).append(name)
    notes += [f"{', '.join(names)}: columns that are not read: {columns}" for columns, names in alike.items()]
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
