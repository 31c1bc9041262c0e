"""The numbers that the paper prints, as data with their source, and own numbers put beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isnan
from typing import Any

import yaml

from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.tables import AVERAGE

GREEDY = "greedy pass@1"
# Selectors that name no judge: what they measure is the policy itself, or their judge is named elsewhere.
NO_JUDGE = ("", "greedy", "random")
REWARD_MODEL = "reward model"
MAJORITY, ORACLE = "majority", "oracle"
# Other names of benchmarks, in the form that `benchmark_key` gives.
ALIASES = {
    "minerva": "minervamath", "gaokao": "gaokao2023en", "gaokao23en": "gaokao2023en", "olympiad": "olympiadbench",
    "college": "collegemath", "aime2024": "aime24", "amc2023": "amc23",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """One printed number, in percent."""

    table: str  # "Table 6", "Figure 1"
    setting: str  # how it was measured
    model: str  # the policy; empty for AceMath-RewardBench, whose responses are of eight models
    judge: str  # who picks one of k: a reward model, "majority" or "oracle"; empty if nobody does
    measure: str  # greedy pass@1, rm@8, maj@8, pass@8, accuracy
    benchmark: str  # a name of the registry, or "average"
    value: float
    problems: int | None  # the size of the benchmark, or of those of an average together; None where it is not stated
    averaged: tuple[str, ...] = ()  # of an average: the benchmarks that it is the plain mean of
    note: str = ""  # where the paper disagrees with itself

    @property
    def name(self) -> str:
        """The row's name in its table: the model, or the judge where the table is of judges."""
        return self.model or self.judge

    @property
    def source(self) -> str:
        """The paper and the table."""
        return f"{_data()['paper']}, {self.table}"


@cache
def _data() -> dict[str, Any]:
    text = (resources.files("acemath.benchmarks") / "published.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@cache
def published() -> tuple[Published, ...]:
    """Every number, table by table, row by row. Cells that the paper leaves empty are absent."""
    return tuple(number for table in _data()["tables"] for number in _numbers(table))


def _numbers(table: Mapping[str, Any]) -> Iterable[Published]:
    names = table["benchmarks"]
    mean_of = tuple(b for b in table.get("average_of", names) if b != AVERAGE)
    totals = table.get("of", [100] * len(names))
    for name, values in table["rows"].items():
        of_judges = table.get("rows_are") == "judge"
        judge = name if of_judges else table.get("judges", {}).get(name, "")
        measure = table.get("measures", {}).get(name, table["measure"])
        for benchmark, value, total in zip(names, values, totals, strict=True):
            if value is not None:
                yield Published(
                    table["table"],
                    table["setting"],
                    "" if of_judges else name,
                    judge,
                    measure,
                    benchmark,
                    100 * value / total,
                    _size(mean_of if benchmark == AVERAGE else (benchmark,)),
                    mean_of if benchmark == AVERAGE else (),
                    _note(table["table"], name, benchmark, measure),
                )


def _size(benchmarks: Sequence[str]) -> int | None:
    """The number of problems of some benchmarks together; None if one is not registered."""
    return sum(BENCHMARKS[b].size for b in benchmarks) if set(benchmarks) <= set(BENCHMARKS) else None


def _note(table: str, row: str, benchmark: str, measure: str) -> str:
    place = (table, row, benchmark, measure)
    return next(
        (str(n["note"]) for n in _data()["notes"] if (n["table"], n["row"], n["benchmark"], n.get("measure", measure)) == place),
        "",
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """An own number, in percent with its interval, and the printed one for the same model, judge and benchmark."""

    paper: Published
    value: float
    low: float
    high: float
    problems: int

    @property
    def outside(self) -> bool:
        """Whether the printed number lies outside the own interval."""
        return not self.low <= self.paper.value <= self.high

    @property
    def same_size(self) -> bool:
        """False if the own number is of another number of problems than the printed one."""
        return self.paper.problems in (None, self.problems)

    def words(self) -> str:
        """The comparison in one line, which says if the printed number is outside the interval."""
        p = self.paper
        who = " with ".join(filter(None, (p.model, p.judge)))
        size = "" if self.same_size else f" (here {self.problems:,} problems, in the paper {p.problems:,})"
        verdict = "OUTSIDE the interval" if self.outside else "inside the interval"
        note = f"; {p.note}" if p.note else ""
        return (
            f"{p.measure} of {who} on {p.benchmark}: {self.value:.2f} [{self.low:.2f}, {self.high:.2f}], "
            f"{p.table} {p.value:.2f}: {verdict}{size}{note}"
        )

    def record(self) -> dict[str, Any]:
        """The comparison as one flat object for JSON."""
        p = self.paper
        return {
            "model": p.model, "judge": p.judge, "measure": p.measure, "benchmark": p.benchmark,
            "value": self.value, "low": self.low, "high": self.high, "problems": self.problems,
            "paper": p.value, "paper_problems": p.problems, "outside": self.outside,
            "source": p.source, "setting": p.setting, "note": p.note,
        }  # fmt: skip


def beside(rows: Sequence[Mapping[str, Any]], model: str = "", judge: str = "") -> list[Comparison]:
    """The printed numbers for these rows: same measure, benchmark, model and judge.

    A row is one of `reward_bench` (as a dictionary) or of an evaluation's results: measure, benchmark, value, low, high,
    problems, selector and perhaps model and judge, in percent. `model` names the policy of rows without one, `judge` the
    reward model behind the selector "reward model" of rows that name none. A name matches as a hub id or as the last part of
    a path. An average matches only if the rows hold the same benchmarks. Rows of pooled models have no policy, and match the
    tables of AceMath-RewardBench alone; majority and oracle, which no name ties to the paper's responses, only on as many
    problems. Undefined rows (nan, None) are left out.
    """
    found: dict[tuple[Any, ...], Comparison] = {}
    for row in rows:
        if row["value"] is None or isnan(row["value"]):
            continue
        who = str(row.get("model") or model)
        selector = str(row.get("selector") or "")
        picks = str(row.get("judge") or judge) if selector == REWARD_MODEL else selector
        group = (measure_name(row["measure"]), short_name(who), short_name("" if picks in NO_JUDGE else picks))
        mine = _benchmarks_beside(row, rows) if row["benchmark"] == AVERAGE else set()
        for number in published():
            same = (number.measure, short_name(number.model), short_name(number.judge)) == group
            control = number.judge in (MAJORITY, ORACLE) and number.problems != row["problems"]
            if same and not control and _same_benchmark(number, row["benchmark"], mine):
                cell = (group, number.benchmark, number.value)  # two tables may print the same number
                found.setdefault(cell, Comparison(number, row["value"], row["low"], row["high"], row["problems"]))
    return list(found.values())


def _benchmarks_beside(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The benchmarks of the rows that differ from this one in nothing else."""
    names = ("measure", "model", "selector", "judge")
    return {benchmark_key(r["benchmark"]) for r in rows if all(r.get(n) == row.get(n) for n in names)}


def _same_benchmark(number: Published, benchmark: str, mine: set[str]) -> bool:
    if number.benchmark != AVERAGE:
        return benchmark_key(number.benchmark) == benchmark_key(benchmark)
    return benchmark == AVERAGE and {benchmark_key(b) for b in number.averaged} == mine - {AVERAGE}


def measure_name(name: str) -> str:
    """A measure under the name that the published numbers use."""
    return GREEDY if "greedy" in name else name


@cache
def benchmark_key(benchmark: str) -> str:
    """A benchmark's name without case and punctuation, and with its aliases resolved; files end in "test"."""
    key = re.sub(r"[^a-z0-9]", "", benchmark.lower()).removesuffix("test")
    return ALIASES.get(key, key)


@cache
def short_name(model: str) -> str:
    """The last part of a model's id or path, without case and punctuation."""
    last = model.rstrip("/").rsplit("/", 1)[-1].lower().removeprefix("meta-")
    return re.sub(r"[^a-z0-9]", "", last)
