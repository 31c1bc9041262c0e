"""What a run finds beside its headline: the selector that validation chooses, token limits, parts, policies in pairs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from acemath.benchmarks.tables import Record
from acemath.records import Problem, Response
from acemath.run.findings import apart, at_lengths, between_policies, choice, parts
from acemath.run.parts import write_part
from acemath.run.store import StageStore


def record(benchmark: str, name: str, correct: list[int], classes: list[int], rewards: list[float]) -> Record:
    """A problem with some responses."""
    lengths = tuple(range(1, len(correct) + 1))
    return Record(benchmark, name, 0, tuple(classes), tuple(map(bool, correct)), tuple(rewards), lengths)


def noisy(benchmark: str, count: int, good: bool) -> list[Record]:
    """Problems whose majority is wrong; their rewards prefer the right response, or say nothing, if not `good`."""
    rng = random.Random(benchmark)
    rewards = [(5.0, 0.0, 0.1, 0.2) if good else tuple(rng.random() for _ in range(4)) for _ in range(count)]
    return [record(benchmark, f"{benchmark}{n}", [1, 0, 0, 0], [0, 1, 1, 2], list(r)) for n, r in enumerate(rewards)]


def test_the_selector_is_chosen_on_validation_and_measured_on_test() -> None:
    """Rewards that are perfect on validation are used on a test where they say nothing, and the loss is shown."""
    validation, test = noisy("v", 20, good=True), noisy("t", 40, good=False)
    found = choice(test, validation, 4)
    assert found["benchmark"] == "v" and found["validation"][found["chosen"]]["value"] == 100
    assert found["chosen"] == "rm@4" and found["test"]["problems"] == 40
    hits = sum(max(range(4), key=lambda at: r.rewards[at]) == 0 for r in test)
    assert found["test"]["value"] == pytest.approx(100 * hits / 40)
    assert found["differences"]["maj@4"]["value"] == pytest.approx(100 * hits / 40)  # the majority is always wrong
    assert {"maj@4", "rm@4", "weighted maj@4", "softmax maj@4 (T=0.25)"} <= set(found["validation"])


def test_the_majority_stays_where_nothing_is_better() -> None:
    """Of equal selectors the plain one is chosen."""
    right = [record("v", f"v{n}", [1, 1, 1], [0, 0, 0], [0.0, 0.0, 0.0]) for n in range(4)]
    assert choice(right, right, 3)["chosen"] == "maj@3"


def test_validation_is_apart() -> None:
    """None of its records is left to be measured on."""
    rows = noisy("v", 3, True) + noisy("t", 2, True)
    test, validation = apart(rows, "v")
    assert [len(test), len(validation)] == [2, 3] and apart(rows, None) == (rows, [])


def test_policies_are_compared_on_shared_problems() -> None:
    """One policy answered fewer problems; the difference is over those."""
    head = [record("t", f"{n}", [1], [0], [0.0]) for n in range(4)]
    other = [record("t", f"{n}", [n % 2], [0], [0.0]) for n in range(2)]
    (greedy, mean) = between_policies({"math": head, "base": other}, {"math": head, "base": other}, "math")
    assert (greedy["value"], greedy["problems"], greedy["minus"]) == (50, 2, "base") and mean["measure"] == "pass@1"


def test_a_longer_response_counts_as_cut(tmp_path: Path) -> None:
    """At 10 tokens the response of 12 is wrong and cut; the one that was cut when it was written is cut at any limit."""
    rows = [
        Response("a", 0, "x", "m", "stop", 12, status="correct"),
        Response("b", 0, "x", "m", "stop", 10, status="correct"),
        Response("c", 0, "x", "m", "length", 20, status="no_answer"),
        Response("other", 0, "x", "m", "stop", 1, status="correct"),
    ]
    store = StageStore(tmp_path / "s", 1)
    store.folder.mkdir()
    write_part(store.part(0), rows, Response, "key", (), {})
    low, full = at_lengths({"s": store}, [10], {"a": "t", "b": "t", "c": "t"})
    assert (low["limit"], round(low["value"], 6), round(low["cut"], 6)) == (10, round(100 / 3, 6), round(200 / 3, 6))
    assert (full["limit"], round(full["value"], 6), full["tokens"]) == (None, round(200 / 3, 6), 14)


def test_parts_are_by_steps_and_by_length() -> None:
    """Problems without steps are in no part by steps; many steps share a row."""
    steps = [0, 2, 2, 9]
    problems = [Problem(f"t{n}", "p", "1", meta={"steps": s} if s else {}) for n, s in enumerate(steps)]
    rows = parts(noisy("t", 4, True), problems, 4)
    by_steps = {row["part"]: row["problems"] for row in rows if row["by"] == "steps" and row["measure"] == "rm@4"}
    assert by_steps == {"2": 2, "7 or more": 1} and any(row["by"] == "length" for row in rows)
