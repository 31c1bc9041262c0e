"""How the rows of a run are divided into partitions, and the file `run.json` that fixes their number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from acemath.errors import UserError
from acemath.files.atomic import explained, read_json, write_json
from acemath.files.versions import versions
from acemath.records import content_key

RUN_FILE = "run.json"
FORMAT = 2  # of a run's folder; format 1 had no run.json
ROWS = 4096  # problems of a partition, roughly
MOST = 4096  # partitions of a run at most

Space = Literal["training", "benchmarks", "one"]  # each has its own number of partitions; "one" has 1


@dataclass(frozen=True, slots=True)
class Partitions:
    """Rows divided into `count` partitions by a hash of their root problem."""

    count: int

    def partition_of(self, root_id: str) -> int:
        """The partition (from 0) of a root problem, of the problems evolved from it, and of their responses."""
        return int(content_key(root_id), 16) % self.count


def count_for(rows: int, each: int = ROWS) -> int:
    """The number of partitions for this number of problems: the power of two nearest to rows/each, from 1 to 4096."""
    return min(MOST, 2 ** max(0, round(math.log2(max(1, rows) / each))))


def open_run(
    folder: Path,
    rows: Callable[[], Mapping[Space, int]],
    fixed: Mapping[Space, int] | None = None,
    each: int = ROWS,
) -> dict[Space, Partitions]:
    """The partitions of a run's folder; the first call on a folder decides their number.

    `rows` counts the problems of each space; only the first call needs it. A partition gets about `each` of them. `fixed`
    are numbers of partitions that the recipe sets. UserError for a folder of another format or with other numbers than `fixed`.
    """
    fixed = dict(fixed or {})
    if not (folder / RUN_FILE).exists():
        _refuse_old(folder)
        counts = {space: count_for(number, each) for space, number in rows().items()} | fixed
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        value = {"format": FORMAT, "partitions": counts, "versions": versions()}
        write_json(folder / RUN_FILE, value)
    found = partitions_of(folder)
    for space, count in fixed.items():
        if count != found[space].count:
            raise UserError(
                f"partitions is {count}, but {folder} was started with {found[space].count}; "
                "set it back, or use another --out"
            )
    return found


def partitions_of(folder: Path) -> dict[Space, Partitions]:
    """The partitions of a run's folder. UserError for a folder that is not a run's, or of another format."""
    path = folder / RUN_FILE
    if not path.exists():
        _refuse_old(folder)
        raise UserError(
            f"{str(folder)!r} is not a run's folder; run a recipe first: acemath run --out {folder}"
        )
    value = read_json(path, _mend(folder))
    if value.get("format") != FORMAT:
        raise UserError(
            f"{folder} was made by another acemath (format {value.get('format')}, not {FORMAT}); "
            "use another --out, or remove it"
        )
    counts = value.get("partitions")
    if not isinstance(counts, dict) or not all(isinstance(count, int) and count > 0 for count in counts.values()):
        raise UserError(f"{path} has no numbers of partitions; delete {_mend(folder)} and run the same command again")
    return {space: Partitions(count) for space, count in counts.items()} | {"one": Partitions(1)}


def _mend(folder: Path) -> str:
    """How a damaged run.json is mended: with the numbers of partitions that the run's folder shows; without any stage it is deleted."""
    stages = {"training": [folder / "seeds", *folder.glob("blend-*")], "benchmarks": [folder / "benchmarks"]}
    counts = {space: max(len(list(stage.glob("part-*.parquet"))) for stage in found) for space, found in stages.items()}
    if not all(counts.values()):
        return "it"
    return f"it, write {json.dumps({'format': FORMAT, 'partitions': counts})} into a new one,"


def _refuse_old(folder: Path) -> None:
    if any(folder.glob("*/manifest.json")):
        raise UserError(f"{folder} was made by an older acemath; use another --out, or remove it")
