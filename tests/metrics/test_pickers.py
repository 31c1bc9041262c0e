"""The numbers of many problems at once against the functions of one problem, and against brute force."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acemath.errors import UserError
from acemath.metrics import (
    DRAWS,
    EXACT,
    FIRST,
    maj_at_k,
    pass_at_k,
    picked,
    protocol_of,
    rm_at_k,
    weighted_at_k,
)
from acemath.metrics.exact import mean_accuracy, vote_weights
from acemath.metrics.majority import maj_at_ks
from acemath.metrics.pickers import Best, BestOfMajority, Oracle, Picker, Random, Votes

SAME = {"rel": 0, "abs": 1e-12}


@st.composite
def pools(draw: st.DrawFn, most: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, rewards and labels of a few problems with n responses each; labels may differ within a class."""
    n = draw(st.integers(1, most))
    rows = draw(
        st.lists(
            st.lists(
                st.tuples(st.integers(-1, 4), st.sampled_from([-1.5, 0.0, 0.5, 2.0]), st.booleans()),
                min_size=n,
                max_size=n,
            ),
            min_size=1,
            max_size=4,
        )
    )
    table = np.array(rows, float)
    return table[:, :, 0].astype(int), table[:, :, 1], table[:, :, 2]


def _keys(count: int) -> list[str]:
    return [f"p{at}" for at in range(count)]


@settings(max_examples=80, deadline=None)
@given(pools())
def test_equal_to_one_problem_at_a_time(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Each picker's exact values are those of the scalar functions, at every k."""
    classes, rewards, correct = pool
    problems, n = classes.shape
    ks = range(1, n + 1)
    weights = vote_weights(rewards)
    softmax = vote_weights(rewards, 0.5)
    pickers: list[tuple[Picker, object]] = [
        (Random(correct), lambda p, k: mean_accuracy(correct[p])),
        (Oracle(correct), lambda p, k: pass_at_k(correct[p], k)),
        (Best(rewards, correct), lambda p, k: rm_at_k(rewards[p], correct[p], k)),
        (Votes(classes, correct), lambda p, k: maj_at_k(classes[p].tolist(), correct[p], k)),
        (Votes(classes, correct, weights), lambda p, k: weighted_at_k(classes[p], rewards[p], correct[p], k)),
        (
            Votes(classes, correct, softmax),
            lambda p, k: weighted_at_k(classes[p], rewards[p], correct[p], k, temperature=0.5),
        ),
    ]
    for picker, scalar in pickers:
        expected = [[scalar(p, k) for k in ks] for p in range(problems)]  # type: ignore[operator]
        assert picked(picker, list(ks), EXACT, _keys(problems)) == pytest.approx(np.array(expected), **SAME)


def _share(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _brute(name: str, classes: list[int], rewards: list[float], correct: list[float], k: int) -> float:
    """The mean over all k-subsets of the pick's correctness, ties shared, in plain Python."""

    def pick(subset: tuple[int, ...]) -> float:
        if name == "best":
            top = max(rewards[i] for i in subset)
            return _share([correct[i] for i in subset if rewards[i] == top])
        votes: dict[int, int] = {}
        for i in subset:
            if classes[i] >= 0:
                votes[classes[i]] = votes.get(classes[i], 0) + 1
        winners = [c for c, v in votes.items() if v == max(votes.values())]
        if name == "majority":
            whole = [[correct[i] for i, c in enumerate(classes) if c == winner] for winner in winners]
            return _share([_share(values) for values in whole])
        mine = [i for i in subset if classes[i] in winners]
        top = max((rewards[i] for i in mine), default=0.0)
        return _share([correct[i] for i in mine if rewards[i] == top])

    found = [pick(subset) for subset in combinations(range(len(classes)), k)]
    return sum(found) / len(found)


@settings(max_examples=60, deadline=None)
@given(pools(7))
def test_equal_to_brute_force(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """rm@k, maj@k and the best of the majority are means over all subsets, k = n among them."""
    classes, rewards, correct = pool
    problems, n = classes.shape
    pickers: dict[str, Picker] = {
        "best": Best(rewards, correct),
        "majority": Votes(classes, correct),
        "best of majority": BestOfMajority(classes, rewards, correct),
    }
    rows = [(classes[p].tolist(), rewards[p].tolist(), correct[p].tolist()) for p in range(problems)]
    for name, picker in pickers.items():
        expected = [[_brute(name, *row, k) for k in range(1, n + 1)] for row in rows]
        assert picker.exact(range(1, n + 1)) == pytest.approx(np.array(expected), **SAME)


@pytest.mark.parametrize("n", [64, 100])
def test_majority_keeps_its_digits(n: int) -> None:
    """Shapes from one class to all different, at every power of two: within 1e-12 of whole numbers."""
    rng = random.Random(n)
    shapes = [[0] * n, list(range(n)), [i // 2 for i in range(n)], [i % 2 for i in range(n)]]
    shapes += [[-1] * (n // 2) + [i // 3 for i in range(n - n // 2)]]
    for _ in range(8):
        head = rng.randrange(1, n)
        shapes.append([0] * head + [rng.randrange(-1, rng.choice([3, 8, n])) for _ in range(n - head)])
    classes = np.array(shapes)
    correct = (classes == 0).astype(float)
    ks = [2**i for i in range(8) if 2**i <= n] + [n - 1, n]
    expected = [[maj_at_k(c.tolist(), r, k) for k in ks] for c, r in zip(classes, correct, strict=True)]
    assert maj_at_ks(classes, correct, ks) == pytest.approx(np.array(expected), **SAME)


def test_majority_beyond_float64() -> None:
    """Above 500 responses binomials leave float64, and whole numbers count."""
    classes = np.array([[0] * 300 + [1] * 301])
    correct = (classes == 0).astype(float)
    values = Votes(classes, correct).exact([1, 300, 601])
    assert values[0] == pytest.approx([300 / 601, maj_at_k(classes[0].tolist(), correct[0], 300), 0.0])


def _random_pool(problems: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = rng.integers(-1, 4, (problems, n))
    return classes, np.round(rng.normal(size=(problems, n)), 1), (classes == 0).astype(float)


def test_draws_come_to_the_exact_value() -> None:
    """Each picker's mean over 2,000 draws of 4 from 12 is within four standard errors of the exact value."""
    classes, rewards, correct = _random_pool(40, 12, 1)
    pickers: list[Picker] = [
        Random(correct), Oracle(correct), Best(rewards, correct), Votes(classes, correct),
        Votes(classes, correct, vote_weights(rewards)), BestOfMajority(classes, rewards, correct),
    ]  # fmt: skip
    for picker in pickers:
        exact = picked(picker, [4], EXACT, _keys(40))
        drawn = picked(picker, [4], protocol_of("draws", 2000), _keys(40))
        assert abs(exact - drawn).max() < 4 * 0.5 / 2000**0.5 and (exact != drawn).any()
        assert abs(exact.mean() - drawn.mean()) < 4 * 0.5 / (40 * 2000) ** 0.5


def test_draws_of_a_problem_do_not_depend_on_the_others() -> None:
    """A problem's hundred draws follow from its key and the seed, whatever else is measured."""
    classes, rewards, correct = _random_pool(6, 10, 2)
    whole = picked(Best(rewards, correct), [1, 4], DRAWS, _keys(6))
    part = picked(Best(rewards[3:], correct[3:]), [4], DRAWS, _keys(6)[3:])
    assert (whole[3:, 1] == part[:, 0]).all()
    assert (picked(Best(rewards, correct), [4], protocol_of("draws", 100, 1), _keys(6)) != whole[:, 1:]).any()


def test_first_k_is_the_harness() -> None:
    """The first k responses; of equal rewards and equal votes the one that came first; the answer's first verdict."""
    classes = np.array([[1, 0, 0, 1, 2]])
    rewards = np.array([[0.0, 3.0, 3.0, 1.0, 9.0]])
    correct = np.array([[1.0, 0.0, 1.0, 0.0, 1.0]])

    def first(picker: Picker, k: int) -> float:
        return float(picked(picker, [k], FIRST, ["p"])[0, 0])

    assert [first(Best(rewards, correct), k) for k in (1, 3, 5)] == [1.0, 0.0, 1.0]
    assert [first(Votes(classes, correct), k) for k in (2, 3, 4)] == [1.0, 0.0, 1.0]
    assert [first(Random(correct), k) for k in (1, 2, 4)] == [1.0, 0.5, 0.5]
    assert [first(Oracle(correct), k) for k in (1, 2)] == [1.0, 1.0]
    assert first(BestOfMajority(classes, rewards, correct), 4) == 0.0
    assert first(Votes(np.array([[-1, -1]]), np.array([[0.0, 1.0]])), 2) == 0.0
    assert Votes(classes, correct).exact([4])[0, 0] < 1.0, "the exact value shares where the harness does not"


def test_undefined_and_refused() -> None:
    """k above n is nan, k below 1 is an error, and so is a protocol or a temperature that there is not."""
    correct = np.array([[1.0, 0.0]])
    for protocol in (EXACT, DRAWS, FIRST):
        found = picked(Oracle(correct), [2, 3], protocol, ["p"])
        assert found[0, 0] == 1.0 and np.isnan(found[0, 1])
        with pytest.raises(UserError, match="k is 0"):
            picked(Oracle(correct), [0], protocol, ["p"])
    with pytest.raises(UserError, match="no protocol 'best'; use exact, draws, first-k"):
        protocol_of("best")
    with pytest.raises(UserError, match="at least 1 draw"):
        protocol_of("draws", 0)
    with pytest.raises(UserError, match="temperature of softmax votes is 0"):
        vote_weights(np.array([1.0]), 0)
    with pytest.raises(UserError, match="spread over 800.*at least 1.14"):
        vote_weights(np.array([[0.0, 800.0]]), 1.0)


def test_responses_that_a_judge_did_not_score() -> None:
    """nan ranks below every number, weighs nothing in a vote, and does not spoil the others' weights."""
    nan = float("nan")
    rewards, correct = np.array([[nan, -5.0, nan]]), np.array([[1.0, 0.0, 1.0]])
    assert Best(rewards, correct).exact([1, 2, 3])[0] == pytest.approx([2 / 3, 1 / 3, 0.0])
    weights = vote_weights(rewards)
    assert weights.tolist() == [[0.0, 0.5, 0.0]]
    assert Votes(np.array([[0, 1, 0]]), correct, weights).exact([3])[0, 0] == 0.0
    assert vote_weights(np.array([[nan, nan]]), 1.0).tolist() == [[0.0, 0.0]]
