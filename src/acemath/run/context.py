"""What the stages of a run share: the recipe, the folder, the display and the books of its endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from acemath.models.generate.endpoint.account import Account
from acemath.recipe.schema import Recipe
from acemath.run.display import Display

ENDPOINTS = "endpoints"  # the folder of what endpoints were asked, said and cost


@dataclass
class Run:
    """One run of a recipe in its folder."""

    recipe: Recipe
    folder: Path
    display: Display

    @cached_property
    def account(self) -> Account:
        """The books of every endpoint that the run asks, in a folder beside the stages'.

        They outlive a stage that a changed setting clears: what it paid for and still needs is there.
        """
        account = Account(self.folder / ENDPOINTS)
        account.whole.usd = self.recipe.budget_usd
        return account

    def close(self) -> None:
        """Close what the run holds open."""
        if "account" in self.__dict__:
            self.account.close()
            del self.account

    def model_folder(self, name: str) -> str:
        """The folder of the model that a stage of this run makes, or the name itself where it is no stage."""
        return str(self.folder / f"sft-{name}" / "model") if name in self.recipe.sft.stages else name

    def made_by(self, name: str) -> tuple[str, ...]:
        """The stage that makes a model, as the inputs of a stage that uses it; none for a model from elsewhere."""
        return (f"sft-{name}",) if name in self.recipe.sft.stages else ()
