"""Liger's fused kernels (norms, rotations, gated layers, the loss over the vocabulary), where they are installed."""

from __future__ import annotations

from typing import Any

import torch

from acemath.errors import UserError, require

NOT_IN_BODIES = {"cross_entropy": False, "fused_linear_cross_entropy": False}


def check_liger() -> None:
    """MissingExtra or UserError where Liger kernels cannot run: they need a GPU."""
    require("liger: true", "liger_kernel")
    if not torch.cuda.is_available():
        raise UserError("liger: true needs a GPU, its kernels are not for processors; set liger: false")


def add_liger(model: Any) -> None:
    """Put Liger's kernels into a reward model's body, in place; its head and loss have none."""
    check_liger()
    from transformers.integrations.liger import apply_liger_kernel

    apply_liger_kernel(getattr(model, model.base_model_prefix), NOT_IN_BODIES)
