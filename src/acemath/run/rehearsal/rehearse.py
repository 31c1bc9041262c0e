"""A rehearsal from outside: it makes the stand-ins, runs the recipe in a process, kills and resumes it, and compares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from acemath.errors import UserError
from acemath.files.atomic import read_json, write_bytes, write_json
from acemath.files.lock import LOCK, locked
from acemath.notices import quiet_transformers, say
from acemath.recipe.schema import Recipe
from acemath.run.evaluation import TABLES
from acemath.run.launch import CHILD, MISTAKE
from acemath.run.preflight.check import preflight
from acemath.run.rehearsal.process import KNOWN, stages_of
from acemath.run.rehearsal.questions import last_question
from acemath.run.rehearsal.script import Script
from acemath.run.rehearsal.server import serving
from acemath.run.rehearsal.shrink import Stand, rehearsed
from acemath.run.source_rows import read_source
from acemath.run.stages import RECIPE
from acemath.run.store import MANIFEST, WORK

MARK = "rehearsal.json"  # in the folder of a rehearsal: what it found
WHOLE, KILLED = "undisturbed", "killed"  # the two runs of a rehearsal
LOOK = 0.01  # seconds between two looks for the moment of a kill
# For vLLM's build for CPUs: its engines in the run's own process, which start in seconds, and little memory for tiny models.
VLLM = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
LINES = 30  # last lines of a failed run that are shown


@dataclass
class Rehearsal:
    """What a rehearsal found."""

    stand: Stand
    faults: dict[str, int]
    stages: dict[str, dict[str, Any]]  # the facts of each stage of the undisturbed run
    seconds: float
    kills: list[str] = field(default_factory=list)  # when the second run was killed: amid or after a stage
    differing: list[str] | None = None  # stages whose rows or numbers differ between the runs; None without a second run


def rehearse(recipe: Recipe, home: Path, kills: bool = True) -> Rehearsal:
    """Run a small copy of the recipe in `home`, and again with three kills. UserError if a run does not end well.

    A folder of an earlier rehearsal is replaced. What would keep the real run from starting is said first: stand-ins hide it.
    """
    _check_own(home)
    with locked(home):
        _empty(home)
        return _rehearsed(recipe, home, kills)


def _rehearsed(recipe: Recipe, home: Path, kills: bool) -> Rehearsal:
    started = time.monotonic()
    quiet_transformers()
    say_faults(recipe, home)
    known: dict[str, str] = {}
    with serving(Script(known)) as server:
        small, stand = rehearsed(recipe, home, server.url)
        server.models = list(dict.fromkeys(stand.endpoints))
        known |= _known(small)
        write_json(home / KNOWN, known)
        write_bytes(home / RECIPE, yaml.safe_dump(small.model_dump(mode="json"), sort_keys=False).encode())
        _Child(home / WHOLE).end()
        stages = _facts(home / WHOLE)
        found = Rehearsal(stand, {}, stages, 0.0)
        if kills:
            found.kills = _with_kills(home / KILLED, list(stages))
            found.differing = _differing(home)
        found.faults = dict(server.counts)
    found.seconds = round(time.monotonic() - started, 1)
    return found


def say_faults(recipe: Recipe, home: Path) -> None:
    """Say what the preflight of the recipe itself finds without the network. It may be right on the machine of the real run."""
    for places, state, says in preflight(recipe, home, network=False, here=False, count=False).findings.table():
        if state == "fault":
            say(f"the real run would not start here, while the rehearsal goes on: {places}: {says}")


def _check_own(home: Path) -> None:
    """UserError for a folder that holds anything but a rehearsal."""
    if home.exists() and any(path.name != LOCK for path in home.iterdir()) and not (home / MARK).exists():
        raise UserError(f"{home} holds something other than a rehearsal; give another folder with --out, or remove it")


def _empty(home: Path) -> None:
    """Remove an earlier rehearsal, and leave the mark of one. A stop amid this leaves the mark too."""
    write_json(home / MARK, {})
    for path in home.iterdir():
        if path.name not in (LOCK, MARK):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _known(recipe: Recipe) -> dict[str, str]:
    """The reference answers of prompts that are not in our forms, "" for those without one."""
    sources = {**recipe.problems.seeds, **recipe.problems.benchmarks}
    rows = (row for name, source in sources.items() if source.benchmark is None for row in read_source(name, source, recipe.seed))
    return {row.prompt: row.answer for row in rows if row.group == "math" and last_question(row.prompt) is None}


class _Child:
    """A run in a process of its own, whose lines are passed on."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "acemath.run.rehearsal.process", str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env={**VLLM, **os.environ, CHILD: "1"},
            start_new_session=True,  # Ctrl-C is for this process, which ends the other one
        )  # fmt: skip
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if not line.startswith(MISTAKE):
                sys.stderr.write(line)

    def end(self) -> None:
        """Wait for its end. UserError if it does not end well."""
        try:
            code = self.process.wait()
        finally:
            self._close()
        if code == 0:
            return
        said = next((line.removeprefix(MISTAKE) for line in self.lines if line.startswith(MISTAKE)), "")
        raise UserError(said or "\n".join([f"the rehearsal ended with exit code {code}:", *self.lines[-LINES:]]))

    def kill_at(self, moment: Callable[[], str]) -> str:
        """Kill it as soon as `moment` says something; what it said, "" if the process ended before."""
        while self.process.poll() is None:
            if when := moment():
                self.process.kill()
                self._close()
                return when
            time.sleep(LOOK)
        self.end()
        return ""

    def _close(self) -> None:
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()


def _with_kills(folder: Path, stages: Sequence[str]) -> list[str]:
    """Run the recipe in a folder, killed once amid responses, once amid a training, once amid the measuring; when it was killed."""
    named = [_first(stages, "candidates-", "teacher-", "groups"), _first(stages, "sft-"), _first(stages, "samples-")]
    killed: list[str] = []
    for name in sorted(filter(None, named), key=stages.index):
        if when := _Child(folder).kill_at(partial(_moment, folder / name)):
            killed.append(when)
    _Child(folder).end()
    return killed


def _first(stages: Sequence[str], *begins: str) -> str | None:
    """The first stage whose name begins with the first of these words that any begins with."""
    return next((name for word in begins for name in stages if name.startswith(word)), None)


def _moment(stage: Path) -> str:
    """Say "amid NAME" once a stage has made a part, or a training a checkpoint; "after NAME" once it is finished; "" before."""
    if (stage / MANIFEST).exists() and "output" in read_json(stage / MANIFEST):
        return f"after {stage.name}"
    begun = any(stage.glob("part-*.parquet")) or any(stage.glob(f"{WORK}/*/checkpoint-*"))
    return f"amid {stage.name}" if begun else ""


def _facts(folder: Path) -> dict[str, dict[str, Any]]:
    """The facts of each stage of a finished run, in order."""
    return {stage.name: read_json(folder / stage.name / MANIFEST)["facts"] for stage in stages_of(folder)}


def _differing(home: Path) -> list[str]:
    """The stages whose rows differ between the two runs, and the tables if they do."""
    outputs = [
        {file.parent.name: read_json(file)["output"] for file in (home / run).glob(f"*/{MANIFEST}")} for run in (WHOLE, KILLED)
    ]
    names = sorted(outputs[0].keys() | outputs[1].keys())
    found = [name for name in names if outputs[0].get(name) != outputs[1].get(name)]
    same = (home / WHOLE / TABLES).read_bytes() == (home / KILLED / TABLES).read_bytes()
    return found if same else [*found, "the tables"]
