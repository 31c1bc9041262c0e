"""`acemath process-bench`: a process reward model or a critic on ProcessBench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.process_bench import (
    HUB,
    SIZES,
    TUNED_ON,
    Prediction,
    Solution,
    best_threshold,
    critic_prompt,
    first_error,
    measured,
    scored_steps,
    solutions_from,
    subsets,
    voted,
)
from acemath.cli import engines
from acemath.cli.options import REWARDS, Cache, Json, MaxNewTokens, Seed, System, json_lines
from acemath.cli.output import MEASURES, show
from acemath.cli.reward_bench_2 import named_rows
from acemath.errors import UserError
from acemath.files.atomic import write_json_lines
from acemath.files.rows import placed_records
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.spec import Model
from acemath.notices import say
from acemath.recipe.sources import Source
from acemath.records import Problem, by_problem, content_key
from acemath.run.display import Display
from acemath.run.source_rows import records_of


@dataclass(frozen=True)
class Found:
    """What a judge said: an index a solution, what it is based on, and how it was decided."""

    name: str
    predictions: Sequence[Prediction]
    details: Sequence[dict[str, Any]]
    more: dict[str, Any]


def command(
    judge: Annotated[
        str | None,
        typer.Argument(
            metavar="[JUDGE]",
            help="A process reward model's folder or name, or its YAML file. Without it and --critic, the predictions "
            "stored in --data count.",
        ),
    ] = None,
    critic: Annotated[str, typer.Option(help="A language model that states the first wrong step: a folder or name.")] = "",
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A copy of one subset, named as it is; give it again for more. [default: the hub's data set]"),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch of the hub's data set.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The most solutions of a subset, chosen by their ids.")] = None,
    threshold: Annotated[
        str, typer.Option(help=f"Steps with a probability at or below it are wrong; {TUNED_ON}: the best one on that subset.")
    ] = "0.5",
    engine: engines.EngineName = "transformers",
    url: engines.Url = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Critiques of each solution, which vote.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Temperature of the critiques. [default: 0 for one, 1 for more]")
    ] = None,
    max_new_tokens: MaxNewTokens = 8192,
    seed: Seed = 0,
    system: System = "",
    api_key_env: engines.KeyEnv = None,
    price_in: engines.PriceIn = None,
    price_out: engines.PriceOut = None,
    budget: engines.Budget = None,
    changes: engines.ModelChanges = None,
    cache: Cache = REWARDS,
    out: Annotated[
        Path | None, typer.Option(callback=json_lines, help="Write predictions to this JSONL file, which --data reads.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure on ProcessBench how well a judge finds the first wrong step: F1 by subset, and its average.

    Example: acemath process-bench process-model --data gsm8k.jsonl --data math.jsonl

    A language model: acemath process-bench --critic qwen --engine endpoint --url http://127.0.0.1:8000/v1 -n 8
    """
    if critic and judge is not None:
        raise UserError(f"both a judge ({judge}) and a critic ({critic}) are named; name one")
    with Display().during("process-bench") as display:
        solutions = read_solutions(data or (), revision, limit)
        found = None if critic else of_judge(judge, solutions, threshold, cache, display)
    if found is None:
        model = engines.model_of(
            engine, critic, changes, url=url, api_key_env=api_key_env, price_in=price_in, price_out=price_out,
            budget_usd=budget,
        )  # fmt: skip
        heat = (1.0 if n > 1 else 0.0) if temperature is None else temperature
        sampling = Sampling(n=n, temperature=heat, max_new_tokens=max_new_tokens, seed=seed)
        found = of_critic(model, ChatFormat(system=system), sampling, solutions, out)
    show_found(found, solutions, out, as_json)


def show_found(found: Found, solutions: Sequence[Solution], out: Path | None, as_json: bool) -> None:
    """Print the table, with notes, and write the predictions."""
    if out is not None:
        write_json_lines(out, _records(found, solutions))
    result = {**measured(solutions, found.predictions, found.name), "solutions": len(solutions), **found.more}
    for note in result["notes"]:
        say(note)
    show(result, as_json, MEASURES, named_rows(result["rows"]))


def read_solutions(data: Sequence[Path], revision: str | None, limit: int | None) -> list[Solution]:
    """The solutions of some files, or of the hub's data set; with `limit` so many of each subset, chosen by their ids."""
    if data and revision is not None:
        raise UserError(f"--revision is for the hub's data set, and --data names {str(data[0])!r}; leave one out")
    found: list[Solution] = []
    for path in data:
        found += solutions_from(placed_records(path), path.name.split(".")[0])
    for subset in () if data else SIZES:
        source = Source(hub=HUB, split=subset, revision=revision)
        found += [replace(s, subset=subset) for s in solutions_from(records_of(f"ProcessBench {subset}", source), subset)]
    if len(ids := {(s.subset, s.id) for s in found}) < len(found):
        raise UserError(f"{len(found) - len(ids)} solutions appear twice; give each file once, and each solution an id of its own")
    if limit is None:
        return found
    ranked = sorted(found, key=lambda s: content_key(s.subset, s.id))
    return [s for subset in subsets(found) for s in [r for r in ranked if r.subset == subset][:limit]]


def of_judge(judge: str | None, solutions: Sequence[Solution], threshold: str, cache: Path, display: Display) -> Found:
    """A process reward model's predictions, or without one those that are stored with the solutions."""
    if judge is None:
        if not all(s.predicted for s in solutions):
            raise UserError("a solution has no prediction; name a process reward model, or a language model with --critic")
        return Found("stored predictions", [s.prediction for s in solutions], [{} for _ in solutions], {})
    cut = _threshold(threshold)
    from acemath.models.score.judge import judge_settings
    from acemath.models.score.settings import ProcessModelSettings
    from acemath.run.score_cache import CachedSteps

    settings = judge_settings(judge)
    if not isinstance(settings, ProcessModelSettings):
        raise UserError(f"judge {judge!r} gives no score for a step; name a process reward model, or a language model with --critic")
    made = CachedSteps(settings, cache)
    scores = scored_steps(made, solutions, display.progress)
    limit = best_threshold(solutions, scores) if cut is None else cut
    details = [{"scores": [None if x != x else x for x in row]} for row in scores]  # noqa: PLR0124 (nan is no JSON)
    return Found(made.name, [first_error(row, limit) for row in scores], details, {"threshold": limit, "asked": made.asked})


def _threshold(text: str) -> float | None:
    """The number; None for the name of the subset on which it is chosen."""
    if text == TUNED_ON:
        return None
    try:
        found = float(text)
    except ValueError:
        found = nan
    if isnan(found):
        raise UserError(f"--threshold {text!r} is neither a number nor {TUNED_ON}; correct it")
    return found


def of_critic(
    model: Model, chat: ChatFormat, sampling: Sampling, solutions: Sequence[Solution], out: Path | None
) -> Found:
    """A language model's predictions: it is asked once or more about each solution, and its answers vote."""
    asked = [Problem(f"{s.subset} {s.id}", critic_prompt(s)) for s in solutions]
    journal = (out or Path("process-bench.jsonl")).with_suffix(".journal")
    with engines.engine_of(model, chat, journal) as engine:
        rows = by_problem(engines.write(engine, asked, sampling, "process-bench"))
        name = engine.name
    texts = [[r.text for r in rows[p.id] if r.complete] for p in asked]
    cut = sum(not r.complete for responses in rows.values() for r in responses)
    if cut:
        say(f"{cut:,} of {len(asked) * sampling.n:,} critiques were cut or refused; they name no index")
    return Found(name, [voted(critiques) for critiques in texts], [{"critiques": t} for t in texts], {"cut": cut, "votes": sampling.n})


def _records(found: Found, solutions: Sequence[Solution]) -> Iterator[dict[str, Any]]:
    for solution, prediction, detail in zip(solutions, found.predictions, found.details, strict=True):
        kept = {"id": solution.id, "subset": solution.subset, "problem": solution.problem, "steps": solution.steps}
        yield {**kept, "label": solution.label, "prediction": prediction, **detail}
