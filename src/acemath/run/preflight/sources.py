"""Checks of the sources: each opens, its columns are mapped, a benchmark has its size. Those on this machine are counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from acemath.curate.columns import groups_or_faults, problems_of
from acemath.curate.dedup import text_digest
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.columns import lowered
from acemath.files.conversations import chat_of
from acemath.recipe.counts import BENCHMARKS, SEEDS, ready_key
from acemath.recipe.schema import Recipe
from acemath.recipe.sources import Source, size_of
from acemath.records import Problem
from acemath.run.demonstrations import asked, demonstrated, read_demonstrations
from acemath.run.preflight.finding import Findings
from acemath.run.source_rows import local_path, read_benchmark, read_source, records_of, worked_examples

LOOKED_AT = 100  # records whose columns are compared with the recipe's
BENCH = "benchmarks"


@dataclass
class Read:
    """What was read: the different prompts of sources by key, and the longest prompt (in characters) of each kind.

    A kind is a group of subjects ("math", "code", "general") or "benchmarks"; its prompt comes with the key of its source. `tests` are
    digests of the benchmarks' prompts, `shots` the worked problems of candidates, by the candidate's key.
    """

    rows: dict[str, int] = field(default_factory=dict)
    longest: dict[str, tuple[str, str]] = field(default_factory=dict)
    tests: set[bytes] = field(default_factory=set)
    shots: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def see(self, key: str, kind: str, prompt: str) -> None:
        """Remember a prompt if it is the longest."""
        if len(prompt) > len(self.longest.get(kind, ("", ""))[1]):
            self.longest[kind] = (key, prompt)


def check_sources(recipe: Recipe, found: Findings, network: bool, count: bool) -> Read:
    """Check all sources. With `count`, those on this machine are read whole; others only at their beginning."""
    read = Read()
    for name in recipe.problems.seeds:
        with found.faults(SEEDS + name):
            _seed(recipe, SEEDS + name, name, found, read, network, count)
    for name, source in recipe.problems.benchmarks.items():
        with found.faults(BENCHMARKS + name):
            _benchmark(recipe, name, source, found, read, network)
    for key, source, kind in _ready(recipe):
        with found.faults(key):
            _ready_rows(key, source, kind, found, read, network, count)
    for name, policy in recipe.reward.candidates.policies.items():
        if isinstance(policy.shots, Source):
            key = f"reward.candidates.policies.{name}"
            with found.faults(f"{key}.shots"):
                _shots(f"{key}.shots", key, policy.shots, found, read, network)
    return read


def _shots(key: str, policy: str, source: Source, found: Findings, read: Read, network: bool) -> None:
    """The worked problems before those of a candidate: each has an answer, and none is a benchmark's."""
    if source.file is None and local_path(source) is None and not network:
        found.add(key, "not checked", f"data set {source.hub} of the hub: it was not opened")
        return
    with gated(source):
        worked = worked_examples(key, source)
    if leaks := sum(text_digest(row.prompt) in read.tests for row in worked):
        raise UserError(f"{key}: {leaks} of {len(worked)} worked problems are problems of the benchmarks; name another split or file")
    read.shots[policy] = [(row.prompt, row.answer) for row in worked]
    found.add(key, "good", f"{len(worked)} worked problems")


def _ready(recipe: Recipe) -> Iterator[tuple[str, Source, str]]:
    """The data that are ready to train on: their key, their source, and what they hold."""
    for name, stage in recipe.sft.stages.items():
        if stage.data is not None:
            yield ready_key(name), stage.data, "conversations"
    if recipe.reward.data is not None:
        yield ready_key(None), recipe.reward.data, "groups"


def _ready_rows(key: str, source: Source, kind: str, found: Findings, read: Read, network: bool, count: bool) -> None:
    here = source.file is not None or local_path(source) is not None
    if not here and not network:
        found.add(key, "not checked", f"data set {source.hub} of the hub: it was not opened")
        return

    def rows(most: int | None) -> Iterator[object]:
        records = islice(records_of(key, source), most)
        if kind == "groups":
            yield from groups_or_faults((record for _, record in records), key)
            return
        for place, record in records:
            try:
                yield chat_of(record, place, key, source.license)
            except UserError as error:
                yield error

    with gated(source):
        first = list(rows(LOOKED_AT))
    if not first:
        raise UserError(f"{key} holds no rows; give another file or data set")
    if isinstance(first[0], UserError):
        raise first[0]
    size = "the first rows"
    if here and count:
        whole = round(source.share * sum(1 for row in rows(None) if not isinstance(row, UserError)))
        read.rows[key] = min(whole, source.count or whole)
        size = f"{read.rows[key]:,}"
    wrong = sum(isinstance(row, UserError) for row in first)
    more = f"; of the first {len(first)}, {wrong} have another form and will be dropped" if wrong else ""
    forbids = ", which forbids commercial use" if non_commercial([source.license]) else ""
    found.add(key, "note" if wrong or forbids else "good", f"{size} {kind}; licence {source.license or 'not stated'}{forbids}{more}")


def _seed(recipe: Recipe, key: str, name: str, found: Findings, read: Read, network: bool, count: bool) -> None:
    source = recipe.problems.seeds[name]
    if source.worksheets is not None:
        found.add(key, "good", f"{size_of(source):,} worksheets")
        return
    here = source.file is not None or local_path(source) is not None
    if not here and not network:
        found.add(key, "not checked", f"data set {source.hub} of the hub: it was not opened")
        return
    with gated(source):
        records = list(islice(records_of(name, source), LOOKED_AT))
    if not records:
        raise UserError(f"source {name!r} holds no rows; give another file, or leave it out")
    check_columns(key, [record for _, record in records], source.columns)
    rows = list(problems_of(iter(records), source.columns, name, source.subject, source.license))
    for row in rows:
        read.see(key, row.group, row.prompt)
    size = f"at least {len(rows)} prompts"
    if here and count:
        read.rows[key] = len(set(_digests(key, read_source(name, source, 0), read)))
        size = f"{read.rows[key]:,} different prompts"
    if source.use != "reward" and (lacking := sorted({row.group for row in rows} - set(recipe.roles.teachers))):
        raise UserError(
            f"no teacher answers the {lacking[0]} prompts; name a model as roles.teachers.{lacking[0]}, or leave them out"
        )
    licence = source.license or (rows[0].license if rows else "")
    words = f"; licence {licence}" + (", no commercial use" if non_commercial([licence]) else "") if licence else ""
    found.add(key, "good", f"{size}, columns found{words}")


def _digests(key: str, rows: Iterator[Problem], read: Read) -> Iterator[bytes]:
    for row in rows:
        read.see(key, row.group, row.prompt)
        yield text_digest(row.prompt)


def _benchmark(recipe: Recipe, name: str, source: Source, found: Findings, read: Read, network: bool) -> None:
    key = BENCHMARKS + name
    here = source.worksheets is not None or source.file is not None or local_path(source) is not None
    if not here and not network:
        found.add(key, "not checked", "on the hub: it was not opened, and its size not compared")
        return
    with gated(source):
        rows = read_benchmark(name, source, recipe.seed)
        shots = {name: read_demonstrations(source)} if name in demonstrated(recipe) else {}
    if not any(row.answer for row in rows):
        raise UserError(
            f"benchmark {name!r} holds no problem with a reference answer (it has {len(rows):,} problems); correct its file, "
            f"or name the column in {key}.columns.answer"
        )
    read.tests.update(text_digest(row.prompt) for row in rows)
    for row in asked(rows, shots):
        read.see(key, BENCH, row.prompt)
    if source.benchmark is None and source.worksheets is None:
        read.rows[key] = len(rows)
    lacking = sum(not row.answer for row in rows)
    words = f", of which {lacking:,} have no reference answer and are left out" if lacking else ""
    found.add(key, "note" if lacking else "good", f"{len(rows):,} problems{words}{', after demonstrations' if shots else ''}")


def check_columns(key: str, records: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
    """UserError for a column that the recipe names and none of the records has.

    A run would find no prompt; a reference answer that is not found is only missing, so nothing would tell.
    """
    there = {name for record in records for name in lowered(record)}
    for ours, theirs in columns.items():
        if theirs not in there and theirs.split(".")[0] not in there:
            known = ", ".join(sorted({str(name) for record in records for name in record}))
            raise UserError(f"{key}.columns.{ours} is {theirs!r}, and the rows have no such column; they have {known}")


@contextmanager
def gated(source: Source) -> Iterator[None]:
    """Say of a data set whose terms nobody accepted what to do, in place of the hub's words."""
    try:
        yield
    except UserError as error:
        if source.hub is not None and not Path(source.hub).exists() and "gated" in str(error):
            raise UserError(terms(f"data set {source.hub!r}", f"datasets/{source.hub}")) from error
        raise


def terms(what: str, path: str) -> str:
    """The line for a repository of the hub whose terms nobody accepted."""
    return f"{what} is gated: accept its terms at https://huggingface.co/{path}, then hf auth login (or set HF_TOKEN)"
