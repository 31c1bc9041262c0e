"""What every stage of a run needs: the recipe, the folder, the display, and the other stages' results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from acemath.pipeline.display import Display
from acemath.recipe import Recipe
from acemath.records import Chat, Group, Problem, Response
from acemath.store import MANIFEST, Stage, locked

R = TypeVar("R", Problem, Response, Group, Chat)
__all__ = ["Run", "locked"]


@dataclass
class Run:
    """One run of a recipe in its folder."""

    recipe: Recipe
    folder: Path
    display: Display
    ran: list[str] = field(default_factory=list)  # stages that did something this time

    @property
    def prompts(self) -> str:
        """The stage whose prompts are answered: curation's, or those that passed the vote where there is one."""
        return "curate" if self.recipe.curate.solvability is None else "solvability"

    @contextmanager
    def stage(
        self, name: str, settings: Mapping[str, Any], inputs: Sequence[str]
    ) -> Iterator[tuple[Stage, dict[str, Any]] | None]:
        """Open a stage: yields None where it is done, else the stage and a dictionary for its facts.

        The block fills the facts ("summary" is shown); when it ends the manifest is written.
        """
        outputs = {i: str(self.manifest(i)["output"]) for i in inputs}
        stage = Stage(self.folder / name, settings, outputs)
        if stage.done:
            yield None
            return
        self.display.start(name, stage.why)
        started, facts = time.time(), dict[str, Any]()
        try:
            yield stage, facts
        finally:
            self.display.stop()
        stage.finish(started, **facts)
        self.ran.append(name)
        self.display.end(str(facts.get("summary", "done")))

    def rows(self, name: str, kind: type[R], prefix: str = "") -> list[R]:
        """The rows that a finished stage made."""
        return self.peek(name).rows(kind, prefix)

    def peek(self, name: str) -> Stage:
        """A finished stage, for reading."""
        return Stage.read(self.folder / name)

    def manifest(self, name: str) -> dict[str, Any]:
        """A finished stage's manifest."""
        return self.peek(name).manifest

    def finished(self, name: str) -> bool:
        """Whether a stage's manifest stands."""
        return (self.folder / name / MANIFEST).exists()
