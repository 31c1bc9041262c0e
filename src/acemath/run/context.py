"""What the stages of a run share: the recipe, the folder, the display, the models, the account of the endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from acemath.models.engine import Engine, close
from acemath.models.generate.endpoint.account import Account
from acemath.models.hub import at_revision
from acemath.models.spec import EndpointModel, Model, TransformersModel
from acemath.recipe.roles import Role
from acemath.recipe.schema import Recipe
from acemath.run.display import Display
from acemath.run.engines import make_engine
from acemath.run.runner import DECLARED

ENDPOINTS = "endpoints"  # the folder with the requests, responses and costs of endpoints


class Models(Protocol):
    """The models of a run, an evaluation or a build of AceMath-RewardBench: what a stage of responses needs of it."""

    @property
    def seed(self) -> int:
        """The seed of all sampling."""
        ...

    def model(self, ref: str) -> Model:
        """The model that a role names."""
        ...

    def identity_of(self, role: Role) -> dict[str, Any]:
        """What a role's responses depend on, besides the prompts, their number and the seed."""
        ...

    def made_by(self, ref: str) -> tuple[str, ...]:
        """The stage that trains a model; empty for a model from elsewhere."""
        ...

    def engine(self, role: Role, name: str, stage: str) -> Engine:
        """The engine of a role for a stage; `name` goes into the responses' `model` column."""
        ...

    def finished(self, engine: Engine) -> None:
        """A stage needs its engine no longer."""
        ...


@dataclass
class Run:
    """One run of a recipe in its folder."""

    jobs: ClassVar[str] = DECLARED
    """module:function that returns the stages of the run's folder, for jobs in processes of their own."""

    recipe: Recipe
    folder: Path
    display: Display

    @cached_property
    def account(self) -> Account:
        """The account of all endpoints of the run, in a folder beside those of the stages.

        It keeps the responses that were paid for when a changed setting makes a stage run again.
        """
        account = Account(self.folder / ENDPOINTS)
        account.whole.usd = self.recipe.budget_usd
        return account

    def close(self) -> None:
        """Close the account."""
        if "account" in self.__dict__:
            self.account.close()
            del self.account

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.recipe.seed

    def model(self, ref: str) -> Model:
        """The model of the recipe that a role names."""
        return self.recipe.model(ref)

    def identity_of(self, role: Role) -> dict[str, Any]:
        """What a role's responses depend on, besides the prompts, their number and the seed."""
        return self.recipe.identity_of(role)

    def place(self, ref: str) -> str:
        """The folder or hub name of the model that a training starts from; a stage's name leads to its folder."""
        if ref in self.recipe.sft.stages:
            return str(self.folder / f"sft-{ref}" / "model")
        model = self.recipe.model(ref)
        assert isinstance(model, TransformersModel), "the recipe has checked it"
        return at_revision(model.id, model.revision)

    def called(self, ref: str) -> str:
        """What a card calls the model that a training starts from: a stage's name, or that of the model, but no path."""
        from acemath.train.provenance import public

        return ref if ref in self.recipe.sft.stages else public(self.place(ref))

    def made_by(self, ref: str) -> tuple[str, ...]:
        """The stage that trains a model, as an input of the stages that use it; empty for a model from elsewhere."""
        stage = self.recipe.stage_of(ref)
        return () if stage is None else (f"sft-{stage}",)

    def engine(self, role: Role, name: str, stage: str) -> Engine:
        """The engine of a role for this stage; `name` goes into the responses' `model` column."""
        model = self.recipe.model(role.model)
        trained = self.recipe.stage_of(role.model)
        if trained is not None:
            model = model.model_copy(update={"id": self.place(trained)})
        account = self.account if isinstance(model, EndpointModel) else None
        return make_engine(model, role.chat, name, account, stage, self.recipe.engine_slots)

    def finished(self, engine: Engine) -> None:
        """Free what the engine holds."""
        close(engine)
