"""kill -9 at random moments of a run, then the same command again: are the tables those of an unstopped run?

    python perf/kills.py                       # ten trials of a small run, each killed once
    python perf/kills.py --recipe whole        # one laptop run, killed ten times

Prints one line per trial and the count; exit code 1 if any table differs.
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


def command(folder: Path, settings: list[str]) -> list[str]:
    """The command that runs the recipe into a folder."""
    changes = [part for setting in settings for part in ("--set", setting)]
    return [sys.executable, "-m", "acemath", "run", "laptop", "--out", str(folder), *changes]


def finish(folder: Path, settings: list[str]) -> float:
    """Run to the end; returns the seconds. SystemExit with its output if it fails."""
    started = time.monotonic()
    done = subprocess.run(command(folder, settings), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the run in {folder} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - started


def kill_after(folder: Path, settings: list[str], seconds: float) -> bool:
    """Start a run and kill it after `seconds`; False if it ended before."""
    worker = subprocess.Popen(command(folder, settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        worker.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        return True


def tables(folder: Path) -> dict[str, Any]:
    """A finished run's tables."""
    return dict(json.loads((folder / "tables" / "numbers" / "tables.json").read_text()))


def trials(work: Path, count: int, settings: list[str], rng: random.Random) -> list[bool]:
    """Independent trials: each run is killed once, at a random moment of its whole duration."""
    seconds = finish(work / "whole", settings)
    print(f"uninterrupted: {seconds:.0f} s")
    same = []
    for number in range(count):
        moment = rng.uniform(0.5, seconds)
        folder = work / f"trial-{number}"
        killed = kill_after(folder, settings, moment)
        finish(folder, settings)
        same.append(tables(folder) == tables(work / "whole"))
        print(f"trial {number}: {'killed' if killed else 'ended'} at {moment:.1f} s, same tables: {same[-1]}")
    return same


def one_run(work: Path, count: int, settings: list[str], rng: random.Random) -> list[bool]:
    """One run, killed `count` times, each time after a random delay."""
    seconds = finish(work / "whole", settings)
    print(f"uninterrupted: {seconds:.0f} s")
    for number in range(count):
        stretch = rng.uniform(5.0, 2 * seconds / count)
        killed = kill_after(work / "killed", settings, stretch)
        print(f"stop {number}: {'killed' if killed else 'ended'} after {stretch:.1f} s")
    finish(work / "killed", settings)
    same = tables(work / "killed") == tables(work / "whole")
    print(f"same tables: {same}")
    return [same]


def main() -> None:
    """Run the trials and print how many gave the same tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", choices=("small", "whole"), default="small")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as work:
        run, settings = (trials, SMALL) if chosen.recipe == "small" else (one_run, [])
        same = run(Path(work), chosen.count, settings, rng)
    print(f"{sum(same)} of {len(same)} with the same tables")
    sys.exit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
