"""Means over problems with their bootstrap intervals, paired differences, and who beats whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError

Floats = NDArray[np.float64]
CHUNK = 2_000_000  # numbers in memory at a time, for one array
RESAMPLINGS = 2000
NOISE = 1e-9  # a difference below this is rounding: two formulas of the same number


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems as a fraction of 1, its bootstrap interval, and the number of problems."""

    value: float
    low: float
    high: float
    problems: int
    undefined: int = 0  # problems left out because k exceeds their responses

    @property
    def defined(self) -> bool:
        """False if no problem had enough responses."""
        return not isnan(self.value)


def estimate(
    values: Sequence[float], draws: int = RESAMPLINGS, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The mean of per-problem values with a bootstrap interval over problems; nan values are left out and counted."""
    return estimates([np.asarray(values, float)[:, None]], draws, seed, level)[0]


def average(
    benchmarks: Sequence[Sequence[float]], draws: int = RESAMPLINGS, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The unweighted mean of the benchmarks' means (the paper's average), bootstrapped within each benchmark."""
    return estimates([np.asarray(values, float)[:, None] for values in benchmarks], draws, seed, level)[0]


def paired(
    a: Sequence[float],
    b: Sequence[float],
    draws: int = RESAMPLINGS,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """The mean of a - b over the same problems, with its interval. A difference is significant if the interval excludes 0.

    UserError if a and b differ in length: then they are not of the same problems.
    """
    if len(a) != len(b):
        raise UserError(f"{len(a)} values against {len(b)}; a paired difference needs both for every problem")
    return estimate(np.asarray(a, float) - np.asarray(b, float), draws, seed, level)  # type: ignore[arg-type]


def estimates(
    benchmarks: Sequence[Floats], draws: int = RESAMPLINGS, seed: int = 0, level: float = 0.95
) -> list[Estimate]:
    """`average` for many columns at once: each benchmark's values are [problem, column], one estimate a column.

    Columns with the same defined problems share the resamplings, so that their estimates are comparable. A column
    without a defined problem in some benchmark is undefined: the mean of the others would not be comparable.
    """
    columns = benchmarks[0].shape[1] if benchmarks else 1
    defined = [~np.isnan(values) for values in benchmarks]
    patterns: dict[bytes, list[int]] = {}
    for column in range(columns):
        pattern = b"".join(np.packbits(mask[:, column]).tobytes() + b"|" for mask in defined)
        patterns.setdefault(pattern, []).append(column)
    found: list[Estimate] = [Estimate(nan, nan, nan, 0)] * columns
    for members in patterns.values():
        masks = [mask[:, members[0]] for mask in defined]
        kept = [values[mask][:, members] for values, mask in zip(benchmarks, masks, strict=True)]
        problems = sum(map(len, kept))
        undefined = sum(map(len, benchmarks)) - problems
        if not kept or not all(map(len, kept)):
            made = [(nan, nan, nan)] * len(members)
        else:
            value = np.mean([values.mean(axis=0) for values in kept], axis=0)
            made = list(zip(value, *_interval(kept, draws, seed, level), strict=True))
        for column, numbers in zip(members, made, strict=True):
            mean, low, high = map(float, numbers)
            found[column] = Estimate(mean, low, high, problems, undefined)
    return found


def _interval(samples: Sequence[Floats], draws: int, seed: int, level: float) -> tuple[Floats, Floats]:
    """The percentile interval of the mean of the samples' means over `draws` resamplings, for each column."""
    rng = np.random.default_rng(seed)
    means = np.mean([_resampled(sample, draws, rng) for sample in samples], axis=0)  # [draw, column]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _resampled(sample: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """The means of `draws` resamplings of a sample's rows: [draw, column]."""
    n = len(sample)
    means = np.empty((draws, sample.shape[1]))
    step = max(1, CHUNK // n)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        drawn = rng.integers(0, n, (count, n)) + np.arange(count)[:, None] * n
        # how often each row was drawn: the mean is then a product of matrices
        often = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
        means[start : start + count] = often.astype(float) @ sample / n
    return means


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of several against another: the paired difference a - b, and who wins beyond its interval."""

    a: str
    b: str
    difference: Estimate

    @property
    def winner(self) -> str | None:
        """a or b where the interval excludes 0; None where it does not, for one problem, or where the difference is undefined."""
        if self.difference.problems < 2:
            return None
        if self.difference.low > NOISE:
            return self.a
        return self.b if self.difference.high < -NOISE else None


def who_beats_whom(
    values: Mapping[str, Sequence[float]],
    benchmarks: Sequence[str],
    draws: int = RESAMPLINGS,
    seed: int = 0,
    level: float = 0.95,
) -> list[Comparison]:
    """Every pair of named series, as the paired difference averaged over benchmarks.

    Each series has a value for each problem, and `benchmarks` each problem's benchmark. UserError if the lengths differ.
    """
    for name, series in values.items():
        if len(series) != len(benchmarks):
            raise UserError(
                f"{name} has {len(series)} values for {len(benchmarks)} problems; a paired difference needs one for each"
            )
    pairs = list(combinations(values, 2))
    if not pairs:
        return []
    arrays = {name: np.asarray(series, float) for name, series in values.items()}
    table = np.stack([arrays[a] - arrays[b] for a, b in pairs], axis=1)  # [problem, pair]
    places = np.asarray(benchmarks)
    parts = [table[places == name] for name in dict.fromkeys(benchmarks)]
    found = estimates(parts, draws, seed, level)
    return [Comparison(a, b, difference) for (a, b), difference in zip(pairs, found, strict=True)]
