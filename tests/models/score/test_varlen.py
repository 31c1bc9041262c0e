"""Attention by the borders of texts, on a CPU: what it is told, what it computes, and what it refuses."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from acemath.models.score import packed
from acemath.models.score.attention import SEGMENTS as PLANNED
from acemath.models.score.attention import Segment, plan_row, segment_attention, text_plan
from acemath.models.score.layout import Row
from acemath.models.score.model import attend, head_scores
from acemath.models.score.packed import packed_states
from acemath.models.score.varlen import VARLEN, borders, fits_varlen, varlen_attention, varlen_plan
from acemath.train.packing import Collator, as_example, keeps_apart
from acemath.train.reward.losses import batch_loss

CPU = torch.device("cpu")
# 0 and 3 start texts; 2 continues 1, which continues 0.
SEGMENTS = [Segment(*s) for s in [(0, 5, None), (5, 18, 0), (18, 25, 1), (25, 26, None), (26, 40, 3), (40, 41, 3)]]
SIZES: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0, "initializer_range": 0.2,
}  # fmt: skip


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed rows take this attention, as on a GPU in bfloat16."""
    monkeypatch.setattr(packed, "fits_varlen", lambda *_: True)


def test_the_plan_of_a_row() -> None:
    """Queries are the row itself; a segment's keys are those of all that it continues, and its own."""
    plan = varlen_plan(SEGMENTS[:3], CPU)
    assert plan["cu_seq_lens_q"].tolist() == [0, 5, 18, 25] and plan["max_length_q"] == 13
    assert plan["cu_seq_lens_k"].tolist() == [0, 5, 23, 48] and plan["max_length_k"] == 25
    assert plan["seen"].tolist() == [*range(5), *range(18), *range(25)]
    assert plan["cu_seq_lens_q"].dtype == torch.int32


def test_borders_of_padded_rows() -> None:
    """Padding starts again at 0, and is a text of its own."""
    found = borders(torch.tensor([[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]]))
    assert found["cu_seq_lens_q"].tolist() == found["cu_seq_lens_k"].tolist() == [0, 3, 5, 7, 10]
    assert found["max_length_q"] == found["max_length_k"] == 3


def test_segments_equal_the_planned_attention_with_gradients() -> None:
    """Four heads that share two heads of keys."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, heads, 41, 16, requires_grad=True) for heads in (4, 2, 2))
    planned, _ = segment_attention(SimpleNamespace(), q, k, v, None, 0.25, plan=plan_row(SEGMENTS, torch.float32, CPU))
    found, _ = varlen_attention(SimpleNamespace(), q, k, v, None, 0.25, **varlen_plan(SEGMENTS, CPU))
    assert found.shape == planned.shape == (1, 41, 4, 16)
    assert torch.allclose(found, planned, atol=1e-5)
    ours, theirs = (torch.autograd.grad(part.square().sum(), [q, k, v]) for part in (found, planned))
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", ["qwen2", "qwen3", "llama", "mistral", "gemma"])
def test_scores_and_gradients_equal_separate_calls(name: str) -> None:
    """Three groups in one row, to 1e-5, and 1e-4 of a gradient's size."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(name, **SIZES, num_labels=1)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    draw = torch.Generator().manual_seed(2)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=draw))
        return torch.randint(1, 97, (length,), generator=draw).tolist()

    opening = ids(9, 10)
    rows = [Row(ids(5, 20), [[*opening, *ids(1, 20)] for _ in range(4)]) for _ in range(3)]
    labels = [torch.tensor([1, 0, 1, 0])] * 3

    def gradients(rewards: torch.Tensor) -> dict[str, torch.Tensor]:
        model.zero_grad()
        batch_loss("listwise", list(rewards.split(4)), labels).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    apart = torch.stack([model(input_ids=torch.tensor([text])).logits[0, 0] for text in texts])
    expected = gradients(apart)
    together = head_scores(model, packed_states(model, rows))
    assert model.config._attn_implementation == VARLEN
    assert apart.std() > 0.01 and torch.allclose(together, apart, atol=1e-5)
    found = gradients(together)
    for weights, gradient in expected.items():
        assert (found[weights] - gradient).norm() / gradient.norm().clamp_min(1e-3) < 1e-4, weights


@pytest.mark.parametrize(
    ("name", "more", "attention"),
    [("llama", {}, VARLEN), ("mistral", {"sliding_window": 3}, VARLEN), ("llama", {}, PLANNED), ("gemma2", {}, PLANNED)],
)
def test_packed_rows_equal_those_under_a_mask(name: str, more: dict[str, Any], attention: str) -> None:
    """Two rows of conversations, one of them padded; with a window that is shorter than they are, or bounded scores."""
    layout = borders if attention == VARLEN else partial(text_plan, dtype=torch.float32)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **SIZES, **more)).eval()
    texts = [SimpleNamespace(ids=range(3, 3 + n), labels=range(3, 3 + n)) for n in (7, 1, 5, 9)]
    examples = [as_example(texts[:3]), as_example(texts[3:])]
    with torch.no_grad():
        attend(model, "eager")
        batch = Collator(0)(examples)
        batch.pop("labels")
        masked = model(**batch, use_cache=False).logits
        assert keeps_apart(model, attention, layout) and model.config._attn_implementation == "eager"
        attend(model, attention)
        batch = Collator(0, layout=layout)(examples)
        batch.pop("labels")
        found = model(**batch, use_cache=False).logits
    assert torch.allclose(found[0], masked[0], atol=1e-5) and torch.allclose(found[1, :9], masked[1, :9], atol=1e-5)


def test_other_kinds_of_attention_are_not_taken_for_this_one() -> None:
    """Gemma 2 bounds its scores. The model's attention stays as it was set."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gemma2", **SIZES))
    attend(model, "eager")
    assert not keeps_apart(model, VARLEN, borders)
    assert model.config._attn_implementation == "eager"


def test_it_is_for_gpus_in_half_precision() -> None:
    """Not for a CPU, nor for float32."""
    config = AutoConfig.for_model("llama", **SIZES)
    assert not fits_varlen(config, CPU, torch.bfloat16)
    with pytest.raises(TypeError, match="does not pass the borders"):
        varlen_attention(SimpleNamespace(), *torch.randn(3, 1, 2, 4, 8), None, 1.0)
