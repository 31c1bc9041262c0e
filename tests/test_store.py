"""The store: whole files or none, resume, changed settings, damage, locks, full disks; with real kills."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.records import Problem, Response
from acemath.store import Dropped, Stage, locked, read_rows, shards, write_rows

ROWS = [
    Problem(f"p{i}", f"What is {i}+1?", str(i + 1), meta={"level": i % 3, "é": [1, 2]}) for i in range(40)
]


def _finish(folder: Path, settings: dict, inputs: dict | None = None, rows: list[Problem] = ROWS) -> Stage:
    stage = Stage(folder, settings, inputs or {})
    for key, part in shards(rows, 10).items():
        if not stage.has(key):
            stage.write(key, part, Problem, [Dropped("d", "step", "why", "text")])
    stage.finish(time.time(), counts={"n": len(rows)})
    return stage


def test_rows_come_back_and_a_done_stage_stays_done(tmp_path: Path) -> None:
    """What is written is read; the same settings and inputs are done, and say so."""
    stage = _finish(tmp_path / "a", {"x": 1})
    assert sorted(stage.rows(Problem), key=lambda p: p.id) == sorted(ROWS, key=lambda p: p.id)
    assert stage.dropped()[0].reason == "why"
    again = Stage(tmp_path / "a", {"x": 1}, {})
    assert again.done and again.manifest["counts"] == {"n": 40}


def test_changes_say_what_changed(tmp_path: Path) -> None:
    """A changed setting or input clears the stage and names itself."""
    _finish(tmp_path / "a", {"train": {"rate": 1e-3}}, {"data": "k1"})
    changed = Stage(tmp_path / "a", {"train": {"rate": 2e-3}}, {"data": "k1"})
    assert (
        not changed.done
        and changed.why == "train.rate changed from 0.001 to 0.002"
        and not changed.rows(Problem)
    )
    _finish(tmp_path / "a", {"train": {"rate": 2e-3}}, {"data": "k1"})
    assert Stage(tmp_path / "a", {"train": {"rate": 2e-3}}, {"data": "k2"}).why == "its input data changed"


def test_output_key_is_of_content(tmp_path: Path) -> None:
    """The same rows give the same output key whatever the order they came in; other rows another."""
    first = _finish(tmp_path / "a", {"x": 1}).manifest["output"]
    shuffled = ROWS[:]
    random.Random(1).shuffle(shuffled)
    assert _finish(tmp_path / "b", {"x": 2}, rows=shuffled).manifest["output"] == first
    assert _finish(tmp_path / "c", {"x": 1}, rows=ROWS[:-1]).manifest["output"] != first


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    """A half-written file under a final name (a broken disk) is one clear line, not a traceback."""
    stage = _finish(tmp_path / "a", {"x": 1})
    path = sorted((tmp_path / "a").glob("part-*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"part-.*not a whole Parquet file.*delete it"):
        stage.rows(Problem)


def test_lock(tmp_path: Path) -> None:
    """A folder in use is refused; the lock of a dead process is not."""
    (tmp_path / ".lock").write_text("1")
    with pytest.raises(UserError, match="in use by process 1"), locked(tmp_path):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / ".lock").write_text(str(dead.pid))
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A write beyond the limit of the file system (here: of the process) is one line; no file remains."""
    code = (
        "import sys, resource, signal; from pathlib import Path; from acemath.records import Problem; from acemath.store import Stage\n"
        "from acemath.errors import UserError\n"
        f"stage = Stage(Path({str(tmp_path / 'a')!r}), {{}}, {{}})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "import random; rng = random.Random(0)\n"
        "rows = [Problem(str(i), ''.join(rng.choices('abcdefghijklmnop', k=80))) for i in range(200)]\n"
        "try:\n    stage.write('k', rows, Problem)\nexcept UserError as error:\n    print(error); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "cannot write" in done.stdout and "free some space" in done.stdout
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["opened.json"]
    assert resource.RLIMIT_FSIZE is not None


WORKER = """
import sys, time
from pathlib import Path
from acemath.records import Problem
from acemath.store import Stage, shards
rows = [Problem(f"p{i}", f"What is {i}+1?", str(i + 1)) for i in range(300)]
stage = Stage(Path(sys.argv[1]), {"x": 1}, {})
if not stage.done:
    for key, part in shards(rows, 10).items():
        if not stage.has(key):
            stage.write(key, part, Problem)
            time.sleep(0.004)
    stage.finish(0.0)
"""


def test_killed_at_any_moment_ends_the_same(tmp_path: Path) -> None:
    """kill -9 at random moments, again and again: the end is that of an uninterrupted run."""
    subprocess.run([sys.executable, "-c", WORKER, str(tmp_path / "whole")], check=True)
    rng = random.Random(5)
    for turn in range(3):
        folder = tmp_path / f"killed{turn}"
        for _ in range(30):
            worker = subprocess.Popen([sys.executable, "-c", WORKER, str(folder)])
            try:
                worker.wait(timeout=0.4 + rng.random() * 0.25)
                break
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        subprocess.run([sys.executable, "-c", WORKER, str(folder)], check=True)
        one, other = (Stage.read(f).manifest for f in (tmp_path / "whole", folder))
        assert one["output"] == other["output"]
        assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
def test_row_files(tmp_path: Path, name: str) -> None:
    """Rows through a file of either kind; errors name file, line and rule."""
    write_rows(tmp_path / name, ROWS, Problem)
    assert read_rows(tmp_path / name, Problem) == ROWS
    with pytest.raises(UserError, match="does not exist"):
        read_rows(tmp_path / "none.jsonl", Problem)
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "prompt": "x"}\n{"id": \n')
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2: not valid JSON"):
        read_rows(tmp_path / "bad.jsonl", Problem)
    (tmp_path / "other.jsonl").write_text('{"question": "x"}\n')
    with pytest.raises(UserError, match=r"record 1: not a Response"):
        read_rows(tmp_path / "other.jsonl", Response)
