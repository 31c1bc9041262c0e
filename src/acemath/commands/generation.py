"""The commands that have responses written: synthesize and sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.commands.output import Json, show
from acemath.commands.settings import changes
from acemath.engines.base import ChatFormat, Sampling

app = typer.Typer()

Out = Annotated[Path, typer.Option("--out", help="Where the result goes (.parquet or .jsonl).")]
Url = Annotated[str, typer.Option(help="Of an OpenAI-compatible server, usually ending in /v1.")]
KeyEnv = Annotated[
    str | None,
    typer.Option("--api-key-env", help="The environment variable with the key [OPENAI_API_KEY]."),
]
PriceIn = Annotated[float | None, typer.Option(help="US$ for a million prompt tokens.")]
PriceOut = Annotated[float | None, typer.Option(help="US$ for a million generated tokens.")]
Budget = Annotated[
    float | None, typer.Option("--budget", help="Stop before more US$ than these are spent; needs prices.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Another setting of the endpoint, say in_flight=64 or budget_tokens=1000000."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be asked and paid; ask nothing.")]


def options(
    url: str,
    api_key_env: str | None,
    price_in: float | None,
    price_out: float | None,
    budget: float | None,
    change: list[str] | None,
) -> dict[str, Any]:
    """The settings of an endpoint that options give; None where one is not given."""
    return {
        "url": url or None,
        "api_key_env": api_key_env,
        "price_in": price_in,
        "price_out": price_out,
        "budget_usd": budget,
        **changes(change or []),
    }


def _generate(
    name: str,
    problems: Path,
    engine: str,
    model: str,
    given: dict[str, Any],
    chat: ChatFormat,
    sampling: Sampling,
    out: Path,
    dry_run: bool,
) -> dict[str, Any]:
    from acemath.commands import data, engines

    settings = engines.endpoint_of(engine, model, given)
    rows = data.read_problems(problems)
    journal = out.with_suffix(".journal")
    if dry_run:
        return engines.estimate(rows, settings, chat, sampling, journal)
    with engines.engine_of(settings, chat, journal) as made:
        return engines.sample(name, rows, made, sampling, out)


@app.command()
def synthesize(
    problems: Annotated[Path, typer.Argument(help="Problems to answer.")],
    engine: Annotated[str, typer.Option(help="worksheets, transformers, vllm or endpoint.")] = "worksheets",
    model: Annotated[str, typer.Option(help="The teacher's folder or name.")] = "",
    url: Url = "",
    max_new_tokens: int = 2048,
    system: Annotated[str, typer.Option(help="System prompt of the conversation.")] = "",
    instruction: Annotated[
        str, typer.Option(help="Text after each problem.")
    ] = "Please reason step by step, and put your final answer within \\boxed{}.",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    dry_run: DryRun = False,
    out: Out = Path("responses.jsonl"),
    as_json: Json = False,
) -> None:
    """One greedy response of a teacher to each problem (paper, section 3.2.1).

    An endpoint's responses are kept in a folder beside the result as they arrive: the same command again asks for
    none of them.

    Example: acemath synthesize clean.jsonl --engine endpoint --url http://127.0.0.1:8000/v1 --model teacher

    What it would cost: the same with --price-in 0.15 --price-out 0.6 --dry-run; at most so much: --budget 5
    """
    chat, sampling = (
        ChatFormat(system=system, instruction=instruction),
        Sampling(max_new_tokens=max_new_tokens),
    )
    given = options(url, api_key_env, price_in, price_out, budget, changes)
    show(
        _generate("synthesize", problems, engine, model, given, chat, sampling, out, dry_run),
        as_json,
    )


@app.command()
def sample(
    problems: Annotated[Path, typer.Argument(help="Problems; those with answers are graded.")],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")],
    engine: Annotated[str, typer.Option(help="transformers, vllm or endpoint.")] = "transformers",
    url: Url = "",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Responses a problem.")] = 8,
    temperature: Annotated[float, typer.Option(min=0.0)] = 1.0,
    max_new_tokens: int = 2048,
    seed: int = 0,
    system: Annotated[str, typer.Option(help="System prompt of the conversation.")] = "",
    instruction: Annotated[str, typer.Option(help="Text after each problem.")] = "",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    dry_run: DryRun = False,
    out: Out = Path("samples.jsonl"),
    as_json: Json = False,
) -> None:
    """Several responses of a policy to each problem, graded.

    Example: acemath sample problems.jsonl --model runs/laptop/sft-math/model -n 8 --max-new-tokens 120

    Of a server, all eight with one request: --engine endpoint --url http://127.0.0.1:8000/v1 --set per_request=8
    """
    chat = ChatFormat(system=system, instruction=instruction)
    sampling = Sampling(n=n, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    given = options(url, api_key_env, price_in, price_out, budget, changes)
    show(_generate("sample", problems, engine, model, given, chat, sampling, out, dry_run), as_json)
