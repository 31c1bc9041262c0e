"""The table of AceMath-RewardBench from a folder of scores: numbers alone are in memory, one partition of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from acemath.benchmarks.notes import notes_on
from acemath.benchmarks.tables import BENCHMARK, Record
from acemath.errors import UserError
from acemath.records import Problem, Response, by_id, by_problem
from acemath.run.evaluation import records_of
from acemath.run.partitions import partitions_of
from acemath.run.rewardbench import CANDIDATES, CLASS, LENGTH, PROBLEMS, SCORES, SPACE, VOTES
from acemath.run.store import StageStore

SAMPLES = "samples-"
OWN = "reward model"  # the judge of a run, which trains it


@dataclass(frozen=True)
class Judged:
    """What one judge gave: its short name, its model, and the records with its scores."""

    name: str
    model: str
    records: Sequence[Record]


def is_scored(folder: Path) -> bool:
    """Whether a folder holds scores of a release."""
    return (folder / VOTES).is_dir()


def judges_in(folder: Path) -> list[str]:
    """The short names of the judges that scored all candidates of a folder. UserError if there is none."""
    found = [
        path.name.removeprefix(SCORES)
        for path in sorted(folder.glob(f"{SCORES}*"))
        if path.is_dir() and StageStore(path, 1).finished
    ]
    if not found:
        raise UserError(f"{folder} holds no finished scores; run the same acemath rewardbench score again")
    return found


def judged(folder: Path, names: Sequence[str] | None = None) -> tuple[list[Judged], list[str]]:
    """Each judge's records from a folder of scores, an evaluation or a run, and notes on what was not understood of a release.

    `names` are short names of judges; by default all that are finished. UserError if a stage is not finished, or if a judge
    scored other candidates than the folder holds now.
    """
    if not is_scored(folder):
        return pooled(folder)
    count = partitions_of(folder)[SPACE].count
    stores = {stage: StageStore(folder / stage, count) for stage in (PROBLEMS, CANDIDATES, VOTES)}
    found = []
    shared: list[Record] = []
    for number in range(count):
        problems = {row.id: row for row in stores[PROBLEMS].rows(Problem, number)}
        shared += _records(stores[VOTES].rows(Response, number), problems)
    for name in names or judges_in(folder):
        store = StageStore(folder / (SCORES + name), count)
        manifest = store.manifest
        if manifest["inputs"][CANDIDATES] != stores[CANDIDATES].manifest["output"]:
            raise UserError(f"{store.folder} was scored on other candidates than {folder} holds now; score it again")
        rewards = _rewards(store)
        records = [replace(record, rewards=rewards.pop(record.problem_id)) for record in shared]
        found.append(Judged(name, _model_of(store), records))
    return found, notes_on(stores[PROBLEMS].manifest["facts"])


def _records(votes: Iterable[Response], problems: Mapping[str, Problem]) -> Iterable[Record]:
    for key, group in groupby(votes, key=lambda row: row.problem_id):
        rows = list(group)
        yield Record(
            benchmark=rows[0].meta[BENCHMARK],
            problem_id=key,
            level=problems[key].level,
            classes=tuple(row.meta[CLASS] for row in rows),
            correct=tuple(row.correct for row in rows),
            rewards=(),
            lengths=tuple(row.meta[LENGTH] for row in rows),
            subject=problems[key].subject,
            generators=tuple(row.model for row in rows),
        )


def _rewards(store: StageStore) -> dict[str, tuple[float, ...]]:
    """The scores of each problem's responses, in their order."""
    found: dict[str, list[float]] = {}
    for batch in store.batches(("problem_id", "reward")):
        for key, reward in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            found.setdefault(key, []).append(reward)
    return {key: tuple(rewards) for key, rewards in found.items()}


def _model_of(store: StageStore) -> str:
    """The model of the judge that gave a stage's scores; "" if the stage does not say."""
    settings = store.manifest["settings"]
    identity = settings.get("judge", settings)
    return str(identity.get("model") or identity.get("endpoint", {}).get("id", ""))


def pooled(folder: Path) -> tuple[list[Judged], list[str]]:
    """Each judge's records from the folder of an evaluation or a run: the responses of all its policies together, and notes.

    Problems that not every policy answered are left out, and so are stages that were made from other rows than the folder
    holds now. Without scores there is one entry without a judge. UserError if no policy has samples.
    """
    count = partitions_of(folder)[SPACE].count
    done = [path for path in sorted(folder.iterdir()) if path.is_dir() and StageStore(path, count).finished]
    made = {path.name: StageStore(path, count).manifest for path in done}
    stale = {name for name in made if _is_stale(name, made)}
    places = [path for path in done if path.name not in stale]
    notes = [
        f"{name} was made from other rows than {folder} holds now, and is left out; run its command again"
        for name in sorted(stale)
        if name.startswith((SCORES, SAMPLES))
    ]
    by_judge: dict[str, list[StageStore]] = {}
    for path in places:
        if path.name.startswith(SCORES):
            judge, at, _ = path.name.removeprefix(SCORES).partition("@")
            by_judge.setdefault(judge if at else OWN, []).append(StageStore(path, count))
    if not by_judge:
        by_judge = {"": [StageStore(path, count) for path in places if path.name.startswith(SAMPLES)]}
    if not by_judge.get("", True):
        raise UserError(f"{folder} holds no finished samples; run its command again, with -n 8")
    problems = StageStore(folder / (PROBLEMS if (folder / PROBLEMS).is_dir() else "benchmarks"), count)
    return [Judged(name, _model_of(stores[0]), _together(problems, stores)) for name, stores in by_judge.items()], notes


def _is_stale(name: str, made: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a stage, or one that it comes from, was made from other rows than its inputs hold now; `made` are all manifests."""
    return any(
        read not in made or made[read]["output"] != output or _is_stale(read, made)
        for read, output in made[name]["inputs"].items()
    )


def _together(problems: StageStore, stores: Sequence[StageStore]) -> list[Record]:
    records: list[Record] = []
    for number in range(problems.count):
        found = [by_problem(store.rows(Response, number)) for store in stores]
        shared = set.intersection(*map(set, found))
        rows = [row for mine in found for key in mine if key in shared for row in mine[key]]
        records += records_of(by_id(problems.rows(Problem, number)), rows)
    return records


def check_k(facts: Mapping[str, Any], k: int) -> None:
    """UserError, before anything is scored, if no problem of a set has k responses."""
    for name, sizes in sorted(facts["sizes"].items()):
        most = max(map(int, sizes))
        if most < k:
            raise UserError(f"k is {k}, but no problem of {name} has more than {most} responses; choose k up to {most}")
