"""Stages: what runs again and why, stops at any moment, jobs in other processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.records import Response
from acemath.run.partitions import Partitions, open_run
from acemath.run.runner import Job, Runner, cut, run_job
from acemath.run.stage import MapStage, Part, Reduction, whole

sys.path.insert(0, str(Path(__file__).parent))
from small_run import PARTS, begin, make, stages_of  # noqa: E402

IDS = [f"p{n}" for n in range(200)]
HERE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


class Heard:
    """A display that remembers why stages ran."""

    def __init__(self) -> None:
        self.why: dict[str, str] = {}
        self.ends: list[str] = []

    def start(self, name: str, why: str = "") -> None:
        self.why[name] = why

    def progress(self, done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total

    def end(self, summary: str) -> None:
        self.ends.append(summary)

    def stop(self) -> None:
        pass


def again(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Make what is stale; why each stage ran, and the lines of the log."""
    log = folder.parent / "log.txt"
    log.unlink(missing_ok=True)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    heard = Heard()
    Runner(folder, stages_of(folder), heard).make_all()
    return heard.why, log.read_text().splitlines() if log.exists() else []


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of all that a run made, but for the manifests."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "run.json")
    }


def test_a_run_is_made_once(tmp_path: Path) -> None:
    """Everything runs for the first time, and nothing a second time."""
    folder = begin(tmp_path, IDS)
    why, log = again(folder)
    assert set(why.values()) == {"runs for the first time"} and list(why) == [
        "problems",
        "answer",
        "keep",
        "model",
        "score",
    ]
    assert len(log) == 3 + 2 * PARTS
    assert again(folder) == ({}, [])
    runner = make(folder)
    facts = runner.stores["answer"].manifest["facts"]
    assert facts == {"counts": {"kept": 180}} and len(list(runner.stores["answer"].dropped())) == 20
    assert runner.stores["model"].manifest["facts"] == {"steps": 4}
    assert not (folder / "model" / "work").exists()


def test_one_more_row_redoes_one_partition_of_each_map(tmp_path: Path) -> None:
    """One prompt more: one partition of each map and the reductions; equal output stops what comes after."""
    folder = begin(tmp_path, IDS)
    again(folder)
    begin(tmp_path, [*IDS, "new"])
    number = Partitions(PARTS).partition_of("new")
    why, log = again(folder)
    assert log == ["problems", f"answer {number}", "keep", "model", *(f"score {n}" for n in range(PARTS))]
    assert why["answer"] == f"its input problems changed in partition {number}"
    assert why["keep"] == "its input answer changed" and why["score"] == "its inputs keep, model changed"
    # A problem that is answered nowhere changes the responses nowhere: the reduction and the model do not run.
    begin(tmp_path, [*IDS, "new", "x3"])
    _, log = again(folder)
    assert log == ["problems", f"answer {Partitions(PARTS).partition_of('x3')}"]
    fresh = begin(tmp_path, [*IDS, "new", "x3"]).parent / "other" / "run"
    fresh.parent.mkdir()
    shutil.copytree(tmp_path, fresh.parent, ignore=shutil.ignore_patterns("run", "other"), dirs_exist_ok=True)
    make(fresh)
    assert tables(fresh) == tables(folder)


def test_a_changed_setting_names_itself(tmp_path: Path) -> None:
    """A setting redoes the stage that uses it; a setting of training touches no stage of data."""
    folder = begin(tmp_path, IDS)
    again(folder)
    begin(tmp_path, IDS, rate=0.2)
    why, log = again(folder)
    assert why == {"model": "rate changed from 0.1 to 0.2"} and log == ["model"]
    begin(tmp_path, IDS, rate=0.2, answer={"style": "plain", "digits": 6})
    why, _ = again(folder)
    assert why["answer"] == "answer.digits changed from 5 to 6"


def test_deleted_and_damaged_files_are_made_again(tmp_path: Path) -> None:
    """A missing or cut file costs its own partition, and the run says which one."""
    folder = begin(tmp_path, IDS)
    again(folder)
    before = tables(folder)
    (folder / "answer" / "part-00003.parquet").unlink()
    assert again(folder) == ({"answer": "its part-00003.parquet is gone and is made again"}, ["answer 3"])
    dropped = sorted((folder / "answer").glob("dropped-*"))[0]
    number = int(dropped.stem[-5:])
    dropped.unlink()
    assert again(folder)[1] == [f"answer {number}"]
    damaged = folder / "answer" / "part-00005.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert again(folder) == ({"answer": "was damaged in partition 5; that is made again"}, ["answer 5"])
    (folder / "model" / "model" / "weights.txt").unlink()
    assert again(folder)[1] == ["model"]
    (folder / "keep" / "manifest.json").unlink()
    assert again(folder) == ({"keep": f"{PARTS} of {PARTS} partitions are there without a manifest"}, [])
    assert tables(folder) == before


def test_a_copied_run_is_still_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other times of files are no change: the footers are read once more."""
    folder = begin(tmp_path, IDS)
    again(folder)
    (moved := tmp_path / "moved").mkdir()
    shutil.copytree(folder, moved / "run")
    shutil.copy(tmp_path / "ids.json", moved)
    shutil.copy(tmp_path / "settings.json", moved)
    assert again(moved / "run") == ({}, [])
    before = (moved / "run" / "answer" / "manifest.json").read_text()
    assert before != (folder / "answer" / "manifest.json").read_text()
    monkeypatch.setattr("acemath.run.store.read_footer", None)  # not called again
    assert again(moved / "run") == ({}, [])
    assert (moved / "run" / "answer" / "manifest.json").read_text() == before


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of a run that nobody stopped."""
    folder = begin(tmp_path_factory.mktemp("unstopped"), IDS)
    make(folder)
    return tables(folder)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("problems/part-*", 4),
        ("answer/manifest.json", 1),
        ("answer/.dropped-*.tmp", 1),
        ("answer/part-*", 3),
        ("answer/part-*", PARTS),
        ("keep/part-*", 9),
        ("model/work/*/2.txt", 1),
        ("model/model/weights.txt", 1),
        ("score/part-*", 5),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, unstopped: dict[str, bytes], pattern: str, count: int
) -> None:
    """`kill -9` when these files are there: what is done is kept, and the tables are those of a run without a stop."""
    folder = begin(tmp_path, IDS, slow=0.004)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "small_run.py"), str(folder)], env=HERE
    )
    deadline = time.monotonic() + 60
    while len(list(folder.glob(pattern))) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in folder.glob("answer/part-*")}
    begun = (folder / "answer" / "manifest.json").exists()
    why, log = again(folder)
    assert sum(line.startswith("answer") for line in log) == PARTS - len(done)
    if begun and len(done) < PARTS:
        assert why["answer"] == f"was stopped; {len(done)} of {PARTS} partitions are kept"
    if "work" in pattern:
        assert why["model"] == "was stopped; its checkpoints are kept"
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert tables(folder) == unstopped


def test_jobs_run_in_other_processes(tmp_path: Path) -> None:
    """Two processes make different partitions at once; they write no manifest; the bytes are the same."""
    folder = begin(tmp_path, IDS)
    make(folder)
    expected = tables(folder)
    shutil.rmtree(folder)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    launched: list[int] = []

    def launch(jobs: list[Job]) -> None:
        launched.append(len(jobs))
        processes = [subprocess.Popen(job.command("small_run:stages_of"), env=HERE) for job in jobs]
        assert [process.wait() for process in processes] == [0] * len(jobs)
        assert not Runner(folder, stages_of(folder)).stores[jobs[0].stage].finished

    Runner(folder, stages_of(folder), launch=launch, width=lambda stage: 2).make_all()
    assert launched == [1, 2, 1, 1, 2] and tables(folder) == expected


def test_a_job_that_fails_leaves_its_stage_unfinished(tmp_path: Path) -> None:
    """A launcher that returns without the parts is an error, not a finished stage; a user's mistake is one line."""
    folder = begin(tmp_path, IDS)
    make(folder)
    begin(tmp_path, [*IDS, "new"])
    with pytest.raises(RuntimeError, match=r"stage problems ended without making partitions"):
        Runner(folder, stages_of(folder), launch=lambda jobs: None).make_all()
    with pytest.raises(UserError, match="holds no finished stage"):
        run_job(Runner(folder, stages_of(folder)), Job(folder, "answer", (1,)))
    job = Job(folder, "answer", (1,)).command("small_run:stages_of")
    found = subprocess.run(job, env=HERE, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stderr.count("\n") == 1


def test_a_training_of_several_processes_has_one_maker(tmp_path: Path) -> None:
    """A second rank works in the same folders and names nothing."""
    folder = begin(tmp_path, IDS)
    make(folder)
    before = tables(folder)
    shutil.rmtree(folder / "model")
    runner = Runner(folder, stages_of(folder))
    runner.stores["model"].filling.mkdir(parents=True)
    command = Job(folder, "model").command("small_run:stages_of")
    subprocess.run(command, env={**HERE, "RANK": "1"}, check=True)
    assert (
        not runner.stores["model"].model.exists()
        and (runner.stores["model"].filling / "weights.txt").exists()
    )
    subprocess.run(command, env={**HERE, "RANK": "0"}, check=True)
    again(folder)
    assert tables(folder) == before


def test_stages_read_only_what_they_declare(tmp_path: Path) -> None:
    """An input that a stage does not declare would not be seen to change: reading it is an error."""
    folder = begin(tmp_path, IDS)
    runner = make(folder)

    def sneaky(part: Part) -> None:
        part.rows("answer", Response)

    def sneaky_whole(part: Part) -> None:
        part.store("problems")

    for work, message in ((sneaky, "not among its inputs"), (sneaky_whole, "does not declare")):
        stage = MapStage("sneaky", {}, ("problems",), work)
        with pytest.raises(ValueError, match=message):
            Runner(folder, [*runner.stages, stage]).make_all()
    with pytest.raises(ValueError, match="does not come before it"):
        Runner(folder, [MapStage("early", {}, ("late",), sneaky)])
    with pytest.raises(ValueError, match="partitioned differently"):
        Runner(folder, [*runner.stages, MapStage("bench", {}, ("problems",), sneaky, space="benchmarks")])
    stages = [
        *runner.stages,
        MapStage("bench", {}, (whole("problems"),), lambda part: None, space="benchmarks"),
    ]
    with pytest.raises(RuntimeError, match="stage bench ended without making"):
        Runner(folder, stages).make_all()


def test_facts_of_a_table_and_of_a_whole_stage(tmp_path: Path) -> None:
    """A stage with one table; facts of the whole stage are added to those of its parts."""
    folder = begin(tmp_path, IDS)
    runner = make(folder)

    def table(everything) -> None:
        rows = [r for batch in everything.batches("score", ["text"]) for r in batch.column(0).to_pylist()]
        everything.part(0).write([], Response, facts={"rows": len(rows), "by": {"m": 1.5}})

    stage = Reduction(
        "table", {}, ("score",), table, space="one",
        more=lambda: {"by": {"n": 2}}, summary=lambda facts: f"{facts['rows']} rows",
    )  # fmt: skip
    heard = Heard()
    found = Runner(folder, [*runner.stages, stage], heard)
    found.make_all()
    assert heard.ends == ["180 rows"] and found.stores["table"].manifest["facts"]["by"] == {"m": 1.5, "n": 2}
    assert [path.name for path in (folder / "table").glob("*.parquet")] == ["part-00000.parquet"]


def test_jobs_share_the_partitions() -> None:
    """Every partition is in one job, and jobs differ by one partition at most."""
    jobs = cut(Job(Path("r"), "s", tuple(range(10))), 4)
    assert sorted(n for job in jobs for n in job.partitions) == list(range(10))
    assert {len(job.partitions) for job in jobs} == {2, 3} and len(cut(Job(Path("r"), "s", (1, 2)), 8)) == 2
