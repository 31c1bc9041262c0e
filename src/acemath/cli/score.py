"""`acemath score`: a judge's scores for responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from acemath.benchmarks.tables import ACCEPTED
from acemath.cli.options import Columns, Json, Out, reward_chat_option
from acemath.cli.output import show
from acemath.cli.reading import read_answered
from acemath.errors import UserError
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat, released
from acemath.records import Response
from acemath.run.display import Display

if TYPE_CHECKING:
    from acemath.models.score.judge import Judge


def command(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath sample writes them.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "--judge",
            help="A reward model's folder or name, or a YAML file that describes a judge (docs/rewardbench.md).",
        ),
    ],
    system: Annotated[ChatFormat | None, reward_chat_option("--system")] = None,
    engine: Annotated[
        Literal["transformers", "vllm"] | None,
        typer.Option(help="What runs the reward model. [default: transformers]"),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=16, help="The most tokens that a problem with its response may have. [default: 4096]"
        ),
    ] = None,
    share_prefix: Annotated[
        bool | None,
        typer.Option(
            help="Read each prompt once for all of its responses, if the model supports it. [default: yes]"
        ),
    ] = None,
    journal: Annotated[
        Path, typer.Option(help="The folder that keeps a server's replies as they arrive.")
    ] = Path("score.journal"),
    accept_at: Annotated[
        float | None,
        typer.Option(
            help="Write no rewards, but which responses this judge, a verifier, accepts: those with this score or a higher one."
        ),
    ] = None,
    out: Out = Path("scored.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Score responses with a judge and write the scores beside them.

    Example: acemath score samples.jsonl --problems problems.jsonl --model reward-model

    A verifier: acemath score scored.jsonl --problems problems.jsonl --judge verifier.yaml --accept-at 0.5 --out verified.jsonl
    """
    if accept_at is not None and not isfinite(accept_at):
        raise UserError(f"--accept-at is {accept_at}; give a finite number")
    with Display().during("score") as display:
        asked, rows = read_answered(responses, problems, columns)
        if not rows:
            raise UserError(f"{responses} holds no response; give a file with responses")
        options = {"chat": system, "engine": engine, "max_length": max_length, "share_prefix": share_prefix}
        with released(judge_of(model, journal, **options)) as judge:
            scored = rewarded(rows, {p.id: p.prompt for p in asked}, judge, display)
        kept = scored if accept_at is None else accepted(rows, scored, accept_at)
        write_rows(out, kept, Response)
    values = [r.reward for r in scored if r.reward is not None and not isnan(r.reward)]
    identity = judge.identity()
    found = {
        "n": len(scored),
        "empty": sum(not r.text.strip() for r in scored),
        "unscored": len(scored) - len(values),
        "mean": sum(values) / len(values),
        "low": min(values),
        "high": max(values),
        "system": (identity.get("chat") or identity).get("system"),
        "out": str(out),
    }
    if accept_at is not None:
        found["accepted"] = sum(row.meta[ACCEPTED] for row in kept)
    show(found | ({"judge": identity} if as_json else {}), as_json)


def accepted(rows: Sequence[Response], scored: Sequence[Response], least: float) -> list[Response]:
    """The rows with a verifier's verdict in their meta; a response without a score is not accepted. Rewards stay as they are."""
    return [
        replace(row, meta={**row.meta, ACCEPTED: r.reward is not None and r.reward >= least})
        for row, r in zip(rows, scored, strict=True)
    ]


def judge_of(judge: str, journal: Path, **options: Any) -> Judge:
    """The judge of an option: a folder, a hub name or a YAML file, with the options of the command laid over it.

    Options that are None are left out. UserError for one that the kind of judge does not have.
    """
    from acemath.models.score.judge import judge_settings, open_judge

    return open_judge(judge_settings(judge, options), journal)


def rewarded(
    responses: Sequence[Response], prompts: Mapping[str, str], judge: Judge, display: Display | None = None
) -> list[Response]:
    """The responses with their rewards; `prompts` by problem id."""
    rewards = judge.score_responses(prompts, responses, *([display.progress] if display else []))
    return [replace(r, reward=value) for r, value in zip(responses, rewards, strict=True)]
