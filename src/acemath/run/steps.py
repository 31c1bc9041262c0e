"""The funnel of a run: what each step kept and dropped, from seeds to checked responses, by source of the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from acemath.curate.funnel import EXAMPLES, step_of
from acemath.records import Dropped, Problem, Response
from acemath.run.store import StageStore

LOOKED_AT = 20_000  # dropped rows of a stage that are searched for examples


def step_facts(
    name: str,
    sources: Iterable[str],
    dropped: Sequence[Dropped],
    reported: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The counts of a step in one partition, as facts that add up over partitions."""
    counts = asdict(step_of(name, sources, dropped, reported))
    del counts["examples"], counts["name"]
    return {"funnel": {name: counts}}


def response_facts(
    name: str, prompts: Iterable[Problem], kept: Sequence[Response], dropped: Sequence[Dropped]
) -> dict[str, Any]:
    """`step_facts` for a step on responses, counted by the source of their prompts."""
    sources = {p.id: p.source for p in prompts}
    return step_facts(
        name,
        [sources[row.problem_id] for row in kept],
        [replace(row, source=sources[row.id]) for row in dropped],
    )


def funnel(stores: Iterable[StageStore]) -> list[dict[str, Any]]:
    """All steps of some finished stages in order, each with examples of what it dropped."""
    return [
        {"name": name, **counts, "examples": _examples(store.dropped())}
        for store in stores
        for name, counts in store.manifest["facts"].get("funnel", {}).items()
    ]


def _examples(dropped: Iterator[Dropped]) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each reason, among the first `LOOKED_AT` dropped rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in islice(dropped, LOOKED_AT):
        mine = found.setdefault(row.reason, [])
        if len(mine) < EXAMPLES:
            mine.append(asdict(row))
    return dict(sorted(found.items()))
