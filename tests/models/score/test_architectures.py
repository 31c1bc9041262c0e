"""Rows that share a prompt in several architectures: the scores and gradients of separate rows, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.score import cached
from acemath.models.score.attention import Kept, Plan, plan_row
from acemath.models.score.cached import rewards_of_rows, score_rows
from acemath.models.score.layout import Row, batch_of, plain_batch, split_rows, token_batches
from acemath.models.score.model import rewards_of
from acemath.models.score.probe import active_window, check_sharing
from acemath.train.reward.losses import batch_loss

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_labels": 1,
    "pad_token_id": 0,
}
ARCHITECTURES = ["qwen2", "qwen3", "llama", "mistral", "gemma"]


def _model(name: str, **more: Any) -> Any:
    """A tiny model with weights large enough that tokens matter to one another."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(name, **{**SIZES, "initializer_range": 0.2, **more})
    return AutoModelForSequenceClassification.from_config(config).eval()


def _rows() -> list[Row]:
    """Three problems with six responses each, of many lengths."""
    random = torch.Generator().manual_seed(2)

    def ids(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (), generator=random))
        return torch.randint(1, 97, (length,), generator=random).tolist()

    return [
        Row(ids(5, 40), [ids(1, 50) for _ in range(6)], torch.tensor([1, 0, 1, 0, 0, 1])) for _ in range(3)
    ]


def _separate(model: Any, rows: list[Row]) -> torch.Tensor:
    """One plain call a response, no padding, nothing of ours: the reference."""
    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    return torch.stack([model(input_ids=torch.tensor([text])).logits[0, 0] for text in texts])


def _gradients(model: Any, rewards: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    batch_loss("listwise", list(rewards.split(6)), [row.key for row in _rows()]).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("share", [True, False], ids=["shared", "plain"])
@pytest.mark.parametrize("width", [80, 10_000], ids=["split", "whole"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_equal_separate_calls(name: str, width: int, share: bool) -> None:
    """However responses are laid out in rows and batches, in float32 to 1e-5."""
    model, rows = _model(name), _rows()
    expected = _separate(model, rows).reshape(3, 6)
    parts = [
        part for n, row in enumerate(rows) for part in split_rows(Row(row.prompt, row.responses, n), width)
    ]
    found = torch.full((3, 6), torch.nan)
    with torch.no_grad():
        for batch in token_batches(parts, 700, share):
            rewards = rewards_of(model, batch_of(batch, 0, share)).tolist()
            for part in batch:
                number, first = part.key
                for offset in range(len(part.responses)):
                    found[number, first + offset] = rewards.pop(0)
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-5)


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Gradients of every weight, to 1e-4 of their size."""
    assert found.keys() == expected.keys()
    for weights, gradient in expected.items():
        # A bias that softmax cancels (keys') has a gradient of rounding alone: the floor is for it.
        error = (found[weights] - gradient).norm() / gradient.norm().clamp_min(1e-3)
        assert error < 1e-4, (weights, float(error))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_equal_separate_calls(name: str, attention: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a group, with plain attention and the fused kernel."""
    monkeypatch.setattr("acemath.models.score.model.attention", lambda *_: attention)
    model, rows = _model(name), _rows()
    expected = _gradients(model, _separate(model, rows))
    found = _gradients(model, rewards_of(model, batch_of(rows, 0, True)))
    assert model.config._attn_implementation == attention
    _assert_same(found, expected)


@pytest.mark.parametrize("budget", [1, 60, 10_000])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "gemma2", "phi3"])
def test_kept_prompts_equal_separate_calls(name: str, budget: int) -> None:
    """Responses after their prompts' keys and values: scores to 1e-5, gradients to 1e-4; a text a pass, some, or all."""
    model, rows = _model(name), _rows()
    if name == "gemma2":
        model.set_attn_implementation("eager")  # the fused kernel forgets its bound on scores
    before = model.config._attn_implementation
    separate = _separate(model, rows)
    expected = _gradients(model, separate)
    together = rewards_of_rows(model, rows, budget)
    assert torch.allclose(together, separate, atol=1e-5)
    _assert_same(_gradients(model, together), expected)
    with torch.inference_mode():
        scored = {(row, which): reward for row, which, reward in score_rows(model, rows, budget)}
    assert torch.allclose(torch.tensor([scored[key] for key in sorted(scored)]), separate, atol=1e-5)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_common_openings_are_read_once(name: str) -> None:
    """Responses that begin alike, in two levels and beside others: fewer tokens, the same scores and gradients."""
    model, rows = _model(name), _rows()
    opening, deeper = rows[0].responses[0][:2] + list(range(1, 31)), list(range(40, 70))
    shared = [
        Row(row.prompt, [opening + deeper + row.responses[0], opening + deeper + [5], opening + row.responses[2], opening + [3],
                         row.responses[4], opening], row.key)
        for row in rows
    ]  # fmt: skip
    read: list[int] = []
    embeddings = model.get_input_embeddings()
    embeddings.register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
    separate = _separate(model, shared)
    whole, read[:] = sum(read), []
    together = rewards_of_rows(model, shared, 100)
    distinct = sum(len(r.prompt) + len(opening) + len(deeper) + sum(map(len, r.responses)) for r in rows)
    assert sum(read) < distinct < whole / 2
    assert torch.allclose(together, separate, atol=1e-5)
    _assert_same(_gradients(model, together), _gradients(model, separate))


def test_keys_and_values_are_held_no_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one prompt at a time, when a pass holds one text; none after the last."""
    model, rows = _model("qwen2"), _rows()
    held: list[set[int]] = []
    stores: list[Kept] = []

    def watched(spans: Any, kept: Kept, *given: Any) -> Plan:
        held.append(set(kept))
        stores.append(kept)
        return plan_row(spans, kept, *given)

    monkeypatch.setattr(cached, "plan_row", watched)
    with torch.no_grad():
        assert len(list(score_rows(model, rows, 1))) == 18
    assert max(map(len, held)) == 1 and len(set().union(*held)) == 3 and not stores[-1]


@pytest.mark.parametrize("layout", ["cached", "rows"])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "gemma2", "olmo2", "phi3", "mixtral"])
def test_probe_passes_what_is_exact(name: str, layout: str) -> None:
    """The check at the start lets them through, and leaves mode, attention and gradients as they were."""
    model = _model(name, num_local_experts=4) if name == "mixtral" else _model(name)
    model.train()
    before = model.config._attn_implementation
    check_sharing(model, 64, layout)
    assert model.training and model.config._attn_implementation == before
    assert all(p.grad is None for p in model.parameters())


JAMBA = {
    "num_hidden_layers": 4, "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
    "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 8,
}  # fmt: skip


def test_probe_refuses_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """State space layers by name, linear attention, and by the scores where the configuration says nothing."""
    jamba = _model("jamba", **JAMBA)
    with pytest.raises(UserError, match="layers of the kind linear_attention.*share_prefix: false"):
        check_sharing(jamba, 64)
    monkeypatch.setattr("acemath.models.score.probe.other_layers", lambda _: [])
    with pytest.raises(UserError, match="scores differ by .*share_prefix: false"):
        check_sharing(jamba, 64)
    with pytest.raises(UserError, match="does not take responses that share a prompt"):
        check_sharing(jamba, 64, "cached")
    with pytest.raises(UserError, match="does not take responses that share a prompt"):
        check_sharing(_model("bloom", n_layer=2, n_head=4), 64)


def test_what_is_refused_is_read_in_plain_rows() -> None:
    """share_prefix: false gives a state space model the scores of separate calls."""
    model, rows = _model("jamba", **JAMBA), _rows()
    with torch.no_grad():
        found, expected = rewards_of(model, plain_batch(rows, 0)), _separate(model, rows)
    assert torch.allclose(found, expected, atol=1e-5)


def test_sliding_windows_are_refused_where_they_close() -> None:
    """A window that is shorter than the longest text, in the models that use theirs."""
    mistral = _model("mistral", sliding_window=64)
    check_sharing(mistral, 64)
    with pytest.raises(UserError, match="looks back 64 tokens .* max_length is 65"):
        check_sharing(mistral, 65)
    assert active_window(_model("gemma2").config) == 4096
    assert active_window(_model("qwen2").config) is None
    assert active_window(_model("qwen2", use_sliding_window=False, sliding_window=32).config) is None
    windowed = _model("qwen2", use_sliding_window=True, sliding_window=32, max_window_layers=1)
    assert active_window(windowed.config) == 32
