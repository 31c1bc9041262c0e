"""What every stage of a run needs: the recipe, the folder, the display, and the other stages' results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from acemath.files.lock import locked
from acemath.models.engine import Engine
from acemath.models.generate.endpoint.account import Account
from acemath.models.hub import at_revision
from acemath.models.spec import EndpointModel, TransformersModel
from acemath.recipe.roles import Role
from acemath.recipe.schema import Recipe
from acemath.records import Chat, Group, Problem, Response
from acemath.run.display import Display
from acemath.run.engines import make_engine
from acemath.run.shards import MANIFEST, Stage

ENDPOINTS = "endpoints"  # the folder of what endpoints were asked, said and cost
R = TypeVar("R", Problem, Response, Group, Chat)
__all__ = ["Run", "locked"]


@dataclass
class Run:
    """One run of a recipe in its folder."""

    recipe: Recipe
    folder: Path
    display: Display
    ran: list[str] = field(default_factory=list)  # stages that did something this time
    _account: Account | None = None

    @property
    def account(self) -> Account:
        """The books of every endpoint that the run asks, in a folder beside the stages'.

        They outlive a stage that a changed setting clears: what it paid for and still needs is there.
        """
        if self._account is None:
            self._account = Account(self.folder / ENDPOINTS)
            self._account.whole.usd = self.recipe.budget_usd
        return self._account

    def place(self, ref: str) -> str:
        """What training starts from: the folder of a stage's model, else a model's folder or hub name."""
        if ref in self.recipe.sft.stages:
            return str(self.folder / f"sft-{ref}" / "model")
        model = self.recipe.model(ref)
        assert isinstance(model, TransformersModel), "the recipe has checked it"
        return at_revision(model.id, model.revision)

    def engine(self, role: Role, name: str, stage: str) -> Engine:
        """The engine behind a role, for this stage; `name` is what its responses' `model` column says."""
        model = self.recipe.model(role.model)
        trained = self.recipe.stage_of(role.model)
        if trained is not None:
            model = model.model_copy(update={"id": self.place(trained)})
        account = self.account if isinstance(model, EndpointModel) else None
        return make_engine(model, role.chat, name, account, stage, self.recipe.engine_slots)

    def tell(self, before: int, total: int, count: int, note: str) -> None:
        """Progress within a shard: `count` beyond what was done `before` it."""
        self.display.progress(before + count, total, note)

    def close(self) -> None:
        """Close what the run holds open."""
        if self._account is not None:
            self._account.close()
            self._account = None

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
        """Whether a stage has a manifest."""
        return (self.folder / name / MANIFEST).exists()
