"""The numbers of an evaluation, made from its stored rows: measures, differences of policies, breakdowns, cut responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

from acemath.benchmarks.copies import SUSPECT
from acemath.benchmarks.tables import (
    AVERAGE,
    HEADLINE,
    JUDGED,
    Record,
    benchmarks_of,
    measure,
    over_benchmarks,
    per_problem,
    selectors,
)
from acemath.metrics import Estimate, estimate
from acemath.records import Problem, Response, by_id
from acemath.run.evaluation import records_of
from acemath.run.measuring.problems import PROBLEMS
from acemath.run.measuring.stages import GREEDY, SCORES, Named
from acemath.run.store import StageStore

RANDOM = "random"  # a random sample: its expectation is the mean over all samples
COMPARED = (GREEDY, *HEADLINE)  # the selectors that policies are compared by


@dataclass(frozen=True)
class Column:
    """One measure of one policy: its value for each problem, and what each seed alone gives."""

    model: str
    selector: str
    measure: str
    k: int
    judge: str
    values: list[float]
    seeds: Mapping[int, list[float]] = field(default_factory=dict)  # only with several seeds

    def names(self) -> dict[str, Any]:
        """The fields by which a row of results says what it is."""
        return {"model": self.model, "selector": self.selector, "judge": self.judge, "measure": self.measure, "k": self.k}

    @property
    def same(self) -> tuple[str, str, int]:
        """Columns of two policies are compared if this is equal."""
        return self.selector, self.judge, self.k


def results_of(stages: Sequence[Named], stores: Mapping[str, StageStore], k: int) -> dict[str, Any]:
    """All numbers in percent, as JSON. Each interval is over problems; the spread over seeds stands beside it.

    `rows` hold each measure on each benchmark and their unweighted average, `comparisons` the paired differences of
    policies over the same problems, `breakdowns` the means by subject and level, `without_suspects` the rows without
    problems whose reference is believed to be wrong.
    """
    problems = list(stores[PROBLEMS].all_rows(Problem))
    columns = [column for model in _models(stages) for column in _columns(model, stages, stores, k)]
    frame = _Frame(problems)
    found: dict[str, Any] = {
        "k": k,
        "models": _models(stages),
        "benchmarks": {name: sum(b == name for b in frame.benchmarks) for name in dict.fromkeys(frame.benchmarks)},
        "rows": [row for column in columns for row in frame.rows(column)],
        "comparisons": list(_comparisons(columns, frame)),
        "breakdowns": list(_breakdowns(columns, frame)),
        "responses": [_counts(one, stores[one.stage]) for one in stages if one.kind != SCORES],
    }
    if any(p.meta.get(SUSPECT) for p in problems):
        sound = _Frame(problems, [not p.meta.get(SUSPECT) for p in problems])
        found["without_suspects"] = [row for column in columns for row in sound.rows(column)]
    return found


def _models(stages: Sequence[Named]) -> list[str]:
    return list(dict.fromkeys(one.model for one in stages))


class _Frame:
    """The problems that values belong to, in their order; `kept` leaves some out."""

    def __init__(self, problems: Sequence[Problem], kept: Sequence[bool] | None = None) -> None:
        self.problems = problems
        self.kept = [True] * len(problems) if kept is None else list(kept)
        self.records = [Record(str(p.meta["benchmark"]), p.id, p.level, (), (), (), ()) for p in problems]
        self.benchmarks = [r.benchmark for r in self.records]

    def within(self, kept: Sequence[bool]) -> _Frame:
        """These problems alone."""
        return _Frame(self.problems, [a and b for a, b in zip(self.kept, kept, strict=True)])

    def only(self, values: Sequence[float]) -> list[float]:
        """The values of the problems that are kept."""
        return [v for v, kept in zip(values, self.kept, strict=True) if kept]

    def estimates(self, values: Sequence[float]) -> Iterator[tuple[str, Estimate]]:
        """The mean over each benchmark's problems, then the unweighted mean of the benchmarks' means."""
        records, mine = [r for r, kept in zip(self.records, self.kept, strict=True) if kept], self.only(values)
        for name in benchmarks_of(records):
            yield name, estimate([v for v, r in zip(mine, records, strict=True) if r.benchmark == name])
        yield AVERAGE, over_benchmarks(records, mine)

    def rows(self, column: Column) -> Iterator[dict[str, Any]]:
        """The rows of a column. `seeds` holds each seed's value and the standard deviation of these values."""
        alone = {seed: dict(self._means(values)) for seed, values in column.seeds.items()}
        for name, e in self.estimates(column.values):
            row = {**column.names(), "benchmark": name, **percent(e), "undefined": e.undefined}
            if alone:
                values = {str(seed): 100 * means[name] for seed, means in alone.items()}
                row["seeds"] = {"values": values, "sd": stdev(values.values())}
            yield row

    def _means(self, values: Sequence[float]) -> Iterator[tuple[str, float]]:
        means = []
        for name in dict.fromkeys(self.benchmarks):
            mine = [v for v, b, kept in zip(values, self.benchmarks, self.kept, strict=True) if kept and b == name]
            if mine:
                means.append(fmean(mine))
                yield name, means[-1]
        yield AVERAGE, fmean(means)


def percent(e: Estimate) -> dict[str, float]:
    """An estimate in percent, with its interval and the number of problems."""
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high, "problems": e.problems}


def _columns(model: str, stages: Sequence[Named], stores: Mapping[str, StageStore], k: int) -> Iterator[Column]:
    """The measures of one policy: greedy, those of its samples, and those of each judge."""
    mine = [one for one in stages if one.model == model]
    for one in mine:
        if one.kind == GREEDY:
            values = [float(r.correct[0]) for r in _records(stores, [one])]
            yield Column(model, GREEDY, GREEDY, 1, "", values)
    for judge in dict.fromkeys(one.judge for one in mine if one.kind != GREEDY):
        seeded = [one for one in mine if one.kind != GREEDY and one.judge == judge]
        records = _records(stores, seeded)
        alone = {one.seed or 0: _records(stores, [one]) for one in seeded} if len(seeded) > 1 else {}
        for selector in selectors(records):
            if (selector in JUDGED) != bool(judge):
                continue  # controls need no judge, and are the same with any
            values = per_problem(records, selector, k)
            seeds = {seed: per_problem(found, selector, k) for seed, found in alone.items()}
            column = Column(model, selector, measure(selector, k), k, judge, values, seeds)
            if selector == RANDOM:
                column = replace(column, measure=f"avg@{len(records[0].correct)}", k=1)
            yield column


def _records(stores: Mapping[str, StageStore], stages: Sequence[Named]) -> list[Record]:
    """The records of all responses of some stages together, in the order of the problems."""
    problems, found = stores[PROBLEMS], list[Record]()
    for number in range(problems.count):
        mine = by_id(problems.rows(Problem, number))
        rows = [row for one in stages for row in stores[one.stage].rows(Response, number)]
        found += records_of(mine, sorted(rows, key=lambda r: r.problem_id))
    return found


def _comparisons(columns: Sequence[Column], frame: _Frame) -> Iterator[dict[str, Any]]:
    """Each policy minus each later one, by each measure that both have."""
    for one, other in combinations(columns, 2):
        if one.model == other.model or one.same != other.same or one.selector not in COMPARED:
            continue
        differences = [a - b for a, b in zip(one.values, other.values, strict=True)]
        for name, e in frame.estimates(differences):
            yield {**one.names(), "other": other.model, "benchmark": name, **percent(e)}


def _breakdowns(columns: Sequence[Column], frame: _Frame) -> Iterator[dict[str, Any]]:
    """Means by subject and by level, of benchmarks that have several. They are never part of an average."""
    for by in ("subject", "level"):
        labels = [getattr(p, by) for p in frame.problems]
        for benchmark in dict.fromkeys(frame.benchmarks):
            here = [b == benchmark for b in frame.benchmarks]
            groups = sorted({label for label, mine in zip(labels, here, strict=True) if mine and label})
            for group in groups if len(groups) > 1 else ():
                part = frame.within([mine and label == group for label, mine in zip(labels, here, strict=True)])
                for column in columns:
                    if column.selector in COMPARED:
                        names = {**column.names(), "benchmark": benchmark, "by": by, "group": group}
                        yield names | percent(estimate(part.only(column.values)))


def _counts(one: Named, store: StageStore) -> dict[str, Any]:
    """How many responses a policy wrote, and how many of them have no end; those count as wrong."""
    facts = store.manifest["facts"]
    names = {"model": one.model, "kind": one.kind, "seed": one.seed, "stage": one.stage}
    found = {**names, **{key: facts[key] for key in ("responses", "correct", "cut", "refused", "tokens")}}
    found["cut_percent"] = 100 * facts["cut"] / max(1, facts["responses"])
    return found | ({"cost": facts["cost"]} if "cost" in facts else {})

