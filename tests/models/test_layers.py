"""Models that bound the scores of their attention (Gemma 2): wherever transformers runs them, the bound is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.hardware import PLAIN_ATTENTION_TOKENS
from acemath.models.score.model import load_reward_model
from acemath.train.reward.start import new_reward_model
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.trainer import _model

WIDE = PLAIN_ATTENTION_TOKENS + 1  # tokens of a row from which fused attention is taken
SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 97, "pad_token_id": 0, "initializer_range": 0.3,
}  # fmt: skip


def made(folder: Path, name: str, kind: type = AutoModelForCausalLM, **more: float) -> str:
    """A tiny model with random weights; its folder."""
    kind.from_config(AutoConfig.for_model(name, **SIZES, **more)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("name", "attention"), [("gemma2", "eager"), ("qwen2", "sdpa")])
def test_training_and_scoring_keep_the_bound(name: str, attention: str, tmp_path: Path) -> None:
    """Others take torch's fused attention, as on GPUs."""
    policy = made(tmp_path / "policy", name)
    judge = made(tmp_path / "judge", name, AutoModelForSequenceClassification, num_labels=1)
    found = [
        _model(policy, WIDE, SftSettings(), 0, False),
        new_reward_model(policy, SimpleNamespace(pad_token_id=0), None, 0),
        load_reward_model(judge, torch.float32),
    ]
    assert [model.config._attn_implementation for model in found] == [attention] * 3


def test_fused_attention_that_would_forget_the_bound_is_one_line(tmp_path: Path) -> None:
    """Where the recipe asks for it."""
    policy = made(tmp_path / "policy", "gemma2")
    with pytest.raises(UserError, match="attention sdpa ignores the bound on scores .* set attention: auto"):
        _model(policy, WIDE, SftSettings(attention="sdpa"), 0, False)
    made(tmp_path / "free", "gemma2", attn_logit_softcapping=None)
    assert _model(str(tmp_path / "free"), WIDE, SftSettings(attention="sdpa"), 0, False).config._attn_implementation == "sdpa"
