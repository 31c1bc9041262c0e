"""The metrics against brute force over all subsets, against the paper's random draws, and on real scores."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import combinations, permutations
from math import exp, isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acemath.errors import UserError
from acemath.metrics import (
    EXACT,
    FIRST,
    average,
    estimate,
    maj_at_k,
    mean_accuracy,
    paired,
    pass_at_k,
    picked,
    rm_at_k,
    rm_at_k_draws,
    weighted_at_k,
    weighted_is_exact,
)
from acemath.metrics.pickers import Best, Oracle, Random, Votes

cases = st.lists(
    st.tuples(st.integers(-1, 3), st.sampled_from([-1.5, 0.0, 0.5, 2.0]), st.booleans()),
    min_size=1,
    max_size=7,
)


def _consistent(rows: list[tuple[int, float, bool]]) -> tuple[list[int], list[float], list[bool]]:
    """Classes, rewards, labels with one label a class and none for "no answer"."""
    label: dict[int, bool] = {}
    for group, _, right in rows:
        label.setdefault(group, right and group >= 0)
    return [r[0] for r in rows], [r[1] for r in rows], [label[r[0]] for r in rows]


def _brute(n: int, k: int, value) -> float:  # type: ignore[no-untyped-def]
    subsets = list(combinations(range(n), k))
    return sum(value(s) for s in subsets) / len(subsets)


@settings(max_examples=150, deadline=None)
@given(cases, st.integers(1, 7))
def test_exact_values_equal_brute_force(rows: list[tuple[int, float, bool]], k: int) -> None:
    """pass@k, rm@k and maj@k are the means over all k-subsets, ties shared."""
    classes, rewards, correct = _consistent(rows)
    n = len(rows)
    if k > n:
        assert (
            isnan(pass_at_k(correct, k))
            and isnan(rm_at_k(rewards, correct, k))
            and isnan(maj_at_k(classes, correct, k))
        )
        return

    def best(subset: tuple[int, ...]) -> float:
        top = max(rewards[i] for i in subset)
        tied = [correct[i] for i in subset if rewards[i] == top]
        return sum(tied) / len(tied)

    def vote(subset: tuple[int, ...]) -> float:
        votes: dict[int, int] = {}
        for i in subset:
            if classes[i] >= 0:
                votes[classes[i]] = votes.get(classes[i], 0) + 1
        winners = [c for c, v in votes.items() if v == max(votes.values())]
        return sum(correct[classes.index(c)] for c in winners) / len(winners) if winners else 0.0

    assert pass_at_k(correct, k) == pytest.approx(_brute(n, k, lambda s: any(correct[i] for i in s)))
    assert rm_at_k(rewards, correct, k) == pytest.approx(_brute(n, k, best))
    assert maj_at_k(classes, correct, k) == pytest.approx(_brute(n, k, vote))


def test_equal_votes_share_at_every_k() -> None:
    """All n responses are a subset like any other: their order breaks no tie."""
    assert maj_at_k([0, 0, 1, 1], [True, True, False, False], 4) == 0.5
    assert maj_at_k([1, 0, 0, 1, 1], [False, True, True, False, False], 5) == 0.0
    assert maj_at_k([0, 1, 2], [True, False, False], 2) == pytest.approx(1 / 3)


def test_agrees_with_the_papers_draws() -> None:
    """The mean of many random draws comes to the exact value."""
    rng = random.Random(3)
    rewards, correct = (
        [rng.choice([0.0, 1.0, 2.5, 3.0]) + rng.random() * (i % 2) for i in range(40)],
        [rng.random() < 0.4 for _ in range(40)],
    )
    exact = rm_at_k(rewards, correct, 8)
    drawn = rm_at_k_draws(rewards, correct, 8, draws=20_000)
    assert abs(exact - drawn) < 4 * 0.5 / 20_000**0.5


def test_identities_and_order() -> None:
    """rm@1 is the mean accuracy, rm@n the top pick, pass@k grows with k, and the order of responses is nothing."""
    rewards, correct, classes = [0.1, 2.0, -1.0, 0.5], [False, True, True, False], [0, 1, 1, 2]
    assert rm_at_k(rewards, correct, 1) == mean_accuracy(correct) == 0.5
    assert rm_at_k(rewards, correct, 4) == 1.0
    values = [pass_at_k(correct, k) for k in range(1, 5)]
    assert values == sorted(values)
    for order in permutations(range(4)):
        shuffled = [[x[i] for i in order] for x in (classes, rewards, correct)]
        assert maj_at_k(shuffled[0], shuffled[2], 3) == pytest.approx(maj_at_k(classes, correct, 3))
        assert weighted_at_k(shuffled[0], shuffled[1], shuffled[2], 3) == pytest.approx(
            weighted_at_k(classes, rewards, correct, 3)
        )


@settings(max_examples=150, deadline=None)
@given(cases, st.integers(1, 7))
def test_weighted_majority_equals_brute_force(rows: list[tuple[int, float, bool]], k: int) -> None:
    """The mean over all subsets of the answer with most weight, ties shared; no answer never wins."""
    classes, rewards, correct = _consistent(rows)
    n = len(rows)
    if k > n:
        assert isnan(weighted_at_k(classes, rewards, correct, k))
        return
    centre = sum(rewards) / n

    def vote(subset: tuple[int, ...]) -> float:
        votes: dict[int, float] = {}
        for i in subset:
            if classes[i] >= 0:
                votes[classes[i]] = votes.get(classes[i], 0.0) + 1 / (1 + exp(centre - rewards[i]))
        winners = [c for c, v in votes.items() if v > max(votes.values()) - 1e-9]
        return sum(correct[classes.index(c)] for c in winners) / len(winners) if winners else 0.0

    assert weighted_at_k(classes, rewards, correct, k) == pytest.approx(_brute(n, k, vote))


def test_weighted_majority_at_its_edges() -> None:
    """Weights that vanish still choose between the answers given; without an answer nothing is won."""
    far = [-3000.0, 3000.0, 0.0]
    assert weighted_at_k([0, 1, 2], far, [True, False, False], 1) == pytest.approx(1 / 3)
    assert weighted_at_k([-1, -1], [0.0, 1.0], [False, False], 2) == 0.0


def test_weighted_majority_draws_where_subsets_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn values come within four standard errors of the exact one, and are the same each time."""
    assert weighted_is_exact(20, 4) and not weighted_is_exact(64, 8)
    rng = random.Random(4)
    classes, rewards = [rng.randrange(4) for _ in range(16)], [rng.gauss(0, 2) for _ in range(16)]
    correct = [c == 0 for c in classes]
    exact = weighted_at_k(classes, rewards, correct, 6)
    monkeypatch.setattr("acemath.metrics.subsets.SUBSETS", 0)
    drawn = weighted_at_k(classes, rewards, correct, 6, draws=4000)
    assert 0.05 < exact < 0.95 and drawn != exact and abs(drawn - exact) < 4 * 0.5 / 4000**0.5
    assert weighted_at_k(classes, rewards, correct, 6, draws=4000) == drawn


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_properties(data: st.DataObject) -> None:
    """For any responses: order is nothing, rm@1 and maj@1 are chance, pass@k grows, no pick beats the oracle."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), min_size=2, max_size=24))
    n, k = len(rows), data.draw(st.integers(1, len(rows)))
    classes, rewards = [r[0] for r in rows], [float(r[1]) for r in rows]
    correct = [c < 2 for c in classes]
    order = data.draw(st.permutations(range(n)))
    mixed = [[x[i] for i in order] for x in (classes, rewards, correct)]
    assert rm_at_k(rewards, correct, k) == pytest.approx(rm_at_k(mixed[1], mixed[2], k))
    assert pass_at_k(correct, k) == pass_at_k(mixed[2], k)
    assert maj_at_k(classes, correct, k) == pytest.approx(maj_at_k(mixed[0], mixed[2], k))
    assert rm_at_k(rewards, correct, 1) == pytest.approx(mean_accuracy(correct))
    assert maj_at_k(classes, correct, 1) == pytest.approx(mean_accuracy(correct))
    top = [c for c, r in zip(correct, rewards, strict=True) if r == max(rewards)]
    assert rm_at_k(rewards, correct, n) == pytest.approx(sum(top) / len(top))
    grown = [pass_at_k(correct, j) for j in range(1, n + 1)]
    assert grown == sorted(grown)
    best = pass_at_k(correct, k) + 1e-12
    assert max(rm_at_k(rewards, correct, k), maj_at_k(classes, correct, k)) <= best


def test_agrees_with_a_hundred_draws_a_problem() -> None:
    """The paper's own protocol on 200 problems of 64 responses: within three standard errors."""
    rng = random.Random(8)
    exact, drawn = [], []
    for problem in range(200):
        skill = rng.random()
        correct = [rng.random() < skill for _ in range(64)]
        rewards = [round(rng.gauss(1.0 * c, 1.0), 1) for c in correct]  # rounded, so that some tie
        exact.append(rm_at_k(rewards, correct, 8))
        drawn.append(rm_at_k_draws(rewards, correct, 8, draws=100, seed=problem))
    error = sum(e * (1 - e) / 100 for e in exact) ** 0.5 / len(exact)
    assert abs(sum(exact) - sum(drawn)) / len(exact) < 3 * error


def test_majority_of_many_agrees_with_draws() -> None:
    """Far beyond brute force (64 responses, 32 at a time), against random subsets."""
    rng = random.Random(6)
    classes = [rng.choice([-1, 0, 0, 0, 1, 1, 2, 3, 4, 5]) for _ in range(64)]
    correct = [c == 0 for c in classes]
    for k in (8, 32, 63):
        wins = 0.0
        for _ in range(4000):
            votes = Counter(classes[i] for i in rng.sample(range(64), k) if classes[i] >= 0)
            best = [c for c, v in votes.items() if v == max(votes.values())]
            wins += (0 in best) / max(1, len(best))
        assert abs(maj_at_k(classes, correct, k) - wins / 4000) < 4 * 0.5 / 4000**0.5


def test_majority_is_quick_for_sixty_four() -> None:
    """Exact maj@k of 64 responses in 20 classes: counted, not drawn; sums of all classes' wins are 1."""
    rng = random.Random(0)
    classes = [rng.randrange(20) for _ in range(64)]
    total = sum(maj_at_k(classes, [c == label for c in classes], 8) for label in set(classes))
    assert total == pytest.approx(1.0)


def test_bad_input_and_undefined() -> None:
    """A nan reward or k below 1 is an error; k above n and no problems are undefined, never 0."""
    with pytest.raises(UserError, match="nan"):
        rm_at_k([float("nan"), 1.0], [True, False], 1)
    with pytest.raises(UserError, match="at least 1"):
        pass_at_k([True], 0)
    with pytest.raises(UserError, match="2 rewards for 1 responses"):
        rm_at_k([1.0, 2.0], [True], 1)
    for bad, message in (("nan", "nan"), ("inf", "infinite"), ("-inf", "infinite")):
        with pytest.raises(UserError, match=message):
            weighted_at_k([0, 1], [float(bad), 1.0], [True, False], 1)
    with pytest.raises(UserError, match="1 verdicts for 2 responses"):
        maj_at_k([0, 1], [True], 1)
    with pytest.raises(UserError, match="2 verdicts for 1 responses"):
        weighted_at_k([0], [1.0], [True, False], 1)
    with pytest.raises(UserError, match="1 values against 2"):
        paired([1.0], [0.0, 1.0])
    holes = average([[1.0, float("nan")], [0.0]])
    assert (holes.value, holes.problems, holes.undefined) == (0.5, 2, 1)
    nothing = average([[1.0], [float("nan")]])
    assert not nothing.defined and (nothing.problems, nothing.undefined) == (1, 1)
    assert isnan(estimate([]).value) and not estimate([float("nan")]).defined
    assert estimate([1.0, float("nan")]).undefined == 1


def test_intervals() -> None:
    """Intervals hold the mean, shrink with n, and a clear paired difference excludes 0."""
    rng = random.Random(1)
    many = [float(rng.random() < 0.6) for _ in range(800)]
    few = estimate(many[:50])
    whole = estimate(many)
    assert few.low < few.value < few.high and whole.high - whole.low < few.high - few.low
    difference = paired([v + 0.1 for v in many], many)
    assert difference.low > 0
    flat = average([[1.0] * 10, [0.0] * 1000])
    assert flat.value == 0.5, "the average of benchmarks does not weigh by their size"


def test_real_scores_of_the_qwen_harness(shared: Path) -> None:
    """On real stored scores the harness's protocol gives its numbers, 91, 93, 94 and 96; shared ties a lower majority."""
    rows = [json.loads(line) for line in (shared / "data" / "qwen_math100x8_scored.jsonl").open()]
    classes, rewards = [], [[score[0] for score in row["pred_score"]] for row in rows]
    for row in rows:
        names = {p: i for i, p in enumerate(dict.fromkeys(row["pred"]))}
        classes.append([names[p] if p else -1 for p in row["pred"]])
    correct = np.array([row["score"] for row in rows], float)
    votes = Votes(np.array(classes), correct)
    pickers = [Random(correct), votes, Best(np.array(rewards), correct), Oracle(correct)]
    keys = [str(row["idx"]) for row in rows]
    assert [picked(p, [8], FIRST, keys).sum() for p in pickers] == pytest.approx([91.0, 93.0, 94.0, 96.0])
    assert [picked(p, [8], EXACT, keys).sum() for p in pickers] == pytest.approx([91.0, 92.5, 94.0, 96.0])
    assert sum(maj_at_k(c, r, 8) for c, r in zip(classes, correct, strict=True)) == pytest.approx(92.5)


@pytest.mark.parametrize("labels", [["False", "True"], [-1, 1], [0.5, 1], [None, True], [float("nan"), 1], [object(), object()]])
def test_labels_that_are_no_truths(labels: list[bool]) -> None:
    """They would count as right, or as more or less than one."""
    for measured in (lambda: mean_accuracy(labels), lambda: pass_at_k(labels, 1), lambda: rm_at_k([1, 2], labels, 1), lambda: maj_at_k([0, 1], labels, 1)):
        with pytest.raises(UserError, match="labels are .*; give True or False"):
            measured()
    with pytest.raises(UserError, match="classes are .*; give the numbers"):
        maj_at_k(["0.5", "1/2"], [True, True], 2)  # type: ignore[list-item]
    assert pass_at_k(np.array([1.0, 0.0]), 1) == 0.5  # type: ignore[arg-type]
