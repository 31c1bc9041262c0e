"""Whether a training fits into the memory of a machine without a GPU.

The operating system kills a process that takes too much, without a word.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import psutil
import torch

from acemath.errors import UserError

STATES = 12  # bytes of a trainable weight's gradient and of AdamW's two moments, in float32
# A pass takes this many times the bytes of the outputs of all linear layers. Measured: 2.3 to 3.3 times, with Qwen2.5 of
# 0.5B and 1.5B parameters. Attention, the backward pass of a layer and what the allocator does not give back are in it.
KEPT = 3


def free_memory() -> int:
    """The bytes that this machine can still give to a process, swap included."""
    return int(psutil.virtual_memory().available + psutil.swap_memory().free)


def room_for_passes(model: Any) -> int:
    """The bytes that are left for passes beside a loaded model and the states of its training.

    UserError if not even the states fit.
    """
    trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    free, states = free_memory(), STATES * trained
    if states > free:
        raise UserError(
            f"the memory is too small to train {trained:,} weights: their gradients and AdamW's moments take "
            f"{states / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; set lora.rank (16, say), or free memory"
        )
    return free - states


def kept_by_pass(model: Any, tokens: int) -> int:
    """An estimate of the bytes that a pass over `tokens` tokens takes if it stores the outputs of all linear layers except LoRA's."""
    wide = sum(
        layer.out_features
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and "lora_" not in name
    )
    return KEPT * torch.bfloat16.itemsize * wide * tokens


def give_back() -> None:
    """Return the memory that glibc's allocator keeps for later to the system. Other allocators do so by themselves.

    After a model was loaded and after passes of many shapes, that is gigabytes. To take them again costs a tenth of a step.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
