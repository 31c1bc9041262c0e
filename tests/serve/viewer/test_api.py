"""The numbers, filters, sorts, searches and comparisons that the page asks for, on pools small enough to check by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acemath.errors import UserError
from acemath.metrics import rm_at_k
from acemath.records import Response
from acemath.run.parts import write_part
from acemath.serve.viewer.api import Viewer

from .conftest import POOL, responses, write_run


@pytest.fixture
def viewer(run: Path) -> Iterator[Viewer]:
    """The run; set 0 is the scored samples, set 1 the greedy responses."""
    found = Viewer([run])
    yield found
    found.worker.close()


def listed(viewer: Viewer, **given: str) -> dict[str, Any]:
    """The list, when the votes are counted and the comparison is made."""
    given = {"set": "0", **given}
    for number in {int(given["set"]), int(given.get("other", "0"))}:
        assert viewer.grouping(number).job.wait(30)
    found = viewer.problems(given)
    while (
        found.get("compared", {}).get("share", 1.0) < 1 or not found.get("searched", {"done": True})["done"]
    ):
        found = viewer.problems(given)
    json.dumps(found, allow_nan=False)
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [row["id"] for row in found["rows"]]


def test_numbers_of_each_problem(viewer: Viewer) -> None:
    """Right responses, judge, majority and margin by hand; equal answers in other forms vote together."""
    rows = {row["id"]: row for row in listed(viewer)["rows"]}
    assert {key: (row["right"], row["n"]) for key, row in rows.items()} == {
        "p0": (3, 4),
        "p1": (2, 4),
        "p2": (2, 4),
        "p3": (1, 4),
    }
    assert {key: row["judge"] for key, row in rows.items()} == {"p0": 1.0, "p1": 0.0, "p2": 0.5, "p3": 1.0}
    assert {key: row["majority"] for key, row in rows.items()} == {"p0": 1.0, "p1": 1.0, "p2": 0.5, "p3": 0.0}
    assert {key: row["votes"] for key, row in rows.items()} == {"p0": 3, "p1": 2, "p2": 2, "p3": 3}
    assert {key: row["margin"] for key, row in rows.items()} == pytest.approx(
        {"p0": 2.0, "p1": -2.5, "p2": 0.0, "p3": 3.7}
    )
    assert rows["p1"]["cut"] == 1 and rows["p1"]["strip"] == "wrrc"  # the highest reward first


def test_random_pools_agree_with_the_metrics(tmp_path: Path) -> None:
    """The judge's value is rm@n for any rewards, with ties and scores that the judge could not give; the vote is exact."""
    rng = np.random.default_rng(1)
    pool = {
        f"p{p}": [
            (str(int(rng.integers(0, 4))), bool(rng.random() < 0.5), float(rng.integers(0, 4)))
            for _ in range(rng.integers(1, 9))
        ]
        for p in range(4)
    }
    pool["p3"] = [*pool["p3"], ("1", True, float("nan"))]
    viewer = Viewer([write_run(tmp_path / "r", {"scores-m": responses(pool)})])
    rows = {row["id"]: row for row in listed(viewer)["rows"]}
    for key, answers in pool.items():
        rewards = [-np.inf if np.isnan(reward or 0) else reward or 0.0 for _, _, reward in answers]
        assert rows[key]["judge"] == pytest.approx(
            rm_at_k(rewards, [right for _, right, _ in answers], len(answers))
        )
        votes: dict[str | None, list[bool]] = {}
        for answer, right, _ in answers:
            votes.setdefault(answer, []).append(right)
        most = max(map(len, votes.values()))
        winners = [np.mean(v) for v in votes.values() if len(v) == most]
        assert rows[key]["majority"] == pytest.approx(np.mean(winners)) and rows[key]["votes"] == most
    assert any("1 responses got no score" in note for note in viewer.facts({"set": "0"})["notes"])
    viewer.worker.close()


def test_the_curves_end_at_the_values_of_the_list(tmp_path: Path) -> None:
    """rm@n and maj@n, ties shared, are the mean over benchmarks of what the list shows; nan rewards rank last in both."""
    rng = np.random.default_rng(2)
    pool = {
        f"p{p}": [
            (str(int(rng.integers(0, 3))), bool(rng.random() < 0.5), float(rng.choice([np.nan, 0.0, 1.0])))
            for _ in range(4)
        ]
        for p in range(4)
    }
    viewer = Viewer([write_run(tmp_path / "r", {"scores-m": responses(pool)})])
    rows = listed(viewer)["rows"]
    while (found := viewer.curves({"set": "0"}))["share"] < 1:
        pass
    for name, key in (("rm@k", "judge"), ("maj@k", "majority")):
        means = [
            np.mean([row[key] for row in rows if row["benchmark"] == benchmark])
            for benchmark in ("alpha", "beta")
        ]
        assert found["series"][name][-1]["value"] == pytest.approx(100 * np.mean(means))
    viewer.worker.close()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"outcome": "judge-missed"}, ["p1"]),
        ({"outcome": "judge-tied"}, ["p2"]),
        ({"outcome": "majority-wrong"}, ["p3"]),
        ({"outcome": "majority-missed"}, ["p3"]),
        ({"outcome": "judge-not-majority"}, ["p3"]),
        ({"outcome": "majority-not-judge"}, ["p1"]),
        ({"outcome": "cut"}, ["p1"]),
        ({"outcome": "none-right"}, []),
        ({"status": "no_answer"}, ["p1"]),
        ({"reason": "9 is NO match"}, ["p3"]),
        ({"benchmark": "beta"}, ["p2", "p3"]),
        ({"level": "2"}, ["p1"]),
        ({"benchmark": "beta", "outcome": "judge-missed"}, []),
        ({"q": "GARDEN"}, ["p0", "p1", "p2", "p3"]),
        ({"q": "number 3 of p2"}, ["p2"]),
        ({"q": "p1"}, ["p1"]),
        ({"q": "<img src=x"}, ["p0", "p1", "p2", "p3"]),
        ({"q": "(.*"}, []),
        ({"sort": "margin"}, ["p1", "p2", "p0", "p3"]),
        ({"sort": "margin", "down": "1"}, ["p3", "p0", "p2", "p1"]),
        ({"sort": "reward", "down": "1"}, ["p3", "p1", "p0", "p2"]),
        ({"sort": "accuracy"}, ["p3", "p1", "p2", "p0"]),
        ({"sort": "votes"}, ["p1", "p2", "p0", "p3"]),
    ],
)
def test_filters_sorts_and_search(viewer: Viewer, given: dict[str, str], found: list[str]) -> None:
    """Each keeps what its name says, in the order of the files where values are equal."""
    assert names(listed(viewer, **given)) == found


def test_a_problem_without_a_margin_comes_last_in_both_directions(tmp_path: Path) -> None:
    """It has no wrong response to compare with."""
    pool = POOL | {"p0": [("1/2", True, 1.0)]}
    viewer = Viewer([write_run(tmp_path / "r", {"scores-m": responses(pool)})])
    assert [names(listed(viewer, sort="margin", down=down))[-1] for down in ("", "1")] == ["p0", "p0"]
    viewer.worker.close()


def test_rewards_that_are_missing_give_no_pick(tmp_path: Path) -> None:
    """A problem with an unscored response has no judge's value, and the page says how many there are."""
    rows = responses(POOL)
    viewer = Viewer([write_run(tmp_path / "r", {"scores-m": [replace(rows[0], reward=None), *rows[1:]]})])
    assert [row["judge"] for row in listed(viewer)["rows"]] == [None, 0.0, 0.5, 1.0]
    assert any("1 responses have no reward" in note for note in viewer.facts({"set": "0"})["notes"])
    viewer.worker.close()


def test_a_problem_with_its_responses(viewer: Viewer) -> None:
    """Highest reward first, votes by equal answers, the reference drawn; texts come by row and are whole."""
    viewer.grouping(0).job.wait(30)
    [side] = viewer.problem({"set": "0", "problem": "0"})["sides"]
    assert side["id"] == "p0" and side["reference"][0][1][0] == "math"
    assert [(a["votes"], a["right"]) for a in side["answers"]] == [(3, 3), (1, 0)]
    assert [row["reward"] for row in side["responses"]] == [2.0, 1.0, 0.0, -1.0] and side["responses"][0][
        "picked"
    ]
    [text] = viewer.texts({"set": "0", "rows": str(side["responses"][0]["row"])})["texts"]
    assert (
        "".join(piece for piece, _ in text["text"]).endswith("number 0 of p0, so \\boxed{1/2}.")
        and text["rule"] == "boxed"
    )
    again = viewer.verdict({"set": "0", "rows": str(side["responses"][2]["row"])})
    assert again["status"] == "wrong" and again["answer"] == "3"


def test_two_sets_beside_each_other(tmp_path: Path) -> None:
    """Right to wrong, wrong to right, another wrong answer, and the same answer in another form; the paired difference."""
    other = {
        "p0": [("3", False, 1.0)], "p1": [("7", True, 1.0)], "p2": [("4", True, 1.0)], "p3": [("18/3", True, 1.0)],
    }  # fmt: skip
    wrong = {
        "p0": [("3.0", False, 1.0)],
        "p1": [("8", False, 1.0)],
        "p2": [("5", False, 1.0)],
        "p3": [(None, False, 1.0)],
    }
    paths = [
        write_run(tmp_path / n, {"scores-m": responses(pool)}) for n, pool in (("a", other), ("b", wrong))
    ]
    viewer = Viewer(paths)
    found = listed(viewer, other="1", by="judge")
    assert found["compared"]["counts"] == {"lost": 3, "gained": 0, "other": 0, "same": 1}
    assert (
        found["compared"]["difference"]["value"] == pytest.approx(-75.0)
        and found["compared"]["problems"] == 4
    )
    assert names(listed(viewer, other="1", by="majority", change="lost")) == ["p1", "p2", "p3"]
    assert names(listed(viewer, set="1", other="0", by="first", change="gained")) == ["p1", "p2", "p3"]
    sides = viewer.problem({"set": "0", "problem": "0", "other": "1", "by": "judge"})["sides"]
    assert [side["responses"][0]["answer"][0][0] for side in sides] == ["3", "3.0"]
    viewer.worker.close()


def test_only_problems_of_one_prompt_are_compared(tmp_path: Path) -> None:
    """One id with two prompts is two problems; a prompt under another id is one."""
    first = write_run(tmp_path / "a", {"greedy-m": responses(POOL)})
    second = write_run(tmp_path / "b", {"greedy-m": responses(POOL)})
    from acemath.records import Problem

    from .conftest import problems

    changed = [
        replace(p, prompt="another") if p.id == "p0" else replace(p, id="q") if p.id == "p1" else p
        for p in problems()
    ]
    write_part(second / "bench-problems" / "part-00000.parquet", changed, Problem, "key")
    moved = [replace(r, problem_id="q") if r.problem_id == "p1" else r for r in responses(POOL)]
    write_part(second / "greedy-m" / "part-00000.parquet", moved, Response, "key")
    viewer = Viewer([first, second])
    found = listed(viewer, other="1", by="first")
    assert names(found) == ["p1", "p2", "p3"] and found["compared"]["missing"] == 1
    viewer.worker.close()


def test_curves_and_lengths(viewer: Viewer) -> None:
    """At k = 1 every measure is the accuracy; pass@n is the share of problems with a right response; filters hold."""
    viewer.grouping(0).job.wait(30)
    found = viewer.curves({"set": "0"})
    while found["share"] < 1:
        found = viewer.curves({"set": "0"})
    assert found["ks"] == [1, 2, 4] and found["problems"] == 4 and found["benchmarks"] == 2
    assert {row[0]["value"] for row in found["series"].values()} == {50.0}
    assert found["series"]["pass@k"][-1]["value"] == 100.0 and found["series"]["rm@k"][-1]["value"] == 62.5
    lengths = viewer.lengths({"set": "0", "benchmark": "beta"})
    assert (
        lengths["responses"] == 8
        and sum(part["n"] for part in lengths["bins"]) == 8
        and len(lengths["points"]) == 8
    )


def test_wrong_questions_are_one_line(viewer: Viewer) -> None:
    """A set, a row, a filter or a model that is not there."""
    for name, given, words in (
        ("problems", {"set": "9"}, "no set 9"),
        ("problems", {"set": "-1"}, "whole number"),
        ("problems", {"set": "0", "outcome": "x"}, "outcome is 'x'"),
        ("problems", {"set": "0", "model": "x"}, "no responses of 'x'"),
        ("problems", {"set": "0", "change": "x"}, "change is 'x'"),
        ("problems", {"set": "1", "other": "0", "by": "judge"}, "without a reward"),
        ("problem", {"set": "0", "problem": "99"}, "no such problem"),
        ("texts", {"set": "0", "rows": "0,999"}, "numbers of responses"),
    ):
        with pytest.raises(UserError, match=words):
            getattr(viewer, name)(given)


def test_a_run_that_goes_on_is_read_again(run: Path) -> None:
    """A part that arrives is there when the page is loaded anew."""
    late = run / "scores-m" / "part-00001.parquet"
    held = late.read_bytes()
    late.unlink()
    viewer = Viewer([run])
    assert viewer.problems({"set": "0"})["of"] == 2
    late.write_bytes(held)
    viewer.refresh()
    assert viewer.problems({"set": "0"})["of"] == 4
    viewer.worker.close()
