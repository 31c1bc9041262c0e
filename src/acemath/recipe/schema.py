"""What a run is: typed settings, read from a YAML file and checked before any model is loaded.

The same file shape describes the laptop demo and the 72B run. Every key is known: a wrong one is an error
that names it and the keys that exist. Each package defines its own settings; this module puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from acemath.curate.blend import POOLS
from acemath.curate.settings import CurateSettings, PoolSettings
from acemath.curate.sources import KNOWN
from acemath.demo.worksheets.sheets import Finding, Split
from acemath.errors import UserError
from acemath.files.columns import OURS
from acemath.models.engine import ChatFormat
from acemath.models.generate.endpoint.settings import Endpoint
from acemath.train.reward.settings import GroupSettings, RewardSettings
from acemath.train.sft.settings import SftSettings

BUILT_IN = ("laptop", "acemath-1.5b", "acemath-7b", "acemath-72b")


class Part(BaseModel):
    """Settings that refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Where prompts come from: worksheets, a file, or a data set of the hub. Exactly one of the three.

    `known` names a data set of the registry (`acemath sources`): its place, columns, subject and licence hold where
    the recipe says nothing else; with a `file` it describes a copy of your own.
    """

    known: str | None = None
    worksheets: Split | None = None
    file: Path | None = None  # JSONL, JSONL.gz, Parquet (or a folder of it) or CSV
    hub: str | None = None  # "owner/name", or a folder that holds a data set
    config: str | None = None
    revision: str | None = None
    split: str = "train"
    columns: dict[str, str] = Field(
        default_factory=dict
    )  # ours: theirs, e.g. {prompt: problem}; a.0.b goes deep
    count: int | None = Field(None, ge=1)  # at most so many; None takes all
    # Of worksheets, drawn evenly; named twice, drawn twice as often.
    levels: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field((1, 2, 3, 4, 5), min_length=1)
    finding: Finding | None = None  # of worksheets; None: as the families' weights have it
    subject: str = ""  # of all rows; "": each row's own, "math" where it has none
    license: str = ""  # of rows that have none of their own
    # Whether its reference answers are exact: a teacher's response that they show to be wrong is then dropped. Our
    # addition. None: those of worksheets are, of others it is not known.
    exact: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _registered(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("known") is None:
            return data
        name = data["known"]
        if name not in KNOWN:
            raise ValueError(f"{name!r} is not registered; the names are {', '.join(KNOWN)}")
        found = KNOWN[name]
        given = {
            "columns": dict(found.columns),
            "subject": found.subject,
            "license": found.license,
            "split": found.split,
        }
        if data.get("file") is None and data.get("hub") is None:
            given["hub"] = found.hub
        return given | {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        given = [name for name in ("worksheets", "file", "hub") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a source has exactly one of worksheets, file, hub; this one has {given or 'none'}"
            )
        if wrong := [name for name in self.columns if name not in OURS]:
            raise ValueError(f"columns names {wrong[0]!r}; ours are {', '.join(OURS)}")
        return self


class Problems(Part):
    """The prompts that training starts from, and the benchmarks that nothing may leak from."""

    seeds: dict[str, Source]
    benchmarks: dict[str, Source]

    @model_validator(mode="after")
    def _splits_are_apart(self) -> Problems:
        for name, source in self.seeds.items():
            if source.worksheets not in (None, "train"):
                raise ValueError(
                    f"seeds.{name} draws from worksheets' {source.worksheets} split; only train is for training"
                )
        for name, source in self.benchmarks.items():
            if source.worksheets == "train":
                raise ValueError(
                    f"benchmarks.{name} draws from worksheets' train split; measure on test, or choose on validation"
                )
        return self


class Teacher(Endpoint):
    """Who writes responses to learn from, or to check with."""

    engine: Literal["worksheets", "transformers", "vllm", "endpoint"]
    skill: float = Field(0.97, gt=0, le=1)  # of the offline teacher
    answers: int = Field(1, ge=1)
    temperature: float = Field(0.0, ge=0)
    max_new_tokens: int = Field(2048, ge=1)


class Teachers(Part):
    """The main teacher, the one that cross-checks it (paper, section 3.2.2), and others whose answers count too."""

    main: Teacher
    check: Teacher
    others: dict[str, Teacher] = Field(default_factory=dict)  # the paper: none

    @model_validator(mode="after")
    def _names_are_free(self) -> Teachers:
        if taken := {"main", "check", "vote"} & set(self.others):
            raise ValueError(f"others names {sorted(taken)[0]!r}, which is taken; choose another name")
        return self

    @property
    def checking(self) -> dict[str, Teacher]:
        """Every teacher that checks, by name; the first is asked at least twice."""
        first = self.check.model_copy(update={"answers": max(2, self.check.answers)})
        return {"check": first, **self.others}


class SftStage(Part):
    """One stage: the pools it trains on, what it starts from, and what it changes of the common settings."""

    blend: tuple[str, ...]
    base: str | None = None  # another stage's name or a model; None: the stage before, the base for the first
    counts: dict[str, int] = Field(default_factory=dict)  # at most so many of a pool
    shares: dict[str, float] = Field(default_factory=dict)  # at most such a share of a pool
    settings: dict[str, Any] = Field(default_factory=dict)


class Sft(Part):
    """Supervised fine-tuning in stages (paper, section 3.1)."""

    base: str
    chat: ChatFormat = ChatFormat()
    settings: SftSettings = SftSettings()
    pools: dict[str, PoolSettings] = Field(
        default_factory=dict
    )  # of the recipe's own, beside the built-in ones
    stages: dict[str, SftStage]

    @model_validator(mode="after")
    def _pools_exist(self) -> Sft:
        for name, declared in self.pools.items():
            if name in POOLS or declared.of not in POOLS:
                raise ValueError(
                    f"pools.{name} is of {declared.of!r}; a pool has a name of its own and is of {', '.join(POOLS)}"
                )
        before: list[str] = []
        for name, stage in self.stages.items():
            for pool in stage.blend:
                if pool not in POOLS and pool not in self.pools:
                    raise ValueError(
                        f"stages.{name}.blend names {pool!r}; the pools are {', '.join((*POOLS, *self.pools))}"
                    )
                unused = self.pools[pool].unused_by if pool in self.pools else ()
                if late := [other for other in unused if other not in before]:
                    raise ValueError(f"pools.{pool}.unused_by names {late[0]!r}, no stage before {name!r}")
            before.append(name)
        return self


class Policy(Endpoint):
    """Who answers: a stage of this run or a model, at a temperature, `each` responses a problem."""

    model: str
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    each: int = Field(4, ge=1)
    max_new_tokens: int = Field(2048, ge=1)
    engine: Literal["worksheets", "transformers", "vllm", "endpoint"] = "transformers"
    problems: int | None = Field(None, ge=1)  # only so many of the problems; None: all
    shots: tuple[tuple[str, str], ...] = ()  # questions with short answers to ask after; paper, 4.1: style


class Reward(Part):
    """The reward model: whose responses it learns from, how they are grouped, how it is trained."""

    base: str  # the stage or model that it starts from
    chat: ChatFormat = ChatFormat(
        system="Please reason step by step, and check your final answer within \\boxed{}."
    )
    problems: int | None = Field(None, ge=1)  # how many problems get candidates; None: all
    candidates: dict[str, Policy]
    rank_by: str = "none"  # a reward model's folder or hub name; "base-check": the base's own marks; "none"
    groups: GroupSettings = GroupSettings()
    train: RewardSettings = RewardSettings()


class Bench(Part):
    """Evaluation: who answers the benchmarks, and which k the tables show."""

    policies: dict[str, Policy]
    headline: str  # the policy of the headline
    k: int = Field(
        8, ge=1
    )  # where it is not given: 8, or all responses of the headline policy if it gives fewer
    curve: tuple[Annotated[int, Field(ge=1)], ...] | None = None  # None: 1, 2, 4 … up to the most responses
    before_training: bool = False  # also rank with the reward model as it is before its training
    browse: int = Field(35, ge=0)  # problems shown whole in the report

    @model_validator(mode="after")
    def _enough_responses(self) -> Bench:
        if self.headline not in self.policies:
            raise ValueError(f"headline is {self.headline!r}; it must be one of {sorted(self.policies)}")
        each = self.policies[self.headline].each
        if "k" not in self.model_fields_set:
            object.__setattr__(self, "k", min(self.k, each))
        if self.k > each:
            raise ValueError(
                f"k is {self.k}, but the headline policy {self.headline!r} gives {each} responses a problem; lower k or "
                f"raise policies.{self.headline}.each"
            )
        if self.curve is not None and max(self.curve, default=1) > self.most:
            raise ValueError(
                f"curve names {max(self.curve)}, but no policy gives more than {self.most} responses a problem; leave it out"
            )
        return self

    @property
    def most(self) -> int:
        """The most responses that a policy gives to a problem."""
        return max(policy.each for policy in self.policies.values())

    def ks(self, policy: str) -> list[int]:
        """The k of a policy's curve: those that its number of responses allows."""
        asked = self.curve or [2**power for power in range(self.most.bit_length())]
        return [k for k in asked if k <= self.policies[policy].each]


class Recipe(Part):
    """A whole run."""

    name: str
    seed: int = 0
    engine_slots: int = Field(512, ge=1)  # responses in the making at once, in process
    budget_usd: float | None = Field(None, ge=0)  # of all endpoints together
    problems: Problems
    teachers: Teachers
    curate: CurateSettings = CurateSettings()
    sft: Sft
    reward: Reward
    bench: Bench

    @model_validator(mode="after")
    def _names_exist(self) -> Recipe:
        stages = self.sft.stages
        seen: set[str] = set()
        for name, stage in stages.items():
            if stage.base in stages and stage.base not in seen:
                raise ValueError(
                    f"sft.stages.{name}.base is {stage.base!r}, a stage that comes later; put it first"
                )
            seen.add(name)
        return self


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that ships with acemath."""
    path = Path(name)
    if path.is_dir():
        raise UserError(
            f"recipe {str(name)!r} is a folder; name a recipe's file, or one of {', '.join(BUILT_IN)}"
        )
    if path.exists():
        return path
    built_in = resources.files("acemath") / "recipes" / f"{name}.yaml"
    if str(name) in BUILT_IN and built_in.is_file():
        return Path(str(built_in))
    raise UserError(
        f"recipe {str(name)!r} is neither a file nor one of the built-in recipes ({', '.join(BUILT_IN)}); correct the path or the name"
    )


def load_recipe(name: str | Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe from its file, with `changes` (dotted key: value) laid over it. UserError where it is wrong."""
    path = find_recipe(name)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a recipe: a recipe is YAML text in UTF-8; give another file"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(
            f"{path}: not valid YAML ({' '.join(str(error).split())}); correct the file"
        ) from error
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: a recipe maps keys to values, this is {type(data).__name__}; give another file"
        )
    lay_over(data, changes or {}, str(path))
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {first_fault(error)}") from error


def lay_over(data: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Put changes (dotted key: value) into nested settings. UserError where a key leads through no group of them."""
    for key, value in changes.items():
        at = data
        *parents, last = key.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise UserError(f"{key}: {parent!r} is not a group of settings in {where}; correct the key")
        at[last] = value


def first_fault(error: ValidationError, whole: str = "recipe") -> str:
    """The first fault of a validation, as one line: where, what, and which keys exist if one is unknown."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"]) or whole
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where!r}; remove it or correct its name (the keys are in docs/recipes.md)"
    value = "" if isinstance(fault.get("input"), dict) else f" (it is {fault.get('input')!r})"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{value}"
