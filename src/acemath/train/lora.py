"""LoRA: low-rank matrices are trained beside frozen weights, and merged into them when the model is saved.

Policies and reward models share this. The saved model has no adapters, so it loads wherever the base does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError, needing
from acemath.train.memory import give_back
from acemath.train.settings import LoraSettings

PART = ".lora_A.default.weight"
BASE = ".base_layer."
ADAPTER = ".lora_"


def add_lora(body: Any, settings: LoraSettings, seed: int = 0) -> None:
    """Freeze a model without its head and add LoRA matrices to its linear layers, in place. `seed` initialises them.

    MissingExtra without peft; UserError if the model has no layer with a name in `targets`.
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


def shrink_frozen(model: Any) -> None:
    """Keep the frozen matrices beside LoRA's in bfloat16 if it holds them exactly, as it does those of most released models; in place.

    That takes half the memory. Passes that compute in bfloat16 (autocast) have the same results: they would convert the
    matrices each time. A head that is also the table of embeddings stays as it is, because lookups are not converted.
    """
    table = model.get_input_embeddings().weight
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and not layer.weight.requires_grad and layer.weight is not table:
            small = layer.weight.bfloat16()
            if torch.equal(small.float(), layer.weight):
                layer.weight.data = small
    give_back()


def merged(weights: dict[str, Tensor], settings: LoraSettings) -> dict[str, Tensor]:
    """Weights without adapters that give the same outputs as these weights with adapters."""
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
    """The layer of a weight; a layer's own weight and its adapters have the same."""
    return name.split(BASE)[0].split(ADAPTER)[0]
