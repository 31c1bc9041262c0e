"""Decontamination of many prompts: screen them, compare the suspects, sort out the hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

from acemath.curate.decontaminate.index import KINDS, BenchmarkIndex, Hit
from acemath.curate.decontaminate.instructions import Wrapper, unwrapped, wrappers_of
from acemath.curate.decontaminate.screen import Screen
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.workers import CHUNK, in_processes, workers_for
from acemath.errors import UserError
from acemath.notices import say
from acemath.records import Dropped, Problem

MIN_SCREENED = 500  # prompts for which it pays to build the screen
Prompt = tuple[str, str, str, bool]  # id, text, answer, whether it is math: cheaper to send to a process than a Problem


class Decontaminator:
    """Finds prompts that copy a problem of some benchmarks. The index is built once; the screen when first needed."""

    def __init__(self, benchmarks: Sequence[Problem], settings: DecontaminateSettings) -> None:
        self.index = BenchmarkIndex(benchmarks, settings)

    @cached_property
    def screen(self) -> Screen:
        """Clears most prompts without comparing each."""
        return Screen(self.index)

    def hits(self, prompts: Sequence[Prompt]) -> list[tuple[int, Hit]]:
        """The hits among some prompts, each with its prompt's position."""
        suspects: Sequence[int] = range(len(prompts))
        if len(prompts) >= MIN_SCREENED:
            suspects = self.screen.suspects(unwrapped(text, self.index.wrappers) for _, text, *_ in prompts)
        found = ((at, self.index.find(Problem(*prompts[at][:3]), prompts[at][3])) for at in suspects)
        return [(at, hit) for at, hit in found if hit is not None]


def scan(
    rows: Sequence[Problem],
    decontaminator: Decontaminator,
    processes: int | None = 1,
    wrappers: Sequence[Wrapper] | None = None,
) -> list[Hit | None]:
    """The hit of each prompt, in order; the same for any number of processes.

    An instruction that all prompts of a source share is ignored. `wrappers` are these instructions if `rows` are only
    part of the prompts; by default they are found among the rows. For the number of processes, None chooses the number of processes by `workers_for`;
    with more than one, see `in_processes`.
    """
    processes = workers_for(len(rows)) if processes is None else processes
    if wrappers is None:
        wrappers = wrappers_of((row.source, row.prompt) for row in rows)
    starts = range(0, len(rows), CHUNK)
    chunks = (
        [(row.id, unwrapped(row.prompt, wrappers), row.answer, row.group == "math") for row in rows[at : at + CHUNK]]
        for at in starts
    )
    found: Iterator[list[tuple[int, Hit]]]
    if processes == 1:
        found = map(decontaminator.hits, chunks)
    else:
        index = decontaminator.index
        found = in_processes(_hits_in_worker, chunks, processes, _start, (index.benchmarks, index.settings))
    hits: list[Hit | None] = [None] * len(rows)
    for start, some in zip(starts, found, strict=True):
        for at, hit in some:
            hits[start + at] = hit
    return hits


_of_worker: list[Decontaminator] = []  # the one of this worker process


def _start(benchmarks: list[Problem], settings: DecontaminateSettings) -> None:
    _of_worker[:] = [Decontaminator(benchmarks, settings)]


def _hits_in_worker(prompts: Sequence[Prompt]) -> list[tuple[int, Hit]]:
    return _of_worker[0].hits(prompts)


def sorted_out(
    rows: Sequence[Problem], hits: Sequence[Hit | None], settings: DecontaminateSettings
) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that stay and those that their hits drop."""
    kept, dropped = [], []
    for row, hit in zip(rows, hits, strict=True):
        if hit is not None and _drops(hit, settings):
            detail = f"{hit.benchmark} {hit.benchmark_id}: {hit.shared!r}, common {hit.lcs:.0%}"
            dropped.append(Dropped(row.id, "decontaminate", hit.kind, row.prompt, row.source, detail))
        else:
            kept.append(row)
    return kept, dropped


def reported_of(hits: Sequence[Hit | None], settings: DecontaminateSettings) -> dict[str, int]:
    """The number of prompts that stay despite a hit, for each kind that is not dropped, in the order of `KINDS`."""
    found = Counter(hit.kind for hit in hits if hit is not None and not _drops(hit, settings))
    return {kind: found[kind] for kind in KINDS if kind != "leak" and kind not in settings.drop}


def _drops(hit: Hit, settings: DecontaminateSettings) -> bool:
    return hit.kind == "leak" or hit.kind in settings.drop


def checked_benchmark(name: str, rows: Sequence[Problem]) -> list[Problem]:
    """The problems of a benchmark, with a notice of those without a text. UserError if none has one: nothing would be found."""
    empty = sum(not row.prompt.strip() for row in rows)
    if empty == len(rows):
        raise UserError(
            f"benchmark {name}: 0 problems in it, so no prompt could leak it; name a file that has some, or leave it out"
        )
    if empty:
        say(f"benchmark {name}: {empty:,} of {len(rows):,} problems have no text, so no prompt is found to leak them")
    return list(rows)
