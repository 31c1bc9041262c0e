"""Responses after their prompts' keys and values: a prompt is read once, and what several responses begin with, too.

Prompts, openings (openings.py) and responses lie behind one another in rows of bounded length, in the order in which they
go on from one another (acemath.models.score.attention). Nothing is padded, and no token is compared with one that it does not see;
keys and values are held for what is still to be gone on from. Gradients flow through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from acemath.models.score.attention import NAME, Kept, Span, plan_row, varied_shapes
from acemath.models.score.layout import Row
from acemath.models.score.model import attending, body, head_scores
from acemath.models.score.openings import branches

PASTS = 8  # a pass may look at so many times its budget of keys and values, those of shared beginnings counted each time
# Of the last layer, by their usual names: what is computed token by token after its attention.
LAST_PARTS = ("self_attn.o_proj", "mlp")


class Text(NamedTuple):
    """Tokens that go on from an earlier text, by its number, or begin anew. `key`: (row's number, response's)."""

    ids: Sequence[int]
    past: int  # tokens before it
    after: int | None
    followers: int
    key: tuple[int, int] | None


def score_rows(model: Any, rows: Sequence[Row], budget: int) -> Iterator[tuple[int, int, float]]:
    """The reward of every response, as (number of the row, number of the response, reward), as they come.

    `budget` bounds the tokens of one forward pass; a text is never cut.
    """
    for keys, rewards in _read(model, _texts(rows), budget):
        for key, reward in zip(keys, rewards.tolist(), strict=True):
            yield *key, reward


def rewards_of_rows(model: Any, rows: Sequence[Row], budget: int) -> Tensor:
    """The rewards [N] of all responses of the rows, in their order, with gradients where they are on."""
    keys: list[tuple[int, int]] = []
    parts: list[Tensor] = []
    for some, rewards in _read(model, _texts(rows), budget):
        keys += some
        parts.append(rewards)
    found = torch.cat(parts)
    return found[torch.tensor(sorted(range(len(keys)), key=keys.__getitem__), device=found.device)]


def _texts(rows: Sequence[Row]) -> Iterator[Text]:
    """Every row's prompt, openings and responses, each behind what it goes on from."""
    number = 0  # of the prompt
    for at, row in enumerate(rows):
        tree = branches(row.responses)
        yield Text(row.prompt, 0, None, sum(branch.after is None for branch in tree), None)
        pasts: list[int] = []  # tokens before each branch
        for branch in tree:
            before = (
                pasts[branch.after] + len(tree[branch.after].ids)
                if branch.after is not None
                else len(row.prompt)
            )
            pasts.append(before)
            after = number if branch.after is None else number + 1 + branch.after
            yield Text(
                branch.ids,
                before,
                after,
                branch.followers,
                None if branch.which is None else (at, branch.which),
            )
        number += 1 + len(tree)


def _read(model: Any, texts: Iterable[Text], budget: int) -> Iterator[tuple[list[tuple[int, int]], Tensor]]:
    """The texts in passes: the keys of those that carry a reward, and their rewards [n] in float32."""
    kept: Kept = {}
    waiting: dict[int, int] = {}  # by number: followers that were not read yet
    number = 0
    with attending(model, NAME):
        for batch in _passes(texts, budget):
            keys, rewards = _pass(model, batch, number, kept)
            for at, text in enumerate(batch, number):
                waiting[at] = text.followers
                if text.after is not None:
                    waiting[text.after] -= 1
            number += len(batch)
            for done in [at for at, left in waiting.items() if not left]:
                del waiting[done]
                kept.pop(done, None)
            if keys:
                yield keys, rewards


def _passes(texts: Iterable[Text], budget: int) -> Iterator[list[Text]]:
    """Texts in their order, as many as fit into a pass."""
    batch: list[Text] = []
    size = seen = 0
    for text in texts:
        length = len(text.ids)
        if batch and (size + length > budget or seen + text.past + length > PASTS * budget):
            yield batch
            batch, size, seen = [], 0, 0
        batch.append(text)
        size, seen = size + length, seen + text.past + length
    if batch:
        yield batch


def _pass(model: Any, batch: Sequence[Text], first: int, kept: Kept) -> tuple[list[tuple[int, int]], Tensor]:
    """One row through the model, its texts numbered from `first`."""
    spans: list[Span] = []
    for number, text in enumerate(batch, first):
        start = spans[-1].end if spans else 0
        spans.append(Span(start, start + len(text.ids), number, text.after, text.followers))
    where = model.device
    ids = torch.tensor([token for text in batch for token in text.ids], device=where)
    positions = torch.cat([torch.arange(text.past, text.past + len(text.ids)) for text in batch])
    ends = torch.tensor(
        [span.end - 1 for span, text in zip(spans, batch, strict=True) if text.key],
        dtype=torch.long,
        device=where,
    )
    last = body(model).config.num_hidden_layers - 1
    with _ends_alone(model, ends), varied_shapes():
        hidden = body(model)(
            input_ids=ids[None],
            position_ids=positions[None].to(where),
            use_cache=False,
            texts=plan_row(spans, kept, last, model.dtype, where),
        ).last_hidden_state
    return [text.key for text in batch if text.key], head_scores(model, hidden[0, ends.to(hidden.device)])


@contextmanager
def _ends_alone(model: Any, ends: Tensor) -> Iterator[None]:
    """Within: behind its attention the last layer computes the tokens `ends` alone, whose states are asked for.

    What it leaves out it gives as zeros. Parts that have other names compute all tokens.
    """
    layer = body(model).layers[-1] if hasattr(body(model), "layers") else None
    parts = dict(layer.named_modules()) if layer is not None else {}
    shapes: list[tuple[int, ...]] = []

    def narrowed(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shapes.append(given[0].shape[:-1])
        return (given[0][:, ends.to(given[0].device)], *given[1:])

    def widened(_: Any, __: Any, found: Tensor) -> Tensor:
        whole = found.new_zeros(*shapes.pop(), found.shape[-1])
        return whole.index_copy(1, ends.to(found.device), found)

    with ExitStack() as hooks:
        for part in (parts[name] for name in LAST_PARTS if name in parts):
            hooks.callback(part.register_forward_pre_hook(narrowed).remove)
            hooks.callback(part.register_forward_hook(widened).remove)
        yield
