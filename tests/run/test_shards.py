"""The store: whole files or none, resume, changed settings, damage, locks, full disks; with real kills."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from acemath.run.shards import Stage, shards

from acemath.errors import UserError
from acemath.files.atomic import explained, write_json
from acemath.files.lock import locked
from acemath.files.rows import read_rows, write_rows
from acemath.records import Chat, Dropped, Group, Problem, Response

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


def test_output_key_covers_tables_and_weights(tmp_path: Path) -> None:
    """Files and artifacts beside the shards count by their bytes; settings and working folders do not."""

    def made(settings: int, table: int, weight: bytes, scratch: str) -> str:
        stage = Stage(tmp_path / "a", {"v": settings}, {})
        write_json(stage.folder / "tables.json", {"rm@8": table})
        stage.write("none", [], Problem)
        with stage.artifact("model") as out:
            (out / "deep").mkdir()
            (out / "deep" / "model.safetensors").write_bytes(weight)
        (stage.folder / "scratch").mkdir()
        (stage.folder / "scratch" / "x").write_text(scratch)
        stage.finish(0.0)
        assert (stage.folder / "model" / "deep" / "model.safetensors").read_bytes() == weight
        return str(stage.manifest["output"])

    first = made(1, 1, b"w", "x")
    assert made(2, 1, b"w", "y") == first
    assert made(3, 2, b"w", "x") != first and made(4, 1, b"v", "x") != first
    versions = Stage.read(tmp_path / "a").manifest["versions"]
    assert {"acemath", "python", "pyarrow"} <= versions.keys()


def test_a_failed_artifact_leaves_nothing(tmp_path: Path) -> None:
    """The block's own errors pass as they are, an earlier artifact stays, and no half folder does."""
    stage = Stage(tmp_path / "a", {}, {})
    with stage.artifact("model") as out:
        (out / "w").write_text("first")
    with pytest.raises(ConnectionError, match="hub"), stage.artifact("model") as out:
        (out / "w").write_text("second")
        raise ConnectionError("the hub is down")
    assert (tmp_path / "a" / "model" / "w").read_text() == "first"
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["model", "opened.json"]


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    """A half-written file under a final name (a broken disk) is one clear line, not a traceback."""
    stage = _finish(tmp_path / "a", {"x": 1})
    path = sorted((tmp_path / "a").glob("part-*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"part-.*not a whole Parquet file.*delete it"):
        stage.rows(Problem)


@pytest.mark.parametrize("which", ["part", "dropped"])
def test_deleting_a_damaged_file_brings_it_back(tmp_path: Path, which: str) -> None:
    """What the message tells the user to do works: that shard alone is made again, to the same rows."""
    before = _finish(tmp_path / "a", {"x": 1}).manifest["output"]
    gone = sorted((tmp_path / "a").glob(f"{which}-*.parquet"))[0]
    kept = {
        p: p.stat().st_mtime_ns for p in (tmp_path / "a").glob("part-*") if p.name[-12:] != gone.name[-12:]
    }
    gone.unlink()
    stage = Stage(tmp_path / "a", {"x": 1}, {})
    assert not stage.done and stage.why.startswith(f"its {gone.name} is gone")
    again = _finish(tmp_path / "a", {"x": 1})
    assert gone.exists() and again.manifest["output"] == before and len(again.dropped()) == len(kept) + 1
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert Stage(tmp_path / "a", {"x": 1}, {}).done


def test_no_flipped_bit_changes_a_row(tmp_path: Path) -> None:
    """A bit that rots on the disk is an error or has no effect: rows never come back other than written."""
    path, rng = tmp_path / "rows.parquet", random.Random(2)
    write_rows(path, ROWS, Problem)
    whole = path.read_bytes()
    refused = 0
    for _ in range(120):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            assert read_rows(path, Problem) == ROWS
        except UserError as error:
            refused += "not a whole Parquet file" in str(error)
    assert refused > 20


def test_damaged_manifests(tmp_path: Path) -> None:
    """A manifest that is no JSON, no UTF-8 or no object is one line with the file in it."""
    _finish(tmp_path / "a", {"x": 1})
    for content in (b"{", b"\xff\xfe{", b"[1]"):
        (tmp_path / "a" / "manifest.json").write_bytes(content)
        with pytest.raises(UserError, match=r"manifest\.json .*delete its folder"):
            Stage(tmp_path / "a", {"x": 1}, {})


HOLDER = """
import sys, time, os
from pathlib import Path
from acemath.files.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:  # an orphaned worker outlives its parent, and must not hold the lock
        print("held", flush=True)
        time.sleep(20)
        os._exit(0)
    time.sleep(60)
"""


def test_lock(tmp_path: Path) -> None:
    """A folder in use is refused and its process named; kill -9 frees it, whatever number its file keeps."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"in use by process {holder.pid};"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
            with pytest.raises(UserError, match="in use"), locked(tmp_path):
                pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)  # the orphan that this test started
    (tmp_path / ".lock").write_text("1")  # a number that was given out again, to a process that is alive
    with locked(tmp_path):
        pass


def test_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A write beyond the limit of the file system (here: of the process) is one line; no file remains."""
    code = (
        "import sys, resource, signal; from pathlib import Path; from acemath.records import Problem; from acemath.run.shards import Stage\n"
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


@pytest.mark.parametrize("writer", ["safetensors", "torch", "python"])
def test_full_disk_while_weights_are_written(tmp_path: Path, writer: str) -> None:
    """Libraries that write from native code hide the disk's error; it is one line all the same."""
    saves = {
        "safetensors": "from safetensors.numpy import save_file; import numpy; save_file({'x': numpy.zeros(90000)}, out / 'w')",
        "torch": "import torch; torch.save({'x': torch.zeros(90000)}, out / 'w')",
        "python": "(out / 'w').write_bytes(bytes(90000))",
    }
    code = (
        "import sys, resource, signal; from pathlib import Path; from acemath.run.shards import Stage\n"
        "from acemath.errors import UserError\n"
        f"stage = Stage(Path({str(tmp_path / 'a')!r}), {{}}, {{}})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        f"try:\n    with stage.artifact('model') as out:\n        {saves[writer]}\n"
        "except UserError as error:\n    print(error); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stdout and "free some space" in done.stdout and done.stdout.count("\n") == 1
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["opened.json"]


def test_a_device_without_space(tmp_path: Path) -> None:
    """The kernel's own ENOSPC, from the device that is always full."""
    with pytest.raises(UserError, match=r"cannot write .*No space left on device; free some space"):  # noqa: SIM117
        with explained(tmp_path):
            with Path("/dev/full").open("wb") as device:
                device.write(b"x" * 100_000)
    with pytest.raises(UserError, match=r"cannot write .*check the folder and its permissions"):
        write_rows(tmp_path / "none" / "rows.jsonl", ROWS, Problem)


WORKER = """
import sys, time
from pathlib import Path
from acemath.records import Problem
from acemath.files.lock import locked
from acemath.run.shards import Dropped, Stage, shards
rows = [Problem(f"p{i}", f"What is {i}+1?", str(i + 1)) for i in range(300)]
with locked(Path(sys.argv[1])):
    stage = Stage(Path(sys.argv[1]) / "stage", {"x": 1}, {})
    print(stage.why, flush=True)
    if not stage.done:
        for key, part in shards(rows, 10).items():
            if not stage.has(key):
                stage.write(key, part, Problem, [Dropped(part[0].id, "s", "r", "t")])
                time.sleep(0.002)
        with stage.artifact("model") as out:
            for i in range(20):
                (out / f"w{i}").write_bytes(bytes(1000 + i))
                time.sleep(0.001)
        stage.finish(0.0)
"""


def _work(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True)


def _contents(stage: Path) -> dict[str, bytes]:
    files = (p for p in stage.rglob("*") if p.is_file() and p.name != "manifest.json")
    return {p.relative_to(stage).as_posix(): p.read_bytes() for p in files}


def test_killed_at_any_moment_ends_the_same(tmp_path: Path) -> None:
    """kill -9 at random moments of the work, again and again: the end is that of an uninterrupted run."""
    whole = tmp_path / "whole" / "stage"
    _work(whole.parent).communicate()
    rng = random.Random(5)
    counts: list[int] = []  # shards that stood after a kill
    for turn in range(4):
        stage = tmp_path / f"killed{turn}" / "stage"
        # 30 shards, then the artifact: a target of 30 hits it or the manifest
        for target in [*sorted(rng.sample(range(30), 3)), 30]:
            worker = _work(stage.parent)
            while worker.poll() is None and len(list(stage.glob("part-*"))) < target:
                time.sleep(0.001)
            time.sleep(rng.random() * 0.01)
            worker.kill()
            worker.communicate()
            counts.append(len(list(stage.glob("part-*"))))
        assert _work(stage.parent).wait() == 0
        assert _contents(stage) == _contents(whole)
        assert Stage.read(stage).manifest["output"] == Stage.read(whole).manifest["output"]
        assert not list(stage.glob(".*.tmp"))
    assert len({c for c in counts if 0 < c < 30}) >= 5, f"the kills missed the work: {counts}"


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.jsonl.gz"])
def test_row_files(tmp_path: Path, name: str) -> None:
    """Rows through a file of any kind, the same bytes for the same rows."""
    write_rows(tmp_path / name, ROWS, Problem)
    first = (tmp_path / name).read_bytes()
    assert read_rows(tmp_path / name, Problem) == ROWS
    write_rows(tmp_path / name, ROWS, Problem)
    assert (tmp_path / name).read_bytes() == first
    group = Group("p", "q", ("a", "b"), (1, 0), ("m", "m"))
    chat = Chat("p", ({"role": "user", "content": "q"},))
    write_rows(tmp_path / name, [group], Group)
    assert read_rows(tmp_path / name, Group) == [group]
    write_rows(tmp_path / name, [chat], Chat)
    assert read_rows(tmp_path / name, Chat) == [chat]


def test_a_stages_folder_is_a_row_file(tmp_path: Path) -> None:
    """Its rows are read and its dropped rows are not; an empty folder is no row file."""
    _finish(tmp_path / "a", {})
    assert len(read_rows(tmp_path / "a", Problem)) == len(ROWS)
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"holds no \.parquet file"):
        read_rows(tmp_path / "b", Problem)
    with pytest.raises(UserError, match=r"name it \.parquet, \.jsonl or \.jsonl\.gz"):
        write_rows(tmp_path / "rows.csv", ROWS, Problem)


BAD = [
    (b'{"id": "a", "prompt": "x"}\n{"id": \n', Problem, r"line 2: not valid JSON"),
    (b'\n\n{"question": "x"}\n', Response, r"line 3: not a Response, it has no problem_id"),
    (b'{"id": "a", "prompt": "x"}\n[1]\n', Problem, r"line 2: a record is a JSON object, this is list"),
    (b'{"id": 5, "prompt": "x"}\n', Problem, r"line 1: id is 5, which is no string"),
    (b'{"id": "a", "prompt": "x", "level": 3.7}\n', Problem, r"line 1: level is 3\.7, which is no int32"),
    (b'{"id": "a", "prompt": "x", "level": 9999999999}\n', Problem, r"level is 9999999999"),
    (b'{"id": "a", "prompt": "x", "meta": "{"}\n', Problem, r"line 1: not a Problem \(Expecting"),
    (b'{"id": "a", "prompt": "x", "meta": [1]}\n', Problem, r"line 1: meta is \[1\]"),
    (b'{"problem_id": "a", "prompt": "x", "responses": "ab", "labels": [1]}', Group, r"responses is 'ab'"),
    (b'{"problem_id": "a", "prompt": "x", "responses": ["a"], "labels": [300]}', Group, r"labels is \[300\]"),
    (b'{"problem_id": "a", "messages": [{"role": "user"}]}', Chat, r"line 1: messages is "),
    (b'{"id": "a", "prompt": "\xff"}\n', Problem, r"not UTF-8"),
]


@pytest.mark.parametrize(("content", "kind", "message"), BAD)
def test_bad_rows_are_one_line(tmp_path: Path, content: bytes, kind: type[Problem], message: str) -> None:
    """A record that does not fit is named by file, line, column and value."""
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_rows(tmp_path / "bad.jsonl", kind)
    assert "bad.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_json_files_hold_one_object_a_list_or_lines(tmp_path: Path) -> None:
    """Written on one line or many; what is no object, or no JSON, is told with its place."""
    path, row = tmp_path / "a.json", {"id": "a", "prompt": "x"}
    for text in (json.dumps(row), json.dumps([row], indent=2), json.dumps(row) + "\n"):
        path.write_text(text)
        assert read_rows(path, Problem) == [Problem("a", "x")]
    path.write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n")
    assert read_rows(path, Problem) == [Problem("a", "x")] * 2
    for text, message in (
        ('[{"id": "a", "prompt": "x"}, 3]', r"record 2: a record is a JSON object, this is int"),
        ('[\n{"id": "a",\n]', r"line 3: not valid JSON"),
        ('{"id": "a", "prompt": "x"}\n{', r"line 2: not valid JSON"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_rows(path, Problem)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """No file, no gzip, half a gzip; and what is fine: a byte-order mark, null for a default."""
    with pytest.raises(UserError, match="does not exist"):
        read_rows(tmp_path / "none.jsonl", Problem)
    line = b'{"id": "a", "prompt": "x", "answer": null, "more": 1}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(line)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line * 999)[:-9])
    for name in "ab":
        with pytest.raises(UserError, match="not a whole gzip file"):
            read_rows(tmp_path / f"{name}.jsonl.gz", Problem)
    (tmp_path / "mark.jsonl").write_bytes(b"\xef\xbb\xbf" + line)
    assert read_rows(tmp_path / "mark.jsonl", Problem) == [Problem("a", "x")]
