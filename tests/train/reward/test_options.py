"""Options of reward training beyond the paper: LoRA, gradient checkpointing, rm@k, trackers; and what is refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from acemath.errors import MissingExtra, UserError
from acemath.models.engine import ChatFormat
from acemath.models.score.layout import Row
from acemath.models.score.model import tokenizer_of
from acemath.models.score.packed import packed_states
from acemath.models.score.score import RewardModel
from acemath.records import Group
from acemath.train.lora import add_lora, merged
from acemath.train.reward import train
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.start import checkpoint_gradients, new_reward_model
from acemath.train.reward.state import RewardResult
from acemath.train.reward.train import train_reward
from acemath.train.settings import LoraSettings

SETTINGS = RewardSettings(
    learning_rate=2e-3, batch_groups=4, epochs=2, bf16=False, save_every=3, evaluations=2, micro_tokens=512
)


def _groups(count: int, wide: int = 3) -> list[Group]:
    """`wide` right and `wide` wrong texts, in a different order in each group."""
    rows = [(f"{i}+1={i + 1}\nSo \\boxed{{{i + 1}}}.", 1) for i in range(wide)]
    rows += [(f"{i}+1={i + 3} wrong\nSo \\boxed{{{i + 3}}}.", 0) for i in range(wide)]
    groups = []
    for n in range(count):
        texts, labels = zip(*random.Random(n).sample(rows, 2 * wide), strict=True)
        groups.append(Group(f"g{n}", f"Question {n}?", texts, labels))
    return groups


def _train(policy: Path, folder: Path, settings: RewardSettings, **more: object) -> RewardResult:
    return train_reward(
        policy, _groups(18), _groups(3), folder / "model", folder / "work", settings, ChatFormat(), **more
    )


def _told(**changes: object) -> RewardSettings:
    return RewardSettings.model_validate({**SETTINGS.model_dump(), **changes})


@pytest.fixture(scope="module")
def plain(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> RewardResult:
    """Training with the default options."""
    return _train(tiny_policy, tmp_path_factory.mktemp("plain"), SETTINGS)


@pytest.mark.parametrize("change", [{"gradient_checkpointing": True}, {"share_prefix": False}], ids=str)
def test_curves_do_not_depend_on_sharing_or_checkpointing(
    change: dict[str, object], tiny_policy: Path, tmp_path: Path, plain: RewardResult
) -> None:
    """Each figure of the curve within 1e-4 of the default's."""
    found = _train(tiny_policy, tmp_path, _told(**change))
    assert len(found.curve) == len(plain.curve)
    for one, two in zip(found.curve, plain.curve, strict=True):
        assert one == pytest.approx(two, abs=1e-4)


def test_checkpointing_computes_layers_again(tiny_policy: Path) -> None:
    """Layers run twice if gradients are needed, else once, and always without dropout."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_policy, num_labels=1).eval()
    model.config.pad_token_id = 0
    checkpoint_gradients(model, _told(gradient_checkpointing=True))
    calls: list[int] = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    rows = [Row([1, 2, 3], [[4, 5], [6]])]
    packed_states(model, rows).sum().backward()
    assert len(calls) == 2 and not model.model.layers[0].mlp.training
    with torch.no_grad():
        packed_states(model, rows)
    assert len(calls) == 3


def test_a_step_that_does_not_fit_is_an_error(
    tiny_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the settings that need less."""

    def tight(*arguments: Any) -> Any:
        model = new_reward_model(*arguments)
        model.base_model.register_forward_pre_hook(lambda *_: torch.empty(1 << 55, dtype=torch.int8))
        return model

    monkeypatch.setattr(train, "new_reward_model", tight)
    with pytest.raises(UserError, match=r"^the memory of cpu is too small for a training step; lower micro_tokens"):
        _train(tiny_policy, tmp_path, _told(share_prefix=False))


def test_rm_at_k_is_measured_and_kept(tiny_policy: Path, tmp_path: Path) -> None:
    """rm@4 over problems with six candidates, before and while training; the best weights are best at it."""
    settings = _told(rm_k=4, keep="rm", micro_tokens=128)  # narrow: candidates are split over rows
    result = _train(tiny_policy, tmp_path, settings, candidates=[*_groups(4), *_groups(1, wide=1)])
    judged = [row for row in result.curve if "rm" in row]
    assert [row["step"] for row in judged] == [0, 5, 10]
    assert all(0 <= row["rm"] <= 1 for row in judged)
    assert result.best_rm == max(row["rm"] for row in judged)
    with pytest.raises(UserError, match="none of 1 held-out problems has that many candidates"):
        _train(tiny_policy, tmp_path, settings, candidates=_groups(1, wide=1))


def test_lora_trains_little_and_is_merged_when_saved(tiny_policy: Path, tmp_path: Path) -> None:
    """The folder holds a whole model that scores as the adapted one did; embeddings are the base's."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    result = _train(tiny_policy, tmp_path, _told(lora={"rank": 4}, epochs=6, learning_rate=1e-2))
    assert result.best_accuracy > 0.9 and result.best_step > 0
    names = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", num_labels=1).state_dict()
    assert not any("lora" in name for name in names)
    right, wrong = RewardModel(tmp_path / "model", ChatFormat(), bf16=False).score(
        "Question 1?", ["1+1=2\nSo \\boxed{2}.", "1+1=4 wrong\nSo \\boxed{4}."]
    )
    assert right > wrong


def test_merged_weights_have_the_adapted_outputs(tiny_policy: Path) -> None:
    """Equal to 1e-5, with adapters that are not zero."""
    pytest.importorskip("peft", reason="peft is not installed: pip install 'acemath[lora]'")
    settings = LoraSettings(rank=3, alpha=6.0, targets=("q_proj", "down_proj"))
    ids = torch.arange(1, 20)[None]
    torch.manual_seed(0)
    load = AutoModelForSequenceClassification.from_pretrained
    adapted = load(tiny_policy, num_labels=1, dtype=torch.float32).eval()
    add_lora(adapted.model, settings)
    for name, weights in adapted.named_parameters():
        assert weights.requires_grad == ("lora" in name or name.startswith("score"))
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    plain = load(tiny_policy, num_labels=1, dtype=torch.float32).eval()
    before = plain(input_ids=ids).logits
    plain.load_state_dict(merged(adapted.state_dict(), settings))
    with torch.no_grad():
        after = plain(input_ids=ids).logits
        assert torch.allclose(after, adapted(input_ids=ids).logits, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-4)
    with pytest.raises(UserError, match="no layer called nothing"):
        add_lora(load(tiny_policy, num_labels=1).model, LoraSettings(targets=("nothing",)))


def test_what_does_not_fit_together_is_refused(tiny_policy: Path, tmp_path: Path) -> None:
    """Margins without pairs, rm without k, kernels without a GPU."""
    for wrong, said in (
        ({"margin": 1.0, "loss": "mse"}, "compares no pairs"),
        ({"keep": "rm"}, "needs rm_k"),
    ):
        with pytest.raises(ValidationError, match=said):
            _told(**wrong)
    with pytest.raises((MissingExtra, UserError), match="liger"):
        _train(tiny_policy, tmp_path, _told(liger=True))
    with pytest.raises(UserError, match="report_to 'nowhere'"):
        _train(tiny_policy, tmp_path, _told(report_to="nowhere"))


def test_trackers_are_told(tiny_policy: Path, tmp_path: Path) -> None:
    """TensorBoard writes a file beside the checkpoints, which stays when they are removed."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    _train(tiny_policy, tmp_path, _told(report_to="tensorboard", epochs=1))
    assert list((tmp_path / "work-logs").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_a_base_without_a_pad_token_gets_one(
    pad: str | None, tiny_policy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A special token that no conversation holds; the trained model has it, so that it scores."""
    base = tmp_path / "base"
    shutil.copytree(tiny_policy, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    spare, tokenizer.pad_token = tokenizer.pad_token, pad
    tokenizer.save_pretrained(base)
    with pytest.raises(UserError, match="pad"):
        tokenizer_of(base)
    _train(base, tmp_path / "out", _told(epochs=0.5))
    assert f"{spare} is used" in caplog.text
    assert tokenizer_of(tmp_path / "out" / "model").pad_token == spare
