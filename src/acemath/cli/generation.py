"""The commands that have responses written: synthesize and sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from acemath.cli.output import Json, Out, show
from acemath.cli.settings import Columns, Seed, changes, columns_of
from acemath.models.engine import ChatFormat, Sampling
from acemath.run.display import Display

app = typer.Typer()

EngineName = Literal["worksheets", "transformers", "vllm", "endpoint"]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="What writes: the built-in teacher of worksheets, a model in this process, or a server."
    ),
]
Url = Annotated[str, typer.Option(help="The address of an OpenAI-compatible server; it usually ends in /v1.")]
KeyEnv = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", help="The environment variable with the server's key. [default: OPENAI_API_KEY]"
    ),
]
PriceIn = Annotated[float | None, typer.Option(min=0, help="US$ for a million prompt tokens.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="US$ for a million generated tokens.")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget", min=0, help="US$ that the server may cost; stops before it spends more. Needs prices."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another setting of the model, for example in_flight=64 or tensor_parallel=4.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be asked and paid; ask nothing.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Tokens of a response at most.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of sampling; 0 is greedy.")]
System = Annotated[str, typer.Option(help="System prompt of the conversation.")]
Instruction = Annotated[str, typer.Option(help="Text after each problem.")]


def options(
    url: str,
    api_key_env: str | None,
    price_in: float | None,
    price_out: float | None,
    budget: float | None,
    change: list[str] | None,
) -> dict[str, Any]:
    """The settings of a model that the options give; None where one is not given."""
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
    columns: str | None,
) -> dict[str, Any]:
    with Display().during(name):
        from acemath.cli import data, engines

        writer = engines.model_of(engine, model, given)
        rows = data.read_problems(problems, columns_of(columns))
        journal = out.with_suffix(".journal")
        if dry_run:
            return engines.estimate(rows, writer, chat, sampling, journal)
        with engines.engine_of(writer, chat, journal) as made:
            return engines.sample(name, rows, made, sampling, out)


@app.command()
def synthesize(
    problems: Annotated[Path, typer.Argument(help="Problems to answer.")],
    engine: Engine = "worksheets",
    model: Annotated[str, typer.Option(help="The teacher's folder or name.")] = "",
    url: Url = "",
    max_new_tokens: MaxNewTokens = 2048,
    system: System = "",
    instruction: Instruction = "Please reason step by step, and put your final answer within \\boxed{}.",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    dry_run: DryRun = False,
    out: Out = Path("responses.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Ask a teacher for one greedy response to each problem (paper, section 3.2.1).

    A server's responses are kept in a folder beside the result as they arrive; the same command asks for none of
    them again. --dry-run shows what it would cost, --budget limits it.

    Example: acemath synthesize clean.jsonl --out responses.jsonl

    From a server: acemath synthesize clean.jsonl --engine endpoint --url http://127.0.0.1:8000/v1 --model teacher
    """
    chat, sampling = (
        ChatFormat(system=system, instruction=instruction),
        Sampling(max_new_tokens=max_new_tokens),
    )
    given = options(url, api_key_env, price_in, price_out, budget, changes)
    show(
        _generate("synthesize", problems, engine, model, given, chat, sampling, out, dry_run, columns),
        as_json,
    )


@app.command()
def sample(
    problems: Annotated[Path, typer.Argument(help="Problems; responses to those with answers are graded.")],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")] = "",
    engine: Engine = "transformers",
    url: Url = "",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Responses to each problem.")] = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 2048,
    seed: Seed = 0,
    system: System = "",
    instruction: Instruction = "",
    api_key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    budget: Budget = None,
    changes: Set = None,
    dry_run: DryRun = False,
    out: Out = Path("samples.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Ask a policy for several responses to each problem, and grade them.

    Example: acemath sample problems.jsonl --model policy -n 8 --max-new-tokens 120

    From a server: acemath sample problems.jsonl --engine endpoint --url http://127.0.0.1:8000/v1 --model policy -n 8
    """
    chat = ChatFormat(system=system, instruction=instruction)
    sampling = Sampling(n=n, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    given = options(url, api_key_env, price_in, price_out, budget, changes)
    show(_generate("sample", problems, engine, model, given, chat, sampling, out, dry_run, columns), as_json)
