"""Who beats whom: selectors, judges or models against each other on the same problems, in pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from acemath.benchmarks.tables import AVERAGE, STANDARD, Record, per_problem, selectors
from acemath.errors import UserError
from acemath.metrics.intervals import Comparison, who_beats_whom
from acemath.metrics.protocols import EXACT, Protocol


@dataclass(frozen=True, slots=True)
class Duel:
    """a - b on a benchmark, in points of percent, with its paired interval over the problems that both have."""

    a: str
    b: str
    benchmark: str
    difference: float
    low: float
    high: float
    problems: int
    winner: str  # a or b where the interval excludes 0, else ""


def between_selectors(
    records: Sequence[Record],
    k: int,
    protocol: Protocol = EXACT,
    only: Collection[str] = STANDARD,
) -> list[Duel]:
    """Every pair of selectors on these records, on each benchmark and on their average."""
    values = {name: per_problem(records, name, k, protocol) for name in selectors(records, only)}
    return _duels(values, [r.benchmark for r in records])


def between_judges(
    named: Mapping[str, Sequence[Record]], selector: str, k: int, protocol: Protocol = EXACT
) -> tuple[list[Duel], int]:
    """Every pair of judges or models by one selector, and how many problems were left out because not all have them.

    `named` has the records of each. Problems are the same where benchmark and id are. UserError for a problem that stands
    twice, for fewer than two names, if no problem is common to all, or if the selector needs rewards that are missing.
    """
    if len(named) < 2:
        raise UserError(f"{len(named)} to compare; give the records of at least two judges or models")
    found = {name: _by_key(name, records, selector) for name, records in named.items()}
    every = list(dict.fromkeys(key for records in found.values() for key in records))
    shared = [key for key in every if all(key in records for records in found.values())]
    if not shared:
        raise UserError(f"{', '.join(named)} have no problem in common; compare them on the same benchmarks")
    values = {
        name: per_problem([records[key] for key in shared], selector, k, protocol)
        for name, records in found.items()
    }
    return _duels(values, [benchmark for benchmark, _ in shared]), len(every) - len(shared)


def _by_key(name: str, records: Sequence[Record], selector: str) -> dict[tuple[str, str], Record]:
    if selector not in selectors(records):
        raise UserError(f"{name} cannot be measured by {selector!r}; its records allow {', '.join(selectors(records))}")
    found = {(r.benchmark, r.problem_id): r for r in records}
    if len(found) < len(records):
        raise UserError(f"{name} has {len(records) - len(found)} problems twice; give each problem once")
    return found


def _duels(values: Mapping[str, Sequence[float]], places: Sequence[str]) -> list[Duel]:
    names = list(dict.fromkeys(places))
    found = []
    for benchmark in names:
        at = [place for place, name in enumerate(places) if name == benchmark]
        part = {name: [series[place] for place in at] for name, series in values.items()}
        found += [_duel(c, benchmark) for c in who_beats_whom(part, [benchmark] * len(at))]
    return found + [_duel(c, AVERAGE) for c in who_beats_whom(values, places)]


def _duel(found: Comparison, benchmark: str) -> Duel:
    e = found.difference
    return Duel(
        found.a, found.b, benchmark, 100 * e.value, 100 * e.low, 100 * e.high, e.problems, found.winner or ""
    )
