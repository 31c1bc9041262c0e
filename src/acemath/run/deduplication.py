"""Stages that drop copies of prompts: exact copies (paper, section 3.2) and, if the recipe says so, near copies.

Which copy is kept does not depend on the order of a file. Seeds are kept before evolved prompts, prompts of earlier
sources of the recipe before those of later ones, and within a source the prompt with the smallest hash of its id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from acemath.curate.dedup import text_digest
from acemath.curate.near import near_twins
from acemath.recipe.sources import column_value
from acemath.records import ROOT, Dropped, Problem, content_key
from acemath.run.context import Run
from acemath.run.stage import Everything, Facts, Reduction
from acemath.run.steps import step_facts

COLUMNS = ("id", "prompt", "source", "meta")
Marks = NDArray[np.bool_]


@dataclass
class _Copies:
    """What is held in memory of each prompt: a hash of its text (16 bytes), its rank (8 bytes), and its id."""

    sources: dict[str, int]
    digests: list[NDArray[np.uint64]] = field(default_factory=list)  # [rows of a batch, 2]
    ranks: list[NDArray[np.uint64]] = field(default_factory=list)
    ids: list[pa.Array] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch) -> None:
        ids, prompts, sources, metas = (batch.column(name) for name in COLUMNS)
        texts = b"".join(text_digest(text) for text in prompts.to_pylist())
        self.digests.append(np.frombuffer(texts, np.uint64).reshape(-1, 2))
        self.ranks.append(ranks_of(ids, sources, metas, self.sources))
        self.ids.append(ids)

    def kept(self) -> tuple[Marks, NDArray[np.int64]]:
        """Whether each row is kept, and the number of the row that is kept among its copies."""
        digests = np.concatenate(self.digests) if self.digests else np.zeros((0, 2), np.uint64)
        ranks = np.concatenate(self.ranks) if self.ranks else np.zeros(0, np.uint64)
        order = np.lexsort((ranks, digests[:, 0], digests[:, 1]))
        ordered = digests[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        instead = np.empty(len(order), np.int64)
        instead[order] = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
        return instead == np.arange(len(order)), instead


def ranks_of(ids: pa.Array, sources: pa.Array, metas: pa.Array, order: dict[str, int]) -> NDArray[np.uint64]:
    """Each prompt's rank; of several copies the lowest is kept. 1 bit for evolved, 15 for the source, 48 for the id's hash."""
    found = np.empty(len(ids), np.uint64)
    rows = zip(ids.to_pylist(), sources.to_pylist(), metas.to_pylist(), strict=True)
    for at, (name, source, meta) in enumerate(rows):
        root = json.loads(meta).get(ROOT) if meta else None
        place = min(order.get(source, 2**15 - 1), 2**15 - 1)
        # The same worksheet may be evolved from two seeds under one id; the root tells the two apart.
        own = content_key(name) if root is None else content_key(name, root)
        found[at] = (root is not None) << 63 | place << 48 | int(own, 16) >> 16
    return found


def _places(run: Run) -> dict[str, int]:
    """The place of each source among the recipe's seeds, by its value in the `source` column."""
    seeds = run.recipe.problems.seeds
    return {name: n for n, name in enumerate(dict.fromkeys(column_value(k, s) for k, s in seeds.items()))}


def deduplicated(run: Run) -> Reduction:
    """One prompt of each text after lower-casing."""
    sources = _places(run)

    def work(all: Everything) -> None:
        copies = _Copies(sources)
        for batch in all.batches("filter-prompts", COLUMNS):
            copies.add(batch)
        marks, instead = copies.kept()
        ids = pa.chunked_array(copies.ids, pa.string())

        def dropped(rows: Sequence[Problem], at: int) -> list[Dropped]:
            return [
                Dropped(
                    row.id, "dedup", "duplicate", row.prompt, row.source, f"same as {ids[int(instead[at + n])]}"
                )
                for n, row in enumerate(rows)
                if not marks[at + n]
            ]

        _write(all, "filter-prompts", "deduplicate", marks, dropped)

    return Reduction(
        "deduplicate", {"sources": list(sources)}, ("filter-prompts",), work=work, summary=_summary
    )


class _Ordered(Sequence[str]):
    """Texts of an Arrow column in another order. A text becomes a Python string when it is read."""

    def __init__(self, texts: pa.ChunkedArray, order: NDArray[np.int64]) -> None:
        self._texts, self._order = texts, order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [str(self._texts[int(row)]) for row in self._order[at]]
        return str(self._texts[int(self._order[at])])


def without_near_copies(run: Run) -> list[Reduction]:
    """One prompt of those that are nearly equal, if `curate.near` is set. Our addition. Holds all prompts in memory."""
    settings = run.recipe.curate.near
    if settings is None:
        return []
    sources = _places(run)

    def work(all: Everything) -> None:
        ids, prompts, ranks = [], [], []
        for batch in all.batches("deduplicate", COLUMNS):
            ids.append(batch.column("id"))
            prompts.append(batch.column("prompt"))
            ranks.append(ranks_of(batch.column("id"), batch.column("source"), batch.column("meta"), sources))
        order = np.argsort(np.concatenate(ranks), kind="stable") if ranks else np.zeros(0, np.int64)
        names, texts = (_Ordered(pa.chunked_array(column, pa.string()), order) for column in (ids, prompts))
        twin, facts = near_twins(texts, names, settings, None)
        marks = np.ones(len(order), np.bool_)
        details: dict[int, str] = {}
        for at, of in enumerate(twin):
            if of is not None:
                marks[order[at]] = False
                details[int(order[at])] = f"near {names[of[0]]}, similarity {of[1]:.2f}"

        def dropped(rows: Sequence[Problem], at: int) -> list[Dropped]:
            return [
                Dropped(row.id, "near-dedup", "near-duplicate", row.prompt, row.source, details[at + n])
                for n, row in enumerate(rows)
                if not marks[at + n]
            ]

        _write(all, "deduplicate", "drop near copies", marks, dropped, {"near": facts.record()})

    return [
        Reduction(
            "drop-near-copies",
            {"near": settings.model_dump(), "sources": list(sources)},
            ("deduplicate",),
            work=work,
            summary=_summary,
        )
    ]


def _write(
    all: Everything,
    name: str,
    step: str,
    marks: Marks,
    dropped: Callable[[Sequence[Problem], int], list[Dropped]],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write the rows of the stage `name` that `marks` keeps, part by part. `marks` has a value for each row, in order."""
    at = 0
    for part in all.parts():
        rows = part.rows(name, Problem)
        kept = [row for n, row in enumerate(rows) if marks[at + n]]
        out = dropped(rows, at)
        facts = {"rows": len(kept)} | step_facts(step, (row.source for row in kept), out)
        part.write(kept, Problem, out, facts | dict(more or {} if part.number == 0 else {}))
        at += len(rows)
        all.progress(part.number + 1, all.count)


def _summary(facts: Facts) -> str:
    return f"{facts['rows']:,} prompts kept"
