"""What picks one of k responses, for many problems with n responses each.

A picker holds arrays [problem, response] and gives the expected correctness of its pick: `exact` over all k-subsets, `on`
given subsets. Equal rewards and equal votes share; with `first`, the one that comes first wins, as in the Qwen2.5-Math
harness. nan as a reward means that the judge gave none; it ranks below every number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acemath.metrics.exact import TIE, maj_at_k
from acemath.metrics.majority import LARGEST, maj_at_ks
from acemath.metrics.subsets import Masks, subsets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = slice | Ints
CHUNK = 1_000_000  # numbers in memory at a time, for one array


class Picker(Protocol):
    """Picks among responses whose correctness is `correct` [problem, response]."""

    correct: Floats

    def exact(self, ks: Sequence[int]) -> Floats:
        """The expectation over k-subsets, for each k of 1 … n: [problem, k]."""
        ...

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        """The pick's correctness for the problems `rows`: [problem, subset]. Masks are [problem or 1, subset, n]."""
        ...


def chunks(problems: int, numbers: int) -> Iterator[slice]:
    """Slices of the problems that hold at most `CHUNK` numbers, at `numbers` a problem."""
    step = max(1, CHUNK // max(1, numbers))
    return (slice(at, min(at + step, problems)) for at in range(0, problems, step))


class Random:
    """A random response: pass@1."""

    def __init__(self, correct: Floats) -> None:
        self.correct = correct

    def exact(self, ks: Sequence[int]) -> Floats:
        return np.repeat(self.correct.mean(axis=1, keepdims=True), len(ks), axis=1)

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        return _within(masks, self.correct[rows]) / masks.sum(axis=-1)


class Oracle:
    """A right response wherever there is one: pass@k."""

    def __init__(self, correct: Floats) -> None:
        self.correct = correct

    def exact(self, ks: Sequence[int]) -> Floats:
        n = self.correct.shape[1]
        table = [[1.0 - comb(n - right, k) / comb(n, k) for k in ks] for right in range(n + 1)]
        return np.array(table)[(self.correct > 0).sum(axis=1)]

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        return (_within(masks, self.correct[rows]) > 0).astype(float)


class Best:
    """The response with the highest score: rm@k, or the longest response."""

    def __init__(self, scores: Floats, correct: Floats) -> None:
        self.correct = correct
        self.ranks = dense_ranks(scores)

    def exact(self, ks: Sequence[int]) -> Floats:
        n = self.correct.shape[1]
        order = np.argsort(self.ranks, axis=1, kind="stable")
        ranks = np.take_along_axis(self.ranks, order, axis=1)
        right = np.take_along_axis(self.correct, order, axis=1)
        groups = (ranks + np.arange(len(ranks))[:, None] * n).ravel()
        mean = np.bincount(groups, right.ravel()) / np.maximum(np.bincount(groups), 1)
        # the pick has place r of the sorted responses with probability C(n-1-r, k-1) / C(n, k); equals share
        last = np.array([[comb(n - 1 - r, k - 1) / comb(n, k) for k in ks] for r in range(n)])
        return mean[groups].reshape(ranks.shape) @ last

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        return _best((masks > 0).transpose(0, 2, 1), self.ranks[rows], self.correct[rows], first)


class Votes:
    """The answer with most votes, each response's vote weighing `weights`: maj@k, or weighted majority."""

    def __init__(self, classes: Ints, correct: Floats, weights: Floats | None = None) -> None:
        self.correct, self.weights = correct, weights
        self.classes = by_appearance(classes)

    def exact(self, ks: Sequence[int]) -> Floats:
        n = self.correct.shape[1]
        if self.weights is not None:
            return over_subsets(self, self.classes.max(axis=1) + 1, n, ks)
        if n > LARGEST:  # beyond the range of float64: whole numbers, one problem at a time
            rows = [(c.tolist(), r.tolist()) for c, r in zip(self.classes, self.correct, strict=True)]
            return np.array([[maj_at_k(c, r, k) for k in ks] for c, r in rows])
        return maj_at_ks(self.classes, self.correct, ks)

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        classes, correct = self.classes[rows], self.correct[rows]
        member = _members(classes)
        wins = _winners(masks, member, None if self.weights is None else self.weights[rows])
        if first:  # classes are numbered as they appear, so the lowest number came first
            opener = member.argmax(axis=1)  # [problem, class]: the class's first response
            right = np.take_along_axis(correct, opener, axis=1)
            winner = wins.argmax(axis=2)
            return np.take_along_axis(right, winner, axis=1) * wins.any(axis=2)
        right = (member * correct[:, :, None]).sum(axis=1) / np.maximum(member.sum(axis=1), 1)
        sums = wins.astype(float) @ np.stack([right, np.ones_like(right)], axis=2)
        return sums[..., 0] / np.maximum(sums[..., 1], 1.0)


class BestOfMajority:
    """The highest score among the responses whose answer has most votes; of answers with equal votes, all take part."""

    def __init__(self, classes: Ints, scores: Floats, correct: Floats) -> None:
        self.correct = correct
        self.classes, self.ranks = by_appearance(classes), dense_ranks(scores)

    def exact(self, ks: Sequence[int]) -> Floats:
        n = self.correct.shape[1]
        return over_subsets(self, np.full(len(self.classes), n), n, ks)

    def on(self, masks: Masks, rows: Rows, first: bool = False) -> Floats:
        classes = self.classes[rows]
        found = _winners(masks, _members(classes), None)
        # [problem, class, subset]; the class -1 wins nothing: it finds the row of False at the end
        wins = np.zeros((len(found), found.shape[2] + 1, found.shape[1]), bool)
        wins[:, :-1] = found.transpose(0, 2, 1)
        allowed = wins[np.arange(len(classes))[:, None], classes] & np.ascontiguousarray((masks > 0).transpose(0, 2, 1))
        return _best(allowed, self.ranks[rows], self.correct[rows], first)


def over_subsets(picker: Picker, widths: Ints, n: int, ks: Sequence[int]) -> Floats:
    """The mean over all k-subsets, or over drawn ones where they are too many (`subsets`): [problem, k].

    `widths`: how many numbers each problem needs for a subset. Problems of like width are taken together.
    """
    order = np.argsort(-widths, kind="stable")
    found = np.empty((len(widths), len(ks)))
    for column, k in enumerate(ks):
        masks = subsets(n, k)[None]
        start = 0
        while start < len(order):  # the first of a chunk is its widest
            step = max(1, CHUNK // (max(n, masks.shape[1]) * max(1, int(widths[order[start]]))))
            rows = order[start : start + step]
            found[rows, column] = picker.on(masks, rows).mean(axis=1)
            start += step
    return found


def dense_ranks(scores: Floats) -> Ints:
    """Ranks of each problem's scores, 0 for the highest; equal scores share one, nan has the last: [problem, n]."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    steps = np.zeros(scores.shape, np.int64)
    steps[:, 1:] = np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1)
    ranks = np.empty_like(steps)
    np.put_along_axis(ranks, order, steps, axis=1)
    return ranks


def by_appearance(classes: Ints) -> Ints:
    """Each problem's classes, numbered from 0 by first appearance; -1 stays."""
    found = np.full(classes.shape, -1, np.int64)
    for at, row in enumerate(classes.tolist()):
        names: dict[int, int] = {}
        found[at] = [names.setdefault(c, len(names)) if c >= 0 else -1 for c in row]
    return found


def _within(masks: Masks, values: Floats) -> Floats:
    """The sum of values [problem, n] over each subset: [problem, subset]."""
    return (masks @ values[:, :, None])[..., 0]


def _members(classes: Ints) -> Floats:
    """1 where a response belongs to a class: [problem, n, class]."""
    return (classes[:, :, None] == np.arange(max(1, int(classes.max(initial=0)) + 1))).astype(float)


def _winners(masks: Masks, member: Floats, weights: Floats | None) -> NDArray[np.bool_]:
    """The classes with most votes: [problem, subset, class]. A class that no response of the subset is in never wins."""
    votes = masks @ (member if weights is None else member * weights[:, :, None])
    if weights is not None and not (weights > 0).all():
        # votes that weigh nothing still name an answer, which ranks above those that nobody gave
        votes = np.where(masks @ member > 0, votes + np.finfo(float).tiny, 0.0)
    most = votes.max(axis=2, keepdims=True)
    return votes >= np.where(most > 0, most * (1 - TIE), np.inf)


def _best(allowed: NDArray[np.bool_], ranks: Ints, correct: Floats, first: bool) -> Floats:
    """The correctness of the best rank among the allowed responses [problem or 1, n, subset]; 0 where none is allowed.

    It walks down the ranks of all problems at once, and adds up the allowed responses of the first rank that has some.
    """
    problems, n = ranks.shape
    order = np.argsort(ranks, axis=1, kind="stable")  # equal ranks stay in the order of the responses
    ordered = np.take_along_axis(ranks, order, axis=1)
    opens = np.ones((problems, n), bool)  # whether a place opens a new rank
    if not first:
        opens[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    right = np.take_along_axis(correct, order, axis=1)
    owner = np.arange(problems) if len(allowed) == problems else np.zeros(problems, int)
    found = np.zeros((problems, allowed.shape[2]), bool)  # whether the rank so far, or a better one, has some
    done = np.zeros_like(found)  # whether a better rank has some
    tied, total = np.zeros(found.shape, np.int32), np.zeros(found.shape)
    for place in range(n):
        done |= found & opens[:, place, None]
        hit = allowed[owner, order[:, place]] & ~done
        found |= hit
        tied += hit
        total += hit * right[:, place, None]
    return total / np.maximum(tied, 1)
