"""`acemath solve`: the best of several answers to one question."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Instruction, Json, MaxNewTokens, Seed, Temperature, reward_chat_option
from acemath.cli.output import show
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.notices import quiet_transformers
from acemath.run.display import Display


def command(
    question: Annotated[str, typer.Argument(help="The problem.")],
    policy: Annotated[str, typer.Option(help="A policy's folder or name.")] = "runs/laptop/sft-math/model",
    reward: Annotated[
        str, typer.Option(help="A reward model's folder or name.")
    ] = "runs/laptop/reward/model",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Responses to choose from.")] = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 256,
    instruction: Instruction = "",
    reward_system: Annotated[ChatFormat | None, reward_chat_option("--reward-system")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Answer a question with policy and reward model together.

    Example: acemath solve "Two numbers have sum 11 and product 24. What is the smaller one?"
    """
    for name, path in (("--policy", policy), ("--reward", reward)):
        if path.startswith("runs/") and not Path(path).exists():
            raise UserError(
                f"{name} {path!r} does not exist; run the recipe first (acemath run), or name a model"
            )
    with Display().during("solve"):
        quiet_transformers()
        from acemath.models.score.best_of_n import BestOfN

        chosen = BestOfN(policy, reward, ChatFormat(instruction=instruction), reward_system, max_new_tokens)
        solution = chosen.solve(question, n, temperature, seed)
    if as_json:
        show(asdict(solution), True)
        return
    typer.echo(solution.text)
    if not solution.candidates[0].complete:
        typer.echo(
            "every response was cut at --max-new-tokens, so there is no answer; raise the limit", err=True
        )
    typer.echo(f"\nanswer: {solution.answer}   reward {solution.reward:.2f}")
    show({}, False, ("reward", "answer"), [(c.reward, c.answer) for c in solution.candidates])
