"""Attention for processors: grouped heads share their keys in place, and no block of queries looks at what is later.

transformers' plain attention copies the keys of a group for each of its heads and computes scores above the diagonal;
torch's fused kernel does the same work under a mask. This one computes plain attention, with any mask that lets no
token see a later one, in blocks of queries over the keys up to the block's end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "acemath_blocks"
BLOCK = 128  # queries: scores of a block fit into a processor's cache, and products are still large


def blocked_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [B, H, T, D] over key and value [B, K, S, D], H a multiple of K, as [B, T, H, D].

    The T queries are the last of the S tokens. `attention_mask` [B, 1, T, S] is added to the scores and must hide later
    tokens; None hides those alone. `softcap` bounds the scores (Gemma 2).
    """
    batch, heads, length, size = query.shape
    groups, past = key.shape[1], key.shape[2] - length
    queries = (query * scaling).view(batch, groups, heads // groups, length, size)
    parts = []
    for start in range(0, length, BLOCK):
        end = min(length, start + BLOCK)
        seen = past + end
        rows = queries[:, :, :, start:end].reshape(batch, groups, -1, size)
        scores = torch.matmul(rows, key[:, :, :seen].transpose(2, 3)).view(
            batch, groups, -1, end - start, seen
        )
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if attention_mask is None:
            later = torch.ones(end - start, seen, dtype=torch.bool, device=query.device).triu(
                past + start + 1
            )
            scores = scores.masked_fill(later, torch.finfo(scores.dtype).min)
        else:
            hidden = attention_mask[:, :, None, start:end, :seen]
            scores = scores.add_(hidden) if hidden.dtype == scores.dtype else scores + hidden
        weights = functional.dropout(torch.softmax(scores, -1), dropout, module.training)
        found = torch.matmul(weights.view(batch, groups, -1, seen), value[:, :, :seen])
        parts.append(found.view(batch, heads, end - start, size))
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, blocked_attention)
AttentionMaskInterface.register(NAME, eager_mask)
