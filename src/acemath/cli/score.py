"""`acemath score`: a reward model's rewards for responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from acemath.cli.options import Columns, Json, MaxLength, Out, SharePrefix, reward_chat_option
from acemath.cli.output import show
from acemath.cli.reading import read_answered
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat
from acemath.notices import quiet_transformers
from acemath.records import Response
from acemath.run.display import Display

if TYPE_CHECKING:
    from acemath.models.score.score import RewardModel


def command(
    responses: Annotated[Path, typer.Argument(help="Responses, as acemath sample writes them.")],
    problems: Annotated[Path, typer.Option(help="The problems they answer.")],
    model: Annotated[str, typer.Option(help="A reward model's folder or name.")],
    system: Annotated[ChatFormat | None, reward_chat_option("--system")] = None,
    engine: Annotated[
        Literal["transformers", "vllm"], typer.Option(help="What runs the reward model.")
    ] = "transformers",
    max_length: MaxLength = 4096,
    share_prefix: SharePrefix = True,
    out: Out = Path("scored.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Score responses with a reward model and write the rewards beside them.

    Example: acemath score samples.jsonl --problems problems.jsonl --model reward-model
    """
    with Display().during("score"):
        asked, rows = read_answered(responses, problems, columns)
        judge = reward_model(model, system, max_length=max_length, share_prefix=share_prefix, engine=engine)
        scored = rewarded(rows, {p.id: p.prompt for p in asked}, judge)
        write_rows(out, scored, Response)
    values = [r.reward for r in scored if r.reward is not None]
    found = {
        "n": len(scored),
        "empty": sum(not r.text.strip() for r in scored),
        "mean": sum(values) / len(values),
        "low": min(values),
        "high": max(values),
        "system": judge.chat.system,
        "out": str(out),
    }
    show(found, as_json)


def reward_model(model: str, chat: ChatFormat | None, **options: Any) -> RewardModel:
    """A reward model with these options, loaded without the progress bars and notes of transformers."""
    quiet_transformers()
    from acemath.models.score.score import RewardModel

    return RewardModel(model, chat, **options)


def rewarded(responses: Sequence[Response], prompts: Mapping[str, str], judge: RewardModel) -> list[Response]:
    """The responses with their rewards; `prompts` by problem id."""
    rewards = judge.score_responses(prompts, responses)
    return [replace(r, reward=value) for r, value in zip(responses, rewards, strict=True)]
