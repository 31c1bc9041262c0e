"""Check whether a model can read responses that share a prompt, by its configuration and by a small forward pass.

Sharing assumes that a token depends on other tokens only through attention, and that its position is what position_ids
says. State space and recurrent layers break this, and sliding windows need a mask of their own. A forward pass of a
few tokens shows the difference, whatever the architecture.
"""

from __future__ import annotations

from typing import Any

import torch

from acemath.errors import UserError
from acemath.models.layers import active_window, other_layers
from acemath.models.score.layout import Row, plain_batch
from acemath.models.score.model import head_scores, plain_states
from acemath.models.score.packed import packed_states

FIX = "read each response in a row of its own: share_prefix: false"
# The largest difference between the states of the last tokens that rounding explains, as a share of their norm. In
# bfloat16 the 24 layers of a real model (0.5B) gave 0.05 to 0.13, even between two kernels on plain rows. Responses that
# saw one another gave 0.4 to 0.8.
FLOAT32 = 1e-4
BFLOAT16 = 0.25


def check_sharing(model: Any, max_length: int) -> None:
    """UserError if sharing a prompt would change the scores of `model`.

    `max_length` is the longest prompt with one response, in tokens: a sliding window of at least that length hides
    nothing. The model's mode, attention and gradients stay as they were.
    """
    name = type(model).__name__
    if other := other_layers(model.config):
        raise UserError(
            f"{name} has layers of the kind {', '.join(other)}, which carry the state of one response into the next; {FIX}"
        )
    window = active_window(model.config)
    if window is not None and window < max_length:
        raise UserError(
            f"{name} looks back {window} tokens (sliding window) and max_length is {max_length}: a shared prompt could lie "
            f"outside the window; set max_length to at most {window}, or {FIX}"
        )
    try:
        difference, dtype = _difference(model)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{name} cannot read responses that share a prompt ({reason}); {FIX}") from error
    # Of the states, not of the weights: shards of float32 compute in bfloat16.
    limit = FLOAT32 if dtype == torch.float32 else BFLOAT16
    if not difference <= limit:  # nan fails too
        raise UserError(
            f"{name} cannot read responses that share a prompt (states differ by {difference:.1%} from separate "
            f"rows); {FIX}"
        )


@torch.no_grad()
def _difference(model: Any) -> tuple[float, torch.dtype]:
    """How far the states are from those of separate rows, as a share of their norm, and their number format."""
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    ids = torch.randint(vocabulary, (36,), generator=torch.Generator().manual_seed(0)).tolist()
    # The second problem follows another one in the row; two of its three responses share an opening.
    rows = [Row(ids[7:16], [ids[:7]]), Row(ids[:7], [ids[7:20], ids[20:23], ids[7:16] + ids[23:36]])]
    training = model.training
    before = model.config._attn_implementation
    model.eval()
    try:
        plain, shared = plain_states(model, plain_batch(rows, 0)), packed_states(model, rows)
    finally:
        model.train(training)
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before)
    if not head_scores(model, plain).isfinite().all():
        raise UserError(
            f"{type(model).__name__} gives nan or inf for a reward; its weights are damaged, or too large for "
            f"{str(model.dtype).removeprefix('torch.')}"
        )
    return float((plain - shared).float().norm() / plain.float().norm().clamp_min(1e-6)), plain.dtype
