"""Checks of the sources: each opens, its columns are mapped, a benchmark has its size. Those on this machine are counted."""

from __future__ import annotations

import re
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
from acemath.files.fitting import short
from acemath.grade.base.guards import problem_of
from acemath.recipe.counts import BENCHMARKS, SEEDS, ready_key
from acemath.recipe.schema import Recipe
from acemath.recipe.sources import Source, size_of
from acemath.run.demonstrations import asked, demonstrated, read_demonstrations
from acemath.run.preflight.finding import Findings
from acemath.run.source_rows import local_path, read_benchmark, read_source, records_of, worked_examples

LONG = 8  # words of a reference answer, without those of LaTeX; longer ones are sentences
LOOKED_AT = 100  # records whose columns are compared with the recipe's
BENCH = "benchmarks"
_WORD = re.compile(r"(?<![\\\w{])[A-Za-z]{2,}(?!\w)")


@dataclass
class Read:
    """What was read: the different prompts of sources by key, and the longest prompt (in characters) of each kind.

    A kind is a group of subjects ("math", "code", "general") or "benchmarks"; its prompt comes with the key of its source. `tests` are
    digests of the benchmarks' prompts, `shots` the worked problems of candidates, by the candidate's key. `answered` is the number of
    math prompts with a reference answer, by source.
    """

    rows: dict[str, int] = field(default_factory=dict)
    longest: dict[str, tuple[str, str]] = field(default_factory=dict)
    tests: set[bytes] = field(default_factory=set)
    answered: dict[str, int] = field(default_factory=dict)
    shots: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def see(self, key: str, kind: str, prompt: str) -> None:
        """Remember a prompt if it is the longest."""
        if len(prompt) > len(self.longest.get(kind, ("", ""))[1]):
            self.longest[kind] = (key, prompt)


def check_sources(recipe: Recipe, found: Findings, network: bool, count: bool) -> Read:
    """Check all sources. With `count`, those on this machine are read whole; others only at their beginning."""
    read = Read()
    for name, source in recipe.problems.benchmarks.items():
        with found.faults(BENCHMARKS + name):
            _benchmark(recipe, name, source, found, read, network)
    for name in recipe.problems.seeds:
        with found.faults(SEEDS + name):
            _seed(recipe, SEEDS + name, name, found, read, network, count)
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
    whole = here and count
    different, references = set[bytes](), References()
    for row in read_source(name, source, 0) if whole else rows:
        read.see(key, row.group, row.prompt)
        different.add(text_digest(row.prompt))
        if row.group == "math":
            references.see(row.answer)
    size = f"at least {len(rows)} prompts"
    if whole:
        read.rows[key] = len(different)
        size = f"{read.rows[key]:,} different prompts"
    if leaks := len(different & read.tests):
        if leaks == len(different):
            raise UserError(f"all of its {leaks:,} prompts are problems of the benchmarks, which nothing may train on; give other prompts")
        size += f", of which {leaks:,} are problems of the benchmarks and are left out"
    read.answered[key] = references.rows - references.lacking
    _references(recipe, key, source, references, found)
    if source.use != "reward" and (lacking := sorted({row.group for row in rows} - set(recipe.roles.teachers))):
        raise UserError(
            f"no teacher answers the {lacking[0]} prompts; name a model as roles.teachers.{lacking[0]}, or leave them out"
        )
    licence = source.license or (rows[0].license if rows else "")
    words = f"; licence {licence}" + (", no commercial use" if non_commercial([licence]) else "") if licence else ""
    found.add(key, "good", f"{size}, columns found{words}")


@dataclass
class References:
    """Reference answers that were looked at: how many rows, how many without one, and how many that hardly any answer can equal."""

    rows: int = 0
    lacking: int = 0
    long: int = 0
    first: str = ""  # of the long ones

    def see(self, answer: str) -> None:
        """Look at one; "" is none. Sentences are long, and so is what the grader refuses to read."""
        self.rows += 1
        self.lacking += not answer
        if len(_WORD.findall(answer)) > LONG or problem_of(answer) is not None:
            self.long, self.first = self.long + 1, self.first or answer

    def note(self, key: str, found: Findings) -> None:
        """Add a note on the long ones, if there are any."""
        if self.long:
            found.add(
                key, "note",
                f"{self.long:,} of {self.rows:,} reference answers are sentences of more than {LONG} words, or cannot be read (the first: "
                f"{short(self.first)}): hardly a response will equal them",
            )  # fmt: skip


def _references(recipe: Recipe, key: str, source: Source, seen: References, found: Findings) -> None:
    """Say which math prompts of a source have no reference answer. UserError if none has, and the recipe keeps nothing without."""
    drops = recipe.curate.filters.right and source.use != "reward"
    if seen.rows and seen.lacking == seen.rows and drops:
        raise UserError(
            f"none of its math prompts has a reference answer, and curate.filters.right drops all responses to them; name the column in "
            f"{key}.columns.answer, or leave the filter out"
        )
    if seen.lacking:
        then = "responses to them are dropped (curate.filters.right)" if drops else "they train a reward model only with roles.labeller"
        found.add(key, "note", f"{seen.lacking:,} of {seen.rows:,} math prompts have no reference answer: {then}")
    seen.note(key, found)


def check_reward_data(recipe: Recipe, found: Findings, read: Read) -> None:
    """A fault if no group could be made: no prompt has a reference answer, or a problem gets fewer candidates than a group has."""
    candidates, size = sum(policy.each for policy in recipe.reward.candidates.policies.values()), recipe.reward.groups.size
    if recipe.reward.data is None and candidates < size:
        found.add(
            "reward.groups.size", "fault", f"groups have {size} responses, and a problem gets {candidates} candidates at most; lower it, or raise "
            "reward.candidates.each",
        )  # fmt: skip
    fed = [SEEDS + name for name, source in recipe.problems.seeds.items() if source.use != "sft"]
    labelled = recipe.roles.labeller is not None or not recipe.reward.candidates.policies
    if fed and not labelled and not any(read.answered.get(key, 1) for key in fed):
        found.add(
            "reward.candidates", "fault", f"no prompt of {', '.join(fed)} has a reference answer, so no candidate could be graded; name its "
            "column (columns.answer), or a model that labels them: roles.labeller",
        )  # fmt: skip


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
    references = References()
    for row in rows:
        references.see(row.answer)
    references.note(key, found)
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
