"""The stages of the data on worksheets: a vote, several checking teachers, two rounds of evolution, declared pools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from acemath.run.sampling import graded

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.recipe.schema import Recipe
from acemath.records import Chat, Problem, Response
from acemath.run import data
from acemath.run.context import Run
from acemath.run.display import Display

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


def run_data(recipe: Recipe, folder: Path) -> Run:
    """All stages up to the blends."""
    run = Run(recipe, folder, Display(quiet=True))
    for stage in (data.problems, data.evolution, data.curate, data.solvability, data.synthesize, data.blends):
        stage(run)
    return run


def test_the_stages_do_what_the_recipe_says(tmp_path: Path) -> None:
    """Every stage leaves its facts; a second run does nothing; without the vote nothing of it is there."""
    recipe = load_recipe("laptop", CHANGES)
    run = run_data(recipe, tmp_path / "run")
    evolved = run.rows("evolve", Problem)
    assert {p.meta["round"] for p in evolved} == {1, 2} and run.manifest("evolve")["funnel"]
    prompts, passed = run.rows("curate", Problem), run.rows("solvability", Problem)
    reasons = run.manifest("solvability")["funnel"][0]["drops"]
    assert len(passed) == len(prompts) - sum(reasons.values()) < len(prompts) and set(reasons) <= {"unsolved", "other-answer", "too-easy"}  # fmt: skip
    teachers = run.manifest("cross-check")["teachers"]
    assert len(teachers) == 2 and all(t["answers"] > 0 and 0 < t["agree"] < 1 for t in teachers.values())
    blends = run.manifest("blends")["counts"]
    assert blends["first"]["pools"]["new"] == 40
    first, more = (run.peek("blends").shard(Chat, name) for name in ("first", "first-more"))
    assert len(first) == blends["first"]["conversations"] and more
    assert not {c.problem_id for c in first} & {c.problem_id for c in more}
    assert run_data(recipe, tmp_path / "run").ran == []
    plain = run_data(load_recipe("laptop", {**CHANGES, "curate.solvability": None}), tmp_path / "plain")
    assert plain.prompts == "curate" and not (tmp_path / "plain" / "solvability").exists()


def test_a_response_without_any_check_is_dropped_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a server refuses every answer to one problem: "unchecked", and counted in the funnel."""
    changes = {"problems.seeds.worksheets.count": 60, "problems.benchmarks.worksheets.count": 14}
    run = run_data(load_recipe("laptop", changes), tmp_path)
    lost = run.rows("cross-check", Response)[0].problem_id
    grouped = data.by_problem
    monkeypatch.setattr(
        data, "by_problem", lambda rows: {key: some for key, some in grouped(rows).items() if key != lost}
    )
    shutil.rmtree(tmp_path / "cross-check")
    data.synthesize(run)
    dropped = [row for row in run.peek("cross-check").dropped() if row.id == lost]
    assert [row.reason for row in dropped] == ["unchecked"]
    assert run.manifest("cross-check")["funnel"][0]["drops"]["unchecked"] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sft.stages.math.blend": ["math.best"]}, "names 'math.best'; the pools are code, general, math"),
        ({"sft.pools": {"math": {"of": "math"}}}, "a pool has a name of its own"),
        ({"sft.pools": {"x": {"of": "math", "unused_by": ["later"]}}, "sft.stages.math.blend": ["x"]}, "no stage before 'math'"),
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
def test_exact_references_drop_what_they_show_to_be_wrong(exact: bool | None, tmp_path: Path) -> None:
    """On for worksheets, whose references are computed; a source may say otherwise. The funnel counts it."""
    changes = {
        "problems.seeds.worksheets.count": 120,
        "problems.seeds.worksheets.exact": exact,
        "problems.benchmarks.worksheets.count": 14,
        "models.teacher.skill": 0.7,
    }
    run = run_data(load_recipe("laptop", changes), tmp_path)
    prompts = {p.id: p for p in run.rows("curate", Problem) if p.group == "math" and p.answer}
    kept = [r for r in run.rows("filter-responses", Response) if r.problem_id in prompts]
    wrong = [r for r in graded(kept, list(prompts.values())) if r.status == "wrong"]
    manifest = run.manifest("filter-responses")
    dropped = manifest["funnel"][0]["drops"].get("wrong by reference", 0)
    assert manifest["reference"]["wrong"] == dropped
    if exact is None:
        assert not wrong and dropped > 5 and f"{dropped} were wrong by reference" in manifest["summary"]
    else:
        assert len(wrong) > 5 and dropped == 0


def test_decontamination_says_what_it_reports_and_refuses_an_empty_benchmark(tmp_path: Path) -> None:
    """A rewording stays, and stands in the stage's summary, its facts and the funnel; a benchmark of nothing is an error."""
    told = "A tram with 52 seats makes 9 trips a day. On 4 days a week half of the seats stay empty. How many riders is that?"
    again = "How many riders does a tram of 52 seats have over 4 days, making 9 trips a day, when half of its seats are empty?"
    for name, text in (("seeds", again), ("bench", told), ("nothing", " ")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": text, "answer": ""}) + "\n")

    def run_with(bench: str) -> Run:
        problems = {
            "seeds": {"mine": {"file": str(tmp_path / "seeds.jsonl")}},
            "benchmarks": {bench: {"file": str(tmp_path / f"{bench}.jsonl")}},
        }
        recipe = load_recipe("laptop", {"problems": problems, "curate.evolve.sources": ["none"]})
        run = Run(recipe, tmp_path / bench, Display(quiet=True))
        data.problems(run)
        data.evolution(run)
        data.curate(run)
        return run

    facts = run_with("bench").manifest("curate")
    assert (
        facts["reported"]
        == facts["funnel"][-1]["reported"]
        == {"contained": 0, "near-copy": 0, "reworded": 1}
    )
    assert facts["summary"].endswith("kept though near a benchmark: 1 reworded")
    with pytest.raises(UserError, match="benchmark nothing: 0 problems"):
        run_with("nothing")
