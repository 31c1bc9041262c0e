"""A stage that chooses some problems by the hashes of their ids, so that the choice hardly changes when others are added."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from acemath.records import BENCHMARK, Problem, content_key
from acemath.run.partitions import Space
from acemath.run.stage import Everything, Facts, Part, Reduction


def chosen(
    name: str,
    given: str,
    count: int | None,
    *,
    answered: bool,
    space: Space = "training",
    math: bool = False,
    without: Collection[str] = (),
    only: Collection[str] = (),
    always: Collection[str] = (),
) -> Reduction:
    """At most `count` problems of the stage `given`; of benchmarks an equal number each, and at least one of each.

    `answered` leaves out problems without a reference answer, `math` those of code and general subjects, `without`
    those of these sources, `only` those of all others. Problems of sources in `always` are all chosen, and not counted.
    """

    def candidates(part: Part) -> Iterable[tuple[str, int, bool]]:
        """Each problem's benchmark ("" for training problems), its rank (-1: chosen at once), and whether it may be chosen."""
        for batch in part.batches(given, ("id", "subject", "answer", "source", "meta")):
            ids, names, sources, metas = (batch.column(n).to_pylist() for n in ("id", "subject", "source", "meta"))
            known = pc.greater(pc.binary_length(batch.column("answer")), 0).to_pylist()
            for key, subject, has_answer, source, meta in zip(ids, names, known, sources, metas, strict=True):
                fits = (has_answer or not answered) and not (math and subject in ("code", "general"))
                fits = fits and source not in without and (not only or source in only)
                benchmark = str(json.loads(meta)[BENCHMARK]) if space == "benchmarks" else ""
                yield benchmark, -1 if source in always else int(content_key(key), 16), fits

    def work(all: Everything) -> None:
        limits = {} if count is None else _limits((row for part in all.parts() for row in candidates(part)), count)
        for part in all.parts():
            kept = [
                row
                for row, (benchmark, rank, fits) in zip(part.rows(given, Problem), candidates(part), strict=True)
                if fits and (count is None or rank <= limits[benchmark])
            ]
            part.write(kept, Problem, facts={"rows": len(kept)})

    def summary(facts: Facts) -> str:
        return f"{facts['rows']:,} problems"

    settings: dict[str, Any] = {"count": count, "answered": answered, "math": math, "without": sorted(without)}
    settings |= {key: sorted(value) for key, value in (("only", only), ("always", always)) if value}
    return Reduction(name, settings, (given,), work=work, summary=summary, space=space)


def _limits(rows: Iterable[tuple[str, int, bool]], count: int) -> dict[str, int]:
    """The largest rank that is chosen, by benchmark."""
    ranks: dict[str, list[int]] = {}
    for benchmark, rank, fits in rows:
        ranks.setdefault(benchmark, [])
        if fits and rank >= 0:
            ranks[benchmark].append(rank)
    each = max(1, count // max(1, len(ranks)))
    return {benchmark: _smallest(np.array(found, np.uint64), each) for benchmark, found in ranks.items()}


def _smallest(ranks: NDArray[np.uint64], count: int) -> int:
    """The `count`-th smallest rank, or the largest where there are fewer; 0 for none."""
    if not len(ranks):
        return 0
    return int(ranks.max()) if len(ranks) <= count else int(np.partition(ranks, count - 1)[count - 1])
