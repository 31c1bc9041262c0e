"""The answers that the page asks for, as plain data for JSON."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from acemath.errors import UserError
from acemath.files.identity import Names
from acemath.metrics import Estimate
from acemath.serve.viewer.compare import BY, CHANGES, Comparison, Pairs, pairs, picks
from acemath.serve.viewer.curves import Curves, lengths
from acemath.serve.viewer.detail import side_of, text_of, verdict_of
from acemath.serve.viewer.index import CODES, Index, Ints, View, Votes
from acemath.serve.viewer.jobs import Grouping, Worker
from acemath.serve.viewer.library import open_sources
from acemath.serve.viewer.listing import listed
from acemath.serve.viewer.query import OUTCOMES, SORTS, VOTED, Query, fits, kept, order
from acemath.serve.viewer.search import Search

Parameters = Mapping[str, str]
T = TypeVar("T")
KEPT = 32  # searches, comparisons and curves that are remembered
PAGE = 50  # problems that the list gets at a time
TEXTS = 64  # responses whose texts are given at once


class Viewer:
    """The sets of one or two folders or files, and what the page asks of them."""

    def __init__(self, paths: Sequence[Path], names: Names | None = None) -> None:
        self.paths, self._names = list(paths), names
        self._lock = threading.RLock()
        self._state: object = None
        self.worker = Worker()
        self.refresh()  # makes the rest

    def refresh(self) -> None:
        """Read the folders again if a stage has written since: the page shows a run that goes on when it is reloaded."""
        state = _state(self.paths)
        with self._lock:
            if state != self._state:
                self.sources = open_sources(self.paths, self._names)
                self.worker.close(wait=False)  # it works on what is no longer shown
                self.worker = Worker()
                self._indexes: dict[int, Index] = {}
                self._groupings: dict[int, Grouping] = {}
                self._made: OrderedDict[Any, Any] = OrderedDict()
                self._state = state

    def index(self, number: int) -> Index:
        """The index of a set, made on first use."""
        with self._lock:
            if number not in range(len(self.sources)):
                raise UserError(f"there is no set {number}; reload the page")
            if number not in self._indexes:
                self._indexes[number] = Index(self.sources[number])
            return self._indexes[number]

    def grouping(self, number: int) -> Grouping:
        """The classes of equal answers of a set; its job starts on first use."""
        index = self.index(number)
        with self._lock:
            if number not in self._groupings:
                self._groupings[number] = Grouping(index, self.worker)
            return self._groupings[number]

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        """What was made for this key before, or makes it."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]  # type: ignore[no-any-return]

    def view(self, number: int, model: str) -> View:
        """A set, or the responses of one of its models. UserError for a model that it does not have."""
        index = self.index(number)
        if model and model not in index.models:
            raise UserError(
                f"{index.source.name} has no responses of {model!r}; its models are {', '.join(index.models)}"
            )
        return self._once(("view", number, model), lambda: index.view(model))

    def votes(self, number: int, model: str, wait: float = 0.0) -> Votes | None:
        """The votes of a view; None while answers are being grouped."""
        grouping = self.grouping(number)
        grouping.job.wait(wait)
        if grouping.job.error:
            raise UserError(f"the answers could not be grouped: {grouping.job.error}")
        found = grouping.job.result
        return (
            None
            if found is None
            else self._once(("votes", number, model), lambda: self.view(number, model).votes(found))
        )

    # What the page asks for

    def sets(self, given: Parameters) -> dict[str, Any]:
        """The names of all sets and of all filters."""
        return {
            "sets": [{"name": source.name, "folder": source.folder, "path": str(source.path)} for source in self.sources],
            "outcomes": OUTCOMES, "sorts": SORTS, "by": BY, "changes": CHANGES, "statuses": list(CODES),
        }  # fmt: skip

    def facts(self, given: Parameters) -> dict[str, Any]:
        """What a set holds, and the values that its filters can have."""
        index = self.index(_number(given, "set"))
        statuses = np.bincount(index.status, minlength=len(CODES))
        reasons = Counter(value for value in index.reason.to_pylist() if value)
        return {
            "notes": index.notes, "unit": index.unit, "judged": bool(index.scored.any()),
            "problems": len(index.problems), "responses": index.count, "models": sorted(index.models),
            "most": int(np.diff(index.bounds).max(initial=0)),
            "benchmarks": dict(Counter(index.benchmarks)), "subjects": dict(Counter(p.subject for p in index.problems)),
            "levels": dict(sorted(Counter(p.level for p in index.problems).items())),
            "statuses": {name: int(statuses[code]) for name, code in CODES.items() if statuses[code]},
            "reasons": [reason for reason, count in reasons.most_common(15) if count > 1],
        }  # fmt: skip

    def problems(self, given: Parameters) -> dict[str, Any]:
        """One page of the list of problems, in the order and with the filters asked for."""
        number, query = _number(given, "set"), Query.of(given)
        view = self.view(number, query.model)
        search = self._search(number, query.q)
        needed = (
            query.outcome in VOTED
            or query.sort == "votes"
            or (given.get("other", "") and given.get("by") == "majority")
        )
        # The first list is not kept waiting for votes that it does not need: they are counted when it is on its way.
        votes = (
            self.votes(number, query.model, 2.0 if needed else 0.05)
            if needed or number in self._groupings
            else None
        )
        said: dict[str, Any] = {"grouped": 0.0 if votes is None else 1.0, "of": len(view.problems)}
        if needed and (votes is None or self._other_votes(given) is None):
            return {
                **said,
                "grouped": 0.0,
                "share": self._share(number, given),
                "waiting": True,
                "total": 0,
                "rows": [],
            }
        if search is not None:
            said["searched"] = {"done": search.done, "responses": search.searched}
        keep = kept(view, query, votes, search)
        comparison = self._comparison(number, given) if given.get("other") else None
        changes: Ints | None = None
        if comparison is not None:
            changes = np.full(len(view.problems), -1)
            changes[comparison.places] = comparison.changes
            keep &= changes >= 0
            if query.change:
                keep &= changes == list(CHANGES).index(query.change)
            said["compared"] = _compared(comparison, given["by"])
        places = order(view, query, votes, np.flatnonzero(keep))
        start = _number(given, "start", 0)
        rows = [listed(view, place, votes, changes) for place in places[start : start + PAGE].tolist()]
        return {
            **said,
            "share": self.grouping(number).job.share,
            "total": len(places),
            "start": start,
            "rows": rows,
        }

    def _share(self, number: int, given: Parameters) -> float:
        """How far the votes of the sets that the list needs are counted."""
        numbers = {number, _number(given, "other", number)}
        return sum(self.grouping(one).job.share for one in numbers) / len(numbers)

    def _other_votes(self, given: Parameters) -> Votes | None | bool:
        """The votes of the other set if the sets are compared by the majority; True if they are not needed."""
        if not given.get("other") or given.get("by") != "majority":
            return True
        return self.votes(_number(given, "other"), "", 2.0)

    def _search(self, number: int, text: str) -> Search | None:
        if not text.strip():
            return None
        index = self.index(number)
        search = self._once(("search", number, text), lambda: Search(index, text))
        search.go_on()
        return search

    def _comparison(self, number: int, given: Parameters) -> Comparison:
        """The set beside another, by the rule asked for. A model's filter holds for the first set alone."""
        other, by, model = _number(given, "other"), given.get("by", ""), given.get("model", "")
        one, two = self.view(number, model), self.view(other, "")
        mine, theirs = (
            picks(view, by, self.votes(at, name, 2.0) if by == "majority" else None)
            for view, at, name in ((one, number, model), (two, other, ""))
        )
        matched = self._pairs(number, other, model)
        return self._once(
            ("compare", number, other, by, model),
            lambda: Comparison(one, two, matched, mine, theirs, self.worker),
        )

    def _pairs(self, number: int, other: int, model: str) -> Pairs:
        one, two = self.view(number, model), self.view(other, "")
        return self._once(("pairs", number, other, model), lambda: pairs(one, two))

    def problem(self, given: Parameters) -> dict[str, Any]:
        """One problem with all its responses, without their texts; the same problem of the other set beside it."""
        number, query = _number(given, "set"), Query.of(given)
        view = self.view(number, query.model)
        place = int(np.searchsorted(view.problems, _number(given, "problem")))
        if place >= len(view.problems) or view.problems[place] != _number(given, "problem"):
            raise UserError("this set has no such problem; reload the page")
        sides = [side_of(view, place, self.grouping(number), query, self._search(number, query.q))]
        if given.get("other"):
            other = _number(given, "other")
            places, matches = self._pairs(number, other, query.model)
            for match in matches[places == place].tolist():
                found, wide = self._search(other, query.q), replace(query, model="")
                sides.append(side_of(self.view(other, ""), match, self.grouping(other), wide, found))
        return {"sides": sides}

    def texts(self, given: Parameters) -> dict[str, Any]:
        """The texts of some responses of one set."""
        index = self.index(_number(given, "set"))
        rows = _rows(given, index.count)
        return {
            "texts": [
                text_of(index, record, row)
                for row, record in zip(rows, index.source.rows.full(rows), strict=True)
            ]
        }

    def verdict(self, given: Parameters) -> dict[str, Any]:
        """A response graded again, now: its answer, status, reason, and how they were found."""
        index = self.index(_number(given, "set"))
        [row] = _rows(given, index.count)
        return verdict_of(index, row)

    def curves(self, given: Parameters) -> dict[str, Any]:
        """Accuracy over k, over the problems of a benchmark, subject or level, so far as it is computed."""
        number, query = _number(given, "set"), Query.of(given)
        votes = self.votes(number, query.model, 0.5)
        if votes is None:
            return {"share": 0.0, "grouped": self.grouping(number).job.share}
        view, classes = self.view(number, query.model), self.grouping(number).job.result
        assert classes is not None
        where = (query.model, query.benchmark, query.subject, query.level)
        found = self._once(
            ("curves", number, *where), lambda: Curves(view, fits(view, query), classes, self.worker)
        )
        found.job.wait(0.5)
        if found.job.error:
            raise UserError(f"the curves could not be computed: {found.job.error}")
        series = {name: [_percent(e) for e in row] for name, row in found.found.items()}
        return {
            "share": found.job.share, "ks": found.ks, "series": series, "problems": found.problems,
            "benchmarks": found.benchmarks, "n": found.n, "left_out": found.left_out,
        }  # fmt: skip

    def lengths(self, given: Parameters) -> dict[str, Any]:
        """Length against score and accuracy, over the problems of a benchmark, subject or level."""
        query = Query.of(given)
        view = self.view(_number(given, "set"), query.model)
        return lengths(view, fits(view, query))


def _state(paths: Sequence[Path]) -> object:
    """The part files and manifests of all folders with their sizes and times; files are read once."""
    found = []
    for path in paths:
        folder = path if (path / "run.json").exists() else path.parent
        for part in sorted(folder.glob("*-*/*") if path.is_dir() else ()):
            if part.suffix in (".parquet", ".json") and part.is_file():
                found.append((str(part), part.stat().st_size, part.stat().st_mtime_ns))
    return found


def _compared(comparison: Comparison, by: str) -> dict[str, Any]:
    step = comparison.difference()
    return {
        "share": comparison.job.share, "counts": comparison.counts(), "by": by, "problems": len(comparison.places),
        "missing": len(comparison.one.problems) - len(comparison.places),
        "difference": None if step is None else _percent(step),
    }  # fmt: skip


def _percent(e: Estimate) -> dict[str, float]:
    return {"value": 100 * e.value, "low": 100 * e.low, "high": 100 * e.high}


def _number(given: Parameters, name: str, default: int | None = None) -> int:
    text = given.get(name, "")
    if not text and default is not None:
        return default
    if not text.isdecimal():
        raise UserError(f"{name} is {text!r}; it is a whole number")
    return int(text)


def _rows(given: Parameters, count: int) -> list[int]:
    """The numbers of some responses. UserError for more than `TEXTS`, or for one that the set does not have."""
    parts = given.get("rows", "").split(",")
    if len(parts) > TEXTS or not all(part.isdecimal() and int(part) < count for part in parts):
        raise UserError(
            f"rows is {given.get('rows', '')[:60]!r}; it is 1 to {TEXTS} numbers of responses with commas between"
        )
    return [int(part) for part in parts]
