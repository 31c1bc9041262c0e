"""Check, by its configuration and by a small pass, whether a model can read responses that share a prompt.

Sharing rests on two things: a token sees what its attention shows it and nothing else, and its place is what
position_ids says. State space and recurrent layers break the first, sliding windows bring a mask of their
own. A handful of tokens through the model shows it, whatever the architecture is called.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from acemath.errors import UserError
from acemath.models.layers import active_window, other_layers
from acemath.models.score.flex import flex_states
from acemath.models.score.layout import Row, plain_batch
from acemath.models.score.model import head_scores, plain_states
from acemath.models.score.packed import packed_states

FIX = "read each response in a row of its own: share_prefix: false"
# The largest difference of the last tokens' states that is rounding, as a share of their norm. In bfloat16 24 layers of a
# real model (0.5B) gave 0.05 to 0.13, also between two kernels that both read plain rows; responses that see one another
# gave 0.4 to 0.8.
FLOAT32 = 1e-4
BFLOAT16 = 0.25


def check_sharing(model: Any, max_length: int, layout: str = "packed") -> None:
    """UserError where a shared prompt would not give `model` the scores of separate rows.

    `layout` is how responses share their prompt: "packed" (packed.py) or "flex" (flex.py); "plain" shares nothing, so
    nothing is checked. `max_length` is the longest prompt with one response,
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
        difference = _difference(model, layout)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{name} does not take responses that share a prompt ({reason}); {FIX}") from error
    limit = FLOAT32 if model.dtype == torch.float32 else BFLOAT16
    if not difference <= limit:  # not a number is a failure too
        raise UserError(
            f"{name} does not take responses that share a prompt (states differ by {difference:.1%} from separate "
            f"rows); {FIX}"
        )


@torch.no_grad()
def _difference(model: Any, layout: str) -> float:
    """The difference of the states from those of separate rows, as a share of their norm."""
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    ids = torch.randint(vocabulary, (36,), generator=torch.Generator().manual_seed(0)).tolist()
    # Behind another group; of three responses two share an opening.
    rows = [Row(ids[7:16], [ids[:7]]), Row(ids[:7], [ids[7:20], ids[20:23], ids[7:16] + ids[23:36]])]
    training = model.training
    before = model.config._attn_implementation
    model.eval()
    try:
        plain, shared = plain_states(model, plain_batch(rows, 0)), _shared(model, rows, layout)
    finally:
        model.train(training)
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before)
    if not head_scores(model, plain).isfinite().all():
        raise UserError(
            f"{type(model).__name__} gives no number (nan or inf) for a reward; its weights are damaged, or too large for "
            f"{str(model.dtype).removeprefix('torch.')}"
        )
    return float((plain - shared).float().norm() / plain.float().norm().clamp_min(1e-6))


def _shared(model: Any, rows: list[Row], layout: str) -> Tensor:
    return flex_states(model, rows, 0) if layout == "flex" else packed_states(model, rows)
