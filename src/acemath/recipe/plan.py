"""The plan of a recipe: for each stage the rows, tokens, GPU hours, hours of this machine and cost, as estimates.

Rows come from the recipe's counts. A source without a count has its public size if that is known. Training costs 6
FLOPs for each parameter and token, generation 2. Hours of this machine come from measured rates alone. Nothing is
downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.curate.known_sources import public_rows
from acemath.models.spec import EndpointModel, WorksheetsModel
from acemath.recipe.rates import Kind, model_of
from acemath.recipe.roles import SUBJECTS, Policy, Role
from acemath.recipe.schema import BASE_CHECK, VOTES, Recipe
from acemath.recipe.schema import MATH_TOKENS as MATH_TOKENS
from acemath.recipe.sources import Source, size_of
from acemath.records import group_of

PROMPT_TOKENS = 200  # of a problem with its instruction, mean; our assumption
OTHER_TOKENS = 650  # of a response to other than math, mean (paper, section 3.2: derived from its counts)
EVOLVED_TOKENS = 100  # of a new question, mean; our assumption
CHECKED = 0.35  # share of math responses that pass the cross-check (paper, section 3.2: 800 K of 2.3 M)
TRAIN_FLOPS = 4.0e14  # FLOP/s of a GPU in bfloat16 training: 40 % of an H100's peak; our assumption
WRITE_FLOPS = 1.0e14  # FLOP/s of a GPU in batched generation; our assumption


def parameters(model: str) -> float:
    """The number of parameters in a model's name (7B, 1.5b, 0.5B …); nano's own; 0 if unknown."""
    if model == "nano":
        return 3.9e6
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
        trained = recipe.stage_of(role.model) is not None
        size = parameters(recipe.model(recipe.sft.base).name if trained else model.name)
        work = _by(recipe, "write", role.model)
    return _row(stage, rows, total, 2 * size * total, WRITE_FLOPS, usd, work)


def _by(recipe: Recipe, kind: Kind, ref: str) -> tuple[Kind, str]:
    """What a model does, for the rate of this machine."""
    return kind, model_of(recipe, ref)


def _pools(recipe: Recipe, without: str = "") -> dict[str, float]:
    """Estimated rows of every pool that a blend can name, and of "seeds" and "all" (the filtered prompts).

    `without` leaves out the sources that are for this use alone.
    """
    counts = {
        n: size_of(s) or s.share * public_rows(s.hub or "", s.split) if s.use != without else 0
        for n, s in recipe.problems.seeds.items()
    }
    groups = {name: group_of(source.subject) for name, source in recipe.problems.seeds.items()}
    by_subject: dict[str, float] = {g: sum(n for name, n in counts.items() if groups[name] == g) for g in SUBJECTS}
    evolve, seeds = recipe.curate.evolve, by_subject["math"]
    parents = sum(n for name, n in counts.items() if groups[name] == "math" and name in (evolve.sources or counts))
    each = evolve.share * len(evolve.methods)  # new prompts of a prompt in a round
    math = seeds + parents * sum(each**turn for turn in range(1, evolve.rounds + 1))
    pools = {**by_subject, "math": math, "math.seeds": seeds, "math.checked": CHECKED * math}
    pools["math.unchecked"] = math - pools["math.checked"]
    for name, own in recipe.sft.pools.items():
        pools[name] = min(pools[own.of], own.take or pools[own.of])
    return pools | {"seeds": sum(counts.values()), "all": math + by_subject["code"] + by_subject["general"]}


def _training_rows(recipe: Recipe, pools: dict[str, float]) -> list[dict[str, Any]]:
    """The fine-tuning stages."""
    size, found = parameters(recipe.model(recipe.sft.base).name), []
    for name, part in recipe.sft.stages.items():
        rows = sum(min(pools[pool], part.counts.get(pool, pools[pool])) for pool in part.blend) * part.each
        math = all(p.startswith("math") for p in part.blend)
        if part.data is not None:
            rows, math = size_of(part.data), part.data.subject == "math"
        epochs = float(part.settings.get("epochs", recipe.sft.settings.epochs))
        tokens = rows * (recipe.response_tokens if math else OTHER_TOKENS) * epochs
        work = _by(recipe, "train", recipe.sft.base)
        found.append(_row(f"sft-{name}", rows, tokens, 6 * size * tokens, TRAIN_FLOPS, work=work))
    return found


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


def _scored(recipe: Recipe, stage: str, rows: float, size: float, ref: str) -> dict[str, Any]:
    """A row for responses that a reward model of this size reads, which was made from the model `ref`."""
    tokens = rows * recipe.response_tokens
    return _row(stage, rows, tokens, 2 * size * tokens, TRAIN_FLOPS, work=_by(recipe, "read", ref))


def _ranks(recipe: Recipe, candidates: list[dict[str, Any]], base: float) -> list[dict[str, Any]]:
    """The ranker's rewards, if groups are drawn by them: of all candidates, though only mixed problems get some."""
    ranker = recipe.roles.ranker
    if ranker is None or recipe.reward.groups.by != "rank":
        return []
    if ranker.model == VOTES:
        return [_row("ranks", sum(row["rows"] for row in candidates), 0, 0, TRAIN_FLOPS)]
    size = base if ranker.model == BASE_CHECK else parameters(recipe.model(ranker.model).name)
    ref = recipe.sft.base if ranker.model == BASE_CHECK else ranker.model
    return [_scored(recipe, "ranks", sum(row["rows"] for row in candidates), size, ref)]


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


def _groups(data: Source) -> float:
    """The groups of labelled responses that exist already: the data's count, or a sixth of its public rows (paper, section 4.1)."""
    rows = size_of(data.model_copy(update={"count": None})) / 6
    return min(data.count or rows, rows or data.count or 0)


def plan(recipe: Recipe, rates: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, Any]:
    """The stages of a recipe with their estimated size and cost.

    `rates` are tokens a second on this machine, by model and kind of work; `hours_here` is None where they are missing.
    """
    everything, pools, tokens = _pools(recipe), _pools(recipe, "reward"), recipe.response_tokens
    roles, math = recipe.roles, _pools(recipe, "sft")["math"]
    problems = _groups(recipe.reward.data) if recipe.reward.data else min(recipe.reward.problems or math, math)
    learned = problems * recipe.reward.groups.size * tokens * recipe.reward.train.epochs
    tests = [size_of(source) for source in recipe.problems.benchmarks.values()]
    subjects = {name: tokens if name == "math" else OTHER_TOKENS for name in roles.teachers}
    size = parameters(recipe.model(recipe.sft.base).name)
    candidates = _policy_rows(recipe, "candidates", recipe.reward.candidates.policies, [problems])
    samples = _policy_rows(recipe, "samples", recipe.bench.policies, tests)
    stages = [
        _row("seeds", everything["seeds"], 0, 0, TRAIN_FLOPS),
        _row("benchmarks", sum(tests), 0, 0, TRAIN_FLOPS),
        _written(recipe, "evolve", everything["math"] - everything["math.seeds"], EVOLVED_TOKENS, roles.writer),
        _row("prompts", everything["all"], 0, 0, TRAIN_FLOPS),
        *_votes(recipe, everything["math"]),
        *(_written(recipe, f"teacher-{n}", pools[n] * roles.teachers[n].each, t, roles.teachers[n]) for n, t in subjects.items()),
        *(
            _written(recipe, f"checker-{n}", pools["math"] * c.answers, tokens, c)
            for n, c in roles.checkers.items()
        ),
        *_training_rows(recipe, pools),
        *([] if roles.labeller is None else [_written(recipe, "labels", problems, tokens, roles.labeller)]),
        *candidates,
        *_ranks(recipe, candidates, size),
        _row("reward", problems, learned, 6 * size * learned, TRAIN_FLOPS, work=_by(recipe, "train", recipe.reward.base)),
        *samples,
        *_policy_rows(recipe, "greedy", recipe.bench.policies, tests),
        *(
            _scored(recipe, row["stage"].replace("samples", "scores", 1), row["rows"], size, recipe.reward.base)
            for row in samples
        ),
    ]
    if not recipe.problems.seeds:
        stages = [row for row in stages if row["stage"] not in ("seeds", "evolve", "prompts")]
    for row in stages:
        work, amount = row["hours_here"]
        row["hours_here"] = _hours(work, amount, rates or {})
    note = (
        f"Estimates: {TRAIN_FLOPS:.0e} FLOP/s a GPU in training, {WRITE_FLOPS:.0e} in generation, {tokens} tokens a response; "
        "a source without a count and of unknown size has 0 rows. Prices of endpoints are the recipe's. "
        "A run stops before it exceeds a budget (budget_usd of a model, --budget of the whole run)."
    )
    totals: dict[str, Any] = {key: round(sum(s[key] for s in stages), 1) for key in ("gpu_hours", "usd")}
    here = [row["hours_here"] for row in stages]
    totals["hours_here"] = None if None in here else round(sum(here), 1)
    totals["budget_usd"] = recipe.budget_usd
    return {"recipe": recipe.name, "stages": stages, "total": totals, "note": note}
