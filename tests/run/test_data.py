"""The stages of the data on worksheets: a vote, several checking teachers, two rounds of evolution, declared pools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.records import Chat, Problem, Response, by_problem
from acemath.run import synthesis
from acemath.run.problems import _once
from acemath.run.responses import graded
from acemath.run.runner import Runner

CHANGES = {
    "problems.seeds.worksheets.count": 240,
    "problems.benchmarks.worksheets.count": 70,
    "curate.evolve.rounds": 2,
    "curate.evolve.share": 0.5,
    "curate.solvability": {"answers": 4, "at_least": 0.75},
    "curate.cross_check.share": 0.6,
    "models.third": {"engine": "worksheets", "skill": 0.5},
    "roles.checker": None,
    "roles.checkers": {"first": "checker", "third": {"model": "third", "answers": 3}},
    "sft.pools": {
        "new": {"of": "math", "born": "evolved", "take": 40},
        "left": {"of": "math", "unused_by": ["first"]},
        "greedy": {"of": "code", "take": 10_000},
    },
    "sft.stages": {
        "first": {"blend": ["new", "greedy"]},
        "first-more": {"blend": ["left"], "shares": {"left": 0.5}},
    },
    "reward.base": "first",
    "reward.candidates": {"policies": ["first"]},
    "bench": {"headline": "first", "policies": ["first"]},
}


Make = Callable[..., Runner]


def blends(recipe: Recipe) -> list[str]:
    """The last stages of the data."""
    return [f"blend-{name}" for name in recipe.sft.stages]


def facts_of(runner: Runner, stage: str) -> dict[str, Any]:
    """The facts in a stage's manifest."""
    return dict(runner.stores[stage].manifest["facts"])


def test_the_stages_do_what_the_recipe_says(make: Make, tmp_path: Path) -> None:
    """Every stage leaves its facts; a second run does nothing; without the vote nothing of it is there."""
    recipe = load_recipe("laptop", CHANGES)
    runner = make(recipe, tmp_path / "run", *blends(recipe))
    stores = runner.stores
    evolved = list(stores["evolve"].all_rows(Problem))
    assert {p.meta["round"] for p in evolved} == {1, 2} and facts_of(runner, "evolve")["funnel"]
    prompts, passed = (list(stores[name].all_rows(Problem)) for name in ("prompts", "solvable"))
    reasons = facts_of(runner, "solvable")["funnel"]["solvability vote"]["drops"]
    assert len(passed) == len(prompts) - sum(reasons.values()) < len(prompts) and set(reasons) <= {"unsolved", "other-answer", "too-easy"}  # fmt: skip
    checkers = facts_of(runner, "cross-check")["checkers"]
    assert len(checkers) == 2 and all(0 < c["agree"] < c["answers"] for c in checkers.values())
    assert facts_of(runner, "blend-first")["pools"]["new"] == 40
    first, more = (list(stores[f"blend-{name}"].all_rows(Chat)) for name in ("first", "first-more"))
    assert len(first) == facts_of(runner, "blend-first")["conversations"] and more
    assert not {c.problem_id for c in first} & {c.problem_id for c in more}
    assert make(recipe, tmp_path / "run", *blends(recipe)).ran == []
    plain = load_recipe("laptop", {**CHANGES, "curate.solvability": None})
    assert "solvable" not in make(plain, tmp_path / "plain", "teacher-math").stores


def test_a_response_without_any_check_is_dropped_with_its_reason(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a server refuses every answer to one problem: "unchecked", and counted in the funnel."""
    changes = {"problems.seeds.worksheets.count": 60, "problems.benchmarks.worksheets.count": 14}
    recipe = load_recipe("laptop", changes)
    store = make(recipe, tmp_path, "cross-check").stores["cross-check"]
    lost = store.rows(Response, 0)[0].problem_id
    monkeypatch.setattr(
        synthesis, "by_problem", lambda rows: {k: some for k, some in by_problem(rows).items() if k != lost}
    )
    store.part(0).unlink()
    store = make(recipe, tmp_path, "cross-check").stores["cross-check"]
    assert [row.reason for row in store.dropped() if row.id == lost] == ["unchecked"]
    assert store.manifest["facts"]["funnel"]["cross-check"]["drops"]["unchecked"] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sft.stages.math.blend": ["math.best"]}, "names 'math.best'; the pools are code, general, math"),
        ({"sft.stages.math.counts": {"general": 9}}, "stages.math.counts names 'general', which its blend lacks (math.seeds, math.checked, math)"),
        ({"sft.stages.math.shares": {"math.unchecked": 0.5}}, "leave it out (math.unchecked: null)"),
        ({"sft.pools": {"math": {"of": "math"}}}, "a pool has a name of its own"),
        ({"sft.pools": {"x": {"of": "math", "unused_by": ["later"]}}, "sft.stages.math.blend": ["x"]}, "which is not a stage before 'math'"),
        ({"problems.seeds.worksheets": {"known": "numina"}}, "'numina' is not registered; the names are numinamath-cot"),
        ({"curate.filters.forms": ["essay"]}, "curate.filters.forms.0"),
    ],
)  # fmt: skip
def test_wrong_names_are_found_before_anything_runs(changes: dict[str, object], says: str) -> None:
    """One line, when the recipe is read."""
    with pytest.raises(UserError) as caught:
        load_recipe("laptop", changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("exact", [None, False])
def test_exact_references_drop_what_they_show_to_be_wrong(
    exact: bool | None, make: Make, tmp_path: Path
) -> None:
    """On for worksheets, whose references are computed; a source may say otherwise. The funnel counts it."""
    changes = {
        "problems.seeds.worksheets.count": 120,
        "problems.seeds.worksheets.exact": exact,
        "problems.benchmarks.worksheets.count": 14,
        "models.teacher.skill": 0.7,
    }
    runner = make(load_recipe("laptop", changes), tmp_path, "responses")
    prompts = {p.id: p for p in runner.stores["prompts"].all_rows(Problem) if p.group == "math" and p.answer}
    kept = [r for r in runner.stores["responses"].all_rows(Response) if r.problem_id in prompts]
    wrong = [r for r in graded(kept, list(prompts.values())) if r.status == "wrong"]
    facts = facts_of(runner, "responses")
    dropped = facts["funnel"]["filter responses"]["drops"].get("wrong by reference", 0)
    assert facts["reference"]["wrong"] == dropped
    if exact is None:
        summary = runner.by_name["responses"].summary(facts)
        assert not wrong and dropped > 5 and f"{dropped} were wrong by reference" in summary
    else:
        assert len(wrong) > 5 and dropped == 0


def test_decontamination_says_what_it_reports_and_refuses_an_empty_benchmark(
    make: Make, tmp_path: Path
) -> None:
    """A rewording stays, and stands in the stage's summary, its facts and the funnel; a benchmark of nothing is an error."""
    told = "A tram with 52 seats makes 9 trips a day. On 4 days a week half of the seats stay empty. How many riders is that?"
    again = "How many riders does a tram of 52 seats have over 4 days, making 9 trips a day, when half of its seats are empty?"
    for name, text in (("seeds", again), ("bench", told), ("nothing", " ")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": text, "answer": ""}) + "\n")

    def run_with(bench: str) -> Runner:
        problems = {
            "seeds": {"mine": {"file": str(tmp_path / "seeds.jsonl")}},
            "benchmarks": {bench: {"file": str(tmp_path / f"{bench}.jsonl")}},
        }
        recipe = load_recipe("laptop", {"problems": problems, "curate.evolve.methods": []})
        return make(recipe, tmp_path / bench, "prompts")

    runner = run_with("bench")
    facts = facts_of(runner, "prompts")
    assert facts["funnel"]["decontaminate"]["reported"] == {"contained": 0, "near-copy": 0, "reworded": 1}
    assert runner.by_name["prompts"].summary(facts).endswith("kept though near a benchmark: 1 reworded")
    with pytest.raises(UserError, match="benchmark nothing: 0 problems"):
        run_with("nothing")


def test_a_problem_of_two_sources_is_read_once() -> None:
    """Two sources of worksheets may draw the same sheet; two problems under one id are an error that names both."""
    rows = [Problem("a", "1+1?", "2"), Problem("a", "1+1?", "2"), Problem("b", "1+2?", "3")]
    assert _once(rows) == rows[1:]
    with pytest.raises(UserError, match=r"two problems have the id 'a' \('1\+1\?' and '1\+3\?'\); rename a source"):
        _once([*rows, Problem("a", "1+3?", "4")])
