"""What a recipe would do, before it does it: stages, rows, tokens, GPU hours and cost, as estimates.

Rows come from the recipe's counts (a source without a count is taken at its public size where that is known).
Training costs 6 FLOPs a parameter and token, generation 2; the recipe's hardware says how many it gets an
hour. Everything here is an estimate and says so; nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acemath.curate.sources import public_rows
from acemath.models.spec import EndpointModel, WorksheetsModel
from acemath.recipe.roles import Policy, Role
from acemath.recipe.schema import Recipe

PROMPT_TOKENS = 200  # of a problem with its instruction, mean; our assumption
MATH_TOKENS, OTHER_TOKENS = 800, 650  # of a response, mean (paper, section 3.2: derived from its counts)
EVOLVED_TOKENS = 100  # of a new question, mean; our assumption
CHECKED = 0.35  # share of math responses that pass the cross-check (paper, section 3.2: 800 K of 2.3 M)
TRAIN_FLOPS = 4.0e14  # a second and GPU in bfloat16 training: 40 % of an H100's peak; our assumption
WRITE_FLOPS = 1.0e14  # a second and GPU in batched generation; our assumption


def parameters(model: str) -> float:
    """Parameters of a model from its name (7B, 1.5b, 0.5B …); nano's where it is nano, 0 where unknown."""
    if model == "nano":
        return 3.9e6
    found = re.search(r"(\d+(?:\.\d+)?)\s*[bB](?![a-z])", Path(model).name)
    return float(found[1]) * 1e9 if found else 0.0


def _row(
    stage: str, rows: float, tokens: float, flops: float, rate: float, usd: float = 0.0
) -> dict[str, Any]:
    hours = flops / rate / 3600
    return {
        "stage": stage,
        "rows": round(rows),
        "tokens_millions": round(tokens / 1e6, 2),
        "gpu_hours": round(hours, 2),
        "usd": round(usd, 2),
    }


def _written(recipe: Recipe, stage: str, rows: float, tokens: float, role: Role | None) -> dict[str, Any]:
    """A row for responses to be written, by a local model or at an endpoint's price."""
    model = None if role is None else recipe.model(role.model)
    total, size, usd = rows * tokens, 0.0, 0.0
    if isinstance(model, EndpointModel):
        usd = model.usd(rows * PROMPT_TOKENS, total)
    elif role is not None and model is not None and not isinstance(model, WorksheetsModel):
        trained = recipe.stage_of(role.model) is not None
        size = parameters(recipe.model(recipe.sft.base).name if trained else model.name)
    return _row(stage, rows, total, 2 * size * total, WRITE_FLOPS, usd)


def _pools(recipe: Recipe) -> dict[str, float]:
    """Estimated rows of every pool that a blend can name; "seeds" and "all" beside them."""
    counts = {n: s.count or public_rows(s.hub or "", s.split) for n, s in recipe.problems.seeds.items()}
    by_subject = dict.fromkeys(("code", "general", "math"), 0.0)
    for name, count in counts.items():
        subject = recipe.problems.seeds[name].subject
        by_subject[subject if subject in by_subject else "math"] += count
    seeds = by_subject["math"]
    evolve = recipe.curate.evolve
    math = seeds * (1 + evolve.share * len(evolve.methods))
    pools = {**by_subject, "math": math, "math.seeds": seeds, "math.checked": CHECKED * math}
    pools["math.unchecked"] = math - pools["math.checked"]
    return pools | {"seeds": sum(counts.values()), "all": math + by_subject["code"] + by_subject["general"]}


def _training_rows(recipe: Recipe, pools: dict[str, float]) -> list[dict[str, Any]]:
    """The fine-tuning stages."""
    size, found = parameters(recipe.model(recipe.sft.base).name), []
    for name, part in recipe.sft.stages.items():
        rows = sum(min(pools[pool], part.counts.get(pool, pools[pool])) for pool in part.blend)
        tokens = rows * (MATH_TOKENS if all(p.startswith("math") for p in part.blend) else OTHER_TOKENS)
        found.append(_row(f"sft-{name}", rows, tokens, 6 * size * tokens, TRAIN_FLOPS))
    return found


def _policy_rows(
    recipe: Recipe, kind: str, policies: Mapping[str, Policy], problems: float
) -> list[dict[str, Any]]:
    """Responses of policies: candidates of the reward model, or samples on the benchmarks (and a greedy one)."""
    found = []
    for name, policy in policies.items():
        rows = min(policy.problems or problems, problems) * (policy.each + (kind == "samples"))
        found.append(_written(recipe, f"{kind}-{name}", rows, MATH_TOKENS, policy))
    return found


def plan(recipe: Recipe) -> dict[str, Any]:
    """The stages of a recipe with their estimated size and cost."""
    pools = _pools(recipe)
    roles = recipe.roles
    asked = min(recipe.reward.problems or pools["math"], pools["math"])
    judged = asked * recipe.reward.groups.size * MATH_TOKENS * recipe.reward.train.epochs
    tests = sum(s.count or 0 for s in recipe.problems.benchmarks.values())
    evolved = 0.0 if roles.writer is None else pools["math"] - pools["math.seeds"]
    subjects = {name: MATH_TOKENS if name == "math" else OTHER_TOKENS for name in roles.teachers}
    stages = [
        _row("problems", pools["seeds"], 0, 0, TRAIN_FLOPS),
        _written(recipe, "evolve", evolved, EVOLVED_TOKENS, roles.writer),
        _row("curate", pools["all"], 0, 0, TRAIN_FLOPS),
        *(_written(recipe, f"teacher-{n}", pools[n], t, roles.teacher(n)) for n, t in subjects.items()),
        *(
            _written(recipe, f"checker-{n}", pools["math"] * c.answers, MATH_TOKENS, c)
            for n, c in roles.checkers.items()
        ),
        *_training_rows(recipe, pools),
        *([] if roles.labeller is None else [_written(recipe, "labels", asked, MATH_TOKENS, roles.labeller)]),
        *_policy_rows(recipe, "candidates", recipe.reward.candidates.policies, asked),
        _row(
            "reward", asked, judged, 6 * parameters(recipe.model(recipe.sft.base).name) * judged, TRAIN_FLOPS
        ),
        *_policy_rows(recipe, "samples", recipe.bench.policies, tests),
    ]
    note = (
        f"Estimates: {TRAIN_FLOPS:.0e} FLOP/s a GPU in training, {WRITE_FLOPS:.0e} in generation, {MATH_TOKENS} tokens a response; "
        "rows of a source without a count and of unknown size are 0. Endpoint prices are the recipe's; "
        "a run stops before a budget is exceeded (budget_usd of a model, --budget of the whole run)."
    )
    totals: dict[str, Any] = {key: round(sum(s[key] for s in stages), 1) for key in ("gpu_hours", "usd")}
    totals["budget_usd"] = recipe.budget_usd
    return {"recipe": recipe.name, "stages": stages, "total": totals, "note": note}
