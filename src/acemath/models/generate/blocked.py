"""Linear layers whose weights lie in memory as a processor's bfloat16 products read them.

A matrix product first rearranges its weights into blocks. A step of generation multiplies the same weights by few rows, so
it pays to rearrange them once: at half a billion parameters a step takes about an eighth less time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 160  # the layout is best for about so many rows, and works for any number


class BlockedLinear(torch.nn.Module):
    """A linear layer for inference; its weights take the place of the given layer's."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.blocks = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        """The products [..., out] of rows [..., in]."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.blocks, self.bias, "none", [], "")
        return found


def block_weights(model: Any) -> None:
    """Rearrange the bfloat16 weights of a model's linear layers, in place, on a processor that multiplies such numbers itself.

    Models with code of their own are left alone, because that code may read the weights.
    """
    if model.device.type != "cpu" or not type(model).__module__.startswith("transformers."):
        return
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is torch.nn.Linear and layer.weight.dtype is torch.bfloat16:
                setattr(module, name, BlockedLinear(layer))
