"""A recipe made small for its rehearsal: tiny models, few rows, a local server, short trainings in two processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from acemath.models.spec import EndpointModel, TransformersModel, VllmModel
from acemath.recipe.roles import Policy
from acemath.recipe.schema import BASE_CHECK, REWARD, VOTES, Recipe
from acemath.recipe.sources import Source
from acemath.records import content_key
from acemath.run.launch import launch_file
from acemath.run.rehearsal.families import QWEN, Family, family_of, head_of
from acemath.run.rehearsal.hub_rows import asking, first_rows
from acemath.run.rehearsal.models import SIZES, make_model
from acemath.run.rehearsal.rows import (
    write_benchmark,
    write_data_set,
    write_parquet,
    write_ready,
    write_split,
)
from acemath.run.source_rows import local_path

SEED_ROWS, BENCHMARK_ROWS, SHEETS, PROBLEMS = 12, 4, 60, 8  # problems of each seed, benchmark, worksheets; of a limited policy
READY_ROWS = 48  # conversations of a stage, and groups, that are trained on as they are
PARTITIONS, PROCESSES = 2, 2
# Settings of trainings, and the largest value that a rehearsal leaves them: several steps, several checkpoints.
SFT = {"global_batch": 4, "micro_batch": 2, "max_length": 512, "validation": 4, "save_every": 2}
REWARD_TRAIN = {"batch_groups": 8, "micro_tokens": 4096, "max_length": 1024, "save_every": 2, "evaluations": 2}
OPERATION = {"tensor_parallel", "memory_share", "engine", "stop_ids", "revision", "id"}


@dataclass
class Stand:
    """What stands in for what, for the table at the end: models by family, data sets, files, endpoints.

    `vllm` is the version of vLLM's build for CPUs where it runs vLLM's models, `for_vllm`; "" where transformers does.
    """

    models: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    data_sets: list[str] = field(default_factory=list)
    hub_rows: list[str] = field(default_factory=list)  # data sets whose own first rows were read
    refused: dict[str, str] = field(default_factory=dict)  # data sets that the hub did not give, and why
    files: list[str] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)
    launch: str = ""
    vllm: str = ""
    for_vllm: list[str] = field(default_factory=list)


def rehearsed(recipe: Recipe, home: Path, url: str) -> tuple[Recipe, Stand]:
    """The recipe of the rehearsal. Its models and data are written into `home`; endpoints are at `url`."""
    from acemath.models.vllm import cpu_build

    data, stand = recipe.model_dump(mode="json"), Stand(vllm=cpu_build())
    data["partitions"], data["engine_slots"] = PARTITIONS, 64
    data["launch"]["processes"] = min(PROCESSES, recipe.launch.processes)
    data["models"] |= {ref: _model(recipe, ref, home, url, stand) for ref in dict.fromkeys(_refs(recipe))}
    leaks = _shrink_benchmarks(recipe, data["problems"]["benchmarks"], home, stand)
    _shrink_seeds(recipe, data["problems"]["seeds"], home, leaks, stand)
    _shrink_ready(recipe, data, home, leaks, stand)
    _shrink_policies(recipe.reward.candidates.policies, data["reward"]["candidates"]["policies"], home, stand)
    _shrink_policies(recipe.bench.policies, data["bench"]["policies"], home, stand)
    _lower(data["sft"]["settings"], SFT, recipe.sft.settings.model_dump())
    for stage in data["sft"]["stages"].values():
        _lower(stage["settings"], SFT, {})
    _lower(data["reward"]["train"], REWARD_TRAIN, recipe.reward.train.model_dump())
    data["sft"]["launch"] = data["reward"]["launch"] = _launch(recipe, home, stand)
    return Recipe.model_validate(data), stand


def _refs(recipe: Recipe) -> Iterator[str]:
    """Every name of a model that something in the recipe uses."""
    yield recipe.sft.base
    yield recipe.reward.base
    yield from (stage.base for stage in recipe.sft.stages.values() if stage.base is not None)
    yield from (role.model for role in recipe.roles.named().values())
    if recipe.roles.ranker is not None and recipe.roles.ranker.model not in (BASE_CHECK, VOTES):
        yield recipe.roles.ranker.model
    if recipe.judge is not None:
        yield REWARD
    for group in (recipe.reward.candidates, recipe.bench):
        yield from (policy.model for policy in group.policies.values())


def _model(recipe: Recipe, ref: str, home: Path, url: str, stand: Stand) -> dict[str, Any]:
    """What stands in for a model of the recipe."""
    model = recipe.model(ref)
    if isinstance(model, EndpointModel):
        stand.endpoints.append(model.id)
        local = {"url": url, "api_key_env": "OPENAI_API_KEY", "in_flight": min(16, model.in_flight), "timeout": 60.0}
        return {**model.model_dump(mode="json"), **local}
    if not isinstance(model, TransformersModel | VllmModel):
        return model.model_dump(mode="json")
    stand.for_vllm += [ref] if isinstance(model, VllmModel) else []
    engine = "vllm" if stand.vllm and isinstance(model, VllmModel) else "transformers"
    kept = model.model_dump(mode="json", exclude=OPERATION | (set() if engine == "vllm" else {"prefix_caching"}))
    kept |= {"engine": engine, "replicas": min(PROCESSES, model.replicas)}
    if engine == "vllm" and model.max_length is not None:  # vLLM takes no more than a model's positions
        kept["max_length"] = min(model.max_length, SIZES["max_position_embeddings"])
    if recipe.stage_of(ref) is not None or model.id in ("nano", REWARD):
        return {**kept, "id": model.id}
    family = family_of(model.id)
    ranker = recipe.roles.ranker is not None and recipe.roles.ranker.model == ref
    head = head_of(model.id) if ranker else "none"
    name = f"{(family or QWEN).name}, {'a head of two layers' if head == 'layers' else 'a linear head' if ranker else 'a policy'}"
    stand.models[model.id] = name
    if family is None:
        stand.unknown.append(model.id)
    if ranker:
        kept = {name: kept[name] for name in ("engine", "dtype", "max_length")}
    return {**kept, "id": str(_made(home, model.id, family or QWEN, head))}


def _made(home: Path, name: str, family: Family, head: Any) -> Path:
    """The folder of the tiny model that stands in for a model of the hub or a folder."""
    folder = home / "models" / name.strip("/").replace("/", "--")
    if not folder.exists():
        is_base = family is QWEN and not any(word in name.lower() for word in ("instruct", "chat", "-rm"))
        make_model(folder, family, head, int(content_key(name), 16) % 2**31, is_base)
    return folder


def _shrink_benchmarks(recipe: Recipe, data: dict[str, Any], home: Path, stand: Stand) -> list[str]:
    """Few problems of each benchmark, of the registry's from whole copies of our own; questions that training data may leak."""
    (home / "benchmarks").mkdir()
    leaks: list[str] = []
    for name, source in recipe.problems.benchmarks.items():
        own = data[name]
        if source.benchmark is not None and local_path(source) is None:
            file = home / "benchmarks" / f"{source.benchmark}.jsonl"
            if not file.exists():
                leaks += write_benchmark(file, source.benchmark)[:1]
            own |= {"file": str(file), "columns": {}, "revision": None}
            stand.data_sets.append(source.benchmark)
        else:
            _shrink_source(name, source, own, home, [], stand)
        own["count"] = _few(source, BENCHMARK_ROWS)
    return leaks


def _shrink_seeds(recipe: Recipe, data: dict[str, Any], home: Path, leaks: list[str], stand: Stand) -> None:
    """Few problems of each seed. The first repeats benchmark problems, so that decontamination has work."""
    for at, (name, source) in enumerate(recipe.problems.seeds.items()):
        _shrink_source(name, source, data[name], home, [] if at else leaks, stand)
        data[name]["count"] = _few(source, SEED_ROWS)


def _shrink_ready(recipe: Recipe, data: dict[str, Any], home: Path, leaks: list[str], stand: Stand) -> None:
    """Few conversations and groups of the data that are trained on as they are."""
    places = [(f"sft-{name}", stage.data, data["sft"]["stages"][name]) for name, stage in recipe.sft.stages.items()]
    for name, source, place in [*places, ("reward", recipe.reward.data, data["reward"])]:
        if source is None:
            continue
        own = place["data"]
        own["count"] = min(READY_ROWS, source.count or READY_ROWS)
        if local_path(source) is None and source.hub is not None:
            kind, file = "groups" if name == "reward" else "chats", home / "data" / f"{name}.parquet"
            count, each = round(2 * READY_ROWS / source.share), 6 if kind == "groups" else 1
            if rows := _hub_rows(name, source, each * count, stand):
                write_parquet(file, [*asking(rows[:each], source.columns, leaks), *rows])
            else:
                write_ready(file, name, kind, count, leaks)
            own |= {"file": str(file), "hub": None, "revision": None}
        elif (path := local_path(source)) is not None:
            stand.files.append(str(path))


def _few(source: Source, rows: int) -> int:
    rows = SHEETS if source.worksheets is not None else rows
    return min(rows, source.count or rows)


def _shrink_source(name: str, source: Source, own: dict[str, Any], home: Path, leaks: list[str], stand: Stand) -> None:
    """A data set that only the hub has gives way to rows in its columns; a file stays, and its first rows are read."""
    if source.worksheets is not None:
        return
    if (path := local_path(source)) is not None:
        stand.files.append(str(path))
        own |= {"file": str(path)} if source.benchmark is None and source.hub is None else {}
        return
    if source.hub is None:
        return  # a file that does not exist: the run says so
    folder, count = home / "data" / name, max(SEED_ROWS, round(2 * SEED_ROWS / source.share))
    own |= {"known": None, "hub": str(folder), "revision": None}
    if rows := _hub_rows(name, source, count, stand):
        write_split(folder, source, [*asking(rows[:1], source.columns, leaks), *rows])
    else:
        write_data_set(folder, name, source, count, leaks)


def _hub_rows(name: str, source: Source, count: int, stand: Stand) -> list[dict[str, Any]]:
    """The first rows of a data set of the hub; none if it does not give any, and the table says why."""
    rows, why = first_rows(name, source, count)
    called = f"{source.hub} ({source.split})"
    kept = stand.hub_rows if rows else stand.data_sets
    if called not in kept:  # several candidates may take the same worked problems
        kept.append(called)
    if not rows:
        stand.refused[called] = why or "it has no rows"
    return rows


def _shrink_policies(policies: Mapping[str, Policy], data: dict[str, Any], home: Path, stand: Stand) -> None:
    """Few problems of a limited policy, and shots from rows of ours."""
    for name, policy in policies.items():
        if policy.problems is not None:
            data[name]["problems"] = min(PROBLEMS, policy.problems)
        if isinstance(policy.shots, Source):
            _shrink_source(f"shots-{name}", policy.shots, data[name]["shots"], home, [], stand)


def _lower(settings: dict[str, Any], most: Mapping[str, int], whole: Mapping[str, Any]) -> None:
    """Lower settings that are there; what needs a GPU or a tracker is left out."""
    for name, value in most.items():
        if name in settings or name in whole:
            settings[name] = value if settings.get(name) is None else min(value, settings[name])
    for name, off in (("liger", False), ("report_to", "none"), ("attention", "auto")):
        if name in settings:
            settings[name] = off


def _launch(recipe: Recipe, home: Path, stand: Stand) -> str:
    """A configuration of accelerate for two processes of this machine, in shards if the recipe trains in shards."""
    named = [name for name in (recipe.sft.launch, recipe.reward.launch) if name]
    kinds = {deepcopy(yaml.safe_load(launch_file(name).read_text())).get("distributed_type") for name in named}
    sharded = "FSDP" in kinds
    settings: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP" if sharded else "MULTI_CPU", "num_machines": 1,
        "num_processes": PROCESSES, "mixed_precision": "no", "use_cpu": True,
    }  # fmt: skip
    if sharded:
        settings["fsdp_config"] = {"fsdp_version": 2}
    file = home / "two-processes.yaml"
    file.write_text(yaml.safe_dump(settings))
    stand.launch = "in shards (FSDP 2)" if sharded else "each with a whole copy"
    return str(file)
