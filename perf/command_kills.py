"""kill -9 at random moments of every long command, then the same command again: is its result that of an undisturbed one?

    python perf/command_kills.py                        # all commands, four kills each
    python perf/command_kills.py sft eval --kills 10    # two of them

Half of the kills fall anywhere in the command's duration, half in its last second. Prints a line a command; exit code 1 if any
result differs, or if a command fails when it is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LAST = 1.0  # seconds before the end
# What a result says of itself, and not of the work: times, versions, paths.
UNSTABLE = ("acemath.json", "training.json", "manifest.json", "run.json")


@dataclass(frozen=True)
class Long:
    """A long command: its words without `--out`, the option's value, and what is compared, in `--out` or beside it."""

    words: str
    out: str
    compared: tuple[str, ...] = ("",)


COMMANDS = {
    "curate": Long("curate prompts.jsonl --against problems.jsonl", "clean.jsonl"),
    "synthesize": Long("synthesize prompts.jsonl", "written.jsonl"),
    "sample": Long("sample problems.jsonl --model policy -n 8 --max-new-tokens 100", "more.jsonl"),
    "grade": Long("grade samples.jsonl --problems problems.jsonl", "verdicts.jsonl"),
    "score": Long("score samples.jsonl --problems problems.jsonl --model reward-model", "scored.jsonl"),
    "sft": Long("sft chats.parquet --base nano --global-batch 8 --set save_every=4", "trained"),
    "rm train": Long("rm train groups.parquet --base policy --batch-groups 4 --epochs 4 --set save_every=3", "judge"),
    "eval": Long(
        "eval few.jsonl --model policy -n 8 --max-new-tokens 100 --reward reward-model --cache CACHE", "measured", ("results.json",)
    ),
    "rewardbench build": Long(
        "rewardbench build --model policy --benchmarks few.jsonl -n 8 --max-new-tokens 100", "built", ("bench",)
    ),
    "rewardbench score": Long("rewardbench score reward-model --bench RELEASE --cache CACHE -k 4", "bench", ("results.json",)),
    "process-bench": Long("process-bench --critic policy --data steps.jsonl -n 4 --max-new-tokens 80", "critic.jsonl"),
    "reward-bench-2": Long("reward-bench-2 reward-model --data fours.jsonl --cache CACHE", "fours-scored.jsonl"),
}


def started(work: Path, *words: str) -> subprocess.Popen[str]:
    """A command in the folder `work`; its standard error is kept in a file."""
    with (work / "errors.txt").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "acemath", *words], cwd=work, stdout=subprocess.DEVNULL, stderr=errors, text=True
        )


def finish(work: Path, *words: str) -> float:
    """Run a command to its end; the seconds that it took. SystemExit with its last words if it fails."""
    begun = time.monotonic()
    if started(work, *words).wait():
        raise SystemExit(f"acemath {' '.join(words)} failed:\n{(work / 'errors.txt').read_text()[-2000:]}")
    return time.monotonic() - begun


def prepare(work: Path) -> None:
    """The inputs of all commands: problems, prompts, a policy, its samples, a reward model."""
    for line in (
        "fetch worksheets --count 60 --set levels=[1] --out problems.jsonl",
        "fetch worksheets --count 24 --seed 1 --set levels=[1] --out few.jsonl",
        "fetch worksheets --count 6000 --seed 2 --out prompts.jsonl",
        "fetch worksheets --count 160 --seed 3 --set levels=[1] --out taught.jsonl",
        "synthesize taught.jsonl --out responses.jsonl",
        "blend responses.jsonl --problems taught.jsonl --out chats.parquet",
        "sft chats.parquet --base nano --learning-rate 1e-3 --global-batch 8 --out policy",
        "sample problems.jsonl --model policy -n 8 --max-new-tokens 100 --out samples.jsonl",
        "rm groups samples.jsonl --problems problems.jsonl --out groups.parquet",
        "rm train groups.parquet --base policy --batch-groups 8 --epochs 1 --out reward-model",
        "rewardbench build --model policy --benchmarks few.jsonl -n 8 --max-new-tokens 100 --out release",
    ):
        finish(work, *line.split())
    problems = [json.loads(line) for line in (work / "problems.jsonl").read_text().splitlines()]
    asked = {row["id"]: row["prompt"] for row in problems}
    texts: dict[str, list[str]] = {name: [] for name in asked}
    for line in (work / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        texts[row["problem_id"]].append(row["text"])
    steps = [
        {"id": f"math-{at}", "problem": asked[name], "steps": [text or "?", "So it is."], "label": at % 3 - 1}
        for at, (name, (text, *_)) in enumerate(texts.items())
    ]
    fours = [
        {"id": name, "prompt": asked[name], "subset": "Math", "chosen": found[:1], "rejected": found[1:4], "num_correct": 1}
        for name, found in texts.items()
    ]
    for file, rows in (("steps.jsonl", steps), ("fours.jsonl", fours)):
        (work / file).write_text("".join(json.dumps(row) + "\n" for row in rows))


def words_of(work: Path, long: Long, out: str) -> list[str]:
    """The words of a command with this `--out`; its cache of scores is its own."""
    given = long.words.replace("RELEASE", str(work / "release" / "bench")).replace("CACHE", f"{out}-cache")
    return [*given.split(), "--out", out]


def content(work: Path, long: Long, out: str) -> dict[str, str]:
    """A hash of each compared file of a result."""
    found = {}
    for part in long.compared:
        place = work / out / part if part else work / out
        files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
        for file in files:
            if file.name not in UNSTABLE and not file.name.startswith("."):
                name = file.relative_to(place).as_posix() if file != place else "file"
                found[f"{part}/{name}"] = hashlib.sha256(file.read_bytes().replace(out.encode(), b"OUT")).hexdigest()
    assert found, f"{work / out} holds nothing to compare"
    return found


def trial(work: Path, long: Long, out: str, after: float) -> bool:
    """Start a command, kill it after some seconds, and give it again. Whether it was killed in time."""
    worker = started(work, *words_of(work, long, out))
    try:
        worker.wait(timeout=after)
        killed = False
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
        killed = True
    finish(work, *words_of(work, long, out))
    return killed


def kills(work: Path, name: str, count: int, rng: random.Random, say: Callable[[str], None] = print) -> list[str]:
    """The faults of one command: what differed after which kill."""
    long = COMMANDS[name]
    begin, dot, ending = long.out.partition(".")
    seconds = finish(work, *words_of(work, long, f"{begin}-whole{dot}{ending}"))
    whole = content(work, long, f"{begin}-whole{dot}{ending}")
    faults, landed = [], 0
    for number in range(count):
        after = rng.uniform(0.5, seconds) if number % 2 == 0 else seconds - rng.uniform(0, LAST)
        out = f"{begin}-{number}{dot}{ending}"
        landed += trial(work, long, out, max(0.2, after))
        again = content(work, long, out)
        differing = sorted(file for file in whole.keys() | again.keys() if whole.get(file) != again.get(file))
        faults += [f"{name}, killed after {after:.1f} s: {', '.join(differing)}"] if differing else []
    say(f"{name}: {seconds:.1f} s undisturbed, {landed} of {count} kills in time, {len(whole)} files, {len(faults)} differ")
    return faults


def main() -> None:
    """Kill the commands that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", help=f"of {', '.join(COMMANDS)}")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a folder that keeps the inputs; by default a new one, which is removed")
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        if not (work / "fours.jsonl").exists():
            work.mkdir(parents=True, exist_ok=True)
            prepare(work)
        faults = [fault for name in chosen.commands or COMMANDS for fault in kills(work, name, chosen.kills, rng)]
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
