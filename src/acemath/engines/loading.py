"""Loading a model's tokenizer with its chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from acemath.errors import UserError
from acemath.nano.home import resolve
from acemath.pretrained import loading


def chat_tokenizer(model: str | Path) -> Any:
    """A model's tokenizer. UserError where it cannot be loaded or has no chat template."""
    with loading(model):
        tokenizer = AutoTokenizer.from_pretrained(resolve(model))
    if not tokenizer.chat_template:
        raise UserError(
            f"model {str(model)!r} has no chat template: policies and reward models are asked through one; "
            "add it to the tokenizer (tokenizer.chat_template)"
        )
    return tokenizer
