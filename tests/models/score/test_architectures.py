"""Shared prompts in several architectures: the scores and gradients of separate rows, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.score.layout import Row, plain_batch, token_batches
from acemath.models.score.model import body, head_scores, plain_states
from acemath.models.score.packed import packed_states, passes
from acemath.models.score.probe import FLOAT32, _difference, active_window, check_sharing
from acemath.train.reward.losses import batch_loss
from acemath.train.sharding import shard

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
    """A tiny model, with weights so large that tokens influence one another."""
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
    """The reference: a plain call for each response, without padding."""
    texts = [[*row.prompt, *response] for row in rows for response in row.responses]
    return torch.stack([model(input_ids=torch.tensor([text])).logits[0, 0] for text in texts])


def _gradients(model: Any, rewards: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    batch_loss("listwise", list(rewards.split(6)), [row.key for row in _rows()]).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _packed(model: Any, rows: list[Row]) -> torch.Tensor:
    return head_scores(model, packed_states(model, rows))


def _plain(model: Any, rows: list[Row]) -> torch.Tensor:
    return head_scores(model, plain_states(model, plain_batch(rows, 0)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_plain_rows_equal_separate_calls(name: str) -> None:
    """In float32 to 1e-5, in padded batches of any shape."""
    model, rows = _model(name), _rows()
    expected = _separate(model, rows).reshape(3, 6)
    parts = [Row(row.prompt, row.responses[at : at + 2], (n, at)) for n, row in enumerate(rows) for at in (0, 2, 4)]
    found = torch.full((3, 6), torch.nan)
    with torch.no_grad():
        for batch in token_batches(parts, 700):
            rewards = _plain(model, batch).tolist()
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
        # Softmax cancels the bias of keys, so its gradient is only rounding; the floor keeps it from failing.
        error = (found[weights] - gradient).norm() / gradient.norm().clamp_min(1e-3)
        assert error < 1e-4, (weights, float(error))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "gemma2", "phi3"])
def test_packed_groups_equal_separate_calls(
    name: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores to 1e-5, gradients to 1e-4, with plain and fused attention; Gemma 2 bounds its scores."""
    monkeypatch.setattr("acemath.models.score.attention.attention", lambda *_: attention)
    model, rows = _model(name), _rows()
    if name == "gemma2":
        model.set_attn_implementation("eager")  # the fused kernel of the reference forgets the bound
    separate = _separate(model, rows)
    expected = _gradients(model, separate)
    together = _packed(model, rows)
    assert torch.allclose(together, separate, atol=1e-5)
    _assert_same(_gradients(model, together), expected)


@pytest.mark.parametrize("budget", [1, 80, 10_000])
def test_problems_are_cut_where_a_pass_is_full(budget: int) -> None:
    """Every response is in exactly one pass, with the same score; a pass keeps to its budget or holds one response."""
    model, rows = _model("qwen2"), _rows()
    numbered = [Row(row.prompt, row.responses, number) for number, row in enumerate(rows)]
    found = torch.full((3, 6), torch.nan)
    with torch.no_grad():
        expected = _separate(model, rows).reshape(3, 6)
        for batch in passes(numbered, budget):
            assert sum(part.length for part in batch) <= budget or len(batch[0].responses) == len(batch) == 1
            keys = [(part.key[0], which) for part in batch for which in part.key[1]]
            for key, reward in zip(keys, _packed(model, batch), strict=True):
                assert found[key].isnan()
                found[key] = reward
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_common_openings_are_read_once(name: str) -> None:
    """Responses share openings on two levels: fewer tokens are read, with the same scores and gradients."""
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
    together = _packed(model, shared)
    distinct = sum(len(r.prompt) + len(opening) + len(deeper) + sum(map(len, r.responses)) for r in rows)
    assert sum(read) < distinct < whole / 2
    assert torch.allclose(together, separate, atol=1e-5)
    _assert_same(_gradients(model, together), _gradients(model, separate))


@pytest.mark.parametrize("name", [*ARCHITECTURES, "gemma2", "olmo2", "phi3", "mixtral"])
def test_probe_passes_what_is_exact(name: str) -> None:
    """The check passes, and leaves the mode, attention and gradients as they were."""
    model = _model(name, num_local_experts=4) if name == "mixtral" else _model(name)
    model.train()
    before = model.config._attn_implementation
    check_sharing(model, 64)
    assert model.training and model.config._attn_implementation == before
    assert all(p.grad is None for p in model.parameters())


JAMBA = {
    "num_hidden_layers": 4, "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
    "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 8,
}  # fmt: skip


def test_probe_refuses_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the configuration, and by the states if the configuration says nothing."""
    jamba = _model("jamba", **JAMBA)
    with pytest.raises(UserError, match="layers of the kind linear_attention.*share_prefix: false"):
        check_sharing(jamba, 64)
    monkeypatch.setattr("acemath.models.score.probe.other_layers", lambda _: [])
    with pytest.raises(UserError, match="states differ by .*share_prefix: false"):
        check_sharing(jamba, 64)
    with pytest.raises(UserError, match="cannot read responses that share a prompt"):
        check_sharing(_model("bloom", n_layer=2, n_head=4), 64)


def test_rounding_in_bfloat16_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the head reads only their rounding; a state that carries over between responses is refused."""
    model = _model("qwen2").to(torch.bfloat16)
    with torch.no_grad():
        states = plain_states(model, plain_batch(_rows(), 0)).float()
        model.score.weight.copy_(torch.linalg.svd(states)[2][-1:])
    check_sharing(model, 64)
    monkeypatch.setattr("acemath.models.score.probe.other_layers", lambda _: [])
    with pytest.raises(UserError, match="states differ by"):
        check_sharing(_model("jamba", **JAMBA).to(torch.bfloat16), 64)


@pytest.fixture
def group() -> Iterator[None]:
    """A process group of this process alone, as shards need one."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_shards_of_float32_that_compute_in_bfloat16_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their states are rounded as bfloat16 is, though the weights are float32. What is not rounding is refused in shards too."""

    def sharded(model: Any) -> Any:
        return shard(model, body(model), torch.device("cpu"), bf16=True)

    model = sharded(_model("qwen2"))
    assert model.dtype == torch.float32 and _difference(model)[1] == torch.bfloat16
    assert _difference(model)[0] > FLOAT32
    check_sharing(model, 64)
    monkeypatch.setattr("acemath.models.score.probe.other_layers", lambda _: [])
    with pytest.raises(UserError, match="states differ by"):
        check_sharing(sharded(_model("jamba", **JAMBA)), 64)


def test_what_is_refused_is_read_in_plain_rows() -> None:
    """share_prefix: false gives a state space model the scores of separate calls."""
    model, rows = _model("jamba", **JAMBA), _rows()
    with torch.no_grad():
        found, expected = _plain(model, rows), _separate(model, rows)
    assert torch.allclose(found, expected, atol=1e-5)


def test_sliding_windows_shorter_than_a_text_are_refused() -> None:
    """In models that use their window."""
    mistral = _model("mistral", sliding_window=64)
    check_sharing(mistral, 64)
    with pytest.raises(UserError, match="looks back 64 tokens .* and max_length is 65"):
        check_sharing(mistral, 65)
    assert active_window(_model("gemma2").config) == 4096
    assert active_window(_model("qwen2").config) is None
    assert active_window(_model("qwen2", use_sliding_window=False, sliding_window=32).config) is None
    windowed = _model("qwen2", use_sliding_window=True, sliding_window=32, max_window_layers=1)
    assert active_window(windowed.config) == 32
