"""How the jobs of a run are started: in this process, in several of this machine, or through `accelerate launch`.

A job knows nothing of it. A child process gives its progress and its output through a pipe. It ends when its standard
input does, so none outlives the process that started it, however that one ends.
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

import yaml

from acemath.errors import UserError
from acemath.notices import say
from acemath.recipe.launch import LaunchSettings
from acemath.recipe.schema import Recipe
from acemath.run.runner import DECLARED, Job, Launcher, Runner, run_job
from acemath.run.stage import MapStage, Stage

CHILD = "ACEMATH_CHILD"  # set for child processes: standard input is their parent's pipe
PROGRESS = "acemath-progress "  # begins a line of progress: [done, total, note]
MISTAKE = "acemath-mistake "  # begins the line of a user's mistake
NOTICE = "acemath-notice "  # begins a line that the user should see though the work goes on
TAIL = 20  # last lines of a failed process that are shown
PATIENCE = 10.0  # seconds that a process has to end when it is told to
Tell = Callable[[int, int, str], None]


def in_process(runner: Runner) -> Launcher:
    """Jobs one after the other in this process."""

    def launch(jobs: Sequence[Job]) -> None:
        for job in jobs:
            run_job(runner, job)

    return launch


def local_processes(count: int, tell: Tell, declared: str = DECLARED) -> Launcher:
    """Jobs in processes of this machine, at most `count` at a time, which share its cores."""
    threads = str(max(1, (os.cpu_count() or 1) // count))

    def launch(jobs: Sequence[Job]) -> None:
        commands = [job.command(declared) for job in jobs]
        _together(commands, count, tell, {"OMP_NUM_THREADS": threads})

    return launch


def accelerate(config: Path, tell: Tell) -> Launcher:
    """A training in the processes that a configuration of `accelerate launch` names.

    For several machines the command of the others is told: the user starts it on each of them.
    """
    told = yaml.safe_load(config.read_text())

    def launch(jobs: Sequence[Job]) -> None:
        for job in jobs:
            start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
            command = [*start, *job.command()[1:]]
            if told.get("num_machines", 1) > 1:
                others = " ".join(["accelerate launch --machine_rank RANK", *command[3:]])
                say(
                    f"{job.stage} waits for {told['num_machines'] - 1} other machines; start on each: {others}"
                )
            _together([command], 1, tell, {})

    return launch


def ray() -> Launcher:
    """Jobs on a Ray cluster, which is not written yet."""
    raise UserError(
        "launch.by: ray does not exist yet; use by: processes on one machine, and sft.launch and reward.launch for trainings"
    )


def slurm() -> Launcher:
    """Jobs through Slurm, which is not written yet."""
    raise UserError(
        "launch.by: slurm does not exist yet; run acemath in a job of your own (sbatch) with by: processes, and sft.launch "
        "and reward.launch for trainings"
    )


def launch_file(name: str) -> Path:
    """The configuration of `accelerate launch` at a path, or the one of this name that ships. UserError for neither."""
    shipped = Path(str(resources.files("acemath"))) / "recipes" / "launch"
    for path in (Path(name), shipped / f"{name}.yaml", shipped / Path(name).name):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in shipped.glob("*.yaml")))
    raise UserError(
        f"launch {name!r} is no file; give the path of a configuration of accelerate, or one of {names}"
    )


def set_launch(runner: Runner, recipe: Recipe, tell: Tell) -> None:
    """Have the jobs of a run started as its recipe says. UserError where it names what does not exist."""
    here, several = in_process(runner), _several(recipe.launch, tell)
    named = {f"sft-{name}": recipe.sft.launch for name in recipe.sft.stages} | {
        "reward": recipe.reward.launch
    }
    trainings = {stage: accelerate(launch_file(name), tell) for stage, name in named.items() if name}

    def width(stage: Stage) -> int:
        return recipe.launch.processes if isinstance(stage, MapStage) and stage.spread else 1

    def launch(jobs: Sequence[Job]) -> None:
        trainings.get(jobs[0].stage, several if len(jobs) > 1 else here)(jobs)

    runner.launch, runner.width = launch, width


def _several(settings: LaunchSettings, tell: Tell) -> Launcher:
    if settings.by == "ray":
        return ray()
    return slurm() if settings.by == "slurm" else local_processes(settings.processes, tell)


@dataclass
class _Child:
    """A process with what it last said."""

    process: subprocess.Popen[str]
    state: tuple[int, int, str] = (0, 0, "")
    mistake: str = ""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))

    def hear(self, line: str) -> None:
        """Take in a line of its output."""
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
        """UserError or RuntimeError where it did not end well."""
        code = self.process.wait()
        if code and self.mistake:
            raise UserError(self.mistake)
        if code:
            words = " ".join(self.process.args) if isinstance(self.process.args, list) else ""
            raise RuntimeError(
                "\n".join([f"a process of the run ended with exit code {code}: {words}", *self.last])
            )


def _together(commands: Sequence[list[str]], count: int, tell: Tell, more: Mapping[str, str]) -> None:
    """Run commands, at most `count` at a time. If one fails the others are ended, and its last lines are raised."""
    said: SimpleQueue[tuple[_Child, str | None]] = SimpleQueue()
    waiting, children, running = list(commands), list[_Child](), 0
    environment = {**more, **os.environ, CHILD: "1"}
    with _ended(children):
        while waiting or running:
            while waiting and running < count:
                children.append(_started(waiting.pop(0), environment, said))
                running += 1
            child, line = said.get()
            if line is None:
                running -= 1
                child.check()
                continue
            child.hear(line)
            states = [other.state for other in children]
            tell(sum(s[0] for s in states), sum(s[1] for s in states), child.state[2])


def _started(
    command: list[str], environment: Mapping[str, str], said: SimpleQueue[tuple[_Child, str | None]]
) -> _Child:
    """Start a command. Its lines come to the queue, at last None."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=dict(environment),
    )  # fmt: skip
    child = _Child(process)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put((child, line.rstrip("\n")))
        said.put((child, None))

    threading.Thread(target=read, daemon=True).start()
    return child


@contextmanager
def _ended(children: Sequence[_Child]) -> Iterator[None]:
    """End all that still run when the block is left, by an error or Ctrl-C too."""
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
    """In a child process: end at once when the process that started it has ended, which closes the pipe."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
