"""Loading models and tokenizers with `transformers`, with one clear line for what cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.hub import ask_hub, check_fitting

# Files, any of which holds a tokenizer. Without one, transformers makes an empty tokenizer for some architectures.
_TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json", "tokenization_*.py")
# What from_pretrained raises if JSON or weights are damaged or have an unexpected shape.
_DAMAGED = (TypeError, AttributeError, KeyError, RuntimeError, ArithmeticError, AssertionError, SafetensorError, StrictDataclassError)


@contextmanager
def loading(model: str | Path) -> Iterator[None]:
    """Turn what `from_pretrained` raises for a wrong name, folder or file into a UserError that names the model."""
    ask_hub(model)
    try:
        yield
    except (OSError, ValueError, *_DAMAGED) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
        raise UserError(
            f"cannot load model {str(model)!r} ({why}); give a model's folder with safetensors, or a hub name that can be reached"
        ) from error


@lru_cache(maxsize=64)
def check_built(place: str, config: str) -> None:
    """UserError if transformers cannot build one layer of the model in a folder, whose config.json is `config`: nothing is read but that."""
    with loading(place), torch.device("meta"):
        found = AutoConfig.from_pretrained(place)
        text = found.get_text_config()
        text.num_hidden_layers = 1
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[:1]
        AutoModel.from_config(found)


def check_whole(model: str | Path, missing: Iterable[str]) -> None:
    """UserError if files of a model lack weights, or have more layers than its configuration: transformers would make random ones, or drop them."""
    names = sorted(missing)
    if names:
        raise UserError(
            f"model {str(model)!r} lacks {len(names):,} of the weights that are needed ({', '.join(names[:3])}); give one that has "
            "them (a reward model writes no text)"
        )
    if (place := Path(resolve(model))).is_dir():
        check_fitting(place)


def chat_tokenizer(model: str | Path, template: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model, with `template` in place of its chat template if it is given.

    UserError if it cannot be loaded or has no chat template.
    """
    if (place := Path(resolve(model))).is_dir() and not any(file for name in _TOKENIZERS for file in place.glob(name)):
        raise UserError(
            f"cannot load model {str(model)!r}: it has no tokenizer (tokenizer.json, tokenizer.model or vocab.json); copy that of its base"
        )
    with loading(model):
        tokenizer = AutoTokenizer.from_pretrained(resolve(model), trust_remote_code=trust_remote_code)
    if template is not None:
        tokenizer.chat_template = template
    if not tokenizer.chat_template:
        raise UserError(
            f"model {str(model)!r} has no chat template, which policies and reward models need; add one to the tokenizer "
            "(tokenizer.chat_template), or name a Jinja file as chat_template of the model"
        )
    return tokenizer
