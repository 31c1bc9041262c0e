"""Groups that are larger than a pass: the gradients and rewards of whole groups, from passes of a bounded size."""

from __future__ import annotations

import sys
from typing import Any

import psutil
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.utils.checkpoint import CheckpointPolicy
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.score.layout import Row, padded
from acemath.train import memory
from acemath.train.lora import add_lora, shrink_frozen
from acemath.train.reward import start
from acemath.train.reward.losses import LOSSES
from acemath.train.reward.passes import best_of_candidates, evaluate, step
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import checkpoint_gradients
from acemath.train.settings import LoraSettings

LORA = {"lora": {"rank": 3}}
WHOLE = 10_000
PARTS = 150  # two groups are larger, and so is the longest response with its prompt
SIZES = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "num_labels": 1, "pad_token_id": 0, "initializer_range": 0.2,
}  # fmt: skip


class Kept(torch.optim.SGD):
    """An optimiser that changes nothing and keeps the gradients of its step."""

    def step(self, closure: Any = None) -> None:
        """Keep them."""
        self.gradients = [weights.grad.clone() for weights in self.param_groups[0]["params"]]


def _rows() -> list[Row]:
    """Two groups whose responses are of many lengths, and one that fits into the smallest pass."""
    drawn = torch.Generator().manual_seed(2)

    def ids(length: int) -> list[int]:
        return torch.randint(1, 97, (length,), generator=drawn).tolist()

    labels = torch.tensor([1, 0, 1, 0, 0, 1])
    return [
        Row(ids(30), [ids(n) for n in (20, 160, 45, 33, 60, 5)], labels),
        Row(ids(10), [ids(n) for n in (9, 3, 7, 8, 9, 2)], labels),
        Row(ids(20), [ids(n) for n in (60, 61, 50, 70, 40, 55)], 1 - labels),
    ]


def _model(name: str = "qwen2") -> Any:
    """A tiny model, with weights so large that tokens influence one another."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(name, **SIZES)
    return AutoModelForSequenceClassification.from_config(config).eval()


def _accelerator(precision: str = "no") -> Accelerator:
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=precision, cpu=True)


def _step(
    tokens: int, change: dict[str, Any], precision: str = "no", model: Any = None
) -> tuple[list[torch.Tensor], float]:
    """The gradients and the loss of a step, in passes of at most `tokens` tokens."""
    settings = RewardSettings.model_validate({"max_grad_norm": 1e9, "micro_tokens": tokens, **change})
    model = model or _model()
    if settings.lora is not None:
        add_lora(model.model, settings.lora)
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.1)
    checkpoint_gradients(model, settings)
    optimizer = Kept([weights for weights in model.parameters() if weights.requires_grad], lr=0.0)
    loss = step(model, optimizer, _accelerator(precision), _rows(), 0, settings)
    return optimizer.gradients, loss


def _largest_difference(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Of the gradients of a weight, relative to their size. Those of the keys' biases cancel to nothing but rounding."""
    whole = torch.stack([part.norm() for part in other]).max()
    return max(
        float((a - b).norm() / b.norm().clamp_min(1e-2 * whole)) for a, b in zip(one, other, strict=True)
    )


CHANGES: list[dict[str, Any]] = [
    *({"loss": loss, "centring": 0.1} for loss in LOSSES),
    {"margin": 0.5},
    {"share_prefix": False},
    {"gradient_checkpointing": True},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_parts_learn_what_the_whole_group_learns(change: dict[str, Any]) -> None:
    """Loss and gradients to 1e-5."""
    gradients, loss = _step(PARTS, change)
    expected, mean = _step(WHOLE, change)
    assert loss == pytest.approx(mean, rel=1e-5)
    assert _largest_difference(gradients, expected) < 1e-5


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "gemma2", "phi3"])
def test_large_models_recompute_what_is_quick(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients do not change by a bit. Layers run again, but hardly a product of matrices does: only attention's scores."""
    found, flops, calls = {}, {}, dict.fromkeys(("nothing", "quick", "all"), 0)
    monkeypatch.setattr(start, "LARGE", 0)
    for which, again in (("nothing", False), ("quick", None), ("all", True)):
        model = _model(name)

        def count(*_: Any, which: str = which) -> None:
            calls[which] += 1

        model.model.layers[0].mlp.register_forward_pre_hook(count)
        with FlopCounterMode(display=False) as counted:
            found[which], _ = _step(WHOLE, {"gradient_checkpointing": again}, model=model)
        flops[which] = counted.get_total_flops()
    assert calls == {"nothing": 1, "quick": 2, "all": 2}
    assert flops["nothing"] < flops["quick"] < flops["nothing"] + 0.3 * (flops["all"] - flops["nothing"])
    for kind in ("quick", "all"):
        assert all(torch.equal(a, b) for a, b in zip(found[kind], found["nothing"], strict=True))


def test_adapters_learn_the_same_in_parts() -> None:
    """LoRA: gradients to 1e-5."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    assert _largest_difference(_step(PARTS, LORA)[0], _step(WHOLE, LORA)[0]) < 1e-5


def test_products_of_adapters_are_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With LoRA in large models: they are as large as the products of the layers, of which none is computed twice."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    monkeypatch.setattr(start, "LARGE", 0)
    stored = dict.fromkeys(("wide", "narrow"), 0)
    decide = start._what_is_slow

    def count(rank: int, context: Any, operation: Any, *arguments: Any, **options: Any) -> Any:
        policy = decide(rank, context, operation, *arguments, **options)
        if operation in start.LAYERS and policy == CheckpointPolicy.MUST_SAVE:
            stored["wide" if arguments[-1].shape[0] > 3 else "narrow"] += 1
        return policy

    monkeypatch.setattr(start, "_what_is_slow", count)
    found = [_step(WHOLE, LORA | {"gradient_checkpointing": again})[0] for again in (None, False)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert stored["narrow"] == 0 < stored["wide"]


def test_frozen_matrices_take_half_the_memory() -> None:
    """In bfloat16, if it holds them exactly: not a bit of the gradients changes, nor of the merged weights. Others stay."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    found, models = [], []
    for shrink in (False, True):
        model = _model().bfloat16().float()
        torch.nn.init.constant_(model.model.layers[0].mlp.up_proj.weight, 0.1)  # not a number of bfloat16
        add_lora(model.model, LoraSettings(rank=3))
        if shrink:
            shrink_frozen(model)
        found.append(_step(WHOLE, {}, "bf16", model)[0])
        models.append(model)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    kinds = {name: weights.dtype for name, weights in models[1].named_parameters() if "base_layer.weight" in name}
    assert {name for name, kind in kinds.items() if kind == torch.float32} == {"model.layers.0.mlp.up_proj.base_layer.weight"}
    assert len(kinds) == 14 and models[1].score.weight.dtype == torch.float32
    assert all(w.dtype == torch.float32 for name, w in models[1].named_parameters() if "lora_" in name or "embed" in name)


@pytest.mark.parametrize(("free", "again"), [(10**9, "quick"), (150_000, "all")])
def test_a_large_model_recomputes_all_when_memory_is_short(
    free: int, again: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside the states of training, a pass takes at least the outputs of its layers. A notice tells of it."""
    monkeypatch.setattr(start, "LARGE", 0)
    model = _model()
    states = memory.STATES * model.num_parameters()
    assert memory.kept_by_pass(model, WHOLE) > 150_000
    monkeypatch.setattr(memory, "free_memory", lambda: states + free)
    with FlopCounterMode(display=False) as counted:
        _step(WHOLE, {}, model=model)
    with FlopCounterMode(display=False) as expected:
        _step(WHOLE, {"gradient_checkpointing": again == "all" or None}, model=_model())
    assert counted.get_total_flops() == expected.get_total_flops()
    assert ("memory is short (0.0 GB for passes)" in caplog.text) == (again == "all")
    monkeypatch.setattr(memory, "free_memory", lambda: states - 1)
    with pytest.raises(UserError, match=r"too small to train [\d,]+ weights: .* GB are free; set lora.rank"):
        _step(WHOLE, {})


def test_parts_learn_the_same_in_bfloat16() -> None:
    """The difference from the whole group is not above bfloat16's own from float32."""
    parts, whole = (_step(tokens, {}, "bf16")[0] for tokens in (PARTS, WHOLE))
    exact = _step(WHOLE, {})[0]
    assert 0 < _largest_difference(parts, whole) < 1.5 * _largest_difference(whole, exact)


@pytest.mark.parametrize("share", [True, False])
def test_a_pass_keeps_to_its_limit(share: bool) -> None:
    """A pass is over it only with a single response, in a step and in both measures."""
    settings = RewardSettings(micro_tokens=PARTS, share_prefix=share, rm_k=2)
    model, rows, passes = _model(), _rows(), []
    model.model.register_forward_pre_hook(
        lambda _, __, given: passes.append(given["input_ids"].numel()), with_kwargs=True
    )  # fmt: skip
    alone = len(rows[0].prompt) + 160  # the longest response
    alone = alone if share else padded(alone)
    step(model, Kept(list(model.parameters()), lr=0.0), _accelerator(), rows, 0, settings)
    assert [size for size in passes if size > PARTS] == [alone]
    evaluate(model, _accelerator(), rows, 0, settings)
    best_of_candidates(model, _accelerator(), rows, 0, settings, 2)
    assert [size for size in passes if size > PARTS] == [alone] * 3


def test_only_the_smaller_parts_of_a_large_group_are_read_twice() -> None:
    """The largest part of a group is read once, and so is a group that fits into a pass."""
    model, rows, read = _model(), _rows(), {True: 0, False: 0}

    def count(_: Any, __: Any, given: dict[str, Any]) -> None:
        read[torch.is_grad_enabled()] += given["input_ids"].numel()

    model.model.register_forward_pre_hook(count, with_kwargs=True)
    optimizer = Kept(list(model.parameters()), lr=0.0)
    step(model, optimizer, _accelerator(), rows, 0, RewardSettings(micro_tokens=WHOLE))
    assert read == {True: sum(row.length for row in rows), False: 0}
    read.update({True: 0, False: 0})
    step(model, optimizer, _accelerator(), rows[:1], 0, RewardSettings(micro_tokens=PARTS))
    # In parts of at most 120 tokens after the prompt of 30: [160], [60, 45, 5] and [33, 20], the first and largest once.
    assert read == {True: 160 + 60 + 45 + 5 + 33 + 20 + 3 * 30, False: 60 + 45 + 5 + 33 + 20 + 2 * 30}


@pytest.mark.parametrize("tokens", [64, PARTS])
def test_measures_are_those_of_whole_groups(tokens: int) -> None:
    """Pair accuracy, loss and rm@k of held-out groups do not depend on the size of a pass, nor on the prompt's."""
    small, whole = (RewardSettings(micro_tokens=size) for size in (tokens, WHOLE))
    model, rows = _model(), [*_rows(), Row([1] * 200, [[2], [3, 4], [5]], torch.tensor([1, 0, 0]))]
    one, other = (evaluate(model, _accelerator(), rows, 0, settings) for settings in (small, whole))
    assert one.accuracy == other.accuracy and one.loss == pytest.approx(other.loss, rel=1e-5)
    first, second = (
        best_of_candidates(model, _accelerator(), rows, 0, settings, 2) for settings in (small, whole)
    )
    assert first == second


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator keeps memory")
def test_memory_is_given_back() -> None:
    """Blocks that the allocator keeps between others."""
    process = psutil.Process()
    kept = [torch.zeros(20_000) for _ in range(4000)]
    before = process.memory_info().rss
    del kept[::2]
    memory.give_back()
    assert before - process.memory_info().rss > 50_000_000
