"""The GPU benchmark's comparisons of scores and gradients with those of separate calls in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from gpu_jobs import DEVICE, Found, config_of, conversation, groups, reward_model


def exactness() -> Iterator[Found]:
    """Each layout in float32 and bfloat16 autocast, compared with separate calls in float32 with eager attention."""
    from unittest.mock import patch

    from acemath.models.score.layout import plain_batch
    from acemath.models.score.model import head_scores, plain_states
    from acemath.models.score.packed import packed_states
    from acemath.train.kernels import layers_of
    from acemath.train.reward.losses import batch_loss

    model, rows = reward_model("small", torch.float32), groups(4)
    torch.nn.init.normal_(model.score.weight, std=0.2)

    def alone() -> torch.Tensor:
        model.set_attn_implementation("eager")
        texts = [[*row.prompt, *response] for row in rows for response in row.responses]
        return torch.cat(
            [model(input_ids=torch.tensor([ids], device=DEVICE)).logits[0] for ids in texts]
        ).float()

    def packed() -> torch.Tensor:
        return head_scores(model, packed_states(model, rows))

    def planned() -> torch.Tensor:
        with patch("acemath.models.score.packed.fits_varlen", lambda *_: False):
            return packed()

    def plain() -> torch.Tensor:
        model.set_attn_implementation("sdpa")
        return head_scores(model, plain_states(model, plain_batch(rows, 0)))

    def compiled() -> torch.Tensor:
        for layer in layers_of(model):
            layer.compile(dynamic=True)
        return packed()

    half = {
        "separate calls": alone, "packed, fused attention": packed, "packed, planned attention": planned, "plain": plain,
    }  # fmt: skip
    whole = {name: half[name] for name in ("separate calls", "packed, planned attention", "plain")}

    def run(way: Callable[[], torch.Tensor], autocast: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            rewards = way()
        batch_loss("listwise", list(rewards.split(6)), [row.key.to(DEVICE) for row in rows]).backward()
        return rewards.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    scores, gradients = run(alone, False)
    for ways, autocast in ((half, True), (whole, False), ({"packed, compiled": compiled}, True)):
        for name, way in ways.items():
            found, mine = run(way, autocast)
            yield {
                "what": f"{name} ({model.config._attn_implementation}), {'bfloat16' if autocast else 'float32'}", "spread": scores.std().item(),
                "scores": (found - scores).abs().max().item(), "gradients": _apart(mine, gradients),
            }  # fmt: skip


def packing() -> Iterator[Found]:
    """Log-probabilities of packed conversations, and gradients of their loss, compared with conversations alone in float32."""
    from transformers import AutoModelForCausalLM

    from acemath.models.score.varlen import VARLEN, borders
    from acemath.train.packing import Collator, as_example

    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config_of("small"), dtype=torch.float32)
    rows = [conversation(r.prompt, x) for r in groups(2) for x in r.responses]

    def run(bins: list[list[Any]], attention: str, autocast: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        model.set_attn_implementation(attention)
        found = []
        for members in bins:
            batch = Collator(0, layout=borders if attention == VARLEN else None)([as_example(members)])
            batch = {k: v.to(DEVICE) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
            labels = batch.pop("labels")[0, 1:]
            with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
                logits = model(**batch, use_cache=False).logits[0, :-1]
            each = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
            each.sum().backward()
            found.append(-each.detach()[labels >= 0])
        return torch.cat(found), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    alone = [[row] for row in rows]
    expected, gradients = run(alone, "eager", False)
    bins = [rows[:6], rows[6:]]
    for name, parts, attention, autocast in (
        ("conversations alone", alone, "eager", True), ("packed, mask", bins, "sdpa", True),
        ("packed, fused attention", bins, VARLEN, True), ("packed, mask", bins, "sdpa", False),
    ):  # fmt: skip
        found, mine = run(parts, attention, autocast)
        yield {
            "what": f"log-probabilities, {name}, {'bfloat16' if autocast else 'float32'}",
            "spread": expected.std().item(),
            "scores": (found - expected).abs().max().item(),
            "gradients": _apart(mine, gradients),
        }


def _apart(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    """The largest difference of two gradients of a weight, as a share of its size."""
    return max(((m - g).norm() / g.norm()).item() for m, g in zip(some, others, strict=True) if g.norm())
