"""The numbers: pass@k, rm@k and maj@k as exact expectations, their controls and their intervals.

Each function takes one problem's n responses and returns the expectation over all subsets of k of them. The paper
estimates it by a hundred random draws of 8 from 64 (section 4.3.1); here it has no sampling noise. If k exceeds n,
the problem's value is undefined: nan, never 0. `estimate` and `average` leave such problems out and count them, and
the commands refuse a k that leaves a benchmark without a problem. Ties share: the pick among equal rewards, or among
answers with equal votes, is uniform. UserError if k is below 1, or if there is not one label, class or reward for
each response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb, isnan, nan

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError

Floats = NDArray[np.float64]
SUBSETS = 20_000  # weighted majority enumerates at most this many subsets; beyond, it draws


def _checked(n: int, k: int) -> bool:
    """Whether k of n can be drawn. UserError if k is below 1."""
    if k < 1:
        raise UserError(f"k is {k}; it is a number of responses, at least 1")
    return k <= n


def _one_each(count: int, responses: int, what: str, name: str) -> None:
    if count != responses:
        raise UserError(f"{count} {what} for {responses} responses; {name} needs one for each")


def _numbers(rewards: Sequence[float], others: int, name: str) -> Floats:
    """Rewards as an array. UserError if there is not one for each response, or if one is nan."""
    values = np.asarray(rewards, float)
    _one_each(len(values), others, "rewards", name)
    if np.isnan(values).any():
        raise UserError(f"a reward is nan; {name} needs a number for every response")
    return values


def mean_accuracy(correct: Sequence[bool]) -> float:
    """The accuracy of a random pick (= pass@1 = rm@1); nan without responses."""
    return float(np.mean(np.asarray(correct, float))) if len(correct) else nan


def pass_at_k(correct: Sequence[bool], k: int) -> float:
    """The probability that at least one of k is right, for c right ones: 1 - C(n-c, k) / C(n, k). The oracle's score."""
    n, right = len(correct), int(sum(map(bool, correct)))
    return 1.0 - comb(n - right, k) / comb(n, k) if _checked(n, k) else nan


@lru_cache(maxsize=4096)
def _last_pick(n: int, k: int) -> Floats:
    """cumulative[r]: the probability that the best of a random k is among the first r ranks, r = 0 … n."""
    total = comb(n, k)
    return np.array([1.0 - comb(n - r, k) / total for r in range(n + 1)])


def rm_at_k(rewards: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """The expected correctness of the highest reward among k: exact, tied rewards share.

    Sorted by reward, best first, the pick has rank r (from 0) with probability C(n-1-r, k-1) / C(n, k). A run of
    equal rewards shares the sum of its ranks' probabilities evenly. UserError on nan rewards. With lengths or
    negative lengths as rewards, it is the control that picks the longest or the shortest response.
    """
    values, right = _numbers(rewards, len(correct), "rm@k"), np.asarray(correct, float)
    if not _checked(len(values), k):
        return nan
    order = np.argsort(-values, kind="stable")
    values, right = values[order], right[order]
    cumulative = _last_pick(len(values), k)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    ends = np.r_[starts[1:], len(values)]
    means = np.add.reduceat(right, starts) / (ends - starts)
    return float(np.sum((cumulative[ends] - cumulative[starts]) * means))


def rm_at_k_draws(
    rewards: Sequence[float], correct: Sequence[bool], k: int, draws: int = 100, seed: int = 0
) -> float:
    """The paper's protocol (section 4.3.1): the mean over random draws of k. Tests compare `rm_at_k` with it."""
    values, right = _numbers(rewards, len(correct), "rm@k"), np.asarray(correct, float)
    if not _checked(len(values), k):
        return nan
    rng = np.random.default_rng(seed)
    picks = []
    for _ in range(draws):
        subset = rng.permutation(len(values))[:k]
        best = subset[values[subset] == values[subset].max()]
        picks.append(right[rng.choice(best)])
    return float(np.mean(picks))


def maj_at_k(classes: Sequence[int], correct: Sequence[bool], k: int) -> float:
    """The expected correctness of the majority answer among k; exact.

    Subsets have no order, so answers with equal votes share. Only if k = n, the order of the responses counts: of
    answers with equal votes the one that came first wins, as in the Qwen2.5-Math harness.

    `classes` gives equal answers one number (`acemath.grade.classes`); -1 is "no answer", which never wins a vote.
    For each winning class, with v votes and t ties, a convolution over the other classes counts the ways to fill the
    other places so that no class has more than v votes.
    """
    n = len(classes)
    _one_each(len(correct), n, "verdicts", "maj@k")
    if not _checked(n, k):
        return nan
    sizes: dict[int, int] = {}
    right: dict[int, float] = {}
    for label, ok in zip(classes, correct, strict=True):
        sizes[label] = sizes.get(label, 0) + 1
        right[label] = right.get(label, 0.0) + float(ok)
    silent = sizes.pop(-1, 0)
    if k == n:
        # Dictionaries keep the order of first appearance, and max() takes the first of equals.
        winner = max(sizes, key=lambda label: sizes[label], default=None)
        return right[winner] / sizes[winner] if winner is not None else 0.0
    shape = tuple(sorted(sizes.values()))
    # Classes without a right response add nothing, so usually only one of some twenty is counted.
    return sum(
        _win_probability(shape, silent, k, size) * right[label] / size
        for label, size in sizes.items()
        if right[label]
    )


@lru_cache(maxsize=65536)
def _win_probability(sizes: tuple[int, ...], silent: int, k: int, size: int) -> float:
    """The probability that one class of this size wins the vote of a random k (ties share)."""
    others = list(sizes)
    others.remove(size)
    ways = sum(_wins_with(size, votes, others, silent, k) for votes in range(1, min(size, k) + 1))
    return ways / comb(sum(sizes) + silent, k)


def _wins_with(size: int, votes: int, others: list[int], silent: int, k: int) -> float:
    """The number of k-subsets in which a class wins with exactly `votes`, each weighted by 1 / (1 + ties)."""
    rest = k - votes
    # ways[t][j]: ways to give j places to the classes so far, none above `votes`, exactly t of them equal to `votes`
    ways = [[1] + [0] * rest]
    for other in others:
        grown = [[0] * (rest + 1) for _ in range(len(ways) + 1)]
        for ties, row in enumerate(ways):
            for used, count in enumerate(row):
                if not count:
                    continue
                for taken in range(min(other, votes, rest - used) + 1):
                    grown[ties + (taken == votes)][used + taken] += count * comb(other, taken)
        while len(grown) > 1 and not any(grown[-1]):
            grown.pop()
        ways = grown
    tail = [comb(silent, rest - used) for used in range(rest + 1)]
    return comb(size, votes) * sum(
        sum(count * tail[used] for used, count in enumerate(row)) / (1 + ties)
        for ties, row in enumerate(ways)
    )


def weighted_is_exact(n: int, k: int) -> bool:
    """Whether `weighted_at_k` enumerates all k-subsets of n responses. Beyond `SUBSETS` of them it draws."""
    return comb(n, k) <= SUBSETS


@lru_cache(maxsize=32)
def _subsets(n: int, k: int) -> NDArray[np.int64]:
    """All k-subsets of n responses, [subset, k]; cached, because problems share n."""
    found = np.array(list(combinations(range(n), k)))
    found.flags.writeable = False
    return found


def weighted_at_k(
    classes: Sequence[int],
    rewards: Sequence[float],
    correct: Sequence[bool],
    k: int,
    draws: int = 400,
    seed: int = 0,
) -> float:
    """Reward-weighted majority among k: each response votes with sigmoid(reward - the problem's mean reward).

    Raw rewards below zero would lower an answer's total; a sigmoid is positive. Exact if `weighted_is_exact`, else
    the mean of `draws` seeded draws. UserError on rewards that are nan or infinite.
    """
    n = len(classes)
    values, right = _numbers(rewards, n, "weighted majority@k"), np.asarray(correct, float)
    _one_each(len(right), n, "verdicts", "weighted majority@k")
    if not np.isfinite(values).all():
        raise UserError("a reward is infinite; weighted majority@k has no mean reward to weigh it by")
    if not _checked(n, k):
        return nan
    # sigmoid(x) as tanh, which cannot overflow
    weights = 0.5 + 0.5 * np.tanh((values - values.mean()) / 2)
    kinds, where = np.unique(np.asarray(classes), return_inverse=True)
    share_right = np.bincount(where, right) / np.bincount(where)  # [class]
    if weighted_is_exact(n, k):
        subsets = _subsets(n, k)
    else:
        rng = np.random.default_rng(seed)
        subsets = np.argsort(rng.random((draws, n)), axis=1)[:, :k]
    # An answer that none of the k gave must rank below one whose votes all weigh 0, so it gets -1.
    votes = np.zeros((len(subsets), len(kinds)))  # [subset, class]
    given = np.zeros(votes.shape, bool)
    every = np.arange(len(subsets))
    for place in range(k):
        voter = subsets[:, place]
        votes[every, where[voter]] += weights[voter]  # one place at a time: no index comes twice
        given[every, where[voter]] = True
    given[:, kinds == -1] = False
    votes[~given] = -1.0
    winners = given & (votes >= votes.max(axis=1, keepdims=True) - 1e-12)
    shares = (winners * share_right).sum(axis=1) / np.maximum(winners.sum(axis=1), 1)
    return float(shares.mean())


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


def estimate(values: Sequence[float], draws: int = 2000, seed: int = 0, level: float = 0.95) -> Estimate:
    """The mean of per-problem values with a bootstrap interval over problems; nan values are left out and counted."""
    array = np.asarray(values, float)
    kept = array[~np.isnan(array)]
    low, high = bootstrap([kept], lambda means: means[0], draws, seed, level) if len(kept) else (nan, nan)
    return Estimate(float(kept.mean()) if len(kept) else nan, low, high, len(kept), len(array) - len(kept))


def average(
    benchmarks: Sequence[Sequence[float]], draws: int = 2000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The unweighted mean of the benchmarks' means (the paper's average), bootstrapped within each benchmark."""
    every = [np.asarray(values, float) for values in benchmarks]
    kept = [values[~np.isnan(values)] for values in every]
    problems = sum(map(len, kept))
    undefined = sum(map(len, every)) - problems
    # The mean of the remaining benchmarks would not be comparable, so it is undefined.
    if not kept or any(len(values) == 0 for values in kept):
        return Estimate(nan, nan, nan, problems, undefined)
    low, high = bootstrap(kept, lambda means: np.mean(means, axis=0), draws, seed, level)
    return Estimate(float(np.mean([v.mean() for v in kept])), low, high, problems, undefined)


def paired(
    a: Sequence[float], b: Sequence[float], draws: int = 2000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The mean of a - b over the same problems, with its interval. A difference is significant if the interval excludes 0.

    UserError if a and b differ in length: then they are not of the same problems.
    """
    if len(a) != len(b):
        raise UserError(f"{len(a)} values against {len(b)}; a paired difference needs both for every problem")
    return estimate(np.asarray(a, float) - np.asarray(b, float), draws, seed, level)  # type: ignore[arg-type]


def bootstrap(
    samples: Sequence[Floats], combine: Callable[[list[Floats]], Floats], draws: int, seed: int, level: float
) -> tuple[float, float]:
    """The interval of `combine` applied to the samples' means: percentiles over `draws` resamplings."""
    rng = np.random.default_rng(seed)
    means = [sample[rng.integers(0, len(sample), (draws, len(sample)))].mean(axis=1) for sample in samples]
    low, high = np.quantile(combine(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
