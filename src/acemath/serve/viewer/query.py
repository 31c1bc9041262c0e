"""Which problems the page lists, in which order: filters and sorts over a view's numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError
from acemath.serve.viewer.compare import CHANGES
from acemath.serve.viewer.index import CODES, Bools, Floats, Ints, View, Votes
from acemath.serve.viewer.search import Search

# By the value in the address: what a filter keeps. Those of VOTED need the vote, those of JUDGED a judge.
OUTCOMES = {
    "judge-missed": "judge wrong though a right answer was there",
    "judge-tied": "judge torn between right and wrong",
    "majority-wrong": "majority wrong",
    "majority-missed": "majority wrong though a right answer was there",
    "judge-not-majority": "judge right, majority wrong",
    "majority-not-judge": "majority right, judge wrong",
    "mixed": "right and wrong responses",
    "all-right": "all right",
    "none-right": "none right",
    "cut": "a response was truncated",
}
VOTED = ("majority-wrong", "majority-missed", "judge-not-majority", "majority-not-judge")
JUDGED = ("judge-missed", "judge-tied", "judge-not-majority", "majority-not-judge")
SORTS = {
    "order": "as stored",
    "margin": "margin: best right minus best wrong reward",
    "reward": "highest reward",
    "length": "mean length",
    "accuracy": "share of right responses",
    "votes": "share of the majority's votes",
}


@dataclass(frozen=True)
class Query:
    """What the page asks for; every field is a parameter of the address, "" if it does not matter."""

    model: str = ""
    q: str = ""
    benchmark: str = ""
    subject: str = ""
    level: str = ""
    outcome: str = ""
    status: str = ""
    reason: str = ""
    change: str = ""
    sort: str = "order"
    down: str = ""  # "1": highest first

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """The query of an address. UserError for a value that no filter or sort has."""
        query = cls(**{f.name: given[f.name] for f in fields(cls) if f.name in given})
        for name, known in (("outcome", OUTCOMES), ("sort", SORTS), ("status", CODES), ("change", CHANGES)):
            value = getattr(query, name)
            if value and value not in known:
                raise UserError(f"{name} is {value!r}; it is one of {', '.join(known)}")
        if query.level and not query.level.isdecimal():
            raise UserError(f"level is {query.level!r}; it is a number")
        return query


def kept(view: View, query: Query, votes: Votes | None, search: Search | None) -> Bools:
    """Which of the view's problems the filters keep. UserError if one needs the vote, which is not counted yet."""
    keep = fits(view, query)
    if query.outcome:
        keep &= _outcome(view, query.outcome, votes)
    if query.status:
        keep &= view.total(view.index.status == CODES[query.status]) > 0
    if query.reason:
        keep &= view.total(with_reason(view, query.reason)) > 0
    if search is not None:
        keep &= search.problems[view.problems] | (view.total(search.rows) > 0)
    return keep


def fits(view: View, query: Query) -> Bools:
    """Which of the view's problems are of the benchmark, the subject and the level asked for."""
    keep = np.ones(len(view.problems), bool)
    index = view.index
    of: list[tuple[str, Callable[[int], str]]] = [
        (query.benchmark, lambda p: index.benchmarks[p]),
        (query.subject, lambda p: index.problems[p].subject),
        (query.level, lambda p: str(index.problems[p].level)),
    ]
    for wanted, value in of:
        if wanted:
            keep &= np.array([value(p) == wanted for p in view.problems.tolist()], bool)
    return keep


def with_reason(view: View, text: str) -> NDArray[np.bool_]:
    """For each response of the set: whether this text stands in the verdict's reason, whatever the case of its letters."""
    import pyarrow.compute as pc

    found = pc.match_substring(view.index.reason, text, ignore_case=True).fill_null(False)
    return found.to_numpy(zero_copy_only=False)


def _outcome(view: View, outcome: str, votes: Votes | None) -> Bools:
    if outcome in VOTED and votes is None:
        raise UserError("the votes are still being counted; try again in a moment")
    majority: Floats = votes.value if votes is not None else np.full(len(view.problems), np.nan)
    some = view.right > 0
    found: dict[str, Callable[[], Bools]] = {
        "judge-missed": lambda: (view.judge == 0) & some,
        "judge-tied": lambda: (view.judge > 0) & (view.judge < 1),
        "majority-wrong": lambda: majority == 0,
        "majority-missed": lambda: (majority == 0) & some,
        "judge-not-majority": lambda: (view.judge == 1) & (majority == 0),
        "majority-not-judge": lambda: (majority == 1) & (view.judge == 0),
        "mixed": lambda: some & (view.right < view.n),
        "all-right": lambda: view.right == view.n,
        "none-right": lambda: ~some,
        "cut": lambda: view.cut > 0,
    }
    return found[outcome]()


def order(view: View, query: Query, votes: Votes | None, places: Ints) -> Ints:
    """Some of the view's problems in the order asked for. Problems without the value come last in both directions."""
    if query.sort == "votes" and votes is None:
        raise UserError("the votes are still being counted; try again in a moment")
    values: dict[str, Callable[[], Floats]] = {
        "order": lambda: view.problems.astype(float),
        "margin": lambda: view.margin,
        "reward": lambda: np.where(view.judged & np.isfinite(view.top), view.top, np.nan),
        "length": lambda: view.length,
        "accuracy": lambda: view.right / view.n,
        "votes": lambda: votes.most / view.n if votes is not None else view.n,
    }
    mine = values[query.sort or "order"]()[places]
    return places[np.argsort(-mine if query.down else mine, kind="stable")]  # nan sorts last, also negated
