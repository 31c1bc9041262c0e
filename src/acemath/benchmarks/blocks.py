"""The spread of a number over blocks of stored samples, which is not its interval over problems.

An interval over problems says what other problems of the same kind would give. The spread over blocks says what the same
problems would give if the policy were sampled again: each block of k stored responses is one such sampling. (`acemath eval`
draws samples anew for each seed, and shows the spread over seeds.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from acemath.benchmarks.tables import AVERAGE, Record, benchmarks_of, measure, values_at


@dataclass(frozen=True, slots=True)
class BlockSpread:
    """A number over disjoint blocks of responses, in percent; nan where there are fewer than two."""

    selector: str
    measure: str
    benchmark: str
    blocks: int  # disjoint blocks of k responses to each problem
    mean: float
    deviation: float  # standard deviation over the blocks
    lowest: float
    highest: float


def block_spread(records: Sequence[Record], selector: str, k: int) -> list[BlockSpread]:
    """The spread of a selector at k on each benchmark and on their average.

    Each problem's responses are cut into blocks of k, in their order, and each block is what one more sampling gives; a random
    pick needs one response. It is undefined (nan, 0 blocks) if several models wrote the responses, or if it is not known
    which: a block is no sampling of one policy then.
    """
    size = 1 if selector == "random" else k
    names = benchmarks_of(records)
    found = {name: _by_block([r for r in records if r.benchmark == name], selector, size) for name in names}
    blocks = min((len(values) for values in found.values()), default=0)
    average = np.mean([values[:blocks] for values in found.values()], axis=0) if blocks else np.zeros(0)
    return [_spread(selector, k, name, values) for name, values in (*found.items(), (AVERAGE, average))]


def _by_block(records: Sequence[Record], selector: str, k: int) -> np.ndarray:
    """The mean over problems of each block of k responses: [block]."""
    writers = {name for r in records for name in r.generators or ("",)}
    if len(writers) > 1 or "" in writers:
        return np.zeros(0)
    blocks = min(len(r.correct) for r in records) // k
    return np.array(
        [values_at([r.only(range(at * k, (at + 1) * k)) for r in records], selector, [k]).mean() for at in range(blocks)]
    )


def _spread(selector: str, k: int, benchmark: str, values: np.ndarray) -> BlockSpread:
    blocks = len(values)
    statistics = (np.mean, lambda v: np.std(v, ddof=1), np.min, np.max)
    mean, deviation, lowest, highest = (100 * float(f(values)) if blocks > 1 else nan for f in statistics)
    return BlockSpread(selector, measure(selector, k), benchmark, blocks, mean, deviation, lowest, highest)
