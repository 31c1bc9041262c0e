"""Runs a recipe: makes its stages in order, and writes the report."""

from __future__ import annotations

import resource
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from acemath.errors import UserError
from acemath.files.atomic import write_bytes
from acemath.files.lock import locked
from acemath.notices import quiet_transformers
from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.launch import set_launch
from acemath.run.partitions import RUN_FILE, Space, open_run, partitions_of
from acemath.run.preflight.check import preflight
from acemath.run.problems import BENCHMARKS, check_benchmarks, row_counts
from acemath.run.reporting import PAGE_KEY, make_report
from acemath.run.runner import Runner
from acemath.run.stages import RECIPE, stages_until
from acemath.run.store import StageStore

PARTS = ("data", "sft", "reward")  # the parts that --until may name, beside the whole


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: the headline in percent, the report's path, time and memory."""

    headline: dict[str, float]
    report: Path
    seconds: float
    peak_mb: float
    ran: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The object that `acemath run --json` prints."""
        return {
            "headline": self.headline,
            "report": str(self.report),
            "seconds": self.seconds,
            "peak_mb": self.peak_mb,
            "ran": list(self.ran),
        }


def run_recipe(recipe: Recipe, folder: Path, display: Display, kind: type[Run] = Run) -> Outcome:
    """Make every stage that is not up to date in `folder`. A second call with the same recipe does nothing."""
    started = time.monotonic()
    run = kind(recipe, folder, display)
    with locked(folder), closing(run):
        runner = _begun(run, "tables")
        _make(run, runner)
        report = make_report(run, runner)
        headline = dict(runner.stores["tables"].manifest["facts"]["headline"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(
        headline, report, round(time.monotonic() - started, 2), round(peak, 1), tuple(runner.ran)
    )


def run_until(recipe: Recipe, folder: Path, display: Display, last: str) -> dict[str, Any]:
    """Run the stages up to the training sets ("data"), the policies ("sft") or the reward model ("reward").

    Returns the number of conversations of each blend, and the folders of the models. UserError for another name.
    """
    if last not in PARTS:
        raise UserError(
            f"a run ends with {', '.join(PARTS)} or report, not with {last!r}: choose one for --until"
        )
    run = Run(recipe, folder, display)
    with locked(folder), closing(run):
        runner = _begun(run, last)
        _make(run, runner)
        blends = {name: runner.stores[f"blend-{name}"].manifest["facts"] for name in recipe.sft.stages}
    return {
        "folder": str(folder),
        "conversations": {name: facts["conversations"] for name, facts in blends.items()},
        "models": [str(folder / stage / "model") for stage in _trained(recipe, last)],
        "ran": list(runner.ran),
    }


def _begun(run: Run, last: str) -> Runner:
    """The runner of the stages up to a part, after all checks that need nothing to be made."""
    _check_own(run)
    plain = yaml.safe_dump(run.recipe.model_dump(mode="json"), sort_keys=False).encode()
    if not _ended(run, plain, last):
        begun = (run.folder / RUN_FILE).exists()
        preflight(run.recipe, run.folder, last, network=True, here=True, count=not begun).stop_at_faults()
    wanted = run.recipe.partitions
    fixed: dict[Space, int] = {} if wanted is None else {"training": wanted, "benchmarks": wanted}
    open_run(run.folder, lambda: row_counts(run), fixed)
    write_bytes(run.folder / RECIPE, plain)
    runner = Runner(run.folder, stages_until(run, last), run.display)
    set_launch(runner, run.recipe, run.display.progress, run.jobs)
    return runner


def _check_own(run: Run) -> None:
    """UserError for the folder of a run of another recipe, whose responses and models this one would replace.

    With other overlays it is the same recipe: a copy of a run's folder goes on with them.
    """
    kept, name = run.folder / RECIPE, run.recipe.name
    try:
        before = yaml.safe_load(kept.read_bytes()) if (run.folder / RUN_FILE).exists() and kept.is_file() else None
    except yaml.YAMLError:
        return  # damaged; it is written again
    if isinstance(before, dict) and str(before.get("name", name)).split("+")[0] != name.split("+")[0]:
        raise UserError(
            f"{run.folder} holds a run of the recipe {before['name']!r}, whose responses and models {name!r} would replace; use another "
            f"--out, or keep the name: --set name={before['name']}"
        )


def _ended(run: Run, plain: bytes, last: str) -> bool:
    """Whether the folder holds a finished run of this very recipe up to a part: there is nothing left to prepare for."""
    kept = run.folder / RECIPE
    if not kept.exists() or kept.read_bytes() != plain:
        return False
    return StageStore(run.folder / stages_until(run, last)[-1].name, 0).finished


def _make(run: Run, runner: Runner) -> None:
    """Make the stages. Benchmarks without reference answers are reported as soon as they are read."""
    quiet_transformers()
    for stage in runner.stages:
        runner.make(stage.name)
        check_used(runner.stores[stage.name])
        if stage.name == BENCHMARKS and "tables" in runner.by_name:
            check_benchmarks(run, runner.stores[BENCHMARKS].manifest["facts"])


def check_used(store: StageStore) -> None:
    """UserError if a model was asked and refused everything, as a server that is broken does: nothing could be made from that."""
    facts = store.manifest["facts"]
    if facts.get("refused", 0) <= facts.get("too_long", 0) or facts.get("responses", 1):
        return
    first = next(iter(store.dropped()), None)
    why = f" (the first: {first.detail})" if first is not None else ""
    raise UserError(
        f"{store.name} has no response: all {facts['refused']:,} were refused{why}; check the model, remove {store.folder}, and run the "
        "same command again"
    )


def _trained(recipe: Recipe, last: str) -> list[str]:
    """The stages up to a part that make a model."""
    policies = [f"sft-{name}" for name in recipe.sft.stages]
    return {"data": [], "sft": policies, "reward": [*policies, "reward"]}[last]


def opened(folder: Path, display: Display) -> tuple[Run, Runner]:
    """A run's folder, to read from. UserError for a folder that is not a run's."""
    if folder.is_dir():
        partitions_of(folder)  # checks the format: the recipe of an older folder would fail first
    run = Run(recipe_of(folder), folder, display)
    return run, Runner(folder, stages_until(run, "tables"), display)


def write_report(folder: Path) -> Path:
    """Write the report of a finished run again. UserError if it is not finished, or its recipe has changed since."""
    run, runner = opened(folder, Display(quiet=True))
    runner.check_current(list(runner.by_name))
    (folder / PAGE_KEY).unlink(missing_ok=True)
    return make_report(run, runner)


def recipe_of(folder: Path) -> Recipe:
    """The recipe in a run's folder. UserError for a folder that is not a run's."""
    kept = folder / RECIPE
    if not kept.exists():
        raise UserError(f"{str(folder)!r} is not a run's folder; run a recipe first: acemath run --out {folder}")
    return load_recipe(kept)
