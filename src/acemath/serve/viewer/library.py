"""What can be viewed: the sets of responses in runs' and evaluations' folders, and in files.

A set is what one stage wrote (`samples-NAME`, `greedy-NAME`, `scores-NAME`, `scores-JUDGE@NAME`, `candidates`), or one file.
The page shows one set, or two beside each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acemath.errors import UserError
from acemath.files.atomic import read_table
from acemath.files.identity import Names
from acemath.records import Problem, from_table
from acemath.run.partitions import RUN_FILE, partitions_of
from acemath.run.parts import read_footer
from acemath.run.store import StageStore
from acemath.serve.viewer.files import open_file
from acemath.serve.viewer.stored import PartRows, Rows

_RESPONSES = re.compile(r"(scores|samples|greedy)-.+|candidates")
_PROBLEMS = re.compile(r"problems|benchmarks|bench-problems(-\d+)?")
_KINDS = ("scores", "samples", "greedy", "candidates")


@dataclass
class Source:
    """One set of responses with the problems that they answer, and what a reader must know of it."""

    name: str  # of the stage or the file
    folder: str  # what was given: the run's folder or the file
    path: Path
    problems: dict[str, Problem]  # by id
    rows: Rows
    notes: list[str] = field(default_factory=list)


def open_sources(paths: Sequence[Path], names: Names | None = None) -> list[Source]:
    """The sets of one or two folders or files, in their order; `names` are the problems of files that do not hold them.

    UserError for a path that does not exist or holds no response.
    """
    places = [Path(os.path.realpath(path)) for path in paths]  # unlike `resolve`, it raises nothing for a loop of links
    if len(set(places)) < len(places):
        raise UserError(f"{paths[0]} is given twice; two sets of one folder are compared on the page")
    titles = _titles(places)
    found: list[Source] = []
    for path, title in zip(paths, titles, strict=True):
        if not path.exists():
            raise UserError(
                f"{str(path)!r} does not exist; give a run's folder, an evaluation's, or a file of responses"
            )
        found += list(_sources(Path(os.path.realpath(path)), title, names))
    if len(places) > 1:
        for source in found:
            source.name = source.name if source.name == source.folder else f"{source.folder} · {source.name}"
    return found


def _titles(places: Sequence[Path]) -> list[str]:
    """The places' last names, with the folder before them where two are the same."""
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        titles = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(titles)) == len(titles):
            return titles
    return [str(place) for place in places]


def _sources(path: Path, title: str, names: Names | None) -> Iterator[Source]:
    only = None
    if path.is_dir() and _RESPONSES.fullmatch(path.name) and (path.parent / RUN_FILE).exists():
        path, only, title = path.parent, path.name, title.removesuffix(f"/{path.name}")
    if path.is_dir() and (path / RUN_FILE).exists():
        yield from _of_folder(path, title, only)
        return
    problems, table, notes = open_file(path, names)
    yield Source(title, title, path, problems, table, notes)


def _of_folder(folder: Path, title: str, only: str | None) -> Iterator[Source]:
    """The sets of a run's or an evaluation's folder, finished or not. UserError if it has no response yet."""
    partitions = partitions_of(folder)
    expected = partitions["benchmarks"].count if "benchmarks" in partitions else 0
    stages = {place.name: _parts(place) for place in sorted(folder.iterdir()) if place.is_dir()}
    problems = {
        row.id: row
        for name, parts in stages.items()
        if _PROBLEMS.fullmatch(name)
        for part in parts
        for row in from_table(read_table(part), Problem)
    }
    sets = [name for name, parts in stages.items() if parts and _RESPONSES.fullmatch(name)]
    shown = (
        [only] if only in sets else list(_shown(sets, {name: len(parts) for name, parts in stages.items()}))
    )
    if not shown or not problems:
        raise UserError(
            f"{folder} holds no {'problem' if shown else 'response'} to a benchmark yet; view it when its stages "
            f"{'problems or bench-problems' if shown else 'samples-… or greedy-…'} have a part"
        )
    for name in shown:
        notes = _unfinished(folder / name, len(stages[name]), expected or len(stages[name]))
        yield Source(name, title, folder / name, problems, PartRows(stages[name]), notes)


def _shown(sets: Iterable[str], parts: dict[str, int]) -> Iterator[str]:
    """The stages to show, scored ones first; responses that a stage of scores repeats are left out."""
    sets = sorted(sets, key=lambda name: (_KINDS.index(name.split("-")[0]), name))
    scored: dict[str, int] = {}  # by the stage that was scored: its scored parts
    for name in sets:
        if name.startswith("scores-"):
            policy = name.removeprefix("scores-").split("@", 1)[-1]
            for given in (f"samples-{policy}", f"samples-{name.removeprefix('scores-')}", "candidates"):
                scored[given] = max(scored.get(given, 0), parts[name])
    yield from (name for name in sets if scored.get(name, 0) < parts[name])


def _parts(stage: Path) -> list[Path]:
    return sorted(stage.glob("part-*.parquet"))


def _unfinished(stage: Path, there: int, expected: int) -> list[str]:
    """What to say of a stage that is still being made."""
    if StageStore(stage, there).finished:
        return []
    damaged = [part.name for part in _parts(stage) if read_footer(part) is None]
    if damaged:
        raise UserError(f"{stage / damaged[0]} is not a whole part file; delete it and run the recipe again")
    return [
        f"{stage.name} is not finished: {there} of {max(there, expected)} parts are there. Parts that an earlier setting "
        "made may be among them until it is."
    ]
