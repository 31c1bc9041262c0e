"""Trainings in processes of their own, forked from one that has imported torch: importing takes longer than these trainings."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["acemath.train.sft.train", "acemath.train.reward.train"])
PATIENCE = 300.0  # seconds


def start(work: Callable[..., None], *arguments: Any, said: Path, **environment: str) -> Any:
    """Start `work` in a process with these variables, whose standard error goes to the file `said`."""
    process = FORKS.Process(target=_begin, args=(work, arguments, said, environment))
    process.start()
    return process


def in_two(work: Callable[..., None], folder: Path, *arguments: Any, **environment: str) -> tuple[bool, str]:
    """Do `work(folder, …)` in two processes over gloo, as torchrun starts them: whether both end well, and what they say."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
    files = [folder / f"said-{rank}.txt" for rank in range(2)]
    processes = [
        start(work, folder, *arguments, said=file, RANK=str(rank), LOCAL_RANK=str(rank), **group, **environment)
        for rank, file in enumerate(files)
    ]
    for process in processes:
        process.join(PATIENCE)
        process.kill()
        process.join()
    return all(process.exitcode == 0 for process in processes), "".join(file.read_text()[-3000:] for file in files)


def _begin(work: Callable[..., None], arguments: tuple[Any, ...], said: Path, environment: dict[str, str]) -> None:
    import torch

    os.environ.update(environment)
    with said.open("w") as file:
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    work(*arguments)


def _stop(done: int) -> None:
    if str(done) == os.environ.get("STOP_AT"):
        raise SystemExit("stopped by the test")


def sft(folder: Path, policy: Path, settings: Any) -> None:
    """Fine-tune on the folder's chats; the first process writes the curve."""
    from acemath.files.rows import read_rows
    from acemath.records import Chat
    from acemath.train.sft.train import train_sft

    chats = read_rows(folder / "chats.jsonl", Chat)
    result = train_sft(policy, chats, folder / "model", folder / "work", settings, progress=lambda done, *_: _stop(done))
    if os.environ["RANK"] == "0":
        (folder / "curve.json").write_text(json.dumps(result.curve))


def reward(folder: Path, policy: Path, settings: Any, steps: Connection | None = None) -> None:
    """Train a reward model on the folder's groups, of which the last three are held out; the first process writes the result.

    Each step that is done goes to `steps`.
    """
    from acemath.files.rows import read_rows
    from acemath.models.engine import ChatFormat
    from acemath.records import Group
    from acemath.train.reward import train
    from acemath.train.sharding import is_sharded

    rows, seen, make = read_rows(folder / "groups.jsonl", Group), list[bool](), train.adamw
    train.adamw = lambda model, settings: seen.append(is_sharded(model)) or make(model, settings)

    def watch(done: int, total: int, note: str) -> None:
        if steps is not None:
            steps.send(done)
        _stop(done)

    result = train.train_reward(
        policy, rows[:-3], rows[-3:], folder / "model", folder / "work", settings, ChatFormat(), progress=watch
    )
    rank = os.environ.get("RANK", "0")
    (folder / f"came-back-{rank}").write_text(str((folder / "model" / "tokenizer.json").exists()))
    if rank == "0":
        (folder / "result.json").write_text(json.dumps(asdict(result)))
        (folder / "sharded").write_text(str(seen[0]))
