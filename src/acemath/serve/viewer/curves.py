"""Accuracy over k with intervals, and length against score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from acemath.benchmarks.tables import Record, measure, over_benchmarks, per_problem, voteless
from acemath.metrics import Estimate
from acemath.serve.viewer.index import Bools, Ints, View
from acemath.serve.viewer.jobs import Job, Worker

SELECTORS = ("oracle", "reward model", "majority", "random")  # pass@k, rm@k, maj@k, pass@1
BINS = 10
POINTS = 1200  # responses of the scatter plot


class Curves:
    """pass@k, rm@k and maj@k over the problems of a view that have all n responses."""

    def __init__(self, view: View, keep: Bools, classes: Ints, worker: Worker) -> None:
        mine = view.n[keep].astype(int)
        self.n = int(np.bincount(mine).argmax()) if len(mine) else 0  # the number that most problems have
        self._view, self._classes = view, classes
        self._places = np.flatnonzero(keep & (view.n >= self.n)) if self.n else np.zeros(0, np.int64)
        self.left_out = len(mine) - len(self._places)
        self.ks = [2**power for power in range(self.n.bit_length()) if 2**power <= self.n]
        if self.n and self.ks[-1] != self.n:
            self.ks.append(self.n)
        self.found: dict[str, list[Estimate]] = {}
        self.problems, self.benchmarks = len(self._places), 0
        self.job: Job[dict[str, list[Estimate]]] = Job(worker, self._all, lambda: self.found)

    def _all(self) -> Iterator[float]:
        records = [self._record(place) for place in self._places.tolist()]
        self.benchmarks = len({record.benchmark for record in records})
        judged, voted = records and all(r.rewards for r in records), not voteless(records)
        names = [s for s in SELECTORS if {"reward model": judged, "majority": voted}.get(s, True)]
        for done, k in enumerate(self.ks):
            for name in names:
                row = self.found.setdefault(measure(name, "k"), [])
                row.append(over_benchmarks(records, per_problem(records, name, k)))
                yield (done + (names.index(name) + 1) / len(names)) / len(self.ks)

    def _record(self, place: int) -> Record:
        view, index = self._view, self._view.index
        ends = np.append(view.starts, len(view.rows))
        rows = view.rows[ends[place] : ends[place + 1]]
        problem = index.problems[view.problems[place]]
        rewards = np.nan_to_num(index.reward[rows], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        return Record(
            benchmark=index.benchmarks[view.problems[place]],
            problem_id=problem.id,
            level=problem.level,
            classes=tuple(self._classes[rows].tolist()),
            correct=tuple(index.right[rows].tolist()),
            rewards=tuple(rewards.tolist()) if view.judged[place] else (),
            lengths=tuple(index.length[rows].tolist()),
        )


def lengths(view: View, keep: Bools) -> dict[str, Any]:
    """Bins of about equally many responses by length, with accuracy and mean reward, and some responses as points.

    A share's interval is Wilson's at 95 %, over responses: those of one problem are not independent, so that it is narrow.
    """
    index = view.index
    mine = np.isin(index.problem[view.rows], view.problems[keep])
    rows = view.rows[mine]
    # Responses of one length share a bin.
    edges = (
        np.unique(np.quantile(index.length[rows], np.arange(1, BINS) / BINS)) if len(rows) else np.zeros(0)
    )
    where = np.searchsorted(edges, index.length[rows], side="left")
    bins = []
    for number in np.unique(where).tolist():
        part = rows[where == number]
        rewards = index.reward[part][np.isfinite(index.reward[part])]
        share, low, high = _share(int(index.right[part].sum()), len(part))
        bins.append(
            {
                "from": int(index.length[part].min()), "to": int(index.length[part].max()), "n": len(part),
                "accuracy": share, "low": low, "high": high,
                "reward": float(rewards.mean()) if len(rewards) else None,
            }
        )  # fmt: skip
    scored = rows[np.isfinite(index.reward[rows])]
    # Some of all, spread evenly by a fixed seed: the same page every time.
    some = np.sort(np.random.default_rng(0).permutation(len(scored))[:POINTS])
    points = [[int(index.length[r]), float(index.reward[r]), bool(index.right[r])] for r in scored[some]]
    return {"unit": index.unit, "bins": bins, "points": points, "scored": len(scored), "responses": len(rows)}


def _share(right: int, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """A share with Wilson's interval."""
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, float(middle - half), float(middle + half)
