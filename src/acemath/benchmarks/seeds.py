"""The spread of a number over sampling seeds, which is not its interval over problems.

An interval over problems says what other problems of the same kind would give. The spread over seeds says what the same
problems would give if the policy were sampled again. Both stand beside each other, each under its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from acemath.benchmarks.tables import AVERAGE, Record, benchmarks_of, measure, values_at


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """A number over `seeds` disjoint samplings, in percent; nan where there are fewer than two."""

    selector: str
    measure: str
    benchmark: str
    seeds: int  # disjoint groups of k responses to each problem
    mean: float
    deviation: float  # standard deviation over the seeds
    lowest: float
    highest: float


def seed_spread(records: Sequence[Record], selector: str, k: int) -> list[SeedSpread]:
    """The spread of a selector at k on each benchmark and on their average.

    Each problem's responses are cut into groups of k, in their order, and each group is what one more sampling gives; a random
    pick needs one response. It is undefined (nan, 0 seeds) if several models wrote the responses to a problem, or if it is not known
    which: groups of k are not seeds then.
    """
    size = 1 if selector == "random" else k
    names = benchmarks_of(records)
    found = {
        name: _by_seed([r for r in records if r.benchmark == name], selector, size) for name in names
    }
    seeds = min((len(values) for values in found.values()), default=0)
    average = np.mean([values[:seeds] for values in found.values()], axis=0) if seeds else np.zeros(0)
    return [_spread(selector, k, name, values) for name, values in (*found.items(), (AVERAGE, average))]


def _by_seed(records: Sequence[Record], selector: str, k: int) -> np.ndarray:
    """The mean over problems of each group of k responses: [seed]."""
    if not all(len(set(r.generators)) == 1 and all(r.generators) for r in records):
        return np.zeros(0)
    seeds = min(len(r.correct) for r in records) // k
    return np.array(
        [
            values_at([r.only(range(at * k, (at + 1) * k)) for r in records], selector, [k]).mean()
            for at in range(seeds)
        ]
    )


def _spread(selector: str, k: int, benchmark: str, values: np.ndarray) -> SeedSpread:
    seeds = len(values)
    statistics = (np.mean, lambda v: np.std(v, ddof=1), np.min, np.max)
    mean, deviation, lowest, highest = (100 * float(f(values)) if seeds > 1 else nan for f in statistics)
    return SeedSpread(selector, measure(selector, k), benchmark, seeds, mean, deviation, lowest, highest)
