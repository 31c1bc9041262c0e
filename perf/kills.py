"""kill -9 at random moments, then the same command again: does it end with the results of one that was never stopped?

    python perf/kills.py                       # ten trials of a small run, each killed once
    python perf/kills.py --recipe whole        # one laptop run, killed ten times
    python perf/kills.py --recipe commands     # single commands in a chain, each killed three times (--count)

Prints one line per trial or command and the count; exit code 1 if any result differs, or if a file was left half written.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SMALL = [
    "partitions=16",
    "problems.seeds.worksheets.count=240",
    "problems.benchmarks.worksheets.count=42",
    "sft.stages={math: {blend: [math, general, code]}}",
    "sft.settings.save_every=20",
    "reward.base=nano",
    "reward.problems=60",
    "reward.candidates={policies: [math, hot: {model: math, temperature: 1.3}], each: 8, max_new_tokens: 80}",
    "reward.train.batch_groups=8",
    "bench.policies={math: {model: math, each: 8, max_new_tokens: 80}}",
    "bench.curve=[1, 8]",
]

# Commands in a chain, and the files that each must leave. --base, --model: the models that earlier ones make.
CHAIN = {
    "fetch worksheets --count 160 --out problems.jsonl": "problems.jsonl",
    "fetch worksheets --split test --count 30 --out bench.jsonl": "bench.jsonl",
    "curate problems.jsonl --against bench.jsonl --out clean.jsonl --dropped gone.jsonl": "clean.jsonl gone.jsonl",
    "decontaminate clean.jsonl --against bench.jsonl --hits hits.jsonl --report hits.html": "hits.jsonl hits.html",
    "synthesize clean.jsonl --out responses.jsonl": "responses.jsonl",
    "filter responses.jsonl --problems clean.jsonl --out kept.jsonl": "kept.jsonl",
    "blend kept.jsonl --problems clean.jsonl --out chats.parquet": "chats.parquet",
    "sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 4 --max-length 512 --epochs 3 --set save_every=10 --out policy": (
        "policy/*.safetensors policy/config.json policy/tokenizer.json"
    ),
    "sample clean.jsonl --model policy -n 8 --max-new-tokens 80 --out samples.jsonl": "samples.jsonl",
    "vote clean.jsonl --responses samples.jsonl --at-least 0.3 --out solvable.jsonl": "solvable.jsonl",
    "grade samples.jsonl --problems clean.jsonl --out verdicts.jsonl": "verdicts.jsonl",
    "rm groups samples.jsonl --problems clean.jsonl --size 4 --pool 4 --out groups.parquet": "groups.parquet",
    "rm train groups.parquet --base policy --learning-rate 4e-4 --batch-groups 4 --set save_every=2 --out judge": (
        "judge/*.safetensors judge/config.json"
    ),
    "score samples.jsonl --problems clean.jsonl --model judge --out scored.jsonl": "scored.jsonl",
    "eval bench.jsonl --model policy -n 4 --reward judge --max-new-tokens 80 --out measured": "measured/*/part-*.parquet measured/results.json",
    "rewardbench build --model policy --benchmarks bench.jsonl -n 4 --max-new-tokens 80 --out built": (
        "built/bench/*/*.arrow built/bench/*/dataset_info.json built/results.json"  # `datasets` writes a random mark into state.json
    ),
    "rewardbench score judge --bench built/bench -k 4 --out ranked": "ranked/*/part-*.parquet ranked/results.json",
    "process-bench --critic policy --data steps.jsonl --max-new-tokens 80 --out found.jsonl": "found.jsonl",
}


def commands(work: Path, count: int, rng: random.Random) -> list[bool]:
    """Each command of the chain in two folders: undisturbed in one, in the other killed `count` times before it may end."""
    whole, killed = work / "whole", work / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        steps = ({"id": f"gsm8k-{n}", "problem": f"What is {n} + 2?", "steps": [f"{n} + 2", "9"], "label": 1} for n in range(20))
        (folder / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in steps))
    good = []
    for arguments, made in CHAIN.items():
        line = [sys.executable, "-m", "acemath", *arguments.split()]
        seconds = end(line, whole)
        faults, stops = list[str](), 0
        for _ in range(count):
            stops += stop(line, killed, rng.uniform(seconds / 3, seconds))
            faults += [f"{name} is half written" for name, same in compared(whole, killed, made).items() if same is False]
        end(line, killed)
        faults += [f"{name} differs" for name, same in compared(whole, killed, made).items() if not same]
        good.append(not faults)
        print(f"{arguments.split(' --')[0]} ({seconds:.0f} s), killed {stops} times: {', '.join(faults) or 'same'}", flush=True)
    return good


def end(line: list[str], folder: Path) -> float:
    """Run a command to its end; returns the seconds. SystemExit with its output if it fails."""
    started = time.monotonic()
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line[2:])} in {folder.name} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - started


def stop(line: list[str], folder: Path, seconds: float) -> bool:
    """Start a command and kill it after `seconds`; False if it ended before."""
    worker = subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        worker.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        return True


def compared(whole: Path, killed: Path, patterns: str) -> dict[str, bool | None]:
    """Whether each file of the undisturbed command is the same in the other folder; None where it is not there."""
    found: dict[str, bool | None] = {}
    for pattern in patterns.split():
        for file in sorted(whole.glob(pattern)):
            other = killed / file.relative_to(whole)
            found[str(file.relative_to(whole))] = other.read_bytes() == file.read_bytes() if other.exists() else None
    return found


def command(folder: Path, settings: list[str]) -> list[str]:
    """The command that runs the recipe into a folder."""
    changes = [part for setting in settings for part in ("--set", setting)]
    return [sys.executable, "-m", "acemath", "run", "laptop", "--out", str(folder), *changes]


def tables(folder: Path) -> dict[str, Any]:
    """A finished run's tables."""
    return dict(json.loads((folder / "tables" / "numbers" / "tables.json").read_text()))


def trials(work: Path, count: int, settings: list[str], rng: random.Random) -> list[bool]:
    """Independent trials: each run is killed once, at a random moment of its whole duration."""
    seconds = end(command(work / "whole", settings), work)
    print(f"uninterrupted: {seconds:.0f} s")
    same = []
    for number in range(count):
        moment = rng.uniform(0.5, seconds)
        folder = work / f"trial-{number}"
        killed = stop(command(folder, settings), work, moment)
        end(command(folder, settings), work)
        same.append(tables(folder) == tables(work / "whole"))
        print(f"trial {number}: {'killed' if killed else 'ended'} at {moment:.1f} s, same tables: {same[-1]}")
    return same


def one_run(work: Path, count: int, settings: list[str], rng: random.Random) -> list[bool]:
    """One run, killed `count` times, each time after a random delay."""
    seconds = end(command(work / "whole", settings), work)
    print(f"uninterrupted: {seconds:.0f} s")
    for number in range(count):
        stretch = rng.uniform(5.0, 2 * seconds / count)
        killed = stop(command(work / "killed", settings), work, stretch)
        print(f"stop {number}: {'killed' if killed else 'ended'} after {stretch:.1f} s")
    end(command(work / "killed", settings), work)
    same = tables(work / "killed") == tables(work / "whole")
    print(f"same tables: {same}")
    return [same]


def main() -> None:
    """Run the trials and print how many gave the same results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", choices=("small", "whole", "commands"), default="small")
    parser.add_argument("--count", type=int, help="kills; of each command (default: 10; 3 of each command)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        if chosen.recipe == "commands":
            same = commands(place, chosen.count or 3, rng)
        else:
            run, settings = (trials, SMALL) if chosen.recipe == "small" else (one_run, [])
            same = run(place, chosen.count or 10, settings, rng)
    print(f"{sum(same)} of {len(same)} with the same results")
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
