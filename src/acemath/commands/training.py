"""Commands on reward models: groups from graded responses, training from groups."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.commands.data import read_groups, read_problems
from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.pipeline.run import quiet_transformers
from acemath.records import Group, Response
from acemath.store import by_problem, read_rows, write_rows


def groups(responses: Path, problems: Path, size: int, pool: int, seed: int, out: Path) -> dict[str, Any]:
    """Groups from graded responses; ranked by their rewards where all have one, at random otherwise."""
    from acemath.reward.groups import make_groups
    from acemath.reward.settings import GroupSettings

    rows = read_rows(responses, Response)
    ungraded = next((r.problem_id for r in rows if r.status is None), None)
    if ungraded is not None:
        raise UserError(
            f"{responses}: the response to {ungraded!r} has no status; grade it first (acemath sample grades)"
        )
    mine = by_problem(rows)
    scored = all(r.reward is not None for r in rows)
    ranks = {k: {r.text: float(r.reward or 0.0) for r in v} for k, v in mine.items()} if scored else {}
    settings = GroupSettings(size=size, pool=pool, by="rank" if scored else "random")
    made, counts = make_groups(
        [p for p in read_problems(problems) if p.id in mine], mine, ranks, settings, seed
    )
    write_rows(out, made, Group)
    return {**asdict(counts), "by": settings.by, "out": str(out)}


def train(
    groups_file: Path,
    base: str,
    learning_rate: float,
    batch_groups: int,
    epochs: float,
    system: str,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """A reward model from groups, a twentieth of them kept aside for pair accuracy."""
    from acemath.reward.settings import RewardSettings
    from acemath.reward.train import train_reward

    rows = read_groups(groups_file)
    quiet_transformers()
    aside = max(1, len(rows) // 20)
    settings = RewardSettings(learning_rate=learning_rate, batch_groups=batch_groups, epochs=epochs)
    work = out.with_name(out.name + "-checkpoints")
    result = train_reward(
        base, rows[aside:], rows[:aside], out, work, settings, ChatFormat(system=system), seed
    )
    return {
        "out": str(out),
        "groups": result.groups,
        "pair_accuracy": result.best_accuracy,
        "best_step": result.best_step,
        "seconds": result.seconds,
    }
