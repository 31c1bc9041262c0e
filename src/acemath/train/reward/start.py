"""The reward models that training starts from: a policy's weights with a head of one output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GradientCheckpointingLayer,
)

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.engine import ChatFormat
from acemath.models.loading import check_whole, loading
from acemath.models.score.heads import check_base, config_with
from acemath.models.score.model import with_head
from acemath.notices import say
from acemath.train.reward.settings import RewardSettings

CHECK_TEMPLATE = (
    "Problem: {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}\nCheck:\n"
    "{% if messages[-1]['role'] == 'assistant' %}{{ messages[-1]['content'] + '\n' }}{% endif %}"
)


def empty_reward_model(policy: str | Path, tokenizer: Any) -> Any:
    """A reward model of a policy's shape without memory for its weights, which come from another process."""
    config = AutoConfig.from_pretrained(resolve(policy), num_labels=1, pad_token_id=tokenizer.pad_token_id)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return with_head(model, policy).eval()


def new_reward_model(
    policy: str | Path,
    tokenizer: Any,
    head_words: tuple[str, str] | None,
    seed: int,
    dtype: torch.dtype | str = torch.float32,
) -> Any:
    """A reward model on a policy's weights, in float32; with dtype "auto" as they are stored, mapped and not loaded.

    Its head is the policy's own where that is a reward model; else fresh and small, or with `head_words` the difference
    of two rows of the policy's output matrix: its score then starts as how much rather the policy would say the first
    word than the second.
    """
    check_base(policy)
    torch.manual_seed(seed)
    source = resolve(policy)
    with loading(policy):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=1, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    with_head(model, policy).config.pad_token_id = tokenizer.pad_token_id
    missing = set(report["missing_keys"])
    check_whole(policy, missing - {"score.weight"})
    if "score.weight" not in missing:
        say(f"{str(policy)!r} is a reward model: training goes on from its head")
        return model
    model.score.float()
    with torch.no_grad():
        if head_words is None:
            model.score.weight.normal_(std=0.02)
        else:
            output = AutoModelForCausalLM.from_pretrained(source, dtype="auto").get_output_embeddings()
            first, second = (output.weight[_single_token(tokenizer, word)].float() for word in head_words)
            model.score.weight.copy_((first - second)[None])
    return model


def _single_token(tokenizer: Any, word: str) -> int:
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise UserError(
            f"head word {word!r} is {len(ids)} tokens for this tokenizer; head_words must be single tokens"
        )
    return int(ids[0])


def base_checker(base: str | Path, out: Path) -> Path:
    """nano-base's own judgement as a reward model's folder: its marks on a checking page, nothing trained.

    The head compares " right" with " wrong", and the chat template writes the page that the base was
    pre-trained on; so it ranks candidates where the paper uses another reward model (section 4.1).
    """
    return untrained(base, out, RewardSettings(page="check", head_words=(" right", " wrong")), ChatFormat())


def untrained(
    policy: str | Path, out: Path, settings: RewardSettings, chat: ChatFormat, seed: int = 0
) -> Path:
    """Save the reward model that training with these settings starts from into the folder `out`."""
    tokenizer = AutoTokenizer.from_pretrained(resolve(policy))
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    model = new_reward_model(policy, tokenizer, settings.head_words, seed)
    config_with(model.config, chat)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def checkpoint_gradients(model: Any) -> None:
    """Keep no activations within layers, in place: the backward pass computes them again.

    Layers ask whether they train; only they are told so, and dropout below them stays off as elsewhere.
    """
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True
