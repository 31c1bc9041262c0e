"""Loading reward models and reading their scores: `AutoModelForSequenceClassification` with one label.

This form loads in plain transformers, TRL and vLLM too. The score is the head's output for the state of the last token
(paper, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat
from acemath.models.layers import keep_bounds
from acemath.models.loading import chat_tokenizer, check_whole, loading
from acemath.models.score.attention import varied_shapes
from acemath.models.score.heads import LAYERS, LINEAR, head_kind, head_tensors, layers_notice
from acemath.models.score.layout import PlainBatch
from acemath.notices import say


def tokenizer_of(path: str | Path, choose_pad: bool = False) -> Any:
    """The tokenizer of a reward model. UserError without a chat template, or if the pad token occurs in conversations.

    transformers and TRL find the last token by the pad id, so a pad token that also ends a turn makes them score the
    wrong token. An end token that occurs in no conversation may be the pad token, as in Qwen's and AceMath's models.
    With `choose_pad`, for a model to train from, another special token becomes the pad token if necessary.
    """
    tokenizer = chat_tokenizer(path)
    text = chat_template(tokenizer).conversation(ChatFormat().messages("1+1?", "2")).text
    used = tokenizer(text, add_special_tokens=False)["input_ids"]
    if choose_pad and (tokenizer.pad_token_id is None or tokenizer.pad_token_id in used):
        _choose_pad(tokenizer, used, path)
    if tokenizer.pad_token_id is None:
        raise UserError(f"reward model {str(path)!r} has no pad token; set pad_token in its tokenizer")
    if tokenizer.pad_token_id in used:
        what = "its end token" if tokenizer.pad_token_id == tokenizer.eos_token_id else "a token"
        raise UserError(
            f"reward model {str(path)!r} pads with {tokenizer.pad_token!r}, {what} that occurs in its conversations: scores would "
            "be read at the wrong token; set another pad_token in its tokenizer"
        )
    return tokenizer


def _choose_pad(tokenizer: Any, used: Sequence[int], path: str | Path) -> None:
    """Pad with a special token that occurs in no conversation: one for padding if there is one, else a spare one."""
    special = [
        (number, token.content)
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special and number not in used and number != tokenizer.bos_token_id
    ]
    spare = sorted(
        special,
        key=lambda entry: (entry[0] == tokenizer.unk_token_id, "pad" not in entry[1], "reserved" not in entry[1], entry[0]),
    )
    if spare:
        tokenizer.pad_token = spare[0][1]
        say(f"{str(path)!r} has no pad token, or one that occurs in its conversations; {spare[0][1]} is used")


def load_reward_model(path: str | Path, dtype: torch.dtype) -> Any:
    """A trained reward model, whose head is one linear layer or two. UserError if its files lack a weight."""
    with loading(path):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            resolve(path), num_labels=1, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    keep_bounds(model)
    missing = set(report["missing_keys"])
    if head_kind(path) == "layers":
        model.score = layered_head(path).to(dtype)
        missing -= {LINEAR}
    if any("score" in name for name in missing):
        raise UserError(f"{str(path)!r} is not a reward model: its weights have no score head")
    check_whole(path, missing)
    return model if isinstance(model.score, torch.nn.Sequential) else with_head(model, path)


def layered_head(path: str | Path) -> torch.nn.Sequential:
    """The head of two linear layers with a ReLU between them, from its weights score.0 and score.2.

    A notice tells if the model's class is not known to have a ReLU there. UserError if the shapes do not fit.
    """
    if notice := layers_notice(path):
        say(notice)
    tensors = head_tensors(path)
    layers = []
    for name in LAYERS:
        weight, bias = tensors[name], tensors.get(name.replace("weight", "bias"))
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
        with torch.no_grad(), loading(path):
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)
        layers.append(layer)
    if layers[0].out_features != layers[1].in_features:
        raise UserError(f"{str(path)!r} cannot be scored with: the shapes of its head's layers do not fit; download it again")
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


def with_head(model: Any, path: str | Path) -> Any:
    """The model itself. UserError if its head is not one linear layer called score with one output."""
    if not isinstance(getattr(model, "score", None), torch.nn.Linear) or model.score.out_features != 1:
        raise UserError(
            f"{str(path)!r} ({type(model).__name__}) has no linear head called score with one output; only such models score here"
        )
    return model


def plain_states(model: Any, batch: PlainBatch) -> Tensor:
    """The states [N, H] of the last tokens of a batch, in its order, with the attention that the model has now."""
    hidden = all_states(model, batch)
    return hidden[torch.arange(len(batch.ends), device=hidden.device), batch.ends.to(hidden.device)]


def all_states(model: Any, batch: PlainBatch) -> Tensor:
    """The states [N, T, H] of all tokens of a batch."""
    batch = batch.to(model.device)
    with varied_shapes():
        found: Tensor = body(model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    return found


def body(model: Any) -> Any:
    """The reward model without its head."""
    return getattr(model, model.base_model_prefix)


def attend(model: Any, name: str) -> None:
    """Switch the model to the attention of this name in transformers' registry."""
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)


def head_scores(model: Any, last: Tensor) -> Tensor:
    """The rewards [N] for the states [N, H] of last tokens."""
    return head_outputs(model.score, last)[:, 0]


def head_outputs(head: torch.nn.Module, states: Tensor) -> Tensor:
    """The outputs [N, L] of a head of one linear layer, or of several, for states [N, H].

    They are computed in float32 whatever the dtype of the body: bfloat16 would round rewards to three digits, and so
    make ties.
    """
    with torch.autocast(states.device.type, enabled=False):
        found = states.float()
        for layer in head if isinstance(head, torch.nn.Sequential) else [head]:
            if isinstance(layer, torch.nn.Linear):
                bias = layer.bias.float() if layer.bias is not None else None
                found = torch.nn.functional.linear(found, layer.weight.float(), bias)
            else:
                found = layer(found)
        return found
