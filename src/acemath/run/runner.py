"""The runner: decides which partitions of which stages must be made, starts the jobs, and writes the manifests."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from acemath.errors import UserError
from acemath.records import content_key, fingerprint
from acemath.run.partitions import partitions_of
from acemath.run.reasons import Record
from acemath.run.stage import MapStage, Stage, Whole, make_parts
from acemath.run.store import StageStore

DECLARED = "acemath.run.stages:stages_of"  # module:function that returns a run folder's stages, for jobs


@dataclass(frozen=True, slots=True)
class Job:
    """Work for one process: a map over some partitions, or all of a reduction or training (no numbers)."""

    folder: Path
    stage: str
    partitions: tuple[int, ...] = ()

    def command(self, declared: str = DECLARED) -> list[str]:
        """The command that does the job in another process. Its exit code is 0 when the job is done."""
        numbers = ",".join(map(str, self.partitions))
        return [
            sys.executable,
            "-m",
            "acemath.run.job",
            str(self.folder),
            self.stage,
            numbers,
            "--stages",
            declared,
        ]


Launcher = Callable[[Sequence[Job]], None]  # returns when all jobs are done, raises if one failed


class Shown(Protocol):
    """Where a runner reports its stages: a `Display`."""

    def start(self, name: str, why: str = "") -> None: ...
    def progress(self, done: int, total: int, note: str = "") -> None: ...
    def end(self, summary: str) -> None: ...
    def stop(self) -> None: ...


class Silent:
    """A display that shows nothing, for jobs in other processes."""

    def start(self, name: str, why: str = "") -> None:
        """Nothing."""

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Nothing."""

    def end(self, summary: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


@dataclass
class Runner:
    """The stages of one run in its folder, which `open_run` has made.

    In `stages` each stage comes after its inputs. `launch` does jobs; without it they run in this process. `width` is the
    number of jobs that the partitions of a map are divided into. Only one runner at a time may make stages in a folder
    (`locked`).
    """

    folder: Path
    stages: Sequence[Stage]
    display: Shown = field(default_factory=Silent)
    launch: Launcher | None = None
    width: Callable[[Stage], int] = lambda stage: 1
    ran: list[str] = field(default_factory=list)  # stages that did something

    def __post_init__(self) -> None:
        partitions = partitions_of(self.folder)
        self.by_name: dict[str, Stage] = {}
        self.stores: dict[str, StageStore] = {}
        self._contents: dict[str, list[str]] = {}
        for stage in self.stages:
            count = 1 if stage.artifact else partitions[stage.space].count
            _check_inputs(stage, self.by_name)
            self.by_name[stage.name] = stage
            self.stores[stage.name] = StageStore(self.folder / stage.name, count, stage.artifact)

    def make_all(self) -> None:
        """Make every stage that is not up to date."""
        for stage in self.stages:
            self.make(stage.name)

    def make(self, name: str) -> bool:
        """Make one stage unless it is up to date; returns whether it was made. Its inputs must be finished."""
        stage, store = self.by_name[name], self.stores[name]
        now, keys = self._record(stage), self.keys(stage)
        stale = store.stale(keys)
        if not stale and store.finished:
            store.remember()
            return False
        if stale and not isinstance(stage, MapStage):
            stale = list(range(store.count))  # only maps make single partitions
        self.display.start(name, store.why(now, stale, keys[0]))
        started = time.monotonic()
        try:
            store.begin(now, keys[0])
            self._contents.pop(name, None)
            if stale:
                self._launch(self._jobs(stage, stale))
            if missing := store.stale(keys):
                raise RuntimeError(f"stage {name} ended without making partitions {missing}")
            manifest = store.finish(now, started, stage.more())
        finally:
            self.display.stop()
        self.ran.append(name)
        self.display.end(stage.summary(manifest["facts"]))
        return True

    def _jobs(self, stage: Stage, stale: Sequence[int]) -> list[Job]:
        if not isinstance(stage, MapStage):
            return [Job(self.folder, stage.name)]
        return cut(Job(self.folder, stage.name, tuple(stale)), self.width(stage))

    def _launch(self, jobs: Sequence[Job]) -> None:
        if self.launch is not None:
            self.launch(jobs)
            return
        for job in jobs:
            run_job(self, job)

    def keys(self, stage: Stage) -> list[str]:
        """The key of each part of a stage that is up to date: a hash of the settings and of the inputs that the part reads."""
        settings, count = fingerprint(stage.settings), self.stores[stage.name].count
        read = [
            self.contents(name) if _by_partitions(stage, entry) else [self.output(name)] * count
            for name, entry in zip(stage.reads, stage.inputs, strict=True)
        ]
        return [content_key(settings, *stage.reads, *(texts[n] for texts in read)) for n in range(count)]

    def check_current(self, names: Sequence[str]) -> None:
        """UserError if one of these stages, or one that they come from, was made by another recipe than the folder's.

        Settings of seeds and benchmarks and the content of models' folders are not compared: they need not be there any more.
        """
        wanted = set(names)
        for stage in reversed(self.stages):
            if stage.name in wanted and stage.inputs:
                wanted |= set(stage.reads)
                manifest = self.stores[stage.name].manifest
                read = {name: self.stores[name].manifest["output"] for name in stage.reads}
                made, now = _without_content(manifest["settings"]), _without_content(self._settings(stage))
                if made != now or manifest["inputs"] != read:
                    raise UserError(f"{self.folder / stage.name} was not made by the folder's recipe; run it again")

    def output(self, name: str) -> str:
        """A hash of all rows of a finished stage."""
        return content_key(*self.contents(name))

    def contents(self, name: str) -> list[str]:
        """A hash of the rows of each part of a finished stage. UserError if it is not finished."""
        if name not in self._contents:
            store = self.stores[name]
            if not store.finished or None in (footers := store.footers()):
                raise UserError(f"{store.folder} holds no finished stage; run the recipe first")
            self._contents[name] = [footer.content for footer in footers if footer is not None]
        return self._contents[name]

    @staticmethod
    def _settings(stage: Stage) -> Any:
        return json.loads(json.dumps(stage.settings, default=str))

    def _record(self, stage: Stage) -> Record:
        return {"settings": self._settings(stage), "inputs": {name: self.output(name) for name in stage.reads}}


def _without_content(settings: Any) -> Any:
    """Settings without what the models' folders hold."""
    if not isinstance(settings, Mapping):
        return settings
    return {key: _without_content(value) for key, value in settings.items() if key != "content"}


def _by_partitions(stage: Stage, read: str | Whole) -> bool:
    return isinstance(stage, MapStage) and not isinstance(read, Whole)


def _check_inputs(stage: Stage, before: Mapping[str, Stage]) -> None:
    for name, read in zip(stage.reads, stage.inputs, strict=True):
        if name not in before:
            raise ValueError(f"stage {stage.name} reads {name}, which does not come before it")
        if _by_partitions(stage, read) and (before[name].artifact or before[name].space != stage.space):
            raise ValueError(
                f"stage {stage.name} reads {name} by partitions, but the two are partitioned differently; use whole()"
            )


def cut(job: Job, count: int) -> list[Job]:
    """A job divided into at most `count` jobs with about the same number of partitions."""
    numbers = job.partitions
    count = max(1, min(count, len(numbers)))
    return [Job(job.folder, job.stage, numbers[n::count]) for n in range(count)]


def run_job(runner: Runner, job: Job) -> None:
    """Do a job in this process. It writes parts or a model, never a manifest."""
    stage = runner.by_name[job.stage]
    keys = dict(enumerate(runner.keys(stage)))
    wanted = job.partitions if isinstance(stage, MapStage) else tuple(keys)
    make_parts(stage, runner.stores, {number: keys[number] for number in wanted}, runner.display.progress)
