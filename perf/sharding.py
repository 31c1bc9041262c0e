"""The memory of each process of a training: `python perf/sharding.py`, about five minutes on two cores.

Fine-tuning and reward training of a small model, in one process and sharded over two (gloo, FSDP 2), killed and
resumed. It prints the largest differences of losses and weights from one unstopped process. For each process it prints the
bytes of weights and optimiser state at a save, the most that it reads or writes whole at once, and its peak memory
without its libraries.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

CHATS, GROUPS = 47, 30
RESULT = "result.json"


def data(kind: str) -> list[Any]:
    """Conversations, or groups of three right and three wrong responses."""
    from acemath.records import Chat, Group

    draw = random.Random(0)
    if kind == "sft":
        rows = []
        for i in range(CHATS):
            steps = " ".join(f"{i}+{k}={i + k}." for k in range(draw.randrange(1, 40)))
            turns = ({"role": "user", "content": f"What is {i}+{i}?"}, {"role": "assistant", "content": steps})
            rows.append(Chat(f"c{i}", turns))
        return rows
    texts = [(f"{i}+1={i + 1}\nSo \\boxed{{{i + 1}}}.", 1) for i in range(3)]
    texts += [(f"{i}+1={i + 3} wrong\nSo \\boxed{{{i + 3}}}.", 0) for i in range(3)]
    groups = []
    for n in range(GROUPS):
        responses, labels = zip(*draw.sample(texts, 6), strict=True)
        groups.append(Group(f"g{n}", f"Question {n}?", responses, labels))
    return groups


def make_base(folder: Path, hidden: int, layers: int) -> None:
    """A policy of random weights with nano's tokenizer."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from acemath.models.builtin import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("nano"))
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers,
        num_attention_heads=8, num_key_value_heads=4, pad_token_id=tokenizer.pad_token_id, max_position_embeddings=4096,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def memory(name: str) -> float:
    """A line of /proc/self/status in MB. RssAnon is the memory of this process without mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def held_bytes(*parts: Any) -> int:
    """Bytes of models' weights and optimisers' states that this process holds."""
    import torch
    from torch.distributed.tensor import DTensor

    tensors = [
        tensor
        for part in parts
        for tensor in (
            (t for state in part.state.values() for t in state.values() if isinstance(t, torch.Tensor))
            if isinstance(part, torch.optim.Optimizer)
            else part.parameters()
        )
    ]
    local = [t.to_local() if isinstance(t, DTensor) else t for t in tensors]
    return sum(t.numel() * t.element_size() for t in local)


def watch(seen: dict[str, float]) -> None:
    """Record the peak of this process's own memory."""
    while True:
        seen["peak_mb"] = max(seen["peak_mb"], memory("RssAnon"))
        time.sleep(0.02)


def train(kind: str, folder: Path) -> None:
    """One process of a training; it writes what it held to `held-RANK.json`."""
    from acemath.models.engine import ChatFormat
    from acemath.train import shards
    from acemath.train.reward.settings import RewardSettings
    from acemath.train.reward.train import train_reward
    from acemath.train.sft.settings import SftSettings
    from acemath.train.sft.train import train_sft

    rank = os.environ.get("RANK", "0")
    seen = {"weights": 0.0, "optimizer": 0.0, "start_mb": memory("RssAnon"), "peak_mb": 0.0}
    threading.Thread(target=watch, args=(seen,), daemon=True).start()
    content = shards._content

    def counted(model: Any, optimizer: Any) -> dict[str, Any]:
        seen["weights"] = max(seen["weights"], held_bytes(model))
        if optimizer is not None:
            seen["optimizer"] = max(seen["optimizer"], held_bytes(optimizer))
        return content(model, optimizer)

    shards._content = counted  # called at every save and load
    rows, out, work = data(kind), folder / "model", folder / "work"

    def tell(done: int, total: int, note: str) -> None:
        if rank == "0" and "loss" in note:
            print(done, flush=True)

    if kind == "sft":
        options = SftSettings(
            learning_rate=1e-3, global_batch=4, micro_batch=2, max_length=256, validation=8, bf16=False, epochs=2.0,
            save_every=3,
        )  # fmt: skip
        curve = train_sft(folder.parent / "base", rows, out, work, options, progress=tell).curve
    else:
        chosen = RewardSettings(
            learning_rate=1e-4, batch_groups=4, epochs=2, bf16=False, save_every=3, evaluations=2, micro_tokens=1024
        )
        curve = train_reward(
            folder.parent / "base", rows[:24], rows[24:], out, work, chosen, ChatFormat(), progress=tell
        ).curve
    (folder / f"held-{rank}.json").write_text(json.dumps(seen))
    if rank == "0":
        (folder / RESULT).write_text(json.dumps(curve))


def launch(kind: str, folder: Path, processes: int, stop: int | None) -> None:
    """Train in `processes` processes; with `stop`, kill -9 all of them after that step and start again."""
    folder.mkdir(exist_ok=True)
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    sharded = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if processes > 1 else {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", **sharded}
    process = subprocess.Popen(
        [*start, __file__, "--kind", kind, "--folder", str(folder)], stdout=subprocess.PIPE, text=True, env=environment,
        start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if stop is not None and int(line) >= stop:
            os.killpg(process.pid, signal.SIGKILL)  # torchrun starts its workers in new sessions
            for worker in _workers(folder):
                os.kill(worker, signal.SIGKILL)
            break
    process.wait()
    if stop is not None:
        launch(kind, folder, processes, None)
    elif process.returncode:
        raise SystemExit(f"{kind} in {processes} processes ended with exit code {process.returncode}")


def _workers(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"--folder\0{folder}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def differences(one: Path, other: Path) -> tuple[float, float]:
    """The largest differences between the curves and between the weights."""
    from safetensors.torch import load_file

    curves = [json.loads((folder / RESULT).read_text()) for folder in (one, other)]
    assert [row.keys() for row in curves[0]] == [row.keys() for row in curves[1]]
    losses = max(abs(a[k] - b[k]) for a, b in zip(*curves, strict=True) for k in a)
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    return losses, max(float((first[k].float() - second[k].float()).abs().max()) for k in first)


def main() -> None:
    """Train in each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["sft", "reward"], help="one process of a training (used by this program)")
    parser.add_argument("--folder", type=Path, help="where it trains")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    given = parser.parse_args()
    if given.kind:
        train(given.kind, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        make_base(home / "base", given.hidden, given.layers)
        for kind in ("sft", "reward"):
            for label, processes, stop in (("one", 1, None), ("one-killed", 1, 7), ("two", 2, None), ("two-killed", 2, 7)):
                launch(kind, home / f"{kind}-{label}", processes, stop)
                shown = {"training": kind, "processes": label}
                if label != "one":
                    losses, weights = differences(home / f"{kind}-one", home / f"{kind}-{label}")
                    shown |= {"losses differ by": f"{losses:.1e}", "weights by": f"{weights:.1e}"}
                for rank in range(processes):
                    held = json.loads((home / f"{kind}-{label}" / f"held-{rank}.json").read_text())
                    shown[f"process {rank}"] = (
                        f"{held['weights'] / 1e6:.1f} MB of weights, {held['optimizer'] / 1e6:.1f} MB of optimiser, peak "
                        f"{held['peak_mb'] - held['start_mb']:.0f} MB over the libraries'"
                    )
                print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
