"""Collecting responses from any engine: in order, with progress, refused ones set apart, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from acemath.models.engine import Engine, Paid, Sampling
from acemath.records import REFUSED, Dropped, Problem, Response


def collect(
    engine: Engine, problems: Sequence[Problem], sampling: Sampling, tell: Callable[[int, str], None]
) -> list[Response]:
    """All responses to some problems, in order of problem and sample. `tell(count, note)` is called after each.

    They stay in memory until the last one is there. An endpoint also writes each to disk as it arrives, so that a stop
    loses none; a model in this process repeats the shard.
    """
    found: list[Response] = []
    for response in engine.generate(problems, sampling):
        found.append(response)
        tell(len(found), engine.status() if isinstance(engine, Paid) else "")
    return sorted(found, key=lambda r: (r.problem_id, r.sample))


def without_refused(
    responses: Sequence[Response], problems: Sequence[Problem], step: str
) -> tuple[list[Response], list[Dropped]]:
    """The responses that were not refused, and the refused ones as dropped rows with the engine's reason."""
    prompts = {p.id: p for p in problems}
    dropped = [
        Dropped(
            r.problem_id,
            step,
            REFUSED,
            prompts[r.problem_id].prompt,
            prompts[r.problem_id].source,
            f"sample {r.sample}: {r.meta[REFUSED]}",
        )
        for r in responses
        if r.finish_reason == REFUSED
    ]
    return [r for r in responses if r.finish_reason != REFUSED], dropped


def cost_of(engine: Engine) -> dict[str, Any]:
    """What goes into a manifest: {"cost": …} for an engine that costs money, nothing for others."""
    return {"cost": engine.cost()} if isinstance(engine, Paid) else {}


def refused_words(count: int) -> str:
    """How many responses were refused, for the end of a stage; empty where none was."""
    return f", {count:,} refused" if count else ""


def cost_words(facts: Mapping[str, Any]) -> str:
    """The cost among a stage's facts in a few words; empty where nothing was paid for."""
    cost = facts.get("cost")
    if cost is None:
        return ""
    tokens = cost["prompt_tokens"] + cost["completion_tokens"]
    words = f"; {cost['requests']:,} requests, {tokens:,} tokens, {cost['usd']:.2f} US$"
    if cost["lost_requests"]:
        words += f", and for {cost['lost_requests']:,} lost replies at most {cost['lost_usd_at_most']:.2f} US$ more"
    return words
