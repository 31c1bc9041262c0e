"""Packed rows against separate forward passes, losses against plain arithmetic, and batches of a bounded size."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from acemath.models.engine import ChatFormat
from acemath.models.score.layout import encode_row, padded, token_batches
from acemath.models.score.model import head_scores, tokenizer_of
from acemath.models.score.packed import packed_states
from acemath.train.reward.losses import LOSSES, batch_loss
from acemath.train.reward.start import new_reward_model

PROMPT = "What is 3+4?"
TEXTS = ["3+4=7\nSo \\boxed{7}.", "So \\boxed{8}.", "3+4=12 and then some more words\nSo \\boxed{12}."]


def test_shared_prefix_equals_separate_rows(tiny_policy: Path) -> None:
    """One row with all responses gives the rewards and gradients of separate calls."""
    tokenizer = tokenizer_of(tiny_policy)
    model = new_reward_model(tiny_policy, tokenizer, None, seed=1)
    chat = ChatFormat(system="Check it.")
    rows = [
        encode_row(p, TEXTS, tokenizer, chat, 512)[0]
        for p in (PROMPT, "Tom has 12 apples and eats 5 of them. How many?")
    ]
    plain = []
    for row in rows:
        for response in row.responses:
            ids = torch.tensor([row.prompt + response])
            plain.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0])
    torch.stack(plain).square().sum().backward()
    gradient = model.model.layers[0].self_attn.k_proj.weight.grad.clone()
    model.zero_grad()
    shared = head_scores(model, packed_states(model, rows))
    shared.square().sum().backward()
    assert torch.allclose(shared, torch.stack(plain), atol=1e-5)
    assert torch.allclose(model.model.layers[0].self_attn.k_proj.weight.grad, gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_equal_plain_arithmetic(name: str) -> None:
    """Each loss against its formula in plain Python."""
    rewards, labels = [0.3, -1.2, 2.0, 0.1], [1, 0, 0, 1]

    def bt(margin: float) -> float:
        return math.log(1 + math.exp(-margin))

    margins = [
        r - w
        for r, y in zip(rewards, labels, strict=True)
        if y
        for w, z in zip(rewards, labels, strict=True)
        if not z
    ]
    expected = {
        "listwise": sum(map(bt, margins)) / 4,
        "pairwise": bt(margins[0]),
        "cross-entropy": sum(bt(r if y else -r) for r, y in zip(rewards, labels, strict=True)) / 4,
        "mse": sum((r - y) ** 2 for r, y in zip(rewards, labels, strict=True)) / 4,
    }[name]
    got = batch_loss(name, [torch.tensor(rewards, dtype=torch.float64)], [torch.tensor(labels)])
    assert got.item() == pytest.approx(expected, abs=1e-9)


def test_batches_keep_to_the_budget(tiny_policy: Path) -> None:
    """No batch exceeds its tokens, padding included, and every row is in one."""
    tokenizer = tokenizer_of(tiny_policy)
    rows = [encode_row("x " * (i % 30), TEXTS, tokenizer, ChatFormat(), 512, i)[0] for i in range(50)]
    batches = list(token_batches(rows, 600))
    assert sorted(r.key for b in batches for r in b) == list(range(50))
    for batch in batches:
        longest = max(len(r.prompt) + max(map(len, r.responses)) for r in batch)
        assert len(batch) == 1 or sum(len(r.responses) for r in batch) * padded(longest) <= 600
