"""`acemath sample`: a policy's responses to problems, graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli import engines
from acemath.cli.options import Columns, Instruction, Json, MaxNewTokens, Out, Seed, System, Temperature
from acemath.cli.output import show
from acemath.cli.reading import read_problems
from acemath.files.atomic import write_json_lines
from acemath.files.identity import with_prompt_keys
from acemath.files.rows import write_rows
from acemath.models.engine import ChatFormat, Engine, Sampling
from acemath.models.spec import Model
from acemath.records import REFUSED, Problem, Response
from acemath.run.display import Display
from acemath.run.responses import cost_of, graded, without_refused


def command(
    problems: Annotated[Path, typer.Argument(help="Problems; responses to those with answers are graded.")],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")] = "",
    engine: engines.EngineName = "transformers",
    url: engines.Url = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Responses to each problem.")] = 8,
    temperature: Temperature = 1.0,
    max_new_tokens: MaxNewTokens = 2048,
    seed: Seed = 0,
    system: System = "",
    instruction: Instruction = "",
    api_key_env: engines.KeyEnv = None,
    price_in: engines.PriceIn = None,
    price_out: engines.PriceOut = None,
    budget: engines.Budget = None,
    changes: engines.ModelChanges = None,
    dry_run: engines.DryRun = False,
    out: Out = Path("samples.jsonl"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Ask a policy for several responses to each problem, and grade them.

    Example: acemath sample problems.jsonl --model policy -n 8 --max-new-tokens 120

    From a server: acemath sample problems.jsonl --engine endpoint --url http://127.0.0.1:8000/v1 --model policy -n 8
    """
    writer = engines.model_of(
        engine, model, changes, url=url, api_key_env=api_key_env, price_in=price_in, price_out=price_out,
        budget_usd=budget,
    )  # fmt: skip
    chat = ChatFormat(system=system, instruction=instruction)
    sampling = Sampling(n=n, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    show(generate("sample", problems, writer, chat, sampling, out, dry_run, columns), as_json)


def generate(
    name: str,
    problems: Path,
    writer: Model,
    chat: ChatFormat,
    sampling: Sampling,
    out: Path,
    dry_run: bool,
    columns: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Write responses to the problems of a file; with `dry_run` only estimate their cost.

    An endpoint keeps its responses in a folder beside `out` as they arrive.
    """
    with Display().during(name):
        rows = read_problems(problems, columns)
        journal = out.with_suffix(".journal")
        if dry_run:
            return engines.estimate(rows, writer, chat, sampling, journal)
        with engines.engine_of(writer, chat, journal) as made:
            return sample(name, rows, made, sampling, out)


def sample(
    name: str, rows: Sequence[Problem], engine: Engine, sampling: Sampling, out: Path
) -> dict[str, Any]:
    """Write responses, graded if the problem has a reference answer, and refused ones to a file beside them.

    "accuracy" is over the graded responses; "note" says which responses are not.
    """
    responses, dropped = without_refused(engines.write(engine, rows, sampling, name), rows, name)
    responses = graded(responses, rows)
    write_rows(out, with_prompt_keys(responses, rows), Response)
    found: dict[str, Any] = {
        "n": len(responses),
        "problems": len(rows),
        "tokens": sum(r.tokens for r in responses),
        "out": str(out),
    }
    if dropped:
        path = out.with_suffix(".dropped.jsonl")
        write_json_lines(path, [asdict(row) for row in dropped])
        found |= {REFUSED: len(dropped), "dropped": str(path)}
    return found | _accuracy(rows, responses) | cost_of(engine)


def _accuracy(rows: Sequence[Problem], responses: Sequence[Response]) -> dict[str, Any]:
    """The accuracy of the graded responses, and a note if some problems have no reference answer."""
    answered = sum(bool(p.answer) for p in rows)
    graded_ones = [r for r in responses if r.status is not None]
    cut = sum(r.finish_reason == "length" for r in responses)
    found: dict[str, Any] = {"answered": answered, "cut": cut}
    if graded_ones:
        found["accuracy"] = round(100 * sum(r.correct for r in graded_ones) / len(graded_ones), 2)
    if not answered:
        found["note"] = "nothing is graded: no problem has an answer"
    elif answered < len(rows):
        without = len(rows) - answered
        found["note"] = (
            f"accuracy is over {answered:,} of {len(rows):,} problems; {without:,} "
            f"{'has' if without == 1 else 'have'} no answer"
        )
    return found
