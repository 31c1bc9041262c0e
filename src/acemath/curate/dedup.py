"""Exact deduplication of prompts (paper, section 3.2: exact match after lower-casing)."""

from __future__ import annotations

from collections.abc import Sequence

from acemath.records import Problem
from acemath.store import Dropped


def dedup(rows: Sequence[Problem]) -> tuple[list[Problem], list[Dropped]]:
    """One prompt of each text after lower-casing, the first in order of arrival, and those dropped."""
    first: dict[str, str] = {}
    kept, dropped = [], []
    for row in rows:
        key = row.prompt.lower().strip()
        if key in first:
            dropped.append(
                Dropped(row.id, "dedup", "duplicate", row.prompt, row.source, f"same as {first[key]}")
            )
        else:
            first[key] = row.id
            kept.append(row)
    return kept, dropped
