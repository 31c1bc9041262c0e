"""Stages: each has a name, settings, the stages that it reads, and its work.

A map makes each partition from the same partition of its inputs. A reduction reads all partitions of its inputs and
makes all of its own. A training makes a folder. The runner decides what must be made; the work does not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from acemath.files.atomic import read_table
from acemath.notices import is_first_process
from acemath.records import Dropped, R, Row, from_table
from acemath.run.partitions import Space
from acemath.run.parts import PartWriter, dropped_path, read_footer, write_dropped, write_part
from acemath.run.store import StageStore

Facts = Mapping[str, Any]


class Progress(Protocol):
    """A report of progress: `done` of `total` (0 if unknown), and a note."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def _no_facts() -> Facts:
    return {}


def _plain(facts: Facts) -> str:
    return "done"


@dataclass(frozen=True, slots=True)
class Whole:
    """An input that a map reads as a whole: all partitions, or a model. Any change of it redoes every partition."""

    name: str


def whole(name: str) -> Whole:
    """A stage as an input that a map reads as a whole."""
    return Whole(name)


@dataclass(frozen=True)
class Stage:
    """What all stages have in common. `settings` hold everything that the work depends on besides its inputs.

    `more` gives facts of the stage as a whole when it is finished (the cost of an endpoint). `summary` turns all facts
    into the line that is shown.
    """

    name: str
    settings: Mapping[str, Any]
    inputs: tuple[str | Whole, ...]
    space: Space = field(default="training", kw_only=True)
    summary: Callable[[Facts], str] = field(default=_plain, kw_only=True)
    more: Callable[[], Facts] = field(default=_no_facts, kw_only=True)

    @property
    def artifact(self) -> str:
        """The folder that the stage makes; "" for a stage that makes part files."""
        return ""

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the stages that it reads."""
        return tuple(i.name if isinstance(i, Whole) else i for i in self.inputs)


@dataclass(frozen=True, slots=True)
class Copies:
    """The processes in which a stage runs its model: `replicas`, each on `devices` GPUs of its own."""

    replicas: int = 1
    devices: int = 1


@dataclass(frozen=True)
class MapStage(Stage):
    """A stage that makes partition p from partition p of its inputs.

    `tool` is something that is slow to load, such as a model: each job enters it once, and the work gets it as
    `part.tool`. With `spread` several processes may make partitions at the same time; of a stage with a model, as many
    as there are `copies` of the model.
    """

    work: Callable[[Part], None]
    tool: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext, kw_only=True)
    spread: bool = field(default=False, kw_only=True)
    copies: Copies = field(default=Copies(), kw_only=True)


@dataclass(frozen=True)
class Reduction(Stage):
    """A stage that reads all partitions of its inputs and writes every part of its own."""

    work: Callable[[Everything], None]


@dataclass(frozen=True)
class Training(Stage):
    """A stage that makes a folder named `makes` (a model) and returns its facts."""

    work: Callable[[Making], Facts]
    makes: str = field(default="model", kw_only=True)

    @property
    def artifact(self) -> str:
        """The folder that the stage makes."""
        return self.makes


class Reader:
    """What the work of a stage can read: the stages that it declares as inputs."""

    def __init__(self, stage: Stage, stores: Mapping[str, StageStore], progress: Progress) -> None:
        self._stage = stage
        self._stores = stores
        self.progress = progress

    def store(self, name: str) -> StageStore:
        """An input as a whole: its rows, batches and model. ValueError for a stage that is not declared so."""
        if name not in self._whole():
            raise ValueError(f"stage {self._stage.name} reads all of {name}, which it does not declare")
        return self._stores[name]

    def _whole(self) -> tuple[str, ...]:
        return self._stage.reads


class Part(Reader):
    """One partition that is being made: reads the same partition of the inputs, and writes its rows."""

    def __init__(
        self,
        stage: Stage,
        stores: Mapping[str, StageStore],
        progress: Progress,
        number: int,
        key: str,
        tool: Any = None,
    ) -> None:
        super().__init__(stage, stores, progress)
        self.number = number
        self.tool = tool
        self._key = key
        self._path = stores[stage.name].part(number)

    def _whole(self) -> tuple[str, ...]:
        if not isinstance(self._stage, MapStage):
            return self._stage.reads
        return tuple(i.name for i in self._stage.inputs if isinstance(i, Whole))

    def _same(self, name: str) -> StageStore:
        if name not in self._stage.reads:
            raise ValueError(f"stage {self._stage.name} reads {name}, which is not among its inputs")
        store = self._stores[name]
        if store.count != self._stores[self._stage.name].count:
            raise ValueError(f"stage {self._stage.name} reads {name} by partitions, which are not its own")
        return store

    def rows(self, name: str, kind: type[R]) -> list[R]:
        """The rows of this partition of an input."""
        return self._same(name).rows(kind, self.number)

    def batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """The rows of this partition of an input as Arrow batches of these columns."""
        return self._same(name).batches(columns, [self.number])

    def dropped(self, name: str) -> list[Dropped]:
        """The rows that an input dropped in this partition."""
        return list(self._same(name).dropped([self.number]))

    def before(self, kind: type[R]) -> list[R]:
        """The rows that this partition holds from other settings or inputs; empty if there is no whole file."""
        if read_footer(self._path) is None:
            return []
        return from_table(read_table(self._path), kind)

    def write(
        self,
        rows: Iterable[Row],
        kind: type[Row],
        dropped: Iterable[Dropped] = (),
        facts: Facts | None = None,
    ) -> None:
        """Write the partition: rows, dropped rows, counts. `rows` may be a generator that fills the other two."""
        write_part(self._path, rows, kind, self._key, dropped, facts)

    def write_batches(
        self, batches: Iterable[Any], schema: Any, dropped: Iterable[Dropped] = (), facts: Facts | None = None
    ) -> None:
        """Write the partition from Arrow batches."""
        with PartWriter(self._path, schema) as writer:
            for batch in batches:
                writer.write(batch)
            writer.commit(self._key, facts, write_dropped(dropped_path(self._path), dropped))


class Everything(Reader):
    """What a reduction works on: all of its inputs, and all of its own parts. It must write each of them."""

    def __init__(self, stage: Stage, stores: Mapping[str, StageStore], progress: Progress, key: str) -> None:
        super().__init__(stage, stores, progress)
        self._key = key
        self.count = stores[stage.name].count
        self.folder = stores[stage.name].folder

    def batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """All rows of an input, in order of partitions, as Arrow batches of these columns."""
        return self.store(name).batches(columns)

    def part(self, number: int) -> Part:
        """One of the reduction's own partitions, to read the same partition of inputs and to write."""
        return Part(self._stage, self._stores, self.progress, number, self._key)

    def parts(self) -> Iterator[Part]:
        """All of the reduction's own partitions in order."""
        return map(self.part, range(self.count))


class Making(Reader):
    """What a training works on: its inputs, the folder to fill, and a folder of checkpoints that outlives a stop."""

    def __init__(
        self, stage: Stage, stores: Mapping[str, StageStore], progress: Progress, out: Path, work: Path
    ) -> None:
        super().__init__(stage, stores, progress)
        self.out = out
        self.work = work


def make_parts(
    stage: Stage, stores: Mapping[str, StageStore], keys: Mapping[int, str], progress: Progress
) -> None:
    """Do the work of a stage in this process: a map makes the partitions in `keys`, any other stage everything."""
    if isinstance(stage, MapStage):
        with stage.tool() as tool:
            for done, (number, key) in enumerate(keys.items()):
                report = partial(_within, progress, done, len(keys))
                report(0, 1)
                stage.work(Part(stage, stores, report, number, key, tool))
    elif isinstance(stage, Reduction):
        stage.work(Everything(stage, stores, progress, keys[0]))
    elif isinstance(stage, Training):
        store, facts = stores[stage.name], dict[str, Any]()
        # If several processes train together, only the first one makes and renames the folder.
        with store.making(keys[0], facts) if is_first_process() else nullcontext(store.filling) as out:
            facts |= stage.work(Making(stage, stores, progress, out, store.work(keys[0])))


def _within(progress: Progress, before: int, parts: int, done: int, total: int, note: str = "") -> None:
    """Report progress within one of several partitions, in hundredths of a partition."""
    if parts == 1:
        progress(done, total, note)
        return
    place = f"partition {before + 1} of {parts}"
    share = min(100, 100 * done // total) if total else 0
    progress(100 * before + share, 100 * parts, f"{place}, {note}" if note else place)
