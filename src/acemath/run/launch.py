"""Launchers start the jobs of a run: in this process, in several processes of this machine, or by `accelerate launch`.

A child process sends progress and output to its parent through a pipe. It ends when its standard input is closed, so
none outlives its parent, however the parent ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname

import yaml

from acemath.errors import UserError
from acemath.notices import say
from acemath.recipe.launch import LaunchSettings
from acemath.recipe.schema import Recipe
from acemath.run.runner import DECLARED, Job, Launcher, Runner, run_job
from acemath.run.stage import Copies, MapStage, Stage

CHILD = "ACEMATH_CHILD"  # set for child processes: standard input is their parent's pipe
PROGRESS = "acemath-progress "  # begins a line of progress: [done, total, note]
MISTAKE = "acemath-mistake "  # begins the line of a user's mistake
NOTICE = "acemath-notice "  # begins a notice to the user
TAIL = 20  # last lines of a failed process that are shown
PATIENCE = 10.0  # seconds that a process has to end after SIGTERM
Report = Callable[[int, int, str], None]


def in_process(runner: Runner) -> Launcher:
    """Jobs one after the other in this process."""

    def launch(jobs: Sequence[Job]) -> None:
        for job in jobs:
            run_job(runner, job)

    return launch


def local_processes(count: int, report: Report, declared: str = DECLARED) -> Launcher:
    """Jobs in processes of this machine, at most `count` at a time, which share its cores."""
    threads = {"OMP_NUM_THREADS": _threads(count)}

    def launch(jobs: Sequence[Job]) -> None:
        _together([(job.command(declared), threads) for job in jobs], count, report)

    return launch


def replicas(devices: int, report: Report, declared: str = DECLARED) -> Launcher:
    """Jobs in processes of this machine, all at once, each with `devices` GPUs of its own if the machine has any.

    UserError if there are too few GPUs for all of them.
    """

    def launch(jobs: Sequence[Job]) -> None:
        gpus = visible_gpus()
        if gpus and len(gpus) < len(jobs) * devices:
            raise UserError(
                f"{jobs[0].stage}: {len(jobs)} replicas on {devices} GPUs each need {len(jobs) * devices}, but "
                f"{len(gpus)} can be seen; lower replicas or tensor_parallel"
            )
        commands = []
        for number, job in enumerate(jobs):
            own = {"OMP_NUM_THREADS": _threads(len(jobs))}
            if gpus:
                own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[number * devices : (number + 1) * devices])
            commands.append((job.command(declared), own))
        _together(commands, len(jobs), report)

    return launch


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]


def _threads(processes: int) -> str:
    """The value of OMP_NUM_THREADS for processes that share the cores, unless the user has set it."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))


def accelerate(config: Path, report: Report, declared: str = DECLARED) -> Launcher:
    """A training in the processes of a configuration of `accelerate launch`.

    If it names several machines, a notice says which command the user must start on each of the others.
    """
    settings = yaml.safe_load(config.read_text())

    def launch(jobs: Sequence[Job]) -> None:
        for job in jobs:
            start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
            command = [*start, *job.command(declared)[1:]]
            if settings.get("num_machines", 1) > 1:
                first = settings.get("main_process_ip", "127.0.0.1")
                place = f" --main_process_ip {gethostname()}" if first in ("127.0.0.1", "localhost") else ""
                others = " ".join([f"accelerate launch --machine_rank RANK{place}", *command[3:]])
                say(
                    f"{job.stage} waits for {settings['num_machines'] - 1} other machines; start on each: {others}"
                )
            _together([(command, {})], 1, report)

    return launch


def ray() -> Launcher:
    """Jobs on a Ray cluster: not supported yet."""
    raise UserError(
        "launch.by: ray is not supported yet; use by: processes on one machine, and sft.launch and reward.launch for trainings"
    )


def slurm() -> Launcher:
    """Jobs through Slurm: not supported yet."""
    raise UserError(
        "launch.by: slurm is not supported yet; run acemath in a job of your own (sbatch) with by: processes, and sft.launch "
        "and reward.launch for trainings"
    )


def launch_file(name: str) -> Path:
    """A configuration of `accelerate launch`: a path, or the name of one that ships. UserError if there is none."""
    shipped = Path(str(resources.files("acemath"))) / "recipes" / "launch"
    for path in (Path(name), shipped / f"{name}.yaml", shipped / Path(name).name):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in shipped.glob("*.yaml")))
    raise UserError(
        f"launch {name!r} is not a file; give the path of a configuration of accelerate, or one of {names}"
    )


def set_launch(runner: Runner, recipe: Recipe, report: Report, declared: str = DECLARED) -> None:
    """Start the jobs of a run as its recipe says. UserError if it names a launcher or file that does not exist."""
    here, several = in_process(runner), _several(recipe.launch, report, declared)
    named = {f"sft-{name}": recipe.sft.launch for name in recipe.sft.stages} | {
        "reward": recipe.reward.launch
    }
    trainings = {stage: accelerate(launch_file(name), report, declared) for stage, name in named.items() if name}

    def width(stage: Stage) -> int:
        if not isinstance(stage, MapStage):
            return 1
        return recipe.launch.processes if stage.spread else stage.copies.replicas

    def launch(jobs: Sequence[Job]) -> None:
        stage = runner.by_name[jobs[0].stage]
        copies = stage.copies if isinstance(stage, MapStage) else Copies()
        many = replicas(copies.devices, report, declared) if copies.replicas > 1 else several
        trainings.get(stage.name, many if len(jobs) > 1 else here)(jobs)

    runner.launch, runner.width = launch, width


def _several(settings: LaunchSettings, report: Report, declared: str) -> Launcher:
    if settings.by == "ray":
        return ray()
    return slurm() if settings.by == "slurm" else local_processes(settings.processes, report, declared)


@dataclass
class _Child:
    """A child process, with its last progress and output."""

    process: subprocess.Popen[str]
    state: tuple[int, int, str] = (0, 0, "")
    mistake: str = ""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))

    def read_line(self, line: str) -> None:
        """Handle a line of its output."""
        if line.startswith(PROGRESS):
            done, total, note = json.loads(line.removeprefix(PROGRESS))
            self.state = (done, total, note)
        elif line.startswith(NOTICE):
            say(line.removeprefix(NOTICE))
        elif MISTAKE in line:  # torchrun may write something before it
            self.mistake = self.mistake or line.split(MISTAKE, 1)[1]
        else:
            self.last.append(line)

    def check(self) -> None:
        """UserError or RuntimeError if its exit code is not 0."""
        code = self.process.wait()
        if code and self.mistake:
            raise UserError(self.mistake)
        if code:
            words = " ".join(self.process.args) if isinstance(self.process.args, list) else ""
            raise RuntimeError(
                "\n".join([f"a process of the run ended with exit code {code}: {words}", *self.last])
            )


def _together(commands: Sequence[tuple[list[str], Mapping[str, str]]], count: int, report: Report) -> None:
    """Run commands, each with its own environment variables, at most `count` at a time.

    If one fails, the others are ended, and its last lines are raised.
    """
    output: SimpleQueue[tuple[_Child, str | None]] = SimpleQueue()
    waiting, children, running = list(commands), list[_Child](), 0
    with _ended(children):
        while waiting or running:
            while waiting and running < count:
                command, own = waiting.pop(0)
                children.append(_started(command, {**os.environ, **own, CHILD: "1"}, output))
                running += 1
            child, line = output.get()
            if line is None:
                running -= 1
                child.check()
                continue
            child.read_line(line)
            states = [other.state for other in children]
            report(sum(s[0] for s in states), sum(s[1] for s in states), child.state[2])


def _started(
    command: list[str], environment: Mapping[str, str], output: SimpleQueue[tuple[_Child, str | None]]
) -> _Child:
    """Start a command. Its lines go to the queue, with None at the end."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=dict(environment),
    )  # fmt: skip
    child = _Child(process)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.put((child, line.rstrip("\n")))
        output.put((child, None))

    threading.Thread(target=read, daemon=True).start()
    return child


@contextmanager
def _ended(children: Sequence[_Child]) -> Iterator[None]:
    """End the children that still run when the block is left, also by an error or Ctrl-C."""
    try:
        yield
    finally:
        for child in children:
            if child.process.stdin is not None:
                child.process.stdin.close()
            child.process.terminate()
        for child in children:
            try:
                child.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def follow_parent() -> None:
    """In a child process: end at once when the parent has ended, which closes standard input."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
