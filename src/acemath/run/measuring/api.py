"""`acemath.evaluate`: an evaluation from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from acemath.errors import UserError
from acemath.models.score.judge import judge_settings
from acemath.models.score.settings import JudgeSettings
from acemath.models.spec import TransformersModel
from acemath.recipe.load import first_fault
from acemath.run.display import Display
from acemath.run.measuring.measure import measure
from acemath.run.measuring.settings import Measured, Plan, default_folder, named


def evaluate(
    policies: str | Sequence[str] | Mapping[str, Measured],
    benchmarks: str | Sequence[str],
    out: str | Path | None = None,
    *,
    judges: Sequence[str] | Mapping[str, JudgeSettings] = (),
    k: int | None = None,
    limit: int | None = None,
    columns: Mapping[str, str] | None = None,
    data: str | Path | None = None,
    cache: str | Path = "rewards.cache",
    quiet: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Measure policies on benchmarks, as `acemath eval` does, and return the content of `results.json`.

    policies: folders or hub names, run by transformers with `settings` (fields of `Measured`: n, temperature, …), or
    `Measured` by name for any other engine. benchmarks: names of the registry, presets, files. judges: reward models, or
    settings of judges by name. data: the folder of the benchmarks' files. cache: the folder that keeps every score. UserError
    for a wrong value.
    """
    places = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
    try:
        if isinstance(policies, Mapping):
            if settings:
                raise UserError(f"evaluate got {next(iter(settings))!r} beside policies by name; set it in each Measured")
            measured = dict(policies)
        else:
            found = named([policies] if isinstance(policies, str) else policies, "model")
            measured = {name: Measured(model=TransformersModel(id=place), **settings) for name, place in found.items()}
        scored = judges if isinstance(judges, Mapping) else {n: judge_settings(j) for n, j in named(judges, "reward").items()}
        most = max(policy.n for policy in measured.values())
        plan = Plan(
            policies=measured, benchmarks=tuple(places), columns=dict(columns or {}), limit=limit, k=k or min(8, most),
            judges=dict(scored), cache=Path(cache), data=None if data is None else Path(data),
        )  # fmt: skip
    except ValidationError as error:
        raise UserError(first_fault(error, "evaluate")) from error
    folder = Path(out) if out is not None else default_folder(list(measured), places)
    return measure(plan, folder, Display(quiet=quiet))
