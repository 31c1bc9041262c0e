"""Fused kernels: layers compiled by torch, or Liger's kernels, an optional package."""

from __future__ import annotations

from typing import Any

import torch

from acemath.errors import UserError, require
from acemath.models.hardware import pass_dtype
from acemath.models.score.varlen import fits_varlen

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


def layers_of(model: Any) -> Any:
    """The decoder layers, a ModuleList."""
    return next(m for m in model.base_model.children() if isinstance(m, torch.nn.ModuleList))


def compile_layers(model: Any, settings: Any, where: torch.device, sharded: bool) -> None:
    """Have torch compile the decoder layers at their first pass if `settings` want it and it pays; the weights keep their names.

    Work on single numbers between matrix products then runs in few kernels, and the backward pass computes it again
    instead of reading it. All layers share the code, for rows of any length. Attention that is planned row by row would
    be compiled for each row, so only the fused kernel for GPUs qualifies. UserError if nothing can be compiled here.
    """
    fits = fits_varlen(model.config, where, pass_dtype(settings.bf16))
    if not (settings.compile and fits) or settings.liger or sharded:
        return
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2, device=where))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"layers cannot be compiled here ({reason}); set compile: false") from error
    for layer in layers_of(model):
        layer.compile(dynamic=True)
