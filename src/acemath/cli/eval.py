"""`acemath eval`: measures of policies on benchmarks, alone and with a reward model, in a folder of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.tables import AVERAGE
from acemath.cli import engines
from acemath.cli.dry_run import show_dry_run
from acemath.cli.options import (
    REWARDS,
    Cache,
    Columns,
    Data,
    Instruction,
    Json,
    MaxNewTokens,
    System,
    folder,
    reward_chat_option,
    settings_of,
)
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.cli.published import BESIDE, beside_lines
from acemath.errors import UserError, require
from acemath.models.engine import ChatFormat
from acemath.notices import say
from acemath.run.display import Display


def command(
    problems: Annotated[
        list[str] | None, typer.Argument(help="Files of problems with answers; each is one benchmark.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A policy's folder or name, or NAME=MODEL; give the option again for more."),
    ] = None,
    benchmarks: Annotated[
        str, typer.Option(help="Names with commas between them, for example gsm8k,math500 or paper.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(callback=folder, help="The folder of results. [default: runs/eval-MODELS-BENCHMARKS]"),
    ] = None,
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Samples of each problem; 1 is the greedy response alone.")
    ] = 1,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="How many responses to pick from. [default: 8, or -n if that is less]"),
    ] = None,
    greedy: Annotated[bool, typer.Option(help="Write one greedy response to each problem.")] = True,
    temperature: Annotated[float, typer.Option(min=0.01, help="Temperature of the samples.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Probability mass of the tokens that may be drawn.")] = 1.0,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of the samples; give the option again for the spread over seeds.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most problems of each benchmark, chosen by a hash of their ids.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Demonstrations before each problem. [default: the benchmark's]")
    ] = None,
    reward: Annotated[
        list[str] | None,
        typer.Option(
            "--reward",
            "--judge",
            help="A reward model's folder or name, or a YAML file that describes a judge; give the option again for more.",
        ),
    ] = None,
    system: System = "",
    instruction: Instruction = "",
    reward_system: Annotated[ChatFormat | None, reward_chat_option("--reward-system")] = None,
    max_new_tokens: MaxNewTokens = 2048,
    engine: engines.EngineName = "transformers",
    url: engines.Url = None,
    api_key_env: engines.KeyEnv = None,
    price_in: engines.PriceIn = None,
    price_out: engines.PriceOut = None,
    budget: engines.Budget = None,
    changes: engines.ModelChanges = None,
    columns: Columns = None,
    data: Data = None,
    cache: Cache = REWARDS,
    dry_run: engines.DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure policies: greedy pass@1, and with samples avg@n, maj@k, rm@k and pass@k.

    Example: acemath eval problems.jsonl --model policy -n 8 --reward reward-model --max-new-tokens 120

    Two policies, compared: acemath eval --benchmarks gsm8k,math500 --model Qwen/Qwen2.5-Math-7B-Instruct --model nvidia/AceMath-7B-Instruct
    """
    require("acemath eval", "pyarrow")
    from acemath.models.score.judge import judge_settings
    from acemath.run.measuring.measure import RESULTS, measure
    from acemath.run.measuring.settings import Plan, check_plan, default_folder, named

    server = {
        "url": url, "api_key_env": api_key_env, "price_in": price_in, "price_out": price_out, "budget_usd": budget,
    }  # fmt: skip
    writing = {
        "chat": ChatFormat(system=system, instruction=instruction), "greedy": greedy, "n": n, "temperature": temperature,
        "top_p": top_p, "max_new_tokens": max_new_tokens, "seeds": tuple(seed or (0,)), "shots": shots,
    }  # fmt: skip
    policies = {
        name: {"model": engines.model_of(engine, place, changes, **server), **writing}
        for name, place in _models(engine, model or []).items()
    }
    chosen = {
        "policies": policies, "benchmarks": _benchmarks(problems or [], benchmarks), "columns": columns or {},
        "limit": limit, "k": k or min(8, n), "cache": cache, "data": data,
    }  # fmt: skip
    named_judges = named(reward or [], "reward")
    check_plan(settings_of(Plan, chosen, {}), named_judges)
    judges = {name: judge_settings(judge, {"chat": reward_system}) for name, judge in named_judges.items()}
    plan = settings_of(Plan, {**chosen, "judges": judges}, {})
    place = out or default_folder(list(policies), plan.benchmarks)
    if dry_run:
        show_dry_run(plan, place, as_json)
        return
    with Display().during("eval"):
        found = measure(plan, place, Display())
    for note in found["notes"]:
        say(note)
    if as_json:
        show(found, True)
        return
    _show(found)
    typer.echo(f"{place / RESULTS} holds all numbers; the responses, with verdicts and reasons, lie beside it")


def _models(engine: str, models: Sequence[str]) -> dict[str, str]:
    """The policies of --model by name. The teacher of worksheets has no model."""
    from acemath.run.measuring.settings import named

    if engine == "worksheets" and not models:
        return {engine: ""}
    if not models:
        raise UserError("no policy is named; give its folder or hub name with --model")
    return named(models, "model")


def _benchmarks(problems: Sequence[str], benchmarks: str) -> tuple[str, ...]:
    """The texts that name benchmarks and files. UserError if there is none."""
    found = (*problems, *filter(None, benchmarks.split(",")))
    if not found:
        raise UserError("no benchmark is named; give --benchmarks gsm8k,math500, or files of problems with answers")
    return found


def _show(found: Mapping[str, Any]) -> None:
    """Print the measures of each policy, the differences of policies, and the paper's numbers for the same models."""
    several = len(found["models"]) > 1
    rows = found["rows"]
    seeds = any("seeds" in row for row in rows)
    columns = (*(["model"] if several else []), *MEASURES, *(["sd over seeds"] if seeds else []))
    cells = [
        (
            *([row["model"]] if several else []),
            *shown,
            *([f"{row['seeds']['sd']:.2f} (n = {len(row['seeds']['values'])})" if "seeds" in row else ""] if seeds else []),
        )
        for row, shown in zip(rows, measure_rows(rows), strict=True)
    ]
    show({}, False, columns, cells)
    pairs = [row for row in found["comparisons"] if row["benchmark"] == AVERAGE]
    if pairs:
        lines = [(f"{row['model']} - {row['other']}", *measure_rows([{**row, "undefined": 0}])[0]) for row in pairs]
        show({}, False, ("difference", *MEASURES), lines)
    if found["paper"]:
        show({}, False, BESIDE, beside_lines(found["paper"]))
