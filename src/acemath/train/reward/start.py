"""The model that reward training starts from: a policy's weights with a head of one output."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts
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
from acemath.models.hardware import pass_tokens
from acemath.models.layers import keep_bounds
from acemath.models.loading import check_whole, loading
from acemath.models.score.heads import check_base, config_with
from acemath.models.score.model import with_head
from acemath.notices import say
from acemath.train.memory import kept_by_pass, room_for_passes
from acemath.train.reward.settings import RewardSettings
from acemath.train.sharding import is_sharded, parameter_groups

LARGE = 200_000_000  # parameters; in smaller models the bookkeeping of what to recompute takes too much of the time
LAYERS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default}  # the products of linear layers
# Products of matrices and attention. The scores of attention are recomputed: they are as large as their softmax.
SLOW = LAYERS | {
    torch.ops.aten.bmm.default,
    torch.ops.aten._softmax.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
}

CHECK_TEMPLATE = (
    "Problem: {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}\nCheck:\n"
    "{% if messages[-1]['role'] == 'assistant' %}{{ messages[-1]['content'] + '\n' }}{% endif %}"
)


def empty_reward_model(policy: str | Path, tokenizer: Any) -> Any:
    """A reward model with a policy's shape on the meta device: its weights take no memory."""
    config = AutoConfig.from_pretrained(resolve(policy), num_labels=1, pad_token_id=tokenizer.pad_token_id)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    keep_bounds(model)
    return with_head(model, policy).eval()


def new_reward_model(
    policy: str | Path,
    tokenizer: Any,
    head_words: tuple[str, str] | None,
    seed: int,
    dtype: torch.dtype | str = torch.float32,
) -> Any:
    """A reward model with a policy's weights, in float32. With dtype "auto" they are mapped in the stored dtype.

    If the policy is a reward model, its head is kept. Otherwise the head is random and small or, with `head_words`, the
    difference between two rows of the policy's output matrix: the first reward is then the logit of the first word
    minus that of the second.
    """
    check_base(policy)
    torch.manual_seed(seed)
    source = resolve(policy)
    with loading(policy):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=1, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    keep_bounds(model)
    with_head(model, policy).config.pad_token_id = tokenizer.pad_token_id
    missing = set(report["missing_keys"])
    check_whole(policy, missing - {"score.weight"})
    if "score.weight" not in missing:
        say(f"{str(policy)!r} is a reward model: training continues from its head")
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
    """Save nano-base as an untrained reward model, which ranks candidates as the paper's other reward model does (4.1).

    nano-base was pre-trained on pages that mark solutions right or wrong. The chat template writes such a page, and the
    head compares " right" with " wrong".
    """
    return untrained(base, out, RewardSettings(page="check", head_words=(" right", " wrong")), ChatFormat())


def untrained(
    policy: str | Path, out: Path, settings: RewardSettings, chat: ChatFormat, seed: int = 0
) -> Path:
    """Save the reward model that training with these settings would start from into the folder `out`."""
    tokenizer = AutoTokenizer.from_pretrained(resolve(policy))
    if settings.page == "check":
        tokenizer.chat_template = CHECK_TEMPLATE
    model = new_reward_model(policy, tokenizer, settings.head_words, seed)
    config_with(model.config, chat)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def checkpoint_gradients(model: Any, settings: RewardSettings) -> None:
    """Recompute activations within layers in the backward pass instead of storing them, if `settings` say so; in place.

    By default a large model on a processor stores what is slow to compute, and recomputes the rest: that halves the memory
    of a pass. If memory is too short for that, it recomputes everything. Layers checkpoint only in training mode, so only
    they are put into it; the modules inside stay in evaluation mode, without dropout. UserError if the states of training
    do not fit into the memory of this machine.
    """
    on_processor = model.device.type == "cpu" and not is_sharded(model)
    room = room_for_passes(model) if on_processor else 0
    options: dict[str, Any] = {"use_reentrant": False}
    if settings.gradient_checkpointing is None:
        if not on_processor or model.num_parameters() < LARGE:
            return
        if kept_by_pass(model, settings.micro_tokens or pass_tokens(model.device)) < room:
            rank = settings.lora.rank if settings.lora is not None else 0
            options["context_fn"] = partial(create_selective_checkpoint_contexts, partial(_what_is_slow, rank))
        else:
            say(f"memory is short ({room / 1e9:.1f} GB for passes): all activations are computed again, which takes longer")
    elif not settings.gradient_checkpointing:
        return
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True


def _what_is_slow(rank: int, _: Any, operation: Any, *arguments: Any, **__: Any) -> CheckpointPolicy:
    """Store what is slow to compute. LoRA's products over `rank` are as large as their layer's, and quick."""
    quick = operation not in SLOW or (operation in LAYERS and arguments[-1].shape[0] <= rank)
    return CheckpointPolicy.PREFER_RECOMPUTE if quick else CheckpointPolicy.MUST_SAVE


def adamw(model: Any, settings: RewardSettings) -> torch.optim.AdamW:
    """The optimiser of all trainable weights. Its one kernel needs no copies of the weights in between."""
    return torch.optim.AdamW(
        parameter_groups(model), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
