"""What a rehearsal has exercised, what only the real machines can show, and the plan of the real run: time, money, memory, disk."""

from __future__ import annotations

from collections import Counter
from typing import Any

from acemath.models.spec import VllmModel
from acemath.recipe.plan import plan
from acemath.recipe.schema import Recipe
from acemath.records import REFUSED
from acemath.run.preflight.models import uses
from acemath.run.preflight.resources import GB, disk_needs, memory_needs
from acemath.run.rehearsal.rehearse import Rehearsal
from acemath.run.rehearsal.server import FAULTS

COLUMNS = ("part", "exercised here", "to be seen only on the real machines")
PLAN = ("part of the run", "rows", "tokens (M)", "GPU hours", "US$")
Row = tuple[str, str, str]


def summary(recipe: Recipe, found: Rehearsal) -> list[Row]:
    """The rows of the table of a rehearsal. `recipe` is the real one."""
    rows = [_stages(found), *_models(recipe, found), *_data(found), *_endpoints(found), _trainings(recipe, found)]
    return [row for row in (*rows, _kills(found)) if row[1]]


def as_json(recipe: Recipe, found: Rehearsal) -> dict[str, Any]:
    """The object that `acemath run --rehearse --json` prints."""
    return {
        "recipe": recipe.name,
        "same": None if found.differing is None else not found.differing,
        "differing": found.differing or [],
        "kills": found.kills,
        "stages": len(found.stages),
        "models": found.stand.models,
        "unknown": found.stand.unknown,
        "vllm": found.stand.vllm,
        "endpoint": found.faults,
        "seconds": found.seconds,
        "plan": [dict(zip(PLAN, row, strict=True)) for row in plan_rows(recipe)],
        "memory": memory_lines(recipe),
        "table": [dict(zip(COLUMNS, row, strict=True)) for row in summary(recipe, found)],
    }


def plan_rows(recipe: Recipe) -> list[tuple[Any, ...]]:
    """The plan of the real run (`--dry-run` has each stage), with the stages of one kind together, and its hours and price in all."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in plan(recipe)["stages"]:
        kinds.setdefault(row["stage"].partition("-")[0], []).append(row)

    def line(name: str, rows: list[dict[str, Any]]) -> tuple[Any, ...]:
        called = name if len(rows) == 1 else f"{name} ({len(rows)} stages)"
        tokens, hours, usd = (round(sum(row[key] for row in rows), 2) for key in ("tokens_millions", "gpu_hours", "usd"))
        return called, sum(row["rows"] for row in rows), tokens, hours, usd

    whole = line("all", [row for rows in kinds.values() for row in rows])
    return [*(line(name, rows) for name, rows in kinds.items()), ("all", "", "", *whole[3:])]


def memory_lines(recipe: Recipe) -> list[str]:
    """What the real run takes of the memory of each device, the most first, and of the disk."""
    takes: dict[tuple[float, int, str], list[str]] = {}
    for need in memory_needs(recipe, uses(recipe)):
        takes.setdefault((need.bytes, need.split, need.what), []).append(need.model)
    lines = [
        f"{size / GB:,.1f} GB on {'one device' if split == 1 else f'each of {split} devices'}: {what} of {', '.join(models)}"
        if size else f"unknown: {what} of {', '.join(models)}, whose size its name does not tell"
        for (size, split, what), models in sorted(takes.items(), key=lambda item: -item[0][0])
    ]  # fmt: skip
    disk, trained = disk_needs(recipe, plan(recipe)["stages"])
    return [*lines, f"{disk / GB:,.1f} GB of disk, of which {trained / GB:,.1f} for trained models and a checkpoint"]


def _stages(found: Rehearsal) -> Row:
    responses = sum(facts.get("responses", 0) for facts in found.stages.values())
    return (
        "stages",
        f"all {len(found.stages)}, {responses:,} responses, in two partitions, to the report",
        "numbers that mean anything: these responses follow a script",
    )


def _models(recipe: Recipe, found: Rehearsal) -> list[Row]:
    kinds = Counter(found.stand.models.values())
    names = "; ".join(f"{kind}: {count}" for kind, count in kinds.items())
    rows = [
        (
            "models",
            f"{names} (random weights; tokenizer, template, stop ids in the family's form)" if names else "",
            "the weights, tokenizers and templates of the hub, their licences and gates, what they write",
        )
    ]
    if found.stand.unknown:
        rows.append(("unknown models", f"as Qwen2: {', '.join(found.stand.unknown)}", "their architecture and template"))
    if vllm := [model for ref in found.stand.for_vllm if isinstance(model := recipe.model(ref), VllmModel)]:
        widest = max(model.tensor_parallel for model in vllm)
        version = found.stand.vllm
        by = f"vLLM {version}, in its build for CPUs" if version else "transformers instead"
        rows.append(
            (
                "vLLM", f"{len(vllm)} {'model' if len(vllm) == 1 else 'models'}, run by {by}",
                f"vLLM{'' if version else ' itself'} on up to {widest} {'GPU' if widest == 1 else 'GPUs'} a model, and its memory",
            )
        )
    return rows


def _data(found: Rehearsal) -> list[Row]:
    stand = found.stand
    reasons = Counter(stand.refused.values())
    why = "; ".join(reason if len(reasons) == 1 else f"{count} because: {reason}" for reason, count in reasons.items())
    return [
        ("data sets of the hub, read", ", ".join(f"the first rows of {name}" for name in stand.hub_rows), "their other rows"),
        (
            "data sets of the hub",
            f"rows of ours in the registered columns: {', '.join(stand.data_sets)}{f' ({why})' if why else ''}" if stand.data_sets else "",
            "whether the hub's columns, splits and sizes are still these",
        ),
        ("files", f"the first rows of {', '.join(stand.files)}" if stand.files else "", "their other rows"),
    ]


def _endpoints(found: Rehearsal) -> list[Row]:
    names, counts = list(dict.fromkeys(found.stand.endpoints)), found.faults
    if not names:
        return []
    failed = ", ".join(f"{counts.get(kind, 0)} {kind}" for kind in FAULTS)
    words = f"{', '.join(names)}: {counts.get('requests', 0):,} requests to a local server; {failed}, {counts.get(REFUSED, 0)} refused"
    return [("endpoints", words, "the keys, the rate limits, the bill")]


def _trainings(recipe: Recipe, found: Rehearsal) -> Row:
    names = [name for name in found.stages if name == "reward" or name.startswith("sft-")]
    words = f"{', '.join(names)}: through accelerate in two processes, {found.stand.launch}"
    launches = ", ".join(dict.fromkeys(name for name in (recipe.sft.launch, recipe.reward.launch) if name)) or "one process"
    return ("trainings", words, f"{launches}: its memory, its speed, its network")


def _kills(found: Rehearsal) -> Row:
    if found.differing is None:
        return ("stops", "", "")
    same = "every row and number as in the undisturbed run" if not found.differing else f"DIFFERENT: {', '.join(found.differing)}"
    return ("stops", f"killed {', '.join(found.kills) or 'never'}, and resumed: {same}", "machines that vanish, disks that fill")
