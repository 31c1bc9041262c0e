"""pass@k, rm@k and maj@k of one problem, as exact expectations.

Each function takes one problem's n responses and returns the expectation over all subsets of k of them. The paper
estimates it by a hundred random draws of 8 from 64 (section 4.3.1); here it has no sampling noise. If k exceeds n,
the problem's value is undefined: nan, never 0. Ties share at every k: the pick among equal rewards, or among answers
with equal votes, is uniform. UserError if k is below 1, if there is not one label, class or reward for each
response, and if a label is not True or False (1 or 0). `acemath.metrics.pickers` does the same for thousands of problems at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb, nan

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError
from acemath.metrics.subsets import is_exact, subsets

Floats = NDArray[np.float64]
TIE = 1e-12  # votes that differ by less than this share of the most votes are equal


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


def _labels(correct: Sequence[bool]) -> Floats:
    """Labels as numbers, 1 for right. UserError for another value: -1, "False" and a verdict would count as right."""
    found = np.asarray(correct)
    if found.dtype.kind not in "biuf" or not np.isin(found, (0, 1)).all():
        raise UserError(f"labels are {str(list(correct))[:60]}; give True or False, or 1 or 0, for each response")
    return found.astype(float)


def mean_accuracy(correct: Sequence[bool]) -> float:
    """The accuracy of a random pick (= pass@1 = rm@1); nan without responses."""
    return float(np.mean(_labels(correct))) if len(correct) else nan


def pass_at_k(correct: Sequence[bool], k: int) -> float:
    """The probability that at least one of k is right, for c right ones: 1 - C(n-c, k) / C(n, k). The oracle's score."""
    n, right = len(correct), int(_labels(correct).sum())
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
    values, right = _numbers(rewards, len(correct), "rm@k"), _labels(correct)
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
    values, right = _numbers(rewards, len(correct), "rm@k"), _labels(correct)
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
    """The expected correctness of the majority answer among k: exact, answers with equal votes share.

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
    if n and np.asarray(classes).dtype.kind not in "biu":
        raise UserError(f"classes are {str(list(classes))[:60]}; give the numbers that acemath.grade.classes gives to equal answers")
    for label, ok in zip(classes, _labels(correct), strict=True):
        sizes[label] = sizes.get(label, 0) + 1
        right[label] = right.get(label, 0.0) + float(ok)
    silent = sizes.pop(-1, 0)
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


def vote_weights(rewards: Floats, temperature: float | None = None) -> Floats:
    """The weight of each response's vote, from its problem's rewards on the last axis; nan weighs 0.

    Without a temperature it is sigmoid(reward - the problem's mean reward), with one softmax(reward / temperature),
    up to a factor. Raw rewards below zero would lower an answer's total; these weights are positive. UserError on
    infinite rewards, and for a temperature at which the weights of a problem leave the range of numbers.
    """
    scored = np.isfinite(rewards)
    if np.isinf(rewards).any():
        raise UserError("a reward is infinite; weighted majority@k has no mean reward to weigh it by")
    if temperature is None:
        count = np.maximum(scored.sum(axis=-1, keepdims=True), 1)
        mean = np.where(scored, rewards, 0.0).sum(axis=-1, keepdims=True) / count
        # the logarithm of sigmoid(x) is -log(1 + exp(-x)), which neither overflows nor loses small weights
        return np.where(scored, np.exp(-np.logaddexp(0.0, mean - np.where(scored, rewards, mean))), 0.0)
    if not temperature > 0:
        raise UserError(f"the temperature of softmax votes is {temperature}; it is a number above 0")
    top = np.where(scored, rewards, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    below = np.where(scored, rewards, top) - np.where(np.isfinite(top), top, 0.0)
    lowest = float(np.where(scored, below, 0.0).min(initial=0.0))
    if -lowest > 700 * temperature:
        raise UserError(
            f"a problem's rewards spread over {-lowest:.6g}; softmax votes at temperature {temperature:g} would weigh 0. Give "
            f"a temperature of at least {-lowest / 700:.3g}"
        )
    return np.where(scored, np.exp(np.where(scored, below, 0.0) / temperature), 0.0)


def weighted_at_k(
    classes: Sequence[int],
    rewards: Sequence[float],
    correct: Sequence[bool],
    k: int,
    draws: int = 400,
    seed: int = 0,
    temperature: float | None = None,
) -> float:
    """Reward-weighted majority among k; the weights of the votes are `vote_weights`.

    Exact if `weighted_is_exact`, else the mean of `draws` seeded draws. UserError on rewards that are nan or infinite.
    """
    n = len(classes)
    values, right = _numbers(rewards, n, "weighted majority@k"), _labels(correct)
    _one_each(len(right), n, "verdicts", "weighted majority@k")
    weights = vote_weights(values, temperature)
    if not _checked(n, k):
        return nan
    kinds, where = np.unique(np.asarray(classes), return_inverse=True)
    share_right = np.bincount(where, right) / np.bincount(where)  # [class]
    drawn = subsets(n, k, draws, seed)  # [subset, n]
    member = np.zeros((n, len(kinds)))
    member[np.arange(n), where] = 1.0
    votes = drawn @ (member * weights[:, None])  # [subset, class]
    # An answer that none of the k gave must rank below one whose votes all weigh 0, so it gets -1.
    given = (drawn @ member > 0) & (kinds != -1)
    votes[~given] = -1.0
    winners = given & (votes >= votes.max(axis=1, keepdims=True) * (1 - TIE))
    shares = (winners * share_right).sum(axis=1) / np.maximum(winners.sum(axis=1), 1)
    return float(shares.mean())


weighted_is_exact = is_exact
