"""`acemath rewardbench build`: AceMath-RewardBench from own policies, as the paper built it from eight."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acemath.cli import engines
from acemath.cli.dry_run import show_dry_run
from acemath.cli.options import (
    Columns,
    Data,
    Instruction,
    Json,
    MaxNewTokens,
    Seed,
    System,
    folder,
    settings_of,
)
from acemath.cli.output import show
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.notices import say
from acemath.run.display import Display

BENCH = "bench"  # the release, in the folder of the build


def build(
    model: Annotated[
        list[str] | None, typer.Option(help="A policy's folder or name, or NAME=MODEL; give the option again for more.")
    ] = None,
    benchmarks: Annotated[
        str, typer.Option(help="Names and files with commas between them; the default is the paper's seven.")
    ] = "rewardbench",
    out: Annotated[
        Path,
        typer.Option(callback=folder, help="The folder of the samples, which a stopped call continues; the release is in bench/."),
    ] = Path("runs/rewardbench"),
    n: Annotated[int, typer.Option("--n", "-n", min=2, help="Responses of each policy to each problem.")] = 8,
    temperature: Annotated[float, typer.Option(min=0.01, help="Temperature of the samples.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="Probability mass of the tokens that may be drawn.")] = 1.0,
    seed: Seed = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most problems of each benchmark, chosen by a hash of their ids.")
    ] = None,
    system: System = "",
    instruction: Instruction = "",
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
    dry_run: engines.DryRun = False,
    as_json: Json = False,
) -> None:
    """Sample several policies on benchmarks, grade them, and write the release's form (paper, section 4.3.1).

    Policies that differ in engine, chat or sampling have calls of their own with the same --out and benchmarks: the release
    holds the samples of all policies of the folder.

    Example: acemath rewardbench build --model nvidia/AceMath-7B-Instruct --model Qwen/Qwen2.5-Math-7B-Instruct --engine vllm
    """
    from acemath.run.building import write_bench
    from acemath.run.measuring.measure import measure
    from acemath.run.measuring.settings import Plan, named

    server = {
        "url": url, "api_key_env": api_key_env, "price_in": price_in, "price_out": price_out, "budget_usd": budget,
    }  # fmt: skip
    writing = {
        "chat": ChatFormat(system=system, instruction=instruction), "greedy": False, "n": n, "temperature": temperature,
        "top_p": top_p, "max_new_tokens": max_new_tokens, "seeds": (seed,),
    }  # fmt: skip
    models = named(model or [], "model") or ({engine: ""} if engine == "worksheets" else {})
    if not models:
        raise UserError("no policy is named; give its folder or hub name with --model")
    policies = {
        name: {"model": engines.model_of(engine, place, changes, **server), **writing} for name, place in models.items()
    }
    places = tuple(filter(None, benchmarks.split(",")))
    if not places:
        raise UserError("no benchmark is named; give --benchmarks rewardbench, or names and files with commas between them")
    plan = settings_of(
        Plan, {"policies": policies, "benchmarks": places, "columns": columns or {}, "limit": limit, "k": n, "data": data}, {}
    )
    if dry_run:
        show_dry_run(plan, out, as_json)
        return
    with Display().during("rewardbench build"):
        found = measure(plan, out, Display())
        made = write_bench(out, out / BENCH)
    for note in found["notes"]:
        say(note)
    show(made, as_json)
