"""The part `sft` of a recipe: fine-tuning in stages (paper, section 3.1)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from acemath.curate.blend import POOLS
from acemath.curate.settings import PoolSettings
from acemath.files.settings import Settings
from acemath.models.engine import ChatFormat
from acemath.recipe.part import FolderName, fault_of
from acemath.recipe.sources import Source, check_pools, check_ready
from acemath.train.sft.settings import SftSettings


class SftStage(Settings):
    """One stage: its pools, its base, and the settings that differ from the common ones."""

    blend: tuple[str, ...] = ()
    """The pools that the stage trains on: built-in ones (`code`, `general`, `math`, `math.checked` …) and those of `sft.pools`."""
    data: Source | None = None
    """Conversations that exist already, in place of a `blend`: all of them are trained on, less those that leak a benchmark problem."""
    base: str | None = None
    """What the stage starts from: another stage or a model; by default the stage before, and `sft.base` for the first."""
    counts: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """The most prompts of a pool, by the pool's name."""
    shares: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """The largest share of a pool, by the pool's name."""
    each: int = Field(1, ge=1)
    """The most responses to a prompt, if a teacher gives several."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of this stage that differ from `sft.settings`."""

    @model_validator(mode="after")
    def _one_origin(self) -> SftStage:
        if bool(self.blend) == (self.data is not None):
            raise ValueError(
                "a stage trains on a blend of pools or on data that exist already; give exactly one of blend, data"
            )
        if self.data is not None:
            check_ready(self.data, "chats")
            if self.counts or self.shares or self.each != 1:
                raise ValueError(
                    "counts, shares and each choose from pools; with data, give data.count or data.part"
                )
        return self


class Sft(Settings):
    """Supervised fine-tuning in stages (paper, section 3.1)."""

    base: str
    """The model that the first stage starts from: a hub name, a folder, `nano`, or a name under `models`."""
    chat: ChatFormat = ChatFormat()
    """The solver's chat, for policies in training and use, and for teachers and checkers of math problems."""
    settings: SftSettings = SftSettings()
    """The settings that all stages share."""
    launch: str | None = None
    """A configuration of `accelerate launch`, a file or the name of one that ships, for training in several processes."""
    pools: dict[str, PoolSettings] = Field(default_factory=dict)
    """Pools of the recipe's own, by name."""
    stages: dict[FolderName, SftStage]
    """The stages by name, in the order in which they run."""

    @model_validator(mode="after")
    def _pools_exist(self) -> Sft:
        for name, declared in self.pools.items():
            if name in POOLS or declared.of not in POOLS:
                raise ValueError(f"pools.{name} is of {declared.of!r}; a pool has a name of its own and is of {', '.join(POOLS)}")
        before: list[str] = []
        for name, stage in self.stages.items():
            for pool in stage.blend:
                if pool not in POOLS and pool not in self.pools:
                    raise ValueError(
                        f"stages.{name}.blend names {pool!r}; the pools are {', '.join((*POOLS, *self.pools))}"
                    )
                unused = self.pools[pool].unused_by if pool in self.pools else ()
                if late := [other for other in unused if other not in before]:
                    raise ValueError(f"pools.{pool}.unused_by names {late[0]!r}, which is not a stage before {name!r} with a blend")
            for key, given in (("counts", stage.counts), ("shares", stage.shares)):
                check_pools(f"stages.{name}.{key}", given, stage.blend)
            before += [name] if stage.blend else []
            try:
                self.settings_of(name)
            except ValidationError as error:
                raise ValueError(f"stages.{name}.settings.{fault_of(error)}") from error
        return self

    def settings_of(self, stage: str) -> SftSettings:
        """The settings of a stage: its own laid over the common ones."""
        return SftSettings.model_validate({**self.settings.model_dump(), **self.stages[stage].settings})
