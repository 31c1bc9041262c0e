"""Attention in blocks equals plain attention written out, whatever the sizes, masks and groups."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from acemath.attention import BLOCK, NAME, blocked_attention
from acemath.sft.hardware import PLAIN_ATTENTION_TOKENS, attention


def plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, cap: float | None
) -> torch.Tensor:
    """The definition, in float64, every head with keys of its own."""
    share = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(share, 1).double(), v.repeat_interleave(share, 1).double()
    scores = q.double() @ k.transpose(2, 3) * 0.25
    if cap:
        scores = cap * torch.tanh(scores / cap)
    return ((scores + mask.double()).softmax(-1) @ v).transpose(1, 2)


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("past", [0, 7])
@pytest.mark.parametrize("cap", [None, 30.0])
def test_blocks_equal_the_definition_with_gradients(length: int, past: int, cap: float | None) -> None:
    """Four heads on two groups of keys, after keys that were read before, under a causal and a narrower mask."""
    torch.manual_seed(length + past)
    q = torch.randn(2, 4, length, 16, requires_grad=True)
    k, v = (torch.randn(2, 2, past + length, 16, requires_grad=True) for _ in range(2))
    later = torch.ones(length, past + length, dtype=torch.bool).triu(past + 1).expand(2, 1, -1, -1)
    hidden = later | (torch.rand(later.shape) < 0.3)
    hidden = hidden & ~torch.eye(length, past + length, dtype=torch.bool).roll(past, 1)  # a token sees itself
    module = SimpleNamespace(training=False)
    for given, which in ((None, later), (hidden, hidden)):
        mask = torch.zeros(which.shape).masked_fill(which, torch.finfo(torch.float32).min)
        found, _ = blocked_attention(module, q, k, v, None if given is None else mask, 0.25, softcap=cap)
        expected = plain(q, k, v, mask, cap)
        assert found.shape == (2, length, 4, 16) and torch.allclose(found.double(), expected, atol=1e-5)
        ours = torch.autograd.grad(found.square().sum(), (q, k, v))
        theirs = torch.autograd.grad(expected.square().sum(), (q, k, v))
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other.to(one.dtype), rtol=1e-3, atol=1e-4)


def test_blocks_are_for_scoring_on_processors() -> None:
    """Training takes plain attention, or the fused kernel where rows are long; a GPU always takes the fused kernel."""
    cpu = torch.device("cpu")
    assert (
        attention(cpu, PLAIN_ATTENTION_TOKENS) == "eager"
        and attention(cpu, PLAIN_ATTENTION_TOKENS + 1) == "sdpa"
    )
    with torch.no_grad():
        assert attention(cpu, 10) == attention(cpu, 100_000) == NAME
        assert attention(torch.device("cuda"), 100) == "sdpa"
