"""The table's numbers on parts of the problems: by subject, level, length or generator.

A part is never the unit of an average. Its numbers are means over its problems, within one benchmark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acemath.benchmarks.tables import MEASURES, Record, Row, benchmarks_of, rows_of
from acemath.errors import UserError
from acemath.metrics.protocols import EXACT, Protocol

QUANTILES = 4  # parts by length
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One cell of a breakdown: `row` over the problems of a part of its benchmark."""

    by: str
    part: str
    row: Row


def breakdown(
    records: Sequence[Record],
    by: str,
    k: int,
    protocol: Protocol = EXACT,
    only: Collection[str] = MEASURES,
) -> list[PartRow]:
    """The selectors on each part of each benchmark: a row a benchmark, part and selector.

    Parts by `length` are quarters of a benchmark's problems by the mean length of their responses in characters; those
    by `generator` hold each problem with the responses of one model. Where no problem of a part has k responses the value
    is nan. UserError for another name, and for generators where they are not known.
    """
    if by not in WAYS:
        raise UserError(f"there is no breakdown by {by!r}; use {', '.join(WAYS)}")
    found = []
    for benchmark in benchmarks_of(records):
        mine = [r for r in records if r.benchmark == benchmark]
        for part, members in WAYS[by](mine).items():
            found += [PartRow(by, part, row) for row in rows_of(members, k, protocol, only)]
    return found


def _grouped(pairs: Iterable[tuple[Any, Record]]) -> dict[str, list[Record]]:
    """Records by the name of their part, in the order of the names."""
    found: dict[Any, list[Record]] = {}
    for part, record in pairs:
        found.setdefault(part, []).append(record)
    return {str(part): found[part] for part in sorted(found)}


def _by_subject(records: Sequence[Record]) -> dict[str, list[Record]]:
    return _grouped((r.subject or UNKNOWN, r) for r in records)


def _by_level(records: Sequence[Record]) -> dict[str, list[Record]]:
    found = _grouped((r.level, r) for r in records)
    return {(UNKNOWN if level == "0" else level): members for level, members in found.items()}


def _by_length(records: Sequence[Record]) -> dict[str, list[Record]]:
    means = np.array([np.mean(r.lengths) if r.lengths else 0.0 for r in records])
    edges = np.quantile(means, np.linspace(0, 1, QUANTILES + 1))
    places = np.searchsorted(edges[1:-1], means, side="right")
    return {
        f"{at + 1} of {QUANTILES}: {edges[at]:,.0f} … {edges[at + 1]:,.0f} characters": [
            r for r, place in zip(records, places, strict=True) if place == at
        ]
        for at in range(QUANTILES)
        if (places == at).any()
    }


def _by_generator(records: Sequence[Record]) -> dict[str, list[Record]]:
    if not all(len(r.generators) == len(r.correct) and all(r.generators) for r in records):
        raise UserError(
            "some responses do not name the model that wrote them; a breakdown by generator needs the column model"
        )
    return _grouped(
        (name, r.only([at for at, other in enumerate(r.generators) if other == name]))
        for r in records
        for name in dict.fromkeys(r.generators)
    )


WAYS = {"subject": _by_subject, "level": _by_level, "length": _by_length, "generator": _by_generator}
