"""`acemath synthesize`: a teacher's responses to problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli import engines
from acemath.cli.options import Columns, Instruction, Json, MaxNewTokens, Out, System
from acemath.cli.output import show
from acemath.cli.sample import generate
from acemath.models.engine import ChatFormat, Sampling


def command(
    problems: Annotated[Path, typer.Argument(help="Problems to answer.")],
    engine: engines.EngineName = "worksheets",
    model: Annotated[str, typer.Option(help="The teacher's folder or name.")] = "",
    url: engines.Url = None,
    max_new_tokens: MaxNewTokens = 2048,
    system: System = "",
    instruction: Instruction = "Please reason step by step, and put your final answer within \\boxed{}.",
    api_key_env: engines.KeyEnv = None,
    price_in: engines.PriceIn = None,
    price_out: engines.PriceOut = None,
    budget: engines.Budget = None,
    changes: engines.ModelChanges = None,
    dry_run: engines.DryRun = False,
    out: Out = Path("responses.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Ask a teacher for one greedy response to each problem (paper, section 3.2.1).

    A server's responses are kept in a folder beside the result as they arrive, and the same command does not ask for
    them again. --dry-run shows what it would cost, --budget limits it.

    Example: acemath synthesize clean.jsonl --out responses.jsonl

    From a server: acemath synthesize clean.jsonl --engine endpoint --url http://127.0.0.1:8000/v1 --model teacher
    """
    writer = engines.model_of(
        engine, model, changes, url=url, api_key_env=api_key_env, price_in=price_in, price_out=price_out,
        budget_usd=budget,
    )  # fmt: skip
    chat = ChatFormat(system=system, instruction=instruction)
    sampling = Sampling(max_new_tokens=max_new_tokens)
    show(generate("synthesize", problems, writer, chat, sampling, out, dry_run, columns), as_json)
