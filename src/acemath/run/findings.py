"""What a run found beside its headline: the selector chosen on validation, policies against each other, token limits, parts.

Every difference is paired over problems and averaged over benchmarks. The validation benchmark decides which selector is
used; its problems are in no other number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from acemath.benchmarks.breakdown import breakdown
from acemath.benchmarks.tables import (
    HEADLINE,
    JUDGED,
    SELECTORS,
    Floats,
    Pool,
    Record,
    Selector,
    benchmarks_of,
    measure,
    over_benchmarks,
    per_problem,
    selectors,
)
from acemath.curate.columns import STEPS
from acemath.metrics import Estimate
from acemath.metrics.exact import vote_weights
from acemath.metrics.pickers import Votes
from acemath.metrics.protocols import EXACT, picked
from acemath.records import Problem, Response
from acemath.run.store import StageStore

TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of softmax votes, of which validation chooses one
MOST_STEPS = 7  # problems with more steps share a row


def percent(e: Estimate) -> dict[str, float]:
    """An estimate in percent, with its interval and the number of problems."""
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high, "problems": e.problems}


def apart(records: Sequence[Record], validation: str | None) -> tuple[list[Record], list[Record]]:
    """The records to measure on, and those of the validation benchmark."""
    return [r for r in records if r.benchmark != validation], [r for r in records if r.benchmark == validation]


def _softmax(temperature: float, pool: Pool) -> Votes:
    return Votes(pool.classes, pool.correct, vote_weights(pool.array("rewards"), temperature))


def _choices(k: int) -> dict[str, Selector]:
    """The selectors that validation chooses from, by the name of their number; the plain majority comes first."""
    named = {measure(name, k): SELECTORS[name] for name in ("majority", *JUDGED) if name != "softmax majority"}
    return named | {f"softmax maj@{k} (T={t:g})": partial(_softmax, t) for t in TEMPERATURES}


def _values(records: Sequence[Record], selector: Selector, k: int) -> Floats:
    """A selector's value for each problem; all problems have as many responses."""
    return picked(selector(Pool(records)), [k], EXACT, [f"{r.benchmark} {r.problem_id}" for r in records])[:, 0]


def choice(test: Sequence[Record], validation: Sequence[Record], k: int) -> dict[str, Any]:
    """The selector that is best on validation, all validation numbers, and what it gives on test, in percent.

    Of equal selectors the first one is chosen, so the majority stays unless something is better.
    """
    table = {name: _values(validation, selector, k) for name, selector in _choices(k).items()}
    best = max(table, key=lambda name: float(table[name].mean()))
    mine = _values(test, _choices(k)[best], k)
    others = {measure(name, k): per_problem(test, name, k) for name in ("random", "majority", "reward model")}
    return {
        "benchmark": validation[0].benchmark,
        "validation": {name: percent(over_benchmarks(validation, list(values))) for name, values in table.items()},
        "chosen": best,
        "test": percent(over_benchmarks(test, list(mine))),
        "differences": {
            name: percent(over_benchmarks(test, list(mine - values))) for name, values in others.items() if name != best
        },
    }


def between_policies(
    by_policy: Mapping[str, Sequence[Record]], greedy: Mapping[str, Sequence[Record]], headline: str
) -> list[dict[str, Any]]:
    """The headline policy minus each other one, greedy and by pass@1, over the problems that both answered."""
    found = []
    for name in by_policy:
        if name == headline:
            continue
        for label, records in (("greedy", greedy), ("pass@1", by_policy)):
            values = {
                policy: {r.problem_id: sum(r.correct) / len(r.correct) for r in records[policy]} for policy in (headline, name)
            }
            shared = [r for r in records[headline] if r.problem_id in values[name]]
            gaps = [values[headline][r.problem_id] - values[name][r.problem_id] for r in shared]
            found.append({"measure": label, "minus": name, **percent(over_benchmarks(shared, gaps))})
    return found


def at_lengths(
    stores: Mapping[str, StageStore], limits: Sequence[int], of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Accuracy and the share of cut responses of each stage, if responses had at most so many tokens.

    `stores` are stages of responses by policy and kind, `of` the benchmark of each problem that counts. A longer response counts as
    cut, which is wrong: its first tokens would be the same. The last row is what was generated.
    """
    rows = []
    for name, store in stores.items():
        answers = [r for r in store.all_rows(Response) if r.problem_id in of]
        for limit in (*limits, None):
            cut = [r.finish_reason == "length" or (limit is not None and r.tokens > limit) for r in answers]
            right: dict[str, list[float]] = {}
            for row, is_cut in zip(answers, cut, strict=True):
                right.setdefault(row.problem_id, []).append(float(row.correct and not is_cut))
            means = [(of[key], sum(values) / len(values)) for key, values in right.items()]
            records = [Record(benchmark, "", 0, (), (), (), ()) for benchmark, _ in means]
            value = percent(over_benchmarks(records, [mean for _, mean in means]))
            tokens = sum(r.tokens for r in answers) / max(1, len(answers))
            rows.append({"responses": name, "limit": limit, **value, "cut": 100 * sum(cut) / max(1, len(cut)), "tokens": tokens})
    return rows


def parts(records: Sequence[Record], problems: Iterable[Problem], k: int) -> list[dict[str, Any]]:
    """The headline's measures by number of steps in the reference solution, and by length of the responses.

    Only problems whose source shows its steps are in the first. A part is never the unit of an average.
    """
    steps = {p.id: min(int(p.meta[STEPS]), MOST_STEPS) for p in problems if p.meta.get(STEPS)}
    found = []
    for count in sorted(set(steps.values())):
        mine = [r for r in records if steps.get(r.problem_id) == count]
        label = f"{count}{' or more' if count == MOST_STEPS else ''}"
        for name in selectors(mine, HEADLINE) if mine else ():
            value = percent(over_benchmarks(mine, per_problem(mine, name, k)))
            found.append({"by": "steps", "part": label, "measure": measure(name, k), **value})
    several = len(benchmarks_of(records)) > 1
    for part in breakdown(records, "length", k, only=HEADLINE):
        row = part.row
        label = f"{row.benchmark}, {part.part}" if several else part.part
        values = {"value": row.value, "low": row.low, "high": row.high, "problems": row.problems}
        found.append({"by": "length", "part": label, "measure": row.measure, **values})
    return found
