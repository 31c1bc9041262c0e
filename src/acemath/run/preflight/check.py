"""All checks of a recipe, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.notices import quiet_transformers, say
from acemath.recipe.plan import plan
from acemath.recipe.rates import Rates
from acemath.recipe.schema import Recipe
from acemath.run.preflight.finding import Findings
from acemath.run.preflight.models import check_models, uses
from acemath.run.preflight.resources import (
    check_disk,
    check_launch,
    check_memory,
    check_packages,
    check_prices,
)
from acemath.run.preflight.servers import check_servers
from acemath.run.preflight.sources import check_reward_data, check_sources

NAMED = 3  # places of one fault that its line names; the table of --dry-run has all


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found, and the plan with the rows that were counted."""

    findings: Findings
    plan: dict[str, Any]

    def stop_at_faults(self) -> None:
        """UserError if there are faults: of one its line; of several a notice each, and their number."""
        faults = [
            says if says.startswith(places) else f"{_some(places.split(', '))}: {says}"
            for places, state, says in self.findings.table()
            if state == "fault"
        ]
        if len(faults) == 1:
            raise UserError(faults[0])
        for one in faults:
            say(one)
        if faults:
            raise UserError(f"{len(faults)} faults in the recipe (above); correct them: nothing was run")


def _some(places: list[str]) -> str:
    """The first places of a fault, and how many more it has."""
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more


def preflight(
    recipe: Recipe, folder: Path, last: str = "tables", *, network: bool, here: bool, count: bool = True, rates: Rates | None = None
) -> Preflight:
    """Check all that a run up to a part ("data", "sft", "reward", "tables") needs, without running anything.

    With `network` servers are asked for their models, and the hub for the beginning of each data set and the small files of each
    model. With `here` the run is to be on this machine: packages, memory and disk are compared. With `count` files are read whole,
    for the plan.
    """
    quiet_transformers()
    found, wanted = Findings(), uses(recipe, last)
    check_servers(recipe, wanted, folder, found, network)
    network = network and _reachable(found)
    read = check_sources(recipe, found, network, count)
    if last in ("reward", "tables"):
        check_reward_data(recipe, found, read)
    check_models(recipe, wanted, found, read, network)
    check_launch(recipe, found)
    if here:
        check_packages(recipe, wanted, found)
    if find_spec("pyarrow") is not None:
        with found.faults("roles"):
            _stages(recipe, folder, last)
    with found.faults("memory"):
        check_memory(recipe, wanted, found, here)
    planned = plan(recipe, rates, read.rows)
    with found.faults("run folder"):
        check_disk(recipe, planned["stages"], folder, found, here)
    check_prices(recipe, wanted, planned, found)
    return Preflight(found, planned)


def _stages(recipe: Recipe, folder: Path, last: str) -> None:
    """Put the stages of a run together, without running any. UserError for a role that they need and nobody fills."""
    from acemath.run.context import Run
    from acemath.run.display import Display
    from acemath.run.stages import stages_until

    stages_until(Run(recipe, folder, Display(quiet=True)), last)


def _reachable(found: Findings) -> bool:
    """Whether the hub answers; a line if it does not."""
    if find_spec("huggingface_hub") is not None:
        from acemath.models.hub import reachable

        if reachable():
            return True
    found.add("hub", "not checked", "the hub cannot be reached, so nothing of it was opened")
    return False
