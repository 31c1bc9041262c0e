"""The command as a process: Ctrl-C ends it at once with one line, leaves no process behind, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil


def interrupted(arguments: list[str], ready: Path | None, seconds: float) -> tuple[int, str]:
    """Exit code and last line on standard error of a command that gets Ctrl-C, as a terminal sends it to all of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acemath.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 60
    while ready is not None and not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    members = [p for p in psutil.process_iter() if p.pid != process.pid and _group(p.pid) == process.pid]
    psutil.wait_procs(members, timeout=5)
    assert not [p for p in members if p.is_running()]
    return process.returncode, said.strip().splitlines()[-1]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_ctrl_c_stops_a_run_that_goes_on_later(tmp_path: Path) -> None:
    """In the middle of the data; the same command again ends with all of it."""
    arguments = ["run", "laptop", "--out", str(tmp_path / "run"), "--until", "data", "--json"]
    arguments += [
        "--set",
        "problems.seeds.worksheets.count=400",
        "--set",
        "problems.benchmarks.worksheets.count=42",
    ]
    code, said = interrupted(arguments, tmp_path / "run" / "problems" / "manifest.json", 0.1)
    assert (code, said) == (130, "acemath: stopped; the same command goes on from here")
    done = subprocess.run(
        [sys.executable, "-m", "acemath.cli", *arguments], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["conversations"]["math"] > 0


def test_ctrl_c_stops_grading_with_its_workers(tmp_path: Path) -> None:
    """While workers are at hard pairs."""
    rows = [
        {"response": f"\\boxed{{\\int_0^\\infty \\frac{{\\sin(x^{n % 7 + 2})}}{{x+{n}}} dx}}", "answer": f"\\sum_{{n=1}}^\\infty \\frac{{1}}{{n^3+{n}}}"}
        for n in range(1, 400)
    ]  # fmt: skip
    path = tmp_path / "hard.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said = interrupted(["grade", str(path)], None, 3.0)
    assert (code, said) == (130, "acemath: stopped; the same command goes on from here")
