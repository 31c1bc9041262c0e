"""Check, by its configuration and by a small pass, whether a model can read responses that share a prompt.

Sharing rests on two things: a token sees what the mask shows it and nothing else, and its place is what
position_ids says. State space and recurrent layers break the first, sliding windows bring a mask of their
own. A handful of tokens through the model shows it, whatever the architecture is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError
from acemath.models.layers import active_window, other_layers
from acemath.models.score.cached import rewards_of_rows
from acemath.models.score.flex import rewards_of_packed
from acemath.models.score.layout import Row, plain_batch, shared_batch
from acemath.models.score.model import rewards_of

FIX = "read each response in a row of its own: share_prefix: false"
FLOAT32 = 1e-4  # the largest difference that is rounding, as a share of the scores' size
BFLOAT16 = 5e-2


def check_sharing(model: Any, max_length: int, layout: str = "rows") -> None:
    """UserError where a shared prompt would not give `model` the scores of separate rows.

    `layout` is how responses share their prompt: "rows" (layout.py), "cached" (cached.py), "flex" (flex.py);
    nothing is asked of "plain", which shares nothing. `max_length` is the longest prompt with one response,
    in tokens: a sliding window that is at least as long never closes. The model is left in the mode it was
    in, without gradients.
    """
    if layout == "plain":
        return
    name = type(model).__name__
    if other := other_layers(model.config):
        raise UserError(
            f"{name} has layers of the kind {', '.join(other)}, which carry one response's state into the next; {FIX}"
        )
    window = active_window(model.config)
    if window is not None and window < max_length:
        raise UserError(
            f"{name} looks back {window} tokens (sliding window), max_length is {max_length}: a shared prompt would lie "
            f"outside; set max_length to at most {window}, or {FIX}"
        )
    try:
        difference = _difference(model, WAYS[layout])
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{name} does not take responses that share a prompt ({reason}); {FIX}") from error
    limit = FLOAT32 if model.dtype == torch.float32 else BFLOAT16
    if not difference <= limit:  # not a number is a failure too
        raise UserError(
            f"{name} does not take responses that share a prompt (scores differ by {difference:.1%} from separate "
            f"rows); {FIX}"
        )


@torch.no_grad()
def _difference(model: Any, way: Callable[[Any, Row], Tensor]) -> float:
    """The largest difference between this way and separate rows, as a share of the separate scores' size."""
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    ids = torch.randint(vocabulary, (24,), generator=torch.Generator().manual_seed(0)).tolist()
    row = Row(ids[:7], [ids[7:16], ids[16:19], ids[19:24]])
    training = model.training
    before = model.config._attn_implementation
    model.eval()
    try:
        plain, shared = rewards_of(model, plain_batch([row], 0)), way(model, row)
    finally:
        model.train(training)
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before)
    if not plain.isfinite().all():
        raise UserError(
            f"{type(model).__name__} gives no number (nan or inf) for a reward; its weights are damaged, or too large for "
            f"{str(model.dtype).removeprefix('torch.')}"
        )
    return float((plain - shared).abs().max() / plain.abs().max().clamp_min(1e-6))


def _together(model: Any, row: Row) -> Tensor:
    return rewards_of(model, shared_batch([row], 0))


def _cached(model: Any, row: Row) -> Tensor:
    """Behind another group, in passes so small that keys and values are kept from one to the next."""
    before = Row(row.responses[0], [row.prompt])
    return rewards_of_rows(model, [before, row], 8)[1:]


def _packed(model: Any, row: Row) -> Tensor:
    """Behind another group, so that there is one to mask."""
    before = Row(row.responses[0], [row.prompt])
    return rewards_of_packed(model, [before, row], 0)[1:]


WAYS: dict[str, Callable[[Any, Row], Tensor]] = {"rows": _together, "cached": _cached, "flex": _packed}
