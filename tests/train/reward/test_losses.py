"""The losses compared with formulas in plain float64 Python, for every number of right responses."""

from __future__ import annotations

import math
import random

import pytest
import torch

from acemath.train.reward.losses import LOSSES, batch_loss, pair_margins

SIZE = 6


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _reference(name: str, rewards: list[float], labels: list[int]) -> float:
    right = [r for r, y in zip(rewards, labels, strict=True) if y]
    wrong = [r for r, y in zip(rewards, labels, strict=True) if not y]
    if name == "listwise":  # paper, section 4.2: the mean over all k (n - k) pairs
        terms = [_softplus(w - r) for r in right for w in wrong]
        assert len(terms) == len(right) * (len(rewards) - len(right))
    elif name == "pairwise":
        terms = [_softplus(wrong[0] - right[0])]
    elif name == "cross-entropy":
        terms = [_softplus(-r if y else r) for r, y in zip(rewards, labels, strict=True)]
    else:
        terms = [(r - y) ** 2 for r, y in zip(rewards, labels, strict=True)]
    return math.fsum(terms) / len(terms)


@pytest.mark.parametrize("dtype,exact", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_mix_of_labels(name: str, dtype: torch.dtype, exact: float) -> None:
    """1 to 5 right of 6, rewards up to 30 apart (no overflow), with and without centring, as a batch's mean."""
    rng = random.Random(name)
    for centring in (0.0, 0.01):
        groups = []
        for right in range(1, SIZE):
            labels = [1] * right + [0] * (SIZE - right)
            rng.shuffle(labels)
            groups.append(([rng.gauss(0, 8) for _ in labels], labels))
        each = [_reference(name, r, y) + centring * (math.fsum(r) / SIZE) ** 2 for r, y in groups]
        found = batch_loss(
            name,
            [torch.tensor(r, dtype=dtype) for r, _ in groups],
            [torch.tensor(y) for _, y in groups],
            centring,
        )
        assert found.item() == pytest.approx(math.fsum(each) / len(each), rel=exact)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_equal_finite_differences(name: str) -> None:
    """Gradients equal finite differences of the reference."""
    labels, step = [1, 0, 0, 1, 1, 0], 1e-6
    rewards = [random.Random(7 + i).gauss(0, 2) for i in range(SIZE)]
    tensor = torch.tensor(rewards, dtype=torch.float64, requires_grad=True)
    batch_loss(name, [tensor], [torch.tensor(labels)]).backward()
    for i in range(SIZE):
        high, low = (
            _reference(name, [r + sign * step * (j == i) for j, r in enumerate(rewards)], labels)
            for sign in (1, -1)
        )
        assert tensor.grad is not None
        assert tensor.grad[i].item() == pytest.approx((high - low) / (2 * step), abs=1e-7)


def test_margins_are_right_minus_wrong() -> None:
    """Every right response with every wrong one, in order."""
    found = pair_margins(torch.tensor([3.0, 1.0, 2.0, 5.0]), torch.tensor([0, 1, 1, 0]))
    assert found.tolist() == [-2.0, -4.0, -1.0, -3.0]
