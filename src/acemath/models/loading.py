"""Loading models and tokenizers of `transformers`: what cannot be loaded is one clear line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoTokenizer

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.hub import ask_hub

# What from_pretrained raises where a folder's JSON or weights have another shape than expected, or are torn.
_DAMAGED = (TypeError, AttributeError, KeyError, RuntimeError, SafetensorError)


@contextmanager
def loading(model: str | Path) -> Iterator[None]:
    """Turns what `from_pretrained` raises for a wrong name, folder or file into a UserError that names the model."""
    ask_hub(model)
    try:
        yield
    except (OSError, ValueError, *_DAMAGED) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"cannot load model {str(model)!r} ({why}); give a model's folder with safetensors, or a hub name that can be reached"
        ) from error


def check_whole(model: str | Path, missing: Iterable[str]) -> None:
    """UserError where weights of a model are `missing` in its files: they would be random, and nobody would know."""
    names = sorted(missing)
    if names:
        raise UserError(
            f"model {str(model)!r} lacks {len(names):,} of the weights that are needed ({', '.join(names[:3])}); give one that has "
            "them (a reward model writes no text)"
        )


def chat_tokenizer(model: str | Path, template: str | None = None, trust_remote_code: bool = False) -> Any:
    """A model's tokenizer, with another chat `template` where one is given.

    UserError where it cannot be loaded or has no chat template.
    """
    with loading(model):
        tokenizer = AutoTokenizer.from_pretrained(resolve(model), trust_remote_code=trust_remote_code)
    if template is not None:
        tokenizer.chat_template = template
    if not tokenizer.chat_template:
        raise UserError(
            f"model {str(model)!r} has no chat template: policies and reward models are asked through one; "
            "add it to the tokenizer (tokenizer.chat_template), or name a file as chat_template of the model"
        )
    return tokenizer
