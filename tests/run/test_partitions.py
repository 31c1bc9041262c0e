"""Partitions: a hash of the root problem, the count of a first run, and the file that fixes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from acemath.errors import UserError
from acemath.files.atomic import read_json, write_json
from acemath.records import Problem, root_of
from acemath.run.partitions import RUN_FILE, Partitions, count_for, open_run, partitions_of


def test_a_child_stays_with_its_root() -> None:
    """An evolved problem lies in the partition of the problem that it was first evolved from."""
    parent, child = Problem("a:1", "x"), Problem("a:9", "y", meta={"root": "a:1"})
    assert root_of(parent) == root_of(child) == "a:1"
    counts = [0] * 16
    for n in range(16_000):
        counts[Partitions(16).partition_of(f"a:{n}")] += 1
    assert all(850 < count < 1150 for count in counts)
    assert Partitions(16).partition_of("a:1") == 2  # the same on every machine and for ever


@pytest.mark.parametrize(
    ("rows", "count"),
    [(0, 1), (1, 1), (4096, 1), (6002, 2), (8192, 2), (50_000, 16), (2_300_000, 512), (10**9, 4096)],
)
def test_the_count_is_a_power_of_two(rows: int, count: int) -> None:
    """About 4,096 problems to a partition, from 1 partition to 4,096."""
    assert count_for(rows) == count


def test_the_first_call_fixes_the_counts(tmp_path: Path) -> None:
    """Later calls do not count again; a recipe that asks for another number is told so."""
    found = open_run(tmp_path / "r", lambda: {"training": 50_000, "benchmarks": 500})
    assert (found["training"].count, found["benchmarks"].count, found["one"].count) == (16, 1, 1)

    def never() -> dict:
        raise AssertionError("counted again")

    assert open_run(tmp_path / "r", never) == found == partitions_of(tmp_path / "r")
    with pytest.raises(UserError, match=r"partitions is 4, but .* was started with 16; set it back"):
        open_run(tmp_path / "r", never, {"training": 4})
    asked = open_run(tmp_path / "s", lambda: {"training": 5, "benchmarks": 5}, {"training": 4})
    assert asked["training"].count == 4 and asked["benchmarks"].count == 1


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    """One line says what to do with a folder of an older or another acemath, or with one that is no run's."""
    (tmp_path / "old" / "problems").mkdir(parents=True)
    write_json(tmp_path / "old" / "problems" / "manifest.json", {"format": 1})
    for call in (partitions_of, lambda folder: open_run(folder, dict)):
        with pytest.raises(UserError, match="made by an older acemath; use another --out, or remove it"):
            call(tmp_path / "old")
    with pytest.raises(UserError, match="not a run's folder; run a recipe first"):
        partitions_of(tmp_path / "none")
    open_run(tmp_path / "new", lambda: {"training": 1, "benchmarks": 1})
    write_json(tmp_path / "new" / "run.json", read_json(tmp_path / "new" / "run.json") | {"format": 3})
    (tmp_path / "torn").mkdir()
    write_json(tmp_path / "torn" / "run.json", {"format": 2, "partitions": {"training": "x"}})
    with pytest.raises(UserError, match="has no numbers of partitions; delete it and run the same command again"):
        partitions_of(tmp_path / "torn")
    with pytest.raises(UserError, match=r"another acemath \(format 3, not 2\)"):
        partitions_of(tmp_path / "new")


def test_a_damaged_file_is_mended_without_losing_the_run(tmp_path: Path) -> None:
    """The line holds what to write into it."""
    open_run(tmp_path, lambda: {"training": 9000, "benchmarks": 10})
    for stage, parts in (("seeds", 2), ("benchmarks", 1)):
        (tmp_path / stage).mkdir()
        for number in range(parts):
            (tmp_path / stage / f"part-{number:05}.parquet").touch()
    whole = partitions_of(tmp_path)
    (tmp_path / RUN_FILE).write_text('{"form')
    with pytest.raises(UserError) as told:
        partitions_of(tmp_path)
    line = str(told.value)
    (tmp_path / RUN_FILE).write_text(line[line.index("write ") + 6 : line.rindex(" into a new one")])
    assert partitions_of(tmp_path) == whole
