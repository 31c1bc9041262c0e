"""What an evaluation measures: policies with their chat and sampling, and the judges of their samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from acemath.errors import UserError
from acemath.files.settings import Seed, Settings
from acemath.models.engine import ChatFormat
from acemath.models.score.settings import JudgeSettings
from acemath.models.spec import Model
from acemath.recipe.roles import Policy

_NAMED = re.compile(r"([\w.+-]+)=(.+)", re.DOTALL)
_UNSAFE = re.compile(r"[^\w.+-]+")


class Measured(Settings):
    """A policy that is measured: its model, its chat, and how its responses are sampled."""


    model: Model
    """Where it comes from and which engine runs it."""
    chat: ChatFormat = ChatFormat()
    """The system prompt, and the instruction after each problem."""
    greedy: bool = True
    """Whether one greedy response to each problem is written."""
    n: int = Field(1, ge=1)
    """The number of samples of each problem and seed; with 1 there is only the greedy response."""
    temperature: float = Field(1.0, gt=0)
    """The temperature of the samples."""
    top_p: float = Field(1.0, gt=0, le=1)
    """The probability mass of the tokens that may be drawn."""
    max_new_tokens: int = Field(2048, ge=1)
    """The most tokens of a response."""
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    """The seeds of sampling; each gives `n` samples of its own."""
    shots: int | None = Field(None, ge=0)
    """The number of demonstrations before each problem; by default as many as each benchmark has."""

    @property
    def samples(self) -> bool:
        """Whether samples are drawn, beside the greedy response."""
        return self.n > 1 or not self.greedy

    def role(self, name: str, sampled: bool) -> Policy:
        """The role in which it responds. Settings of sampling are not those of the greedy response."""
        heat: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p} if sampled else {"temperature": 0.0}
        return Policy(model=name, chat=self.chat, max_new_tokens=self.max_new_tokens, **heat)


class Plan(Settings):
    """What one call of an evaluation asks for."""


    policies: dict[str, Measured]
    """The policies by the names that results use."""
    benchmarks: tuple[str, ...]
    """Names of the registry, and files."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our names of columns mapped to those of the files."""
    limit: int | None = Field(None, ge=1)
    """The most problems of each benchmark, chosen by a hash of their ids; by default all."""
    k: int = Field(ge=1)
    """How many responses the selectors pick from."""
    judges: dict[str, JudgeSettings] = Field(default_factory=dict)
    """The judges of the samples by the names that results use."""
    cache: Path = Path("rewards.cache")
    """The folder that keeps every score of a judge, so that no response is judged twice."""
    data: Path | None = None
    """The folder of the benchmarks' files; by default that of the environment variable ACEMATH_DATA, if it is set."""


def check_plan(plan: Plan, judges: Iterable[str]) -> None:
    """UserError for a k above n, for a seed that is given twice, and for judges without samples."""
    for name, policy in plan.policies.items():
        if policy.samples and plan.k > policy.n:
            raise UserError(
                f"k is {plan.k}, but each problem gets n = {policy.n} samples of {name}; give -k {policy.n} or less, or "
                f"-n {plan.k}"
            )
        judge = next(iter(judges), None)
        if judge is not None and not policy.samples:
            raise UserError(f"the judge {judge!r} has one greedy response to choose from; give -n 8")
        if len(set(policy.seeds)) < len(policy.seeds):
            seeds = ", ".join(map(str, policy.seeds))
            raise UserError(f"the seeds {seeds} hold one twice, whose samples would be the same; give each seed once")


def named(texts: Iterable[str], what: str) -> dict[str, str]:
    """{name: model} from the texts of an option: NAME=MODEL, or a model whose name is the last part of its path.

    UserError for two models of one name: results and folders could not tell them apart.
    """
    found: dict[str, str] = {}
    for text in texts:
        match = None if Path(text).exists() else _NAMED.fullmatch(text)
        name, model = (match[1], match[2]) if match else (safe_name(text), text)
        if name in found:
            raise UserError(
                f"two {what}s are called {name!r} ({found[name]} and {model}); name one of them: --{what} OTHER={model}"
            )
        found[name] = model
    return found


def safe_name(model: str) -> str:
    """A name for files and tables: the last part of a path or hub name, without characters that no file has."""
    return _UNSAFE.sub("-", Path(model).name or model).strip("-.") or "model"


def default_folder(policies: Sequence[str], benchmarks: Sequence[str]) -> Path:
    """The folder of an evaluation: the same policies on the same benchmarks go on in the same folder."""
    return Path("runs") / f"eval-{_short(policies)}-{_short([safe_name(b.split('.jsonl')[0]) for b in benchmarks])}"


def _short(names: Sequence[str], most: int = 60) -> str:
    text = "+".join(names)
    return text if len(text) <= most else f"{names[0][:most]}+{len(names) - 1}"

