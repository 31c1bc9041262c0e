"""How tokens are drawn: the distribution, top-p with few candidates against sorted rows, and logits that are no numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from acemath.errors import UserError
from acemath.models.engine import Sampling
from acemath.models.generate.draw import CANDIDATES, _inverse, draw, uniform


def _shares(count: int, step: int = 0) -> Tensor:
    return torch.from_numpy(uniform(range(count), [step] * count))


def test_draws_follow_the_distribution() -> None:
    """Inverse transform: frequencies match the softmax, and top_p cuts the tail."""
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(20_000, 1)
    shares = _shares(20_000)
    found = torch.bincount(draw(logits, Sampling(temperature=1.0), shares), minlength=4) / 20_000
    assert torch.allclose(found, torch.softmax(logits[0], -1), atol=0.015)
    cut = draw(logits, Sampling(temperature=1.0, top_p=0.6), shares)
    assert set(cut.tolist()) == {0}
    numbers = _shares(10_000, 3)
    assert numbers.min() >= 0 and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.02


def _sorted_whole(logits: Tensor, sampling: Sampling, shares: Tensor) -> Tensor:
    """Top-p as it is defined: the whole row is sorted, and the kept probabilities are summed over the vocabulary."""
    probs = torch.softmax(logits.float() / sampling.temperature, dim=-1)
    ranked, index = probs.sort(dim=-1, descending=True, stable=True)
    ranked[ranked.cumsum(-1) - ranked > sampling.top_p] = 0
    sums = torch.zeros_like(probs).scatter(-1, index, ranked).cumsum(-1)
    part = shares.float().clamp(max=1 - 2**-24)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, part, right=True)[:, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("top_p", [0.3, 0.95, 0.999])
@pytest.mark.parametrize("spread", [0.3, 2.0, 8.0])
def test_candidates_give_the_tokens_of_sorted_rows(dtype: torch.dtype, top_p: float, spread: float) -> None:
    """For flat and steep rows, and for bfloat16, where many tokens are equally likely."""
    torch.manual_seed(0)
    logits = (torch.randn(64, 8 * CANDIDATES) * spread).to(dtype)
    sampling = Sampling(temperature=0.7, top_p=top_p)
    for step in range(4):
        shares = _shares(64, step)
        expected = _sorted_whole(logits, sampling, shares)
        assert draw(logits, sampling, shares).tolist() == expected.tolist()


def test_candidates_know_when_they_do_not_suffice() -> None:
    """Steep rows need no sort; rows whose nucleus is larger, or ends among equal values, do."""
    steep = torch.softmax(torch.linspace(9, -9, 300), -1)
    flat = torch.full((300,), 1 / 300)
    tied = torch.tensor([0.5, *[0.5 / 299] * 299])
    _, sure = _inverse(torch.stack([steep, flat, tied]), torch.full((3,), 0.5), 0.9, 100)
    assert sure.tolist() == [True, False, False]
    _, sure = _inverse(tied[None], torch.full((1,), 0.5), 0.4, 100)
    assert sure.tolist() == [True]  # its first token suffices


@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_an_impossible_token_is_never_drawn(top_p: float) -> None:
    """The largest number in [0, 1) rounds to 1.0 in float32; the last token, which has no probability, is not drawn."""
    logits = torch.randn(50, 300).masked_fill(torch.arange(300) > 250, -torch.inf)
    shares = torch.full((50,), 1 - 2.0**-53, dtype=torch.float64)
    assert draw(logits, Sampling(temperature=1.0, top_p=top_p), shares).max() <= 250


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_an_error(temperature: float, value: float) -> None:
    """They would draw a token that means nothing; in rows that nobody reads they do no harm."""
    logits = torch.tensor([[0.0, 1.0], [0.0, value]])
    sampling = Sampling(temperature=temperature, top_p=0.9)
    with pytest.raises(UserError, match="gives nan or inf"):
        draw(logits, sampling, torch.zeros(2))
    draw(logits, sampling, torch.tensor([0.0, -1.0]))
