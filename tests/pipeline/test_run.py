"""A whole small run with nano: it ends, a second does nothing, a change re-runs what it touches, kills do no harm."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from acemath.nano.home import WEIGHTS

pytestmark = [
    pytest.mark.skipif(
        not (WEIGHTS / "model.safetensors").exists(), reason="nano's weights are not in the package"
    ),
]

SMALL = [
    "problems.seeds.worksheets.count=240",
    "problems.benchmarks.worksheets.count=42",
    "sft.stages={math: {blend: [math, general, code]}}",
    "sft.settings={learning_rate: 2.0e-3, global_batch: 4, micro_batch: 4, max_length: 256, validation: 8, save_every: 20}",
    "reward.problems=60",
    "reward.candidates={math: {model: math, each: 8, max_new_tokens: 80}, hot: {model: math, each: 8, temperature: 1.3, max_new_tokens: 80}}",
    "reward.train.batch_groups=8",
    "bench.policies={math: {model: math, each: 8, max_new_tokens: 80}}",
    "bench.curve=[1, 8]",
]


def _command(folder: Path, *more: str) -> list[str]:
    options = list(more[more.index("--until") :]) if "--until" in more else []
    settings = [part for change in (*SMALL, *more[: len(more) - len(options)]) for part in ("--set", change)]
    settings += options
    return [sys.executable, "-m", "acemath.cli", "run", "laptop", "--out", str(folder), "--json", *settings]


def _run(folder: Path, *more: str) -> tuple[dict[str, Any], float]:
    started = time.monotonic()
    done = subprocess.run(
        _command(folder, *more),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout), time.monotonic() - started


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted small run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result, _ = _run(folder)
    assert set(result["headline"]) == {"pass@1", "maj@8", "rm@8", "pass@8"}
    assert Path(result["report"]).exists() and result["peak_mb"] < 4096
    assert 0 <= result["headline"]["pass@1"] <= result["headline"]["pass@8"] <= 100
    return folder


def test_second_run_does_nothing(finished: Path) -> None:
    """Unchanged, it says the same in under five seconds, and no stage runs."""
    result, seconds = _run(finished)
    assert result["ran"] == [] and seconds < 5


def test_change_runs_what_it_touches(finished: Path) -> None:
    """A setting of the groups re-runs groups, reward, scores, tables and report, and nothing before them."""
    result, _ = _run(finished, "reward.groups.pool=4")
    assert "groups" in result["ran"] and "tables" in result["ran"]
    assert not any(
        name.startswith(("sft", "candidates", "samples", "curate", "teacher")) for name in result["ran"]
    )


def test_a_run_that_ends_early_is_gone_on_with(tmp_path: Path) -> None:
    """Until the training sets, then until the policies, which is one command for all stages; a wrong name is told."""
    few = ("problems.seeds.worksheets.count=40", "problems.benchmarks.worksheets.count=14")
    data, _ = _run(tmp_path, *few, "--until", "data")
    assert data["models"] == [] and not (tmp_path / "sft-math").exists() and data["conversations"]["math"] > 0
    trained, _ = _run(tmp_path, *few, "--until", "sft")
    assert trained["ran"] == ["sft-math"] and (Path(trained["models"][0]) / "model.safetensors").exists()
    assert not (tmp_path / "reward").exists()
    wrong = subprocess.run(
        [*_command(tmp_path), "--until", "stf"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2 and "'stf'" in wrong.stderr and len(wrong.stderr.splitlines()) == 1


def _tables(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "tables" / "tables.json").read_text()))


def test_killed_run_ends_with_the_same_tables(finished: Path, tmp_path: Path) -> None:
    """kill -9 at random moments, then the same command: the tables of a run that was never stopped."""
    _run(finished)  # the change of the test before is taken back
    rng = random.Random(11)
    folder = tmp_path / "killed"
    for _ in range(4):
        worker = subprocess.Popen(_command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            worker.wait(timeout=6 + rng.random() * 12)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    _run(folder)
    assert _tables(folder) == _tables(finished)
