"""Several groups in one row under FlexAttention on a CPU, where torch's kernel has only a forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask, create_mask, flex_attention
from transformers import AutoConfig, AutoModelForSequenceClassification

from acemath.models.score import flex
from acemath.models.score.flex import flex_states, packed_row
from acemath.models.score.layout import Row
from acemath.models.score.model import head_scores
from acemath.models.score.probe import check_sharing
from acemath.train.reward.losses import batch_loss
from acemath.train.reward.passes import layout_of
from acemath.train.reward.settings import RewardSettings

KERNEL = "transformers.integrations.flex_attention.compile_friendly_flex_attention"
ARCHITECTURES = ["qwen2", "qwen3", "llama", "mistral", "gemma"]


def _model(name: str) -> Any:
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        name, vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, num_labels=1, pad_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    return AutoModelForSequenceClassification.from_config(config).eval()


def _rows() -> list[Row]:
    random = torch.Generator().manual_seed(2)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=random))
        return torch.randint(1, 97, (length,), generator=random).tolist()

    return [Row(ids(5, 20), [ids(1, 20) for _ in range(4)], torch.tensor([1, 0, 1, 0])) for _ in range(3)]


def _separate(model: Any, rows: list[Row]) -> torch.Tensor:
    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    return torch.stack([model(input_ids=torch.tensor([text])).logits[0, 0] for text in texts])


def _uncompiled(query: Any, key: Any, value: Any, training: bool = False, **options: Any) -> Any:
    """torch's FlexAttention without compiling, which would take longer than the test."""
    return flex_attention(query, key, value, **options)


def _dense(
    query: Any, key: Any, value: Any, block_mask: BlockMask, scale: float, training: bool = False, **_: Any
) -> Any:
    """The whole mask through the fused kernel, which has gradients on a CPU."""
    width = query.shape[2]
    mask = create_mask(block_mask.mask_mod, None, None, width, width, device="cpu")
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=scale, enable_gqa=True
    )


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 256 tokens."""
    monkeypatch.setattr(flex, "WIDTH_STEP", 256)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_equal_separate_calls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups in one row, in float32 to 1e-5; the probe passes."""
    monkeypatch.setattr(KERNEL, _uncompiled)
    model, rows = _model(name), _rows()
    with torch.no_grad():
        expected = _separate(model, rows)
        model.requires_grad_(False)
        found = head_scores(model, flex_states(model, rows, 0))
        check_sharing(model, 64, "flex")
    assert expected.std() > 0.01
    assert torch.allclose(found, expected, atol=1e-5)


def test_gradients_equal_separate_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every weight, to 1e-4 of its gradient's size, under the same mask."""
    monkeypatch.setattr(KERNEL, _dense)
    model, rows = _model("qwen2"), _rows()

    def gradients(rewards: torch.Tensor) -> dict[str, torch.Tensor]:
        model.zero_grad()
        batch_loss("listwise", list(rewards.split(4)), [row.key for row in rows]).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients(_separate(model, rows))
    found = gradients(head_scores(model, flex_states(model, rows, 0)))
    for weights, gradient in expected.items():
        error = (found[weights] - gradient).norm() / gradient.norm().clamp_min(1e-3)
        assert error < 1e-4, (weights, float(error))


def test_rows_hold_groups_one_after_another() -> None:
    """Positions continue those of the group's prompt; padding has no group; ends are the last tokens."""
    row = packed_row([Row([5, 6], [[7], [8, 9]], None), Row([10], [[11, 12]], None)], 0)
    assert row.ids.shape == (1, 256) and row.ids[0, :8].tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    assert row.positions[0, :8].tolist() == [0, 1, 2, 2, 3, 0, 1, 2]
    assert row.group[:9].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, -1]
    assert row.segment[:8].tolist() == [0, 0, 1, 2, 2, 0, 1, 1]
    assert row.ends.tolist() == [2, 4, 7]


def test_the_layout_follows_the_device() -> None:
    """FlexAttention on a GPU, packed rows on a CPU; a setting comes first."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert layout_of(RewardSettings(), gpu) == "flex"
    assert layout_of(RewardSettings(), cpu) == "packed"
    assert layout_of(RewardSettings(layout="packed"), gpu) == "packed"
    assert layout_of(RewardSettings(share_prefix=False), gpu) == "plain"
