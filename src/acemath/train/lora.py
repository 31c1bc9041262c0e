"""LoRA: small matrices beside frozen ones are trained, and added into them when the model is saved.

Policies and reward models share this. What is saved is a whole model without adapters, so that it loads
wherever the base does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError, needing
from acemath.train.settings import LoraSettings

PART = ".lora_A.default.weight"
BASE = ".base_layer."
ADAPTER = ".lora_"


def add_lora(body: Any, settings: LoraSettings, seed: int = 0) -> None:
    """Freeze a model without its head and put LoRA, drawn from `seed`, beside its linear layers, in place.

    MissingExtra without peft; UserError where the model has no layer of the names in `targets`.
    """
    with needing("LoRA"):
        from peft import LoraConfig, inject_adapter_in_model
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets) or "all-linear",
        bias="none",
    )
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            inject_adapter_in_model(config, body)
    except ValueError as error:
        raise UserError(
            f"LoRA finds no layer called {', '.join(settings.targets)} in {type(body).__name__}; correct lora.targets"
        ) from error


def merged(weights: dict[str, Tensor], settings: LoraSettings) -> dict[str, Tensor]:
    """The weights of the model that has the same outputs without adapters, from weights with adapters."""
    found = {name.replace(BASE, "."): value for name, value in weights.items() if ADAPTER not in name}
    for name, down in weights.items():  # down [rank, in], up [out, rank]
        if name.endswith(PART):
            layer = name.removesuffix(PART)
            up = weights[f"{layer}.lora_B.default.weight"]
            base = found[f"{layer}.weight"]
            found[f"{layer}.weight"] = base + (
                settings.alpha / settings.rank * (up.float() @ down.float())
            ).to(base)
    return found


def layer_of(name: str) -> str:
    """The layer that a weight belongs to: the same for a layer's own weight and its adapters'."""
    return name.split(BASE)[0].split(ADAPTER)[0]
