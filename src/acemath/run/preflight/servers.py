"""Checks of the servers that a run will ask: each answers, takes the key, and has the model. Nothing is generated."""

from __future__ import annotations

from pathlib import Path

from acemath.errors import UserError
from acemath.models.spec import EndpointModel
from acemath.recipe.schema import Recipe
from acemath.run.preflight.finding import Findings
from acemath.run.preflight.models import Use


def check_servers(recipe: Recipe, wanted: list[Use], folder: Path, found: Findings, network: bool) -> None:
    """Ask every server, with `network`, once about each model that it still has work for.

    A teacher whose responses are all there may be gone.
    """
    names = dict.fromkeys(use.ref for use in wanted if not all(_ended(folder / stage) for stage in use.stages))
    for name in names:
        spec = recipe.model(name)
        if not isinstance(spec, EndpointModel):
            continue
        place = f"models.{name}"
        if not network:
            found.add(place, "not checked", f"whether the server at {spec.url} has {spec.id}: it was not asked")
            continue
        from acemath.models.generate.endpoint.listing import check_served

        try:
            spec.key()
        except UserError:
            continue  # a fault of its own, and without the key the server would refuse
        with found.faults(place):
            says = check_served(spec)
            found.add(place, "note" if "lists no models" in says else "good", says)


def _ended(stage: Path) -> bool:
    """Whether a stage was finished."""
    if not stage.is_dir():
        return False
    from acemath.run.store import StageStore  # which needs pyarrow, as a plan does not

    return StageStore(stage, 0).finished
