"""`acemath rm`: groups of responses, a reward model from them, and its card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.options import Changes, Columns, Json, Out, Pick, Seed, settings_of
from acemath.cli.output import show
from acemath.cli.reading import GroupFile, read_graded
from acemath.cli.rewardbench import rewardbench
from acemath.cli.training import (
    Epochs,
    LearningRate,
    ModelOut,
    Overwrite,
    checkpoints_of,
    facts_of_made,
)
from acemath.errors import UserError
from acemath.files.rows import write_rows
from acemath.notices import is_first_process, quiet_transformers, say
from acemath.records import Group, Problem, Response, content_key
from acemath.run.display import Display
from acemath.train.checkpoints import put
from acemath.train.reward.groups import (
    candidates_of,
    chat_of_groups,
    held_out_of,
    labelled,
    make_groups,
    same_problem,
    unlabelled_words,
    vote_shares,
)
from acemath.train.reward.settings import GroupSettings, RewardSettings

app = typer.Typer(no_args_is_help=True, help="The reward model: choose groups, train, write its card.")


@app.command("groups")
def groups(
    responses: Annotated[list[Path], typer.Argument(help="Files of graded responses, for example one of each policy.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    votes: Annotated[
        bool,
        typer.Option(
            "--votes", help="Rank each response by how many responses to its problem give the same answer, not by its reward."
        ),
    ] = False,
    size: Annotated[int, typer.Option(help="Responses in a group.")] = 6,
    pool: Annotated[
        int,
        typer.Option(
            help="Draw a group from this many of the best right and of the worst wrong responses."
        ),
    ] = 14,
    seed: Seed = 0,
    changes: Changes = None,
    out: Out = Path("groups.parquet"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Choose groups of right and wrong responses to train on.

    Responses without a label (cut, refused, ungraded, timed out) are left out and counted. The command shows length and
    style of right and wrong responses before and after the choice: where they differ, a reward model learns them.

    Example: acemath rm groups samples.jsonl --problems problems.jsonl --out groups.parquet --set balance=drawn

    Several policies, ranked by votes: acemath rm groups cool.jsonl warm.jsonl --problems problems.jsonl --votes
    """
    with Display().during("rm groups"):
        asked, mine = _responses(responses, problems, columns)
        settings = {"size": size, "pool": pool, **dict(changes or ())}
        found = _choose(asked, mine, votes, settings, seed, out, " and ".join(map(str, responses)))
    show(found, as_json)


def _responses(
    files: Sequence[Path], problems: Path, columns: Mapping[str, str] | None
) -> tuple[list[Problem], dict[str, list[Response]]]:
    """The problems that the graded responses of several files answer, and the responses by problem id.

    UserError if one file holds all responses of another: each of these would vote twice.
    """
    asked: dict[str, Problem] = {}
    mine: dict[str, list[Response]] = {}
    read: dict[Path, set[tuple[str, str]]] = {}
    for file in files:
        answered, found = read_graded(file, problems, columns)
        texts = {(key, r.text) for key, rows in found.items() for r in rows}
        for other, seen in read.items():
            if texts <= seen or seen <= texts:
                raise UserError(f"{other} and {file}: one holds all responses of the other; give one of them")
        read[file] = texts
        asked |= {problem.id: problem for problem in answered}
        for key, rows in found.items():
            mine.setdefault(key, []).extend(rows)
    return list(asked.values()), mine


def _ranks(
    mine: Mapping[str, Sequence[Response]], settings: GroupSettings, votes: bool, named: str
) -> dict[str, dict[str, float]]:
    """The rank of each text by problem id: its share of the votes, or its reward. Empty where groups are random.

    UserError if only some responses have a reward, or a right one has no answer to vote with.
    """
    if votes:
        known = {key: labelled(rows, settings.cut)[0] for key, rows in mine.items()}
        if silent := sum(r.correct and r.extracted is None for rows in known.values() for r in rows):
            raise UserError(f"{named}: {silent:,} right responses have no extracted answer to vote with; grade them (acemath grade)")
        return {key: dict(zip((r.text for r in rows), vote_shares(rows), strict=True)) for key, rows in known.items()}
    if settings.by == "random":
        return {}
    rewards = [r.reward for rows in mine.values() for r in rows]
    if faulty := sum(reward is None or not math.isfinite(reward) for reward in rewards):
        raise UserError(
            f"{named}: {faulty:,} of {len(rewards):,} responses have no reward, or nan, to rank by; score all of them "
            "(acemath score), or choose without them: --votes, or --set by=random"
        )
    return {key: {r.text: float(r.reward or 0.0) for r in rows} for key, rows in mine.items()}


def _choose(
    asked: Sequence[Problem],
    mine: Mapping[str, Sequence[Response]],
    votes: bool,
    changes: Mapping[str, Any],
    seed: int,
    out: Path,
    named: str,
) -> dict[str, Any]:
    """Write groups of graded responses, chosen by votes or rewards, or at random if they have none; `named` is for messages.

    UserError if `votes` meets by=random, and if no problem makes a group.
    """
    scored = any(r.reward is not None for rows in mine.values() for r in rows)
    settings = settings_of(GroupSettings, {"by": "rank" if scored or votes else "random"}, changes)
    if settings.by == "random" and votes:
        raise UserError("--votes ranks responses and by=random does not; leave one of them out")
    made, counts = make_groups(asked, mine, _ranks(mine, settings, votes, named), settings, seed)
    if not made:
        numbers = {
            name.replace("_", " "): n for name, n in asdict(counts).items() if isinstance(n, int) and n
        }
        said = ", ".join(f"{n} {name}" for name, n in numbers.items())
        raise UserError(
            f"{named} makes no group of {settings.size} ({said}{unlabelled_words(counts.unlabelled)}); give more "
            "responses a problem, or a smaller --size"
        )
    write_rows(out, made, Group)
    return {**asdict(counts), "by": "votes" if votes else settings.by, "out": str(out)}


@app.command("train")
def train(
    groups: Annotated[Path, typer.Argument(help="Groups, as acemath rm groups writes them.")],
    base: Annotated[str, typer.Option(help="The policy to start from.")],
    learning_rate: LearningRate = 5e-6,
    batch_groups: Annotated[int, typer.Option(help="Groups per training step, over all devices.")] = 256,
    epochs: Epochs = 2.0,
    system: Annotated[
        str | None,
        typer.Option(
            help="System prompt of the conversation.",
            show_default="the groups' own, or else the paper's: Please reason step by step, and check your final answer "
            "within \\boxed{}.",
        ),
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Graded responses to held-out problems, for rm@k (--set rm_k=8).")
    ] = None,
    problems: Annotated[Path | None, typer.Option(help="The problems that --candidates answer.")] = None,
    seed: Seed = 0,
    changes: Changes = None,
    out: ModelOut = Path("reward-model"),
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a reward model with the listwise Bradley-Terry loss.

    If it is stopped, the same command continues. The system prompt is stored with the model and used whenever it scores.
    A twentieth of the groups, at most 1,000, is kept aside for pair accuracy.

    Example: acemath rm train groups.parquet --base policy --learning-rate 4e-4 --batch-groups 16 --set lora.rank=16
    """
    given = {"learning_rate": learning_rate, "batch_groups": batch_groups, "epochs": epochs}
    with Display().during("rm train"):
        measured = _candidates(candidates, problems)
        settings = settings_of(RewardSettings, given, dict(changes or ()))
        if measured and settings.rm_k is None:
            raise UserError("--candidates are for rm@k, which is off; set its k, for example --set rm_k=8")
        found = _train(groups, base, settings, system, measured, seed, out, overwrite)
    if is_first_process():
        show(found, as_json)


def _candidates(responses: Path | None, problems: Path | None) -> list[Group]:
    """Problems with all their labelled responses, for rm@k; empty without a file."""
    if responses is None:
        return []
    if problems is None:
        raise UserError(f"{responses} names its problems; give their file with --problems")
    asked, mine = read_graded(responses, problems)
    made = [candidates_of(p.id, p.prompt, mine[p.id]) for p in asked]
    left_out = sum(map(len, mine.values())) - sum(len(g.responses) for g in made)
    if left_out:
        say(f"{responses}: {left_out:,} responses without a label are left out of rm@k")
    return made


def _train(
    groups_file: Path,
    base: str,
    settings: RewardSettings,
    system: str | None,
    measured: Sequence[Group],
    seed: int,
    out: Path,
    overwrite: bool,
) -> dict[str, Any]:
    """A reward model from groups, a twentieth of them kept aside for pair accuracy.

    Checkpoints are kept in a folder beside `out` until the model is finished. A model with the same arguments is not
    trained again; another one is replaced only with `overwrite`. Without `system` the groups' own system prompt is used,
    or the paper's if they have none. `measured` are problems with candidates for rm@k.
    """
    learned, held_out = _split(groups_file, measured)
    quiet_transformers()
    from acemath.train.provenance import origin, public, stated_licences
    from acemath.train.reward.card import write_card
    from acemath.train.reward.train import identity_of, train_reward

    chat = chat_of_groups(chain(learned, held_out), system)
    identity = identity_of(base, (learned, held_out, measured), settings, chat, seed)
    facts = facts_of_made(out, identity, overwrite)
    if facts is not None:
        return {"out": str(out), **facts["result"], "seconds": 0.0}
    told = f"reward model on {base}", f"the groups of {groups_file}"
    with checkpoints_of(out, identity, overwrite) as work, Display().during(*told) as display:
        made = work / "model"
        result = train_reward(
            base, learned, held_out, made, work, settings, chat, seed, display.progress, measured
        )
        if is_first_process():
            licences, first = stated_licences(base), origin(base)
            write_card(made, public(base), licences, learned, settings, chat, result, identity, first)
            put(made, out, work)
    return {"out": str(out), **result.record(), "seconds": result.seconds}


def _split(file: Path, measured: Sequence[Group]) -> tuple[GroupFile, list[Group]]:
    """The groups to train on, which stay in the file, and those to keep aside: a twentieth, at most 1,000.

    UserError if nothing is left to train on, and if one of the problems for rm@k would be trained on.
    """
    problems = [(group.problem_id, content_key(same_problem(group.prompt))) for group in GroupFile(file)]
    aside = held_out_of(problems, min(max(1, len(problems) // 20), GroupSettings().held_out_most))
    if problems and len(aside) == len(problems):
        raise UserError(
            f"{file} holds groups of one problem only, which is kept aside; give groups of more problems"
        )
    seen = {key for at, (_, key) in enumerate(problems) if at not in aside}
    shared = next((g.problem_id for g in measured if content_key(same_problem(g.prompt)) in seen), None)
    if shared is not None:
        raise UserError(
            f"problem {shared!r} of --candidates is among the training groups too, so rm@k would not be held out; leave it out"
        )
    held_out = [group for at, group in enumerate(GroupFile(file)) if at in aside]
    return GroupFile(file, aside), held_out


@app.command("card")
def card(
    model: Annotated[Path, typer.Argument(help="A reward model's folder, as acemath rm train writes it.")],
    scored: Annotated[
        list[Path],
        typer.Argument(help="Responses with labels and the model's rewards; each file is one benchmark."),
    ],
    k: Pick = 8,
    as_json: Json = False,
) -> None:
    """Put the table of rm@k on benchmarks into a reward model's card.

    Example: acemath rm card reward-model gsm8k-scored.jsonl math500-scored.jsonl
    """
    from acemath.train.reward.card import add_bench

    add_bench(model, rewardbench(scored, k)["rows"], k)
    show({"card": str(model / "README.md")}, as_json)
