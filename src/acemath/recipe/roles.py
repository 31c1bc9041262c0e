"""Roles: each names a model of the recipe, and says in which chat and how it responds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from acemath.files.settings import Settings
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.spec import owners
from acemath.recipe.part import FolderName, expanded, fault_of
from acemath.recipe.sources import Source, check_shots

Subject = Literal["math", "code", "general"]
SUBJECTS: tuple[Subject, ...] = ("math", "code", "general")
ALL = "all"  # the teacher of every subject without one of its own
ONE = "first"  # the name of the one checker that the short form `checker` gives
SAMPLING = ("each", "temperature", "top_p", "max_new_tokens")  # keys that a group of policies may share


class Role(Settings):
    """A model that responds, its chat, and its sampling."""

    model: str
    """A name under `models`, a fine-tuning stage, a hub name, a folder, or `nano`."""
    chat: ChatFormat | None = None
    """The system prompt and the instruction that it gets; the default depends on the role."""
    temperature: float = Field(0.0, ge=0)
    """The temperature of sampling; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """The probability mass of the tokens that may be drawn."""
    max_new_tokens: int = Field(2048, ge=1)
    """The most tokens of a response."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        data = expanded(data)
        for key in data if isinstance(data, Mapping) else ():
            if key not in cls.model_fields and owners(str(key)):
                raise ValueError(
                    f"{key!r} is a key of a model; put it under models, and name that model here"
                )
        return data

    def sampling(self, n: int, seed: int, temperature: float | None = None) -> Sampling:
        """The sampling of `n` responses to each problem. `temperature` replaces the role's own."""
        heat = self.temperature if temperature is None else temperature
        return Sampling(
            n=n, temperature=heat, top_p=self.top_p, max_new_tokens=self.max_new_tokens, seed=seed
        )


class Writer(Role):
    """Who writes new questions from the seeds (paper, section 3.2.2: GPT-4o-mini). It gets no solver's instruction."""

    max_new_tokens: int = Field(1024, ge=1)
    """The most tokens of a question."""


class Teacher(Role):
    """Who answers the prompts of a subject (paper, section 3.2.1: one response a prompt, greedy)."""

    each: int = Field(1, ge=1)
    """The number of responses to each prompt; a blend takes `each` of them at most. Our addition."""


class Checker(Role):
    """Who answers math problems again to check the teacher (paper, section 3.2.2: GPT-4o-mini, two answers)."""

    answers: int = Field(2, ge=1)
    """The number of answers to each problem; the paper has two."""


class Labeller(Role):
    """Whose answers become the references of reward data (paper, section 4.1: GPT-4o-mini, one answer, every problem)."""

    answers: int = Field(1, ge=1)
    """The number of its responses to each problem (paper: one)."""
    share: float = Field(1.0, gt=0.5, le=1)
    """The share of its responses that must state the same answer; a problem with fewer is left out. Our addition."""
    replaces: bool = True
    """Whether its answer replaces a reference answer that a problem has already (paper: yes); if not, only problems without one are labelled, such as evolved ones."""

    @model_validator(mode="after")
    def _drawn(self) -> Labeller:
        if self.answers > 1 and not self.temperature:
            raise ValueError(f"answers is {self.answers}, but at temperature 0 all are the same; raise temperature")
        return self


class Policy(Role):
    """A model whose responses are graded and ranked: a stage of this run or any other model."""

    temperature: float = Field(1.0, ge=0)
    """The temperature of sampling; 0 is greedy."""
    each: int = Field(4, ge=1)
    """The number of responses to each problem."""
    problems: int | None = Field(None, ge=1)
    """The most problems that it answers; by default all."""
    sources: tuple[str, ...] = ()
    """The seeds whose problems it alone answers, all of them whatever `reward.problems` is; by default those that no policy names here. For candidates."""
    shots: tuple[tuple[str, str], ...] | Source = ()
    """Questions with short answers that come before each problem (paper, section 4.1: style): a list, or for candidates a source of worked problems with a `count`, from a split for training or development."""

    @field_validator("shots", mode="before")
    @classmethod
    def _for_training(cls, shots: Any) -> Any:
        """A group is a source, of which the fault is told; pydantic would tell that it is no list."""
        if isinstance(shots, Mapping):
            try:
                shots = Source.model_validate(shots)
            except ValidationError as error:
                raise ValueError(fault_of(error)) from error
        if isinstance(shots, Source):
            check_shots(shots)
        return shots

    pooled: bool = True
    """Whether its responses are in the run's AceMath-RewardBench, which ranks those of all policies together. For `bench`."""

    @property
    def listed(self) -> tuple[tuple[str, str], ...]:
        """The `shots` that the recipe itself holds; none if they come from a source, which a stage of its own reads."""
        return () if isinstance(self.shots, Source) else self.shots


class Policies(Settings):
    """A group of policies, and the sampling that they share."""

    policies: dict[FolderName, Policy]
    """The policies by name, as a list of names or a group; `model` is by default the name itself."""
    each: int | None = Field(None, ge=1)
    """The number of responses to each problem, for policies that state none."""
    temperature: float | None = Field(None, ge=0)
    """The temperature of sampling, for policies that state none."""
    top_p: float | None = Field(None, gt=0, le=1)
    """The probability mass of the tokens that may be drawn, for policies that state none."""
    max_new_tokens: int | None = Field(None, ge=1)
    """The most tokens of a response, for policies that state none."""

    @model_validator(mode="before")
    @classmethod
    def _shared(cls, data: Any) -> Any:
        """Give each policy its name as model and the sampling that the group shares."""
        if not isinstance(data, Mapping) or not isinstance(named := expanded(data.get("policies")), Mapping):
            return data
        shared = {key: data[key] for key in SAMPLING if data.get(key) is not None}
        policies = {
            name: {"model": name, **shared, **own} if isinstance(own, Mapping) else own
            for name, own in ((name, expanded(own) or {}) for name, own in named.items())
        }
        return {**data, "policies": policies}


class Ranker(Settings):
    """The reward model that sorts candidates (paper, section 4.1: Qwen2.5-Math-RM-72B)."""

    model: str
    """A name under `models`, a hub name, a folder, `base-check`: the built-in base's own judgement, or `votes`: the share of a problem's candidates that give the same answer."""
    chat: ChatFormat | None = None
    """The chat that it reads; by default that of its training."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return expanded(data)


class Roles(Settings):
    """The roles of a run. Policies are named where they are used, in `reward.candidates` and `bench`."""

    teachers: dict[Subject, Teacher] = Field(default_factory=dict)
    """Who answers the prompts of each subject: `math`, `code`, `general`, and `all` for those not named. Required for seeds."""
    checkers: dict[FolderName, Checker] = Field(default_factory=dict)
    """Who answers again, by name; `checker` is the short form for one, whose name is `first`. Without one there is no cross-check."""
    writer: Writer | None = None
    """Who writes new questions; worksheets need none."""
    labeller: Labeller | None = None
    """Whose answers are the references of reward data (paper, section 4.1: GPT-4o-mini); by default each prompt's own."""
    ranker: Ranker | None = None
    """Who sorts candidates; by default nobody, and groups are drawn at random."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        found = dict(data)
        if (one := found.pop("checker", None)) is not None:
            if found.get("checkers"):
                raise ValueError("checker is the short form of checkers with one; give one of the two")
            found["checkers"] = {ONE: one}
        teachers = found.get("teachers")
        if isinstance(teachers, Mapping) and ALL in teachers:
            others = {key: value for key, value in teachers.items() if key != ALL}
            found["teachers"] = {**dict.fromkeys(SUBJECTS, teachers[ALL]), **others}
        return found

    @field_validator("checkers")
    @classmethod
    def _enough(cls, checkers: dict[str, Checker]) -> dict[str, Checker]:
        if checkers and (answers := sum(checker.answers for checker in checkers.values())) < 2:
            raise ValueError(
                f"checkers give {answers} answers to a problem in all; the cross-check needs two or more"
            )
        return checkers

    def teacher(self, subject: str) -> Teacher | None:
        """The teacher of a subject ("math", "code" or "general")."""
        return self.teachers.get(subject)  # type: ignore[call-overload, no-any-return]

    def named(self) -> dict[str, Role]:
        """Every role that generates text, by its key under `roles`."""
        found: dict[str, Role] = {f"teachers.{name}": role for name, role in self.teachers.items()}
        found |= {f"checkers.{name}": role for name, role in self.checkers.items()}
        one = {"writer": self.writer, "labeller": self.labeller}
        return found | {name: role for name, role in one.items() if role is not None}
