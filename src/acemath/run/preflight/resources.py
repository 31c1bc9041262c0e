"""Checks of what a run needs of the machine and of money: packages, launch files, memory, disk, budgets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from acemath.errors import EXTRAS, MissingExtra, UserError
from acemath.models.spec import EndpointModel, TransformersModel, VllmModel
from acemath.recipe.plan import parameter_count
from acemath.recipe.schema import Recipe
from acemath.run.preflight.finding import Findings
from acemath.run.preflight.models import Use

STATE_BYTES = 16  # of training, for a parameter: weight, gradient and AdamW's two means in float32
FROZEN_BYTES = 4  # of training with LoRA, for a parameter of the base
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
TOKEN_BYTES = 8  # on disk, of a token of a response: its text in the stage that wrote it and in those that keep it
MODEL_BYTES = 4  # on disk, of a parameter of a trained model
GB = 1e9


def check_packages(recipe: Recipe, wanted: list[Use], found: Findings) -> None:
    """Every engine and training has the packages that it needs."""
    needed = {"vllm": [use.key for use in wanted if recipe.model(use.ref).engine == "vllm"]}
    trains = any(use.kind.startswith("trains") for use in wanted)
    sft, reward = recipe.sft.settings, recipe.reward.train
    if trains:
        needed["peft"] = [key for key, part in (("sft.settings.lora", sft), ("reward.train.lora", reward)) if part.lora is not None]
        needed["liger_kernel"] = [key for key, part in (("sft.settings.liger", sft), ("reward.train.liger", reward)) if part.liger]
    for module, keys in needed.items():
        if keys and find_spec(module) is None:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            found.add(keys[0] + more, "fault", str(MissingExtra("it", module)))
        assert module in EXTRAS


@dataclass(frozen=True, slots=True)
class Need:
    """What a use of a model takes of the memory of each device; `split` devices share the model, and a machine has `local` of them or their copies."""

    use: Use
    model: str
    what: str
    bytes: float
    split: int
    local: int


def memory_needs(recipe: Recipe, wanted: list[Use]) -> Iterator[Need]:
    """The weights and the state of trainings, once for each model and kind of use; 0 bytes if its size is not known."""
    seen: set[tuple[str, str, float]] = set()
    for use in wanted:
        spec = recipe.model(use.ref)
        if not isinstance(spec, TransformersModel | VllmModel):
            continue
        size = parameter_count(recipe, use.ref)
        need, split, local, words = _need(recipe, use, spec, size)
        if (line := (spec.id, words, need)) not in seen:
            seen.add(line)
            yield Need(use, spec.id, words, need, split, local)


def check_memory(recipe: Recipe, wanted: list[Use], found: Findings, here: bool) -> None:
    """Weights and the state of trainings against the memory of a device. Activations and caches come on top."""
    for one in memory_needs(recipe, wanted):
        use = one.use
        if not one.bytes:
            found.add(use.key, "not checked", f"memory: the size of {one.model} is unknown")
            continue
        how = "take" if one.split == 1 else f"in {one.split} parts take"
        says = f"memory: {one.what} of {one.model} {how} {one.bytes / GB:,.1f} GB on each device"
        if not here:
            found.add(use.key, "not checked", f"{says}; not compared with a machine")
            continue
        devices, each, kind = _devices()
        if one.bytes > each:
            found.add(use.key, "fault", f"{says}, and {kind} has {each / GB:,.1f} GB; {_fix(use)}")
        elif devices and one.local > devices:
            fix = "lower tensor_parallel or replicas" if not use.kind.startswith("trains") else "train in fewer processes (launch)"
            found.add(use.key, "fault", f"{says}, {one.local} in all, and this machine has {devices}; {fix}")
        else:
            found.add(use.key, "good", f"{says}; {kind} has {each / GB:,.1f} GB")


def _need(recipe: Recipe, use: Use, spec: TransformersModel | VllmModel, size: float) -> tuple[float, int, int, str]:
    """Bytes on each device, the devices that share the model, those of them on one machine, and what takes the bytes."""
    if not use.kind.startswith("trains"):
        split = spec.devices
        return size * BYTES[spec.dtype] / split, split, split * spec.replicas, "the weights"
    part = recipe.sft if use.kind == "trains" else recipe.reward
    settings = recipe.sft.settings if use.kind == "trains" else recipe.reward.train
    split, machines = _processes(part.launch)
    if settings.lora is not None:
        return size * FROZEN_BYTES, 1, 1, "the weights for LoRA"
    return size * STATE_BYTES / split, split, split // machines, "weights, gradients and optimiser state"


def _fix(use: Use) -> str:
    if not use.kind.startswith("trains"):
        return "give the model more devices (engine vllm, tensor_parallel), or name a smaller one"
    return "train in more processes (launch), with LoRA, or from a smaller model"


def _processes(launch: str | None) -> tuple[int, int]:
    """The processes that share the weights of a training in a launch file, 1 without shards; and the machines."""
    if launch is None:
        return 1, 1
    from acemath.run.launch import launch_file

    file = launch_file(launch)
    try:
        settings: dict[str, Any] = dict(yaml.safe_load(file.read_text()))
        processes, machines = (int(settings.get(name) or 1) for name in ("num_processes", "num_machines"))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UserError(f"launch {str(file)!r} is no configuration of accelerate ({' '.join(str(error).split())}); correct it") from error
    return processes if settings.get("distributed_type") == "FSDP" else 1, machines


def check_launch(recipe: Recipe, found: Findings) -> None:
    """The launch files of trainings can be read."""
    for key, name in (("sft.launch", recipe.sft.launch), ("reward.launch", recipe.reward.launch)):
        if name is not None:
            with found.faults(key):
                found.add(key, "good", f"{_processes(name)[0]} processes share the weights")


@cache
def _devices() -> tuple[int, float, str]:
    """The number of GPUs (0 without any), and the bytes of memory of the smallest, or of this machine."""
    if find_spec("torch") is not None:
        import torch

        if count := torch.cuda.device_count():
            return count, float(min(torch.cuda.get_device_properties(n).total_memory for n in range(count))), "a GPU here"
    return 0, float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")), "this machine, which has no GPU,"


def disk_needs(recipe: Recipe, stages: list[Mapping[str, Any]]) -> tuple[float, float]:
    """The bytes that a run takes on disk, and those of them for trained models and a checkpoint."""
    tokens = sum(row["tokens_millions"] * 1e6 for row in stages if not row["stage"].startswith(("sft-", "reward", "ranks", "scores")))
    sizes = [parameter_count(recipe, ref) for ref in (*recipe.sft.stages, recipe.reward.base)]
    models = sum(sizes) * MODEL_BYTES + STATE_BYTES * max(sizes)
    return tokens * TOKEN_BYTES + models, models


def check_disk(recipe: Recipe, stages: list[Mapping[str, Any]], folder: Path, found: Findings, here: bool) -> None:
    """What the rows and models of a run take on disk against what is free."""
    need, models = disk_needs(recipe, stages)
    says = f"disk: about {need / GB:,.1f} GB, of which {models / GB:,.1f} for trained models and a checkpoint"
    if not here:
        found.add("run folder", "not checked", f"{says}; not compared with a machine")
        return
    at = folder.absolute()
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free
    if models > free:
        found.add("run folder", "fault", f"{says}, and {free / GB:,.1f} GB are free; name a folder with more room: --out")
    else:
        found.add("run folder", "good" if need <= free else "note", f"{says}; {free / GB:,.1f} GB are free")


def check_prices(recipe: Recipe, wanted: list[Use], plan: Mapping[str, Any], found: Findings) -> None:
    """What the endpoints are planned to cost against the budget of the run, and each against its own."""
    costs = {row["stage"]: row["usd"] for row in plan["stages"]}
    for name, model in recipe.models.items():
        if isinstance(model, EndpointModel) and model.budget_usd is not None:
            cost = sum(costs.get(stage, 0.0) for stage in {stage for use in wanted if use.ref == name for stage in use.stages})
            _compared(f"models.{name}.budget_usd", cost, model.budget_usd, found)
    total, budget = float(plan["total"]["usd"]), recipe.budget_usd
    paid = [m for m in recipe.models.values() if isinstance(m, EndpointModel)]
    if not paid:
        return
    unpriced = [m.id for m in paid if not {"price_in", "price_out"} & m.model_fields_set]
    if budget is None and unpriced:
        found.add(
            "budget_usd", "note",
            f"{', '.join(unpriced)}: no price is given, so the cost is not known, and no budget limits it: price_in, price_out, --budget",
        )  # fmt: skip
    elif budget is None:
        found.add("budget_usd", "note", f"endpoints cost about US$ {total:,.0f}, and no budget limits them: --budget")
    else:
        _compared("budget_usd", total, budget, found)


def _compared(key: str, cost: float, budget: float, found: Findings) -> None:
    """A line for a planned cost beside a budget."""
    if cost > budget:
        found.add(key, "note", f"endpoints cost about US$ {cost:,.2f}, and the budget is US$ {budget:,.2f}: the run will stop before it ends")
    else:
        found.add(key, "good", f"endpoints cost about US$ {cost:,.2f} of US$ {budget:,.2f}")
