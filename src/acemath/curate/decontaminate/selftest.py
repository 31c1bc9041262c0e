"""The self-test of decontamination: plant changed copies of benchmark problems, and count how many are found.

Recall is counted by kind of change, over a seeded sample of all benchmark problems. False positives are counted on the
given prompts, where every hit counts as false, and on worksheet problems, which are generated and contain no copies.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from acemath.curate.decontaminate.changes import CHANGES, Change
from acemath.curate.decontaminate.index import Hit
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.curate.settings import DecontaminateSettings
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import SOURCE, draw_problems
from acemath.errors import UserError
from acemath.records import Problem

TARGETS: dict[Change, float] = {
    "re-wrapped": 0.99,
    "LaTeX spacing": 0.99,
    "casing": 0.99,
    "one sentence added": 0.99,
    "renamed variables": 0.95,
    "changed numbers": 0.95,
}  # a paraphrase has none: whether it is found depends on its wording
FALSE_POSITIVES = 0.001  # the largest share of clean problems with a hit
EXAMPLES = 3
WORKSHEETS = 1000


@dataclass(frozen=True, slots=True)
class Recall:
    """The planted copies of one kind of change: how many, the hits by kind, and examples of missed ones."""

    change: str
    planted: int
    leak: int
    contained: int
    near_copy: int
    reworded: int
    target: float | None
    missed: tuple[str, ...]

    @property
    def recall(self) -> float:
        """The share with a hit of any kind; 1.0 if nothing could be planted."""
        found = self.leak + self.contained + self.near_copy + self.reworded
        return found / self.planted if self.planted else 1.0


@dataclass(frozen=True, slots=True)
class Clean:
    """The problems of a source that should have no copies: how many, and the hits by kind."""

    source: str
    n: int
    leak: int
    contained: int
    near_copy: int
    reworded: int

    @property
    def rate(self) -> float:
        """The share with a hit: the false-positive rate if the source has no copies."""
        return (self.leak + self.contained + self.near_copy + self.reworded) / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of the self-test."""

    recalls: tuple[Recall, ...]
    clean: tuple[Clean, ...]

    def record(self) -> dict[str, Any]:
        """The result as plain values, with the rates."""
        return {
            "recall": [{**asdict(row), "recall": round(row.recall, 4)} for row in self.recalls],
            "false_positives": [{**asdict(row), "rate": round(row.rate, 5)} for row in self.clean],
        }


def plant(benchmarks: Sequence[Problem], each: int, seed: int) -> list[tuple[Change, Problem]]:
    """Changed copies of benchmark problems: at most `each` per kind of change, of problems that it applies to."""
    planted: list[tuple[Change, Problem]] = []
    for name, change in CHANGES.items():
        rng = random.Random(f"{seed}:{name}")
        count = 0
        for place in rng.sample(range(len(benchmarks)), len(benchmarks)):
            if count == each:
                break
            text = change(benchmarks[place].prompt, random.Random(f"{seed}:{name}:{place}"))
            if text is not None:
                planted.append((name, Problem(f"planted-{name}-{place}", text, subject="math")))
                count += 1
    return planted


def self_test(
    prompts: Sequence[Problem],
    benchmarks: Sequence[Problem],
    settings: DecontaminateSettings,
    each: int = 500,
    seed: int = 0,
    processes: int | None = 1,
) -> SelfTest:
    """Plant copies among the prompts, scan them together, and count. UserError if there are no benchmark problems.

    The seed determines the copies and their places.
    """
    if not benchmarks:
        raise UserError("the self-test has 0 benchmark problems to plant; name a benchmark that has some")
    planted = plant(benchmarks, each, seed)
    kinds: dict[str, Change] = {row.id: name for name, row in planted}
    sheets = [] if any(row.source == SOURCE for row in benchmarks) else _worksheets(seed)
    rows = [*((row, "given") for row in prompts), *((row, SOURCE) for row in sheets)]
    rows += [(row, "planted") for _, row in planted]
    random.Random(f"{seed}:order").shuffle(rows)
    hits = scan([row for row, _ in rows], Decontaminator(benchmarks, settings), processes)
    found: dict[str, list[tuple[Problem, Hit | None]]] = {}
    for (row, origin), hit in zip(rows, hits, strict=True):
        found.setdefault(kinds[row.id] if origin == "planted" else origin, []).append((row, hit))
    recalls = tuple(_recall(name, found.get(name, [])) for name in CHANGES)
    names = (("given", "given prompts"), (SOURCE, "worksheets"))
    return SelfTest(recalls, tuple(_clean(text, found[name]) for name, text in names if name in found))


def _worksheets(seed: int) -> list[Problem]:
    return list(draw_problems("train", WORKSHEETS, seed, MATH_SUBJECTS))


def _kinds(rows: Sequence[tuple[Problem, Hit | None]]) -> Counter[str]:
    return Counter(hit.kind for _, hit in rows if hit is not None)


def _recall(name: Change, rows: Sequence[tuple[Problem, Hit | None]]) -> Recall:
    kinds = _kinds(rows)
    missed = sorted((row.id, row.prompt) for row, hit in rows if hit is None)
    return Recall(
        name,
        len(rows),
        kinds["leak"],
        kinds["contained"],
        kinds["near-copy"],
        kinds["reworded"],
        TARGETS.get(name),
        tuple(text for _, text in missed[:EXAMPLES]),
    )


def _clean(source: str, rows: Sequence[tuple[Problem, Hit | None]]) -> Clean:
    kinds = _kinds(rows)
    return Clean(source, len(rows), kinds["leak"], kinds["contained"], kinds["near-copy"], kinds["reworded"])
