"""What stands behind a table: who beats whom, a judge's quality, and the spread over blocks, as plain data.

Shares and numbers are in percent, AUC, Brier and errors of calibration in fractions of 1; None where a number is undefined.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

from acemath.benchmarks.blocks import block_spread
from acemath.benchmarks.compare import between_selectors
from acemath.benchmarks.quality import judge_quality
from acemath.benchmarks.tables import STANDARD, Record, selectors
from acemath.metrics.protocols import EXACT, Protocol


def details(
    records: Sequence[Record], k: int, protocol: Protocol = EXACT, only: Collection[str] = STANDARD
) -> dict[str, Any]:
    """`beats`: each pair of selectors; `quality`: the rewards themselves, if there are any; `blocks`: the spread over blocks of k."""
    names = selectors(records, only)
    scored = all(record.rewards for record in records)
    found = {
        "beats": [asdict(duel) for duel in between_selectors(records, k, protocol, only)],
        "quality": [asdict(quality) for quality in judge_quality(records)] if scored else [],
        "blocks": [asdict(spread) for name in names for spread in block_spread(records, name, k)],
    }
    return {name: plain(value) for name, value in found.items()}


def plain(value: Any) -> Any:
    """A value for JSON, which has no nan."""
    if isinstance(value, float):
        return None if isnan(value) else value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
