"""Cleaning: the steps in order, each with its drops; near-duplicates only if asked for."""

from __future__ import annotations

from acemath.curate.clean import clean
from acemath.curate.settings import CurateSettings, DecontaminateSettings, NearSettings
from acemath.records import Problem

LEAK = (
    "A farmer has 17 sheep and all but 9 of them die in the winter while the others go on. How many are left?"
)
ROWS = [
    Problem("empty", "  ", source="a"),
    Problem(
        "first", "Find the sum of the first 12 odd numbers that are larger than 20, and explain.", source="a"
    ),
    Problem(
        "again", "find the sum of the first 12 ODD numbers that are larger than 20, and explain.", source="b"
    ),
    Problem(
        "near", "Find the sum of the first 12 odd numbers, that are larger than 20 and explain!", source="b"
    ),
    Problem("leak", LEAK, source="b"),
]


def test_every_step_keeps_its_drops() -> None:
    """Filter, exact copies, leaks; the funnel's counts fit together, the rows keep their order."""
    found = clean(ROWS, [Problem("test", LEAK)], CurateSettings())
    assert [row.id for row in found.rows] == ["first", "near"] and found.near is None
    assert [(d.id, d.reason) for d in found.dropped] == [
        ("empty", "empty"),
        ("again", "duplicate"),
        ("leak", "leak"),
    ]
    assert [(s.name, s.rows_in, s.rows_out) for s in found.steps] == [
        ("filter prompts", 5, 4),
        ("deduplicate", 4, 3),
        ("decontaminate", 3, 2),
    ]
    assert found.steps[-1].by_source == {"a": 1, "b": 1}


def test_near_duplicates_go_if_asked_for() -> None:
    """The step stands between exact copies and leaks, and its facts come along."""
    found = clean(ROWS, [Problem("test", LEAK)], CurateSettings(near=NearSettings()))
    assert [row.id for row in found.rows] == ["first"]
    assert [s.name for s in found.steps][2] == "drop near copies" and found.near is not None
    assert found.near["dropped"] == 1


def test_what_is_only_reported_is_counted() -> None:
    """A rewording stays and is counted by its kind; if a setting drops it, it is not reported."""
    told = "17 sheep belong to a farmer. In winter all of them die but 9, while others go on. How many has he left?"
    rows = [*ROWS, Problem("told", told, source="a")]
    found = clean(rows, [Problem("test", LEAK)], CurateSettings())
    assert [row.id for row in found.rows] == ["first", "near", "told"]
    assert found.reported == found.steps[-1].reported == {"contained": 0, "near-copy": 0, "reworded": 1}
    strict = CurateSettings(decontaminate=DecontaminateSettings(drop=("reworded",)))
    found = clean(rows, [Problem("test", LEAK)], strict)
    assert found.reported == {"contained": 0, "near-copy": 0} and found.dropped[-1].reason == "reworded"
