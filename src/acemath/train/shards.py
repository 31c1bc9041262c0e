"""Sharded checkpoints: every process writes and reads its own part of a model and its optimiser.

They are torch's distributed checkpoints, for one process, data parallelism and FSDP 2 alike. Any number of processes
can read what another number wrote. `save_model` converts shards into a folder of safetensors a few gigabytes at a
time, so no process ever holds a whole model with its optimiser. All processes must see the same folder.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from acemath.files.atomic import explained, flush_folder, flush_tree
from acemath.models.hardware import in_group, meet
from acemath.notices import is_first_process
from acemath.train.lora import BASE, layer_of, merged
from acemath.train.memory import give_back
from acemath.train.settings import LoraSettings

PIECE = 4 << 30  # the most bytes of float32 weights in memory while a model's folder is written
MODEL = "model."
POLL = 0.1  # seconds


@contextmanager
def written(folder: Path) -> Iterator[Path]:
    """A folder that all processes write into; it has a temporary name until all of them are done."""
    temporary = folder.with_name(folder.name + ".tmp")
    with explained(folder):
        if is_first_process():
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        meet()
        yield temporary
        meet()
        if is_first_process():
            flush_tree(temporary)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
            flush_folder(folder.parent)
        meet()


def save_shards(folder: Path, model: Any, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Write this process's part of the weights and, where it is given, of the optimiser's state into `folder`."""
    try:
        with _quiet():
            save(_content(model, optimizer), checkpoint_id=folder, no_dist=not in_group())
    except (
        CheckpointException
    ) as error:  # such as a full disk; the error of the process that failed is inside
        raise next(iter(error.failures.values()))[0] from error


def load_shards(folder: Path, model: Any, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Load what `save_shards` wrote into a model and its optimiser; each process reads only its part."""
    content = _content(model, optimizer)
    with _quiet():
        load(content, checkpoint_id=folder, no_dist=not in_group())
    set_model_state_dict(model, content["model"])
    if optimizer is not None:
        set_optimizer_state_dict(model, optimizer, content["optimizer"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress torch's warning that a single process saves and loads without a process group."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _content(model: Any, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    content: dict[str, Any] = {"model": get_model_state_dict(model)}
    if optimizer is not None:
        content["optimizer"] = get_optimizer_state_dict(model, optimizer)
    return content


def save_model(
    shards: Path, model: Callable[[], Any], out: Path, dtype: torch.dtype, lora: LoraSettings | None
) -> None:
    """Write a folder of shards as a model's folder `out` of safetensors, with adapters merged. All processes call it.

    `model` returns the model on the meta device. The first process does the work. The others wait for a file, because
    a barrier could time out before a large model is written.
    """
    done = shards.with_name(shards.name + ".saved")
    give_back()  # the trained model is still in memory
    if is_first_process():
        done.unlink(missing_ok=True)
    meet()
    if is_first_process():
        _assemble(shards, model(), out, dtype, lora)
        done.touch()
    while not done.exists():
        time.sleep(POLL)


def _assemble(shards: Path, model: Any, out: Path, dtype: torch.dtype, lora: LoraSettings | None) -> None:
    """Load and convert one piece of the weights at a time. If there are several, each is stored and mapped again."""
    stored = shards.with_name(shards.name + ".pieces")
    parts = _pieces(shards, _tied(model))
    with explained(out):
        shutil.rmtree(stored, ignore_errors=True)
        weights: dict[str, Tensor] = {}
        for number, shapes in enumerate(parts):
            found = _whole(shards, shapes, dtype, lora)
            if len(parts) > 1:
                stored.mkdir(exist_ok=True)
                save_file(found, stored / f"{number}.safetensors")
                found = load_file(stored / f"{number}.safetensors")
            weights |= found
        model.to(dtype).save_pretrained(out, state_dict=weights, max_shard_size=PIECE)
        shutil.rmtree(stored, ignore_errors=True)


def _tied(model: Any) -> set[str]:
    """Names of weights that are tied to an earlier weight of the model."""
    seen: dict[int, str] = {}
    every = model.state_dict(keep_vars=True).items()
    return {name for name, value in every if seen.setdefault(id(value), name) != name}


def _pieces(shards: Path, left_out: set[str]) -> list[dict[str, torch.Size]]:
    """The weights' names and shapes in pieces of at most PIECE bytes; a layer stays whole, with its adapters."""
    stored = FileSystemReader(shards).read_metadata().state_dict_metadata
    shapes = {
        name.removeprefix(MODEL): entry.size
        for name, entry in stored.items()
        if name.startswith(MODEL) and isinstance(entry, TensorStorageMetadata)
    }
    shapes = {name: shape for name, shape in shapes.items() if name.replace(BASE, ".") not in left_out}
    pieces: list[dict[str, torch.Size]] = []
    held = PIECE
    for _, names in groupby(sorted(shapes, key=lambda name: (layer_of(name), name)), key=layer_of):
        found = {name: shapes[name] for name in names}
        size = sum(shape.numel() * 4 for shape in found.values())
        if held + size > PIECE:
            pieces.append({})
            held = 0
        pieces[-1].update(found)
        held += size
    return pieces


def _whole(
    shards: Path, shapes: dict[str, torch.Size], dtype: torch.dtype, lora: LoraSettings | None
) -> dict[str, Tensor]:
    content: dict[str, Tensor] = {name: torch.empty(shape) for name, shape in shapes.items()}
    with _quiet():
        load({"model": content}, checkpoint_id=shards, no_dist=True)
    if lora is not None:
        content = merged(content, lora)
    return {name: value.to(dtype) for name, value in content.items()}
