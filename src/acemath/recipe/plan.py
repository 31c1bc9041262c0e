"""The plan of a recipe: for each stage the rows, tokens, GPU hours, hours of this machine and cost, as estimates.

Rows come from the recipe's counts and from files. A data set of the hub without a count has its public size if that is
known. Training costs 6 FLOPs for each parameter and token, generation 2. Hours of this machine come from measured rates alone. Nothing is
downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.models.builtin import resolve
from acemath.models.hub import weight_count
from acemath.models.spec import EndpointModel, TransformersModel, VllmModel, WorksheetsModel
from acemath.recipe.counts import Counts
from acemath.recipe.rates import Kind, model_of
from acemath.recipe.roles import SUBJECTS, Policy, Role
from acemath.recipe.schema import BASE_CHECK, VOTES, Recipe
from acemath.recipe.schema import MATH_TOKENS as MATH_TOKENS
from acemath.records import group_of

PROMPT_TOKENS = 200  # of a problem with its instruction, mean; our assumption
OTHER_TOKENS = {"code": 560, "general": 790}  # of a response, mean (paper, section 3.2: derived from its counts)
EVOLVED_TOKENS = 100  # of a new question, mean; our assumption
TRAIN_FLOPS = 4.0e14  # FLOP/s of a GPU in bfloat16 training: 40 % of an H100's peak; our assumption
WRITE_FLOPS = 1.0e14  # FLOP/s of a GPU in batched generation; our assumption


def parameter_count(recipe: Recipe, ref: str) -> float:
    """The parameters of a model: from the headers of its files if it is a folder, else from its name (7B, 1.5b …); 0 if unknown."""
    model = recipe.model(recipe.origin(ref)).name
    if Path(resolve(model)).is_dir():
        return weight_count(Path(resolve(model)))
    found = re.search(r"(\d+(?:\.\d+)?)\s*[bB](?![a-z])", Path(model).name)
    return float(found[1]) * 1e9 if found else 0.0


def _row(
    stage: str,
    rows: float,
    tokens: float,
    flops: float,
    rate: float,
    usd: float = 0.0,
    work: tuple[Kind, str] | None = None,
) -> dict[str, Any]:
    """A row of the plan; `work` is what is done with the tokens, by which model, and `plan` replaces it by hours."""
    hours = flops / rate / 3600
    return {
        "stage": stage,
        "rows": round(rows),
        "tokens_millions": round(tokens / 1e6, 2),
        "gpu_hours": round(hours, 2),
        "usd": round(usd, 2),
        "hours_here": (work, tokens),
    }


def _written(recipe: Recipe, stage: str, rows: float, tokens: float, role: Role | None) -> dict[str, Any]:
    """A row for responses of a role: GPU hours of a local model, or the price of an endpoint."""
    model = None if role is None else recipe.model(role.model)
    total, size, usd, work = rows * tokens, 0.0, 0.0, None
    if isinstance(model, EndpointModel):
        usd = model.usd(rows * PROMPT_TOKENS, total)
    elif role is not None and model is not None and not isinstance(model, WorksheetsModel):
        size = parameter_count(recipe, role.model)
        work = _by(recipe, "write", role.model)
    return _row(stage, rows, total, 2 * size * total, WRITE_FLOPS, usd, work)


def _weights(recipe: Recipe) -> list[str]:
    """The models with weights that a recipe uses, once each, but for those that it trains."""
    ranker = recipe.roles.ranker
    refs = [*recipe.sft.stages, recipe.reward.base, *(role.model for role in recipe.roles.named().values())]
    refs += [policy.model for part in (recipe.reward.candidates, recipe.bench) for policy in part.policies.values()]
    refs += [] if ranker is None or ranker.model in (BASE_CHECK, VOTES) else [ranker.model]
    origins = dict.fromkeys(map(recipe.origin, refs))
    return [ref for ref in origins if isinstance(recipe.model(ref), TransformersModel | VllmModel)]


def _by(recipe: Recipe, kind: Kind, ref: str) -> tuple[Kind, str]:
    """What a model does, for the rate of this machine."""
    return kind, model_of(recipe, ref)


def _training_rows(recipe: Recipe, counts: Counts) -> list[dict[str, Any]]:
    """The fine-tuning stages."""
    found = []
    for name, part in recipe.sft.stages.items():
        each = min(part.each, max((role.each for role in recipe.roles.teachers.values()), default=1))
        added = {pool: rows * each for pool, rows in counts.blend(name).items()}
        if part.data is not None:
            added = {group_of(part.data.subject): counts.ready(name, part.data)}
        epochs = recipe.sft.settings_of(name).epochs
        groups = {
            pool: (recipe.sft.pools[pool].of if pool in recipe.sft.pools else pool).partition(".")[0]
            for pool in added
        }
        tokens = sum(rows * _tokens(recipe, groups[pool]) for pool, rows in added.items()) * epochs
        flops = 6 * parameter_count(recipe, name) * tokens
        found.append(_row(f"sft-{name}", sum(added.values()), tokens, flops, TRAIN_FLOPS, work=_by(recipe, "train", name)))
    return found


def _tokens(recipe: Recipe, group: str) -> int:
    """The mean tokens of a response to prompts of a group of subjects."""
    return recipe.response_tokens if group == "math" else OTHER_TOKENS[group]


def _policy_rows(
    recipe: Recipe, kind: str, policies: Mapping[str, Policy], sizes: Sequence[float]
) -> list[dict[str, Any]]:
    """Responses of policies: "candidates" of the reward model, "samples" or "greedy" ones on benchmarks of these sizes.

    A policy that answers a part of the problems answers as many of each benchmark.
    """

    def answered(most: int | None) -> float:
        return sum(sizes) if most is None else sum(min(size, max(1, most // len(sizes))) for size in sizes)

    return [
        _written(
            recipe,
            f"{kind}-{name}",
            answered(policy.problems) * (1 if kind == "greedy" else policy.each),
            recipe.response_tokens,
            policy,
        )
        for name, policy in policies.items()
    ]


def _scored(recipe: Recipe, stage: str, rows: float, ref: str) -> dict[str, Any]:
    """A row for responses that a reward model reads, which is `ref` or was made from it."""
    tokens = rows * recipe.response_tokens
    return _row(stage, rows, tokens, 2 * parameter_count(recipe, ref) * tokens, TRAIN_FLOPS, work=_by(recipe, "read", ref))


def _ranks(recipe: Recipe, candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ranker's rewards, if groups are drawn by them: of all candidates, though only mixed problems get some."""
    ranker = recipe.roles.ranker
    if ranker is None or recipe.reward.groups.by != "rank":
        return []
    if ranker.model == VOTES:
        return [_row("ranks", sum(row["rows"] for row in candidates), 0, 0, TRAIN_FLOPS)]
    ref = recipe.sft.base if ranker.model == BASE_CHECK else ranker.model
    return [_scored(recipe, "ranks", sum(row["rows"] for row in candidates), ref)]


def _votes(recipe: Recipe, problems: float) -> list[dict[str, Any]]:
    """The responses of the vote on solvability, if the recipe has one."""
    vote = recipe.curate.solvability
    if vote is None:
        return []
    return [_written(recipe, "votes", problems * vote.answers, recipe.response_tokens, recipe.roles.named()[vote.by])]


def _hours(work: tuple[Kind, str] | None, tokens: float, rates: Mapping[str, Mapping[str, float]]) -> float | None:
    """Hours of this machine for some work; 0 for work without a model, None without a measured rate."""
    if work is None:
        return 0.0
    rate = rates.get(work[1], {}).get(work[0])
    return None if rate is None else round(tokens / rate / 3600, 2)


def _stages(recipe: Recipe, counts: Counts) -> list[dict[str, Any]]:
    """The rows of the plan, in the order of a run."""
    tokens = recipe.response_tokens
    roles = recipe.roles
    answered = {name: counts.group(name, "reward") for name in SUBJECTS}
    math = counts.group("math", "sft")
    problems = counts.ready(None, recipe.reward.data) if recipe.reward.data else min(recipe.reward.problems or math, math)
    tests = [counts.benchmark(name) for name in recipe.problems.benchmarks]
    candidates = [
        row
        for name, p in recipe.reward.candidates.policies.items()
        for row in _policy_rows(
            recipe, "candidates", {name: p}, [sum(map(counts.seeds, p.sources)) if p.sources else problems]
        )
    ]
    apart = {source for p in recipe.reward.candidates.policies.values() for source in p.sources}
    labels = problems + sum(map(counts.seeds, apart))
    learned = labels * recipe.reward.groups.size * tokens * recipe.reward.train.epochs
    samples = _policy_rows(recipe, "samples", recipe.bench.policies, tests)
    return [
        _row("seeds", sum(map(counts.seeds, recipe.problems.seeds)), 0, 0, TRAIN_FLOPS),
        _row("benchmarks", sum(tests), 0, 0, TRAIN_FLOPS),
        _written(recipe, "evolve", counts.evolved(), EVOLVED_TOKENS, roles.writer),
        _row("prompts", sum(counts.cells().values()), 0, 0, TRAIN_FLOPS),
        *_votes(recipe, counts.group("math")),
        *(
            _written(recipe, f"teacher-{n}", answered[n] * role.each, _tokens(recipe, n), role)
            for n, role in roles.teachers.items()
        ),
        *(
            _written(recipe, f"checker-{n}", answered["math"] * c.answers, tokens, c)
            for n, c in roles.checkers.items()
        ),
        *_training_rows(recipe, counts),
        *([] if roles.labeller is None else [_written(recipe, "labels", labels * roles.labeller.answers, tokens, roles.labeller)]),
        *candidates,
        *_ranks(recipe, candidates),
        _row("reward", labels, learned, 6 * parameter_count(recipe, recipe.reward.base) * learned, TRAIN_FLOPS, work=_by(recipe, "train", recipe.reward.base)),
        *samples,
        *_policy_rows(recipe, "greedy", recipe.bench.policies, tests),
        *(
            _scored(recipe, row["stage"].replace("samples", "scores", 1), row["rows"], recipe.reward.base)
            for row in samples
        ),
    ]


def plan(
    recipe: Recipe, rates: Mapping[str, Mapping[str, float]] | None = None, rows: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The stages of a recipe with their estimated size and cost.

    `rates` are tokens a second on this machine, by model and kind of work; `hours_here` is None where they are missing. `rows`
    are the prompts of sources that were counted, by their key (problems.seeds.NAME).
    """
    counts = Counts(recipe, rows or {})
    without = () if recipe.problems.seeds else ("seeds", "evolve", "prompts")
    stages = [row for row in _stages(recipe, counts) if row["stage"] not in without]
    for row in stages:
        work, amount = row["hours_here"]
        row["hours_here"] = _hours(work, amount, rates or {})
    unknown = [name for name in recipe.problems.seeds if not counts.seeds(name)]
    lacking = f"the size of {', '.join(unknown)} is unknown and counts as 0 rows; give it a count. " if unknown else ""
    sizeless = [model for model in _weights(recipe) if not parameter_count(recipe, model)]
    lacking += f"The parameters of {', '.join(sizeless)} are unknown, and their GPU hours count as 0. " if sizeless else ""
    note = (
        f"Estimates: {TRAIN_FLOPS:.0e} FLOP/s a GPU in training, {WRITE_FLOPS:.0e} in generation, {recipe.response_tokens} tokens a "
        f"response. {lacking}Prices of endpoints are the recipe's. "
        "A run stops before it exceeds a budget (budget_usd of a model, --budget of the whole run)."
    )
    totals: dict[str, Any] = {key: round(sum(s[key] for s in stages), 1) for key in ("gpu_hours", "usd")}
    here = [row["hours_here"] for row in stages]
    totals["hours_here"] = None if None in here else round(sum(here), 1)
    totals["budget_usd"] = recipe.budget_usd
    return {"recipe": recipe.name, "stages": stages, "total": totals, "note": note}
