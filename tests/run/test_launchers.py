"""Launchers: several processes make what one makes, failures and stops end all of them, trainings share the work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.run import launch
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.launch import launch_file, local_processes, replicas
from acemath.run.partitions import open_run
from acemath.run.run import run_until
from acemath.run.runner import Job, Runner
from acemath.run.stage import MapStage
from acemath.run.stages import stages_until

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from small_run import PARTS, begin, make, stages_of  # noqa: E402

IDS = [f"p{n}" for n in range(60)]
PROGRAM = """
import sys
from pathlib import Path
from acemath.run.launch import local_processes
from acemath.run.runner import Job
folder = Path(sys.argv[1])
local_processes(2, lambda *_: None, "small_run:stages_of")([Job(folder, "answer", (n,)) for n in range(2)])
"""


@pytest.fixture(autouse=True)
def _small_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *sys.path]))


def _ready(folder: Path) -> None:
    """Make the input of the stage `answer`, and its folder, as the process that plans a run does before it starts jobs."""
    Runner(folder, stages_of(folder)).make("problems")
    (folder / "answer").mkdir()


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    """The same bytes, and the progress of both added up."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = begin(tmp_path / "one", IDS)
    make(one)
    two = begin(tmp_path / "two", IDS, slow=0.05)
    open_run(two, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    seen: list[tuple[int, int, str]] = []
    runner = Runner(two, stages_of(two), width=lambda stage: 2 if isinstance(stage, MapStage) else 1)
    runner.launch = local_processes(2, lambda *state: seen.append(state), "small_run:stages_of")
    runner.make_all()
    assert _contents(one) == _contents(two)
    assert max(total for _, total, _ in seen) == 100 * PARTS and all(done <= total for done, total, _ in seen)


def test_replicas_share_partitions_and_have_gpus_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two copies on two GPUs each make what one makes; with three GPUs nothing starts."""
    folder = begin(tmp_path, IDS)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    runner = Runner(folder, stages_of(folder), width=lambda stage: stage.copies.replicas if isinstance(stage, MapStage) else 1)
    _ready(folder)
    runner.launch = replicas(2, lambda *_: None, "small_run:stages_of")
    monkeypatch.setattr(launch, "visible_gpus", lambda: ["0", "1", "2"])
    with pytest.raises(UserError, match="answer: 2 replicas on 2 GPUs each need 4, but 3 can be seen"):
        runner.make("answer")
    monkeypatch.setattr(launch, "visible_gpus", lambda: ["4", "5", "6", "7"])
    assert runner.make("answer")
    said = [line.split() for line in (tmp_path / "log.txt").read_text().splitlines() if line.startswith("answer")]
    assert {int(number) for _, number, _ in said} == set(range(PARTS))
    assert {gpus for _, _, gpus in said} == {"4,5", "6,7"}


def test_a_model_says_how_many_copies_run(tmp_path: Path) -> None:
    """`replicas` of a model are those of each stage that loads it, and no setting of the stage's key."""
    found = {}
    for copies in (1, 3):
        recipe = load_recipe("laptop", {"models.math": {"replicas": copies}})
        stages = {stage.name: stage for stage in stages_until(Run(recipe, tmp_path, Display(quiet=True)), "reward")}
        found[copies] = stages["candidates-math"]
    assert [found[n].copies.replicas for n in (1, 3)] == [1, 3] and found[1].settings == found[3].settings


def test_a_failed_process_ends_the_others(tmp_path: Path) -> None:
    """Its last lines are what is raised; the one that would have gone on for minutes is gone at once."""
    folder = begin(tmp_path, IDS, slow=60.0)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    jobs = [Job(folder, "answer", (0,)), Job(folder, "nothing")]
    _ready(folder)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?s)exit code 1: .*nothing.*KeyError: 'nothing'"):
        local_processes(2, lambda *_: None, "small_run:stages_of")(jobs)
    assert time.monotonic() - started < 50


def test_a_mistake_of_the_user_is_one_line(tmp_path: Path) -> None:
    """As it would be in this process: the input is not finished."""
    folder = begin(tmp_path, IDS)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    with pytest.raises(UserError, match="^[^\n]*holds no finished stage; run the recipe first$"):
        local_processes(1, lambda *_: None, "small_run:stages_of")([Job(folder, "answer", (0,))])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    """After kill -9 and after Ctrl-C of the parent alone."""
    folder = begin(tmp_path, IDS, slow=60.0)
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    _ready(folder)
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background inherits that it is ignored
    )  # fmt: skip
    children = _wait(lambda: _running(folder, 2))
    assert isinstance(children, list) and len(children) == 2
    parent.send_signal(how)
    parent.wait(30)
    assert _wait(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def _running(folder: Path, count: int) -> list[str]:
    """The ids of the jobs in this folder, once there are so many and all of them are at work."""
    found = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if f"acemath.run.job\0{folder}\0".encode() in _read(path)
    ]
    log = folder.parent / "log.txt"
    at_work = log.exists() and log.read_text().count("answer") >= count
    return found if len(found) >= count and at_work else []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _wait(check: object, seconds: float = 60.0) -> object:
    assert callable(check)
    until = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_configurations_are_found() -> None:
    """Those that ship by name and as DESIGN writes them; others by path; a wrong name lists them."""
    assert (
        launch_file("8-gpus") == launch_file("recipes/launch/8-gpus.yaml") or launch_file("8-gpus").is_file()
    )
    with pytest.raises(UserError, match="'9-gpus' is not a file.*1-gpu, 32-nodes, 8-gpus"):
        launch_file("9-gpus")


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_launchers_to_come_say_so(name: str, tmp_path: Path) -> None:
    """In one line, before anything is made."""
    recipe = load_recipe("laptop", {"launch.by": name})
    with pytest.raises(UserError, match=f"launch.by: {name} is not supported yet; "):
        run_until(recipe, tmp_path / "run", Display(quiet=True), "data")


SMALL = {
    "problems.seeds.worksheets.count": 60, "problems.benchmarks.worksheets.count": 20, "partitions": 2,
    "sft.settings.bf16": False, "sft.settings.validation": 2, "sft.settings.save_every": 4,
    "sft.stages": {"only": {"blend": ["code", "math"]}}, "reward.base": "only",
    "reward.candidates.policies": ["only"], "bench.policies": ["only"], "bench.headline": "only",
}  # fmt: skip
TWO = {
    "compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP", "num_machines": 2, "num_processes": 2, "machine_rank": 0,
    "main_process_ip": "127.0.0.1", "rdzv_backend": "static", "same_network": True, "mixed_precision": "no", "use_cpu": True,
    "fsdp_config": {"fsdp_version": 2},
}  # fmt: skip


def test_a_training_on_two_machines_gives_the_losses_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose recipe names a configuration of accelerate, in shards over gloo: every loss within 1e-4.

    Each machine has one process; the second is started by the command that the notice gives.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run_until(load_recipe("laptop", SMALL), tmp_path / "one", Display(quiet=True), "sft")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "sft-only")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        apart = {**TWO, "main_process_port": free.getsockname()[1]}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(apart))
    told = {**SMALL, "sft.launch": str(tmp_path / "two.yaml"), "launch.processes": 2}
    shown = Display(quiet=True)
    notes: list[str] = []
    monkeypatch.setattr(shown, "progress", lambda done, total, note="": notes.append(note))
    others: list[subprocess.Popen[bytes]] = []

    def start(notice: str) -> None:
        assert f"--machine_rank RANK --main_process_ip {socket.gethostname()} " in notice
        words = notice.split("start on each: accelerate launch ")[1].split()
        words[1], words[3] = "1", "127.0.0.1"
        others.append(subprocess.Popen([sys.executable, "-m", "accelerate.commands.launch", *words]))

    monkeypatch.setattr(launch, "say", start)
    try:
        assert run_until(load_recipe("laptop", told), tmp_path / "two", shown, "sft")["ran"] == ["sft-only"]
        assert others[0].wait(60) == 0
    finally:
        for other in others:
            other.kill()
    one, two = (
        json.loads((tmp_path / name / "sft-only" / "manifest.json").read_text())["facts"]
        for name in ("one", "two")
    )
    assert len(one["curve"]) == len(two["curve"]) > 5 and any(re.search(r"loss \d", note) for note in notes)
    for first, second in zip(one["curve"], two["curve"], strict=True):
        assert first == pytest.approx(second, abs=1e-4)
    assert one["validation_after"] == pytest.approx(two["validation_after"], abs=1e-4)
