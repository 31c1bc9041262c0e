"""Liger's fused kernels (norms, rotary embeddings, gated layers, cross-entropy over the vocabulary), an optional package."""

from __future__ import annotations

from typing import Any

import torch

from acemath.errors import UserError, require

BODY_ONLY = {"cross_entropy": False, "fused_linear_cross_entropy": False}


def check_liger() -> None:
    """MissingExtra if Liger is not installed; UserError without a GPU."""
    require("liger: true", "liger_kernel")
    if not torch.cuda.is_available():
        raise UserError("liger: true needs a GPU, and this machine has none; set liger: false")


def add_liger(model: Any) -> None:
    """Put Liger's kernels into a reward model's body, in place. There are none for its head and losses."""
    check_liger()
    from transformers.integrations.liger import apply_liger_kernel

    apply_liger_kernel(getattr(model, model.base_model_prefix), BODY_ONLY)
