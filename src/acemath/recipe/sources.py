"""Where the problems of a recipe come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from acemath.benchmarks.registry import BENCHMARKS, names
from acemath.curate.known_sources import KNOWN, Kind
from acemath.demo.worksheets.sheets import SOURCE, Finding, Split
from acemath.errors import UserError
from acemath.files.columns import OURS
from acemath.files.settings import Settings
from acemath.recipe.part import expanded

WORKSHEETS = 1000  # problems that are drawn if the recipe gives no count


class Source(Settings):
    """Where prompts come from: a benchmark, worksheets, a file, or a data set of the hub. Exactly one of the four.

    `known` names a data set of the registry (`acemath sources`). Its place, columns, subject and licence apply unless the
    recipe states others. With a `file` it describes your own copy of the data set. So does a `benchmark` with a `file`.
    """

    benchmark: str | None = None
    """A benchmark by name (`acemath benchmarks`), read from `file`, else from the folder of ACEMATH_DATA, else from the hub."""
    known: str | None = None
    """A data set of the registry (`acemath sources`); its place, columns, subject and licence apply unless the recipe states others."""
    worksheets: Split | None = None
    """The split of the built-in worksheets: seeds draw from `train`, benchmarks from `test` or `validation`."""
    file: Path | None = None
    """A file: JSONL, JSONL.gz, CSV, Parquet, or a folder of Parquet files."""
    hub: str | None = None
    """A data set of the hub as `owner/name`, or a folder that holds one."""
    config: str | None = None
    """The configuration of the hub's data set."""
    revision: str | None = None
    """The branch, tag or commit of the hub's data set."""
    split: str = "train"
    """The split of the hub's data set."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column names mapped to the data set's, such as `{prompt: problem}`; `a.0.b` reaches into nested values."""
    count: int | None = Field(None, ge=1)
    """The most rows that are taken; by default all."""
    part: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.0, 1.0)
    """The rows that are taken, by a hash of their prompt: [0, 0.1] is a tenth, and [0.1, 1] all others. So one data set gives disjoint sources. `count` counts within it."""
    use: Literal["all", "sft", "reward"] = "all"
    """What prompts are for: fine-tuning (`sft`), the candidates of the reward model (`reward`), or both. Our addition."""
    levels: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field((1, 2, 3, 4, 5), min_length=1)
    """The levels of worksheets, drawn evenly; a level named twice is drawn twice as often."""
    finding: Finding | None = None
    subject: str = ""
    """The subject of all rows; by default each row's own, and math for rows that state none."""
    license: str = ""
    """The licence of rows that state none."""
    exact: bool | None = None
    """Whether reference answers are exact: a teacher's response that contradicts one is dropped. By default only those of worksheets are exact. Our addition."""

    @model_validator(mode="before")
    @classmethod
    def _registered(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("known") is None:
            return data
        name = data["known"]
        if name not in KNOWN:
            raise ValueError(f"{name!r} is not registered; the names are {', '.join(KNOWN)}")
        found = KNOWN[name]
        given = {
            "columns": dict(found.columns),
            "subject": found.subject,
            "license": found.license,
            "split": found.split,
            "config": found.config,
        }
        if data.get("file") is None and data.get("hub") is None:
            given["hub"] = found.hub
        return given | {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        given = [name for name in ("benchmark", "worksheets", "file", "hub") if getattr(self, name) is not None]
        if len(given) != 1 and given != ["benchmark", "file"]:
            raise ValueError(
                f"a source has exactly one of benchmark, worksheets, file, hub; this one has {given or 'none'}"
            )
        if self.benchmark is not None and self.benchmark not in BENCHMARKS:
            raise ValueError(f"{self.benchmark!r} is no benchmark; the names are {', '.join(BENCHMARKS)}")
        if wrong := [name for name in self.columns if name not in OURS]:
            raise ValueError(f"columns names {wrong[0]!r}; ours are {', '.join(OURS)}")
        if not self.part[0] < self.part[1]:
            raise ValueError(f"part is {list(self.part)}; it goes from a smaller to a larger number, such as [0, 0.1]")
        if self.worksheets is not None and (self.part, self.use) != ((0.0, 1.0), "all"):
            raise ValueError("part and use are not for worksheets, which are all one source; leave them out")
        return self

    @property
    def share(self) -> float:
        """The share of the rows that `part` takes."""
        return self.part[1] - self.part[0]


def check_shots(source: Source) -> None:
    """ValueError unless a source of worked problems is a file or a data set's split for training or development (paper, section 4.1)."""
    if source.benchmark is not None or source.worksheets is not None:
        raise ValueError("shots come from a file or a data set with worked solutions, not from worksheets or a benchmark")
    if source.file is None and "test" in source.split.lower():
        raise ValueError(f"shots come from the split {source.split!r}; name one for training or development, such as validation")
    if source.file is None and source.count is None:
        raise ValueError("shots would be all rows of a data set; give a count, such as 5")


def overlap(one: Source, other: Source) -> bool:
    """Whether two sources are of the same file or split of the hub, and may take the same rows of it."""

    def place(source: Source) -> tuple[object, ...]:
        return (source.file,) if source.file is not None else (source.hub, source.config, source.split)

    return place(one) == place(other) and max(one.part[0], other.part[0]) < min(one.part[1], other.part[1])


def check_apart(where: str, shots: Source, asked: Mapping[str, Source]) -> None:
    """ValueError if worked problems are of the same rows as the seeds that are asked after them."""
    if same := [name for name, source in asked.items() if overlap(shots, source)]:
        raise ValueError(
            f"{where}.shots are rows of problems.seeds.{same[0]}, so a problem could come after its own solution; name another split or part"
        )


def check_pools(where: str, pools: Iterable[str], blend: Sequence[str]) -> None:
    """ValueError for a pool that the blend lacks: a cap of it would do nothing."""
    if lost := [pool for pool in pools if pool not in blend]:
        raise ValueError(f"{where} names {lost[0]!r}, which its blend lacks ({', '.join(blend)}); blend it, or leave it out ({lost[0]}: null)")


def check_ready(source: Source, kind: Kind) -> None:
    """ValueError unless the source is a file or a data set of rows that are ready to train on: "chats" or "groups"."""
    if source.benchmark is not None or source.worksheets is not None:
        raise ValueError(
            "data is a file, a data set of the hub or a known one; worksheets and benchmarks are problems"
        )
    if source.known is not None and KNOWN[source.known].kind != kind:
        fitting = ", ".join(name for name, known in KNOWN.items() if known.kind == kind)
        raise ValueError(
            f"data names {source.known!r}, which holds {KNOWN[source.known].kind}, not {kind}; name one of {fitting}"
        )
    default = Source.model_fields
    others = {name: getattr(source, name) for name in ("use", "levels", "finding", "exact")}
    unused = [name for name, value in others.items() if value != default[name].default]
    if source.columns and source.known is None:
        unused.append("columns")
    if unused:
        raise ValueError(f"{unused[0]} is for problems and would do nothing in data; leave it out")


def column_value(name: str, source: Source) -> str:
    """The `source` column of a source's problems: its name in the recipe, or "worksheets" for all worksheets."""
    return name if source.worksheets is None else SOURCE


def size_of(source: Source) -> int:
    """The number of a source's problems as far as it is known without reading them: its count, else a benchmark's size
    or the public size of a data set of the registry, or the part of it."""
    if source.worksheets is not None:
        return source.count or WORKSHEETS
    whole = BENCHMARKS[source.benchmark].size if source.benchmark else 0
    if source.known is not None:
        whole = KNOWN[source.known].rows
    size = round(source.share * whole)
    return min(source.count or size, size or source.count or 0)


class Problems(Settings):
    """The prompts that training starts from, and the benchmarks that nothing may leak from."""

    seeds: dict[str, Source] = Field(default_factory=dict)
    """The sources of training prompts, by name; none if all stages train on `data` that exist already."""
    benchmarks: dict[str, Source]
    """The benchmarks: policies are measured on them, and no training prompt may repeat them. A list of names (`acemath benchmarks`), or a group of sources by name."""

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """Names of the registry and presets as sources: `[gsm8k, math500]`, `[paper, {mine: {file: …}}]`, or one text."""
        given = expanded([value] if isinstance(value, str) else value)
        if not isinstance(given, Mapping):
            return value
        found: dict[str, Any] = {}
        for name, source in given.items():
            try:
                found |= {one: {"benchmark": one} for one in names(name)} if source == {} else {name: source}
            except UserError as error:
                raise ValueError(str(error)) from error
        return found

    @model_validator(mode="after")
    def _splits_are_apart(self) -> Problems:
        for name, source in self.seeds.items():
            if source.benchmark is not None:
                raise ValueError(f"seeds.{name} draws from the benchmark {source.benchmark}; nothing may train on one")
            if source.worksheets not in (None, "train"):
                raise ValueError(
                    f"seeds.{name} draws from worksheets' {source.worksheets} split; only train is for training"
                )
        for name, source in self.benchmarks.items():
            if source.worksheets == "train":
                raise ValueError(
                    f"benchmarks.{name} draws from worksheets' train split; measure on test, or choose on validation"
                )
        return self
