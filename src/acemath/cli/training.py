"""Commands that train: fine-tuning, groups from graded responses, reward models from groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.cli.data import read_answered, read_groups
from acemath.cli.settings import settings_of
from acemath.errors import UserError
from acemath.files.columns import CHAT_COLUMNS, parse_columns
from acemath.files.conversations import read_chats
from acemath.files.rows import write_rows
from acemath.notices import is_first_process, say
from acemath.records import Group, Problem, Response, by_problem
from acemath.run.display import Display
from acemath.run.run import quiet_transformers
from acemath.train.reward.groups import (
    candidates_of,
    chat_of_groups,
    same_problem,
    split_groups,
    unlabelled_words,
)

_ALREADY = "already done: {} holds the model of these arguments; --overwrite trains it again"
SHOWN = (
    "conversations", "cut", "unlearned", "tokens", "learned_tokens", "validation_before", "validation_after", "stop_ids",
)  # fmt: skip


@contextmanager
def _progress(what: str, why: str) -> Iterator[Callable[[int, int, str], None]]:
    """Progress of training on standard error, from the first process alone."""
    display = Display()
    display.start(what, why)
    try:
        yield display.progress
    finally:
        display.stop()


def _checkpoints(out: Path) -> Path:
    """The folder of checkpoints beside a model's folder."""
    return out.absolute().with_name(out.absolute().name + "-checkpoints")


def fine_tune(
    chats: Path,
    base: str,
    given: Mapping[str, Any],
    changes: Sequence[str],
    seed: int,
    out: Path,
    overwrite: bool = False,
    columns: str | None = None,
) -> dict[str, Any]:
    """A policy from conversations. In several processes (torchrun, accelerate launch) they share the work.

    Checkpoints lie in a folder beside `out` until the model is finished. The model of the same arguments is not made
    again, another one is replaced only with `overwrite`.
    """
    from acemath.train.sft.settings import SftSettings

    settings, named = settings_of(SftSettings, given, changes), parse_columns(columns, CHAT_COLUMNS)
    with _progress(f"fine-tuning {base}", f"on the conversations of {chats}") as progress:
        progress(0, 0, f"reading {chats}")
        rows = read_chats(chats, named)
        quiet_transformers()
        from acemath.train.checkpoints import FACTS, is_made, put, read
        from acemath.train.sft.train import identity_of, train_sft

        if is_made(out, identity_of(base, rows, settings, seed), overwrite):
            say(_ALREADY.format(out))
            facts = read(out / FACTS)
            return {"out": str(out), **{name: facts[name] for name in SHOWN}, "seconds": 0.0}
        work = _checkpoints(out)
        made = work / "model"
        result = train_sft(base, rows, made, work, settings, seed, progress)
    if is_first_process():
        put(made, out, work)
    return {"out": str(out), **{name: getattr(result, name) for name in SHOWN}, "seconds": result.seconds}


def _graded(
    responses: Path, problems: Path, columns: Mapping[str, str] | None = None
) -> tuple[list[Problem], dict[str, list[Response]]]:
    """The problems of a file that graded responses answer, and the responses by problem id.

    UserError where no response was graded, or where one answers a problem that is not there.
    """
    asked, rows = read_answered(responses, problems, columns)
    if all(r.status is None for r in rows):
        raise UserError(
            f"{responses}: none of its {len(rows):,} responses has a status; grade them first (acemath sample grades)"
        )
    mine = by_problem(rows)
    return [p for p in asked if p.id in mine], mine


def groups(
    responses: Path,
    problems: Path,
    given: Mapping[str, Any],
    changes: Sequence[str],
    seed: int,
    out: Path,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Groups from graded responses; ranked by their rewards where they have some, at random otherwise.

    UserError where only some have a reward, and where no problem makes a group.
    """
    from acemath.train.reward.groups import make_groups
    from acemath.train.reward.settings import GroupSettings

    asked, mine = _graded(responses, problems, columns)
    rewards = [r.reward for rows in mine.values() for r in rows if r.reward is not None]
    settings = settings_of(GroupSettings, {**given, "by": "rank" if rewards else "random"}, changes)
    ranks: dict[str, dict[str, float]] = {}
    if settings.by == "rank":
        total = sum(map(len, mine.values()))
        if faulty := total - sum(map(math.isfinite, rewards)):
            raise UserError(
                f"{responses}: {faulty:,} of {total:,} responses have no reward, or nan, to rank by; score all of them "
                "(acemath score), or choose without ranks: --set by=random"
            )
        ranks = {k: {r.text: float(r.reward or 0.0) for r in rows} for k, rows in mine.items()}
    made, counts = make_groups(asked, mine, ranks, settings, seed)
    if not made:
        said = ", ".join(
            f"{value} {name.replace('_', ' ')}"
            for name, value in asdict(counts).items()
            if isinstance(value, int) and value
        )
        raise UserError(
            f"{responses} makes no group of {settings.size} ({said}{unlabelled_words(counts.unlabelled)}); give more "
            "responses a problem, or a smaller --size"
        )
    write_rows(out, made, Group)
    return {**asdict(counts), "by": settings.by, "out": str(out)}


def candidates(responses: Path | None, problems: Path | None) -> list[Group]:
    """Problems with all their labelled responses, for rm@k; none without a file."""
    if responses is None:
        return []
    if problems is None:
        raise UserError(f"{responses} names its problems; give their file with --problems")
    asked, mine = _graded(responses, problems)
    made = [candidates_of(p.id, p.prompt, mine[p.id]) for p in asked]
    left_out = sum(map(len, mine.values())) - sum(len(g.responses) for g in made)
    if left_out:
        say(f"{responses}: {left_out:,} responses without a label are left out of rm@k")
    return made


def train(
    groups_file: Path,
    base: str,
    given: Mapping[str, Any],
    changes: Sequence[str],
    system: str | None,
    asked: Sequence[Group],
    seed: int,
    out: Path,
    overwrite: bool = False,
) -> dict[str, Any]:
    """A reward model from groups, a twentieth of them kept aside for pair accuracy.

    Checkpoints lie in a folder beside `out` until the model is finished. The model of the same arguments is not made
    again, another one is replaced only with `overwrite`. Without `system` the groups' own system prompt is used, or the
    paper's where they name none. `asked` are problems with candidates for rm@k; UserError where
    rm_k is not set, and where one of them has a group to train on.
    """
    from acemath.train.reward.settings import RewardSettings

    settings = settings_of(RewardSettings, given, changes)
    if asked and settings.rm_k is None:
        raise UserError("--candidates are for rm@k, which is not measured; set its k, say --set rm_k=8")
    rows = read_groups(groups_file)
    learned, held_out = split_groups(rows, max(1, len(rows) // 20))
    if rows and not learned:
        raise UserError(
            f"{groups_file} holds groups of one problem alone, which is kept aside; give groups of more problems"
        )
    seen = {same_problem(group.prompt) for group in learned}
    shared = next((g.problem_id for g in asked if same_problem(g.prompt) in seen), None)
    if shared is not None:
        raise UserError(
            f"problem {shared!r} of --candidates is trained on too: rm@k of it says nothing; leave it out"
        )
    quiet_transformers()
    from acemath.train.checkpoints import FACTS, is_made, put, read
    from acemath.train.provenance import stated_licences
    from acemath.train.reward.card import write_card
    from acemath.train.reward.train import identity_of, train_reward

    chat = chat_of_groups(rows, system)
    identity = identity_of(base, (learned, held_out, asked), settings, chat, seed)
    if is_made(out, identity, overwrite):
        say(_ALREADY.format(out))
        return {"out": str(out), **read(out / FACTS)["result"], "seconds": 0.0}
    work = _checkpoints(out)
    made = work / "model"
    with _progress(f"reward model on {base}", f"{len(learned):,} groups") as progress:
        result = train_reward(base, learned, held_out, made, work, settings, chat, seed, progress, asked)
    if is_first_process():
        write_card(made, base, stated_licences(base), learned, settings, chat, result, identity)
        put(made, out, work)
    return {"out": str(out), **result.record(), "seconds": result.seconds}
