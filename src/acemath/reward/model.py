"""Loading and making reward models: `AutoModelForSequenceClassification` with one label.

That form loads alike here, in plain transformers, in TRL and in vLLM. Score: the head on the last token's
state (paper, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GradientCheckpointingLayer,
)

from acemath.engines.base import ChatFormat
from acemath.engines.chat import chat_template
from acemath.engines.loading import chat_tokenizer, check_whole, loading
from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.notices import say
from acemath.reward.heads import check_base, config_with
from acemath.reward.layout import SharedBatch
from acemath.reward.settings import RewardSettings
from acemath.sft.hardware import attention

CHECK_TEMPLATE = (
    "Problem: {{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}\nCheck:\n"
    "{% if messages[-1]['role'] == 'assistant' %}{{ messages[-1]['content'] + '\n' }}{% endif %}"
)


def tokenizer_of(path: str | Path) -> Any:
    """A reward model's tokenizer. UserError without a chat template, and for a pad token that occurs in conversations.

    transformers and TRL find the last token by the pad id. If the pad token also ends each turn, they score the wrong
    one. An end token that no conversation holds does no harm as pad token: Qwen's base models and AceMath's have one.
    """
    tokenizer = chat_tokenizer(path)
    if tokenizer.pad_token_id is None:
        raise UserError(f"reward model {str(path)!r} has no pad token; set pad_token in its tokenizer")
    text = chat_template(tokenizer).conversation(ChatFormat().messages("1+1?", "2")).text
    if tokenizer.pad_token_id in tokenizer(text, add_special_tokens=False)["input_ids"]:
        what = "its end token" if tokenizer.pad_token_id == tokenizer.eos_token_id else "a token"
        raise UserError(
            f"reward model {str(path)!r} pads with {tokenizer.pad_token!r}, {what} that its conversations hold: scores would "
            "be read at the wrong place; set another pad_token in its tokenizer"
        )
    return tokenizer


def load_reward_model(path: str | Path, dtype: torch.dtype) -> Any:
    """A trained reward model. UserError where the folder holds no head: its scores would be random."""
    with loading(path):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            resolve(path), num_labels=1, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    if any("score" in name for name in report["missing_keys"]):
        raise UserError(f"{str(path)!r} is no reward model: its weights have no score head")
    check_whole(path, report["missing_keys"])
    return _with_head(model, path)


def _with_head(model: Any, path: str | Path) -> Any:
    if not isinstance(getattr(model, "score", None), torch.nn.Linear) or model.score.out_features != 1:
        raise UserError(
            f"{str(path)!r} ({type(model).__name__}) has no linear head called score with one output; only such models score here"
        )
    return model


def empty_reward_model(policy: str | Path, tokenizer: Any) -> Any:
    """A reward model of a policy's shape without memory for its weights, which come from another process."""
    config = AutoConfig.from_pretrained(resolve(policy), num_labels=1, pad_token_id=tokenizer.pad_token_id)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return _with_head(model, policy).eval()


def new_reward_model(
    policy: str | Path, tokenizer: Any, head_words: tuple[str, str] | None, seed: int
) -> Any:
    """A reward model on a policy's weights, in float32.

    Its head is the policy's own where that is a reward model; else fresh and small, or with `head_words` the difference of two rows of the policy's output
    matrix: its score then starts as how much rather the policy would say the first word than the second.
    """
    check_base(policy)
    torch.manual_seed(seed)
    source = resolve(policy)
    with loading(policy):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=1, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    _with_head(model, policy).config.pad_token_id = tokenizer.pad_token_id
    missing = set(report["missing_keys"])
    check_whole(policy, missing - {"score.weight"})
    if "score.weight" not in missing:
        say(f"{str(policy)!r} is a reward model: training goes on from its head")
        return model
    with torch.no_grad():
        if head_words is None:
            model.score.weight.normal_(std=0.02)
        else:
            rows = (
                AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
                .get_output_embeddings()
                .weight
            )
            first, second = (_single_token(tokenizer, word) for word in head_words)
            model.score.weight.copy_((rows[first] - rows[second])[None])
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


def rewards_of(model: Any, batch: SharedBatch) -> Tensor:
    """The rewards [N] of a batch's responses, in the order of `batch.ends`, in float32.

    The head is computed in float32 whatever the body is: bfloat16 would round rewards to three digits and
    make ties of neighbours.
    """
    batch = batch.to(model.device)
    if batch.mask.dim() == 2:  # plain rows, in the model's own attention and positions
        hidden = body(model)(
            input_ids=batch.ids, attention_mask=batch.mask, use_cache=False
        ).last_hidden_state
    else:
        # Plain attention adds its mask to the scores, the fused kernel takes a yes or no.
        name = attention(model.device, batch.ids.shape[1])
        attend(model, name)
        mask = batch.mask if name == "sdpa" else additive(batch.mask, model.dtype)
        hidden = body(model)(
            input_ids=batch.ids, attention_mask=mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
    return head_scores(model, hidden[batch.ends[:, 0], batch.ends[:, 1]])


def checkpoint_gradients(model: Any) -> None:
    """Keep no activations within layers, in place: the backward pass computes them again.

    Layers ask whether they train; only they are told so, and dropout below them stays off as elsewhere.
    """
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True


def body(model: Any) -> Any:
    """A reward model without its head."""
    return getattr(model, model.base_model_prefix)


def attend(model: Any, name: str) -> None:
    """Attend in the way of this name from now on."""
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)


@contextmanager
def attending(model: Any, name: str) -> Iterator[None]:
    """Within: the model attends in the way of this name. Not for layers that are computed again in the backward pass."""
    before = model.config._attn_implementation
    attend(model, name)
    try:
        yield
    finally:
        attend(model, before)


def head_scores(model: Any, last: Tensor) -> Tensor:
    """The head on last tokens' states [N, H]: rewards [N] in float32, whatever the body computes in."""
    with torch.autocast(last.device.type, enabled=False):
        bias = model.score.bias.float() if model.score.bias is not None else None
        return torch.nn.functional.linear(last.float(), model.score.weight.float(), bias)[:, 0]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask of yes and no as numbers to add to attention scores: 0 where a token is seen."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
