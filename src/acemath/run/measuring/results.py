"""The numbers of an evaluation, made from its stored rows: measures, differences of policies, breakdowns, cut responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acemath.benchmarks.copies import SUSPECT
from acemath.benchmarks.quality import judge_notices
from acemath.benchmarks.tables import (
    AVERAGE,
    HEADLINE,
    JUDGED,
    STANDARD,
    Floats,
    Record,
    measure,
    per_problem,
    selectors,
)
from acemath.metrics import Estimate, estimates
from acemath.records import BENCHMARK, Problem, Response, by_id
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
    problems = sorted(stores[PROBLEMS].all_rows(Problem), key=lambda p: p.id)  # whatever the number of partitions
    notes: list[str] = []
    columns = [column for model in _models(stages) for column in _columns(model, stages, stores, k, notes)]
    everything = np.ones(len(problems), bool)
    frame = _Frame(problems, everything)
    found: dict[str, Any] = {
        "k": k,
        "models": _models(stages),
        "benchmarks": frame.sizes,
        "rows": frame.rows(columns),
        "comparisons": _comparisons(columns, frame),
        "breakdowns": list(_breakdowns(columns, problems)),
        "responses": [_counts(one, stores[one.stage]) for one in stages if one.kind != SCORES],
        "notes": notes,
    }
    sound = np.array([not p.meta.get(SUSPECT) for p in problems])
    if not sound.all():
        found["without_suspects"] = _Frame(problems, sound).rows(columns)
    return found


def _models(stages: Sequence[Named]) -> list[str]:
    return list(dict.fromkeys(one.model for one in stages))


class _Frame:
    """Some problems, by benchmark; `kept` [problem] says which of all problems they are."""

    def __init__(self, problems: Sequence[Problem], kept: NDArray[np.bool_]) -> None:
        self.kept = kept
        self.places = np.array([str(p.meta[BENCHMARK]) for p in problems])[kept]
        self.sizes = {str(name): int((self.places == name).sum()) for name in dict.fromkeys(self.places)}

    def parts(self, table: Floats) -> list[Floats]:
        """A table [problem, column] of all problems as one table for each benchmark."""
        return [table[self.kept][self.places == name] for name in self.sizes]

    def estimates(self, table: Floats) -> dict[str, list[Estimate]]:
        """Each column's mean over each benchmark's problems, and the unweighted mean of the benchmarks' means."""
        parts = self.parts(table)
        found = {name: estimates([part]) for name, part in zip(self.sizes, parts, strict=True)}
        return {**found, AVERAGE: estimates(parts)}

    def rows(self, columns: Sequence[Column]) -> list[dict[str, Any]]:
        """The rows of some columns. `seeds` holds each seed's value and the standard deviation of these values."""
        found = self.estimates(_table([column.values for column in columns]))
        rows = []
        for at, column in enumerate(columns):
            alone = {seed: self._means(np.array(values)) for seed, values in column.seeds.items()}
            for name, cells in found.items():
                row = {**column.names(), "benchmark": name, **percent(cells[at]), "undefined": cells[at].undefined}
                if alone:
                    values = {str(seed): 100 * means[name] for seed, means in alone.items()}
                    row["seeds"] = {"values": values, "sd": stdev(values.values())}
                rows.append(row)
        return rows

    def _means(self, values: Floats) -> dict[str, float]:
        means = [float(part.mean()) for part in self.parts(values)]
        return {**dict(zip(self.sizes, means, strict=True)), AVERAGE: fmean(means)}


def _table(columns: Sequence[Sequence[float]]) -> Floats:
    return np.array(columns, float).T


def percent(e: Estimate) -> dict[str, float]:
    """An estimate in percent, with its interval and the number of problems."""
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high, "problems": e.problems}


def _columns(
    model: str, stages: Sequence[Named], stores: Mapping[str, StageStore], k: int, notes: list[str]
) -> Iterator[Column]:
    """The measures of one policy: greedy, those of its samples, and those of each judge. `notes` get what spoils the last."""
    mine = [one for one in stages if one.model == model]
    for one in mine:
        if one.kind == GREEDY:
            values = [float(r.correct[0]) for r in _records(stores, [one])]
            yield Column(model, GREEDY, GREEDY, 1, "", values)
    for judge in dict.fromkeys(one.judge for one in mine if one.kind != GREEDY):
        seeded = [one for one in mine if one.kind != GREEDY and one.judge == judge]
        records = _records(stores, seeded)
        notes += [f"{judge} on {model}: {line}" for line in judge_notices(records)] if judge else []
        alone = {one.seed or 0: _records(stores, [one]) for one in seeded} if len(seeded) > 1 else {}
        fewest = min(len(r.correct) for found in (records, *alone.values()) for r in found)
        if fewest < k and not judge:
            notes.append(f"{model} has {fewest} samples of a problem, too few for measures at {k}; they are left out (-k {fewest})")
        for selector in selectors(records, STANDARD):
            at = 1 if selector == RANDOM else k
            if (selector in JUDGED) != bool(judge) or fewest < at:
                continue  # controls need no judge, and are the same with any
            values = per_problem(records, selector, at)
            seeds = {seed: per_problem(found, selector, at) for seed, found in alone.items()}
            name = f"avg@{len(records[0].correct)}" if selector == RANDOM else measure(selector, k)
            yield Column(model, selector, name, at, judge, values, seeds)


def _records(stores: Mapping[str, StageStore], stages: Sequence[Named]) -> list[Record]:
    """The records of all responses of some stages together, in the order of the problems' ids."""
    problems, found = stores[PROBLEMS], list[Record]()
    for number in range(problems.count):
        mine = by_id(problems.rows(Problem, number))
        rows = [row for one in stages for row in stores[one.stage].rows(Response, number)]
        found += records_of(mine, sorted(rows, key=lambda r: r.problem_id))
    return sorted(found, key=lambda record: record.problem_id)


def _comparisons(columns: Sequence[Column], frame: _Frame) -> list[dict[str, Any]]:
    """Each policy minus each later one, by each measure that both have."""
    pairs = [
        (one, other)
        for one, other in combinations(columns, 2)
        if one.model != other.model and one.same == other.same and one.selector in COMPARED
    ]
    if not pairs:
        return []
    table = _table([one.values for one, _ in pairs]) - _table([other.values for _, other in pairs])
    found = frame.estimates(table)
    rows = []
    for at, (one, other) in enumerate(pairs):
        names = {**one.names(), "other": other.model}
        if one.measure != other.measure:  # avg@8 and avg@16 both estimate pass@1
            names["measure"] = f"{one.measure} - {other.measure}"
        rows += [{**names, "benchmark": name, **percent(cells[at])} for name, cells in found.items()]
    return rows


def _breakdowns(columns: Sequence[Column], problems: Sequence[Problem]) -> Iterator[dict[str, Any]]:
    """Means by subject and by level, of benchmarks that have several. They are never part of an average."""
    shown = [column for column in columns if column.selector in COMPARED]
    table, places = _table([column.values for column in shown]), np.array([str(p.meta[BENCHMARK]) for p in problems])
    for by in ("subject", "level"):
        labels = np.array([getattr(p, by) for p in problems])
        for benchmark in dict.fromkeys(places.tolist()):
            groups = sorted({label for label in labels[places == benchmark].tolist() if label})
            for group in groups if len(groups) > 1 else ():
                cells = estimates([table[(places == benchmark) & (labels == group)]])
                for column, cell in zip(shown, cells, strict=True):
                    yield {**column.names(), "benchmark": benchmark, "by": by, "group": group, **percent(cell)}


def _counts(one: Named, store: StageStore) -> dict[str, Any]:
    """How many responses a policy wrote, and how many of them have no end; those count as wrong."""
    facts = store.manifest["facts"]
    names = {"model": one.model, "kind": one.kind, "seed": one.seed, "stage": one.stage}
    found = {**names, **{key: facts[key] for key in ("responses", "correct", "cut", "refused", "tokens")}}
    found["unknown"] = facts.get("unknown", 0)
    found["cut_percent"] = 100 * facts["cut"] / max(1, facts["responses"])
    return found | ({"cost": facts["cost"]} if "cost" in facts else {})

