"""Commands that train: fine-tuning, groups from graded responses, reward models from groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.commands.data import read_answered, read_groups
from acemath.commands.settings import settings_of
from acemath.conversations import read_chats
from acemath.engines.base import ChatFormat
from acemath.engines.chat import say
from acemath.errors import UserError
from acemath.pipeline.display import Display
from acemath.pipeline.run import quiet_transformers
from acemath.records import Group, Problem, Response
from acemath.sft.hardware import is_first_process
from acemath.store import by_problem, write_rows

SHOWN = (
    "conversations", "cut", "unlearned", "tokens", "learned_tokens", "validation_before", "validation_after", "stop_ids",
)  # fmt: skip


@contextmanager
def _progress(what: str, why: str) -> Iterator[Callable[[int, int, str], None]]:
    """How far training is, on standard error, said by the first process alone."""
    display = Display()
    display.start(what, why)
    try:
        yield display.progress
    finally:
        display.stop()


def fine_tune(
    chats: Path,
    base: str,
    given: Mapping[str, Any],
    changes: Sequence[str],
    seed: int,
    out: Path,
    overwrite: bool = False,
) -> dict[str, Any]:
    """A policy from conversations. In several processes (torchrun, accelerate launch) they share the work.

    Checkpoints lie in a folder beside `out` until the model is finished. The model of the same arguments is not made
    again, another one is replaced only with `overwrite`.
    """
    from acemath.sft.settings import SftSettings

    settings = settings_of(SftSettings, given, changes)
    with _progress(f"fine-tuning {base}", f"on the conversations of {chats}") as progress:
        progress(0, 0, f"reading {chats}")
        rows = read_chats(chats)
        quiet_transformers()
        from acemath.sft.checkpoints import FACTS, is_made, put, read
        from acemath.sft.train import identity_of, train_sft

        if is_made(out, identity_of(base, rows, settings, seed), overwrite):
            say(f"already done: {out} holds the model of these arguments; --overwrite makes it anew")
            facts = read(out / FACTS)
            return {"out": str(out), **{name: facts[name] for name in SHOWN}, "seconds": 0.0}
        work = out.absolute().with_name(out.absolute().name + "-checkpoints")
        made = work / "model"
        result = train_sft(base, rows, made, work, settings, seed, progress)
    if is_first_process():
        put(made, out, work)
    return {"out": str(out), **{name: getattr(result, name) for name in SHOWN}, "seconds": result.seconds}


def _graded(
    responses: Path, problems: Path, columns: Mapping[str, str] | None = None
) -> tuple[list[Problem], dict[str, list[Response]]]:
    """Problems, and the responses to each. UserError where one has no verdict."""
    asked, rows = read_answered(responses, problems, columns)
    ungraded = next((r.problem_id for r in rows if r.status is None), None)
    if ungraded is not None:
        raise UserError(
            f"{responses}: the response to {ungraded!r} has no status; grade it first (acemath sample grades)"
        )
    return asked, by_problem(rows)


def groups(
    responses: Path,
    problems: Path,
    given: Mapping[str, Any],
    changes: Sequence[str],
    seed: int,
    out: Path,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Groups from graded responses; ranked by their rewards where all have one, at random otherwise."""
    from acemath.reward.groups import make_groups
    from acemath.reward.settings import GroupSettings

    asked, mine = _graded(responses, problems, columns)
    scored = all(r.reward is not None for rows in mine.values() for r in rows)
    ranks = {k: {r.text: float(r.reward or 0.0) for r in v} for k, v in mine.items()} if scored else {}
    given = {**given, "by": "rank" if scored else "random"}
    settings = settings_of(GroupSettings, given, changes)
    made, counts = make_groups([p for p in asked if p.id in mine], mine, ranks, settings, seed)
    write_rows(out, made, Group)
    return {**asdict(counts), "by": settings.by, "out": str(out)}


def candidates(responses: Path | None, problems: Path | None) -> list[Group]:
    """Problems with all their graded responses, for rm@k; none without a file."""
    if responses is None:
        return []
    if problems is None:
        raise UserError(f"{responses} names its problems; give their file with --problems")
    asked, mine = _graded(responses, problems)
    return [
        Group(p.id, p.prompt, tuple(r.text for r in mine[p.id]), tuple(int(r.correct) for r in mine[p.id]))
        for p in asked
        if p.id in mine
    ]


def train(
    groups_file: Path,
    base: str,
    given: Mapping[str, Any],
    changes: Sequence[str],
    system: str,
    asked: Sequence[Group],
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """A reward model from groups, a twentieth of them kept aside for pair accuracy.

    `asked` are problems with candidates for rm@k; UserError where one of them has a group to train on.
    """
    from acemath.reward.settings import RewardSettings

    settings = settings_of(RewardSettings, given, changes)
    rows = read_groups(groups_file)
    quiet_transformers()
    aside = max(1, len(rows) // 20)
    learned = {group.prompt for group in rows[aside:]}
    seen = next((g.problem_id for g in asked if g.prompt in learned), None)
    if seen is not None:
        raise UserError(
            f"problem {seen!r} of --candidates is trained on too: rm@k of it says nothing; leave it out"
        )
    from acemath.reward.card import write_card
    from acemath.reward.train import train_reward

    work = out.with_name(out.name + "-checkpoints")
    chat = ChatFormat(system=system)
    with _progress(f"reward model on {base}", f"{len(rows):,} groups") as progress:
        result = train_reward(
            base, rows[aside:], rows[:aside], out, work, settings, chat, seed, progress, asked
        )
    if is_first_process():
        write_card(out, base, rows[aside:], settings, chat, result)
    return {
        "out": str(out),
        "groups": result.groups,
        "pair_accuracy": result.best_accuracy,
        "rm_at_k": result.best_rm,
        "best_step": result.best_step,
        "seconds": result.seconds,
    }
