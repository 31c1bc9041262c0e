"""References by the labeller, evolved prompts among them, and candidates in short form after worked examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.records import Group, Problem, Response
from acemath.run.reward import agreed_answer

SHEEP = "How many legs have nine sheep?"
STEPS = "Please reason step by step."


def choice(question: str, right: str, rationale: str = "") -> dict[str, Any]:
    """A row in AQuA's form."""
    return {"question": question, "options": ["A)1", "B)2", "C)3", "D)4", "E)5"], "correct": right, "rationale": rationale}


def rows(path: Path, found: list[dict[str, Any]]) -> str:
    """A file of rows; its path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


@pytest.fixture()
def asked() -> list[str]:
    """What the model was asked."""
    return []


@pytest.fixture()
def changes(serve: Any, asked: list[str], tmp_path: Path) -> dict[str, Any]:
    """The laptop recipe with a server that evolves, labels and answers, and two seeds: with answers, and with choices."""

    def reply(question: str) -> str | None:
        asked.append(question)
        if question.startswith("You write good mathematics questions."):
            return None if "4 + 4" in question else SHEEP
        return "\\boxed{36}" if SHEEP in question else "\\boxed{2}"

    plain = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 5)]
    choices = [choice(f"Which is the root number {n} of x - 2?", "B") for n in range(3)]
    worked = [choice(f"What is {n} - 1?", "C", f"It is {n - 1}.") for n in (4, 5, 6)]
    return {
        "models": {"gpt": {"engine": "endpoint", "url": serve({"gpt": reply})}},
        "roles": {"writer": "gpt", "teachers": {"all": "gpt"}, "labeller": {"model": "gpt", "replaces": False}},
        "problems.seeds": {
            "plain": {"file": rows(tmp_path / "plain.jsonl", plain), "subject": "math"},
            "choices": {"known": "aqua-rat", "file": rows(tmp_path / "choices.jsonl", choices), "use": "reward"},
        },
        "problems.benchmarks.worksheets.count": 14,
        "curate.evolve": {"methods": ["in-breadth"], "sources": ["plain"], "share": 1.0},
        "curate.decontaminate": {"ngram": 60, "lcs": 1.0},
        "sft.chat.instruction": STEPS,
        "sft.stages": {"math": {"blend": ["math"]}},
        "reward.problems": 4,
        "reward.candidates": {"each": 2, "policies": {"gpt": {}, "short": {
            "model": "gpt", "chat": {}, "sources": ["choices"],
            "shots": {"known": "aqua-rat", "file": rows(tmp_path / "worked.jsonl", worked), "count": 2},
        }}},
    }  # fmt: skip


def test_evolved_prompts_get_the_labellers_answer(changes: dict[str, Any], make: Any, tmp_path: Path) -> None:
    """With `replaces: false` all others keep their own; without it every problem has the labeller's."""
    changes["reward.problems"] = None
    for replaces, own in ((False, {"2", "4", "6", "8", "B"}), (True, {"2"})):
        changes["roles.labeller"] = {"model": "gpt", "replaces": replaces}
        stores = make(load_recipe("laptop", changes), tmp_path / str(replaces), "labelled").stores
        problems = list(stores["labelled"].all_rows(Problem))
        assert {p.answer for p in problems if p.prompt == SHEEP} == {"36"}
        assert {p.answer for p in problems if p.prompt != SHEEP} == own
        (refused,) = stores["evolve"].dropped()  # a dropped row with a counted reason, and no question
        assert (refused.step, refused.reason, refused.text) == ("evolve", "refused", "What is 4 + 4?")
        funnel = stores["evolve"].manifest["facts"]["funnel"]["evolve"]
        assert funnel["drops"] == {"refused": 1}


def test_short_forms_follow_worked_examples(changes: dict[str, Any], asked: list[str], make: Any, tmp_path: Path) -> None:
    """One candidate alone answers the choices, all of them, after two examples and without the solver's instruction."""
    runner = make(load_recipe("laptop", changes), tmp_path / "run", "candidates-gpt", "candidates-short")
    found = {name: list(runner.stores[f"candidates-{name}"].all_rows(Response)) for name in ("gpt", "short")}
    assert len(found["gpt"]) == 8 and not any(r.problem_id.startswith("choices:") for r in found["gpt"])
    assert len({r.problem_id for r in found["short"]}) == 3 and len(found["short"]) == 6
    short = [text for text in asked if text.startswith("What is 4 - 1?")]
    assert len(short) >= 3 and not any(STEPS in text for text in short)
    assert short[0].startswith(
        "What is 4 - 1?\nAnswer Choices: (A) 1 (B) 2 (C) 3 (D) 4 (E) 5\nIt is 3.\nThe answer is \\boxed{C}.\n\nWhat is 5 - 1?"
    )
    assert "What is 6 - 1?" not in short[0] and "root number" in short[0]


@pytest.mark.parametrize(
    ("stated", "of", "share", "found"),
    [
        (["4"], 1, 1.0, ("4", 1)),
        ([None], 1, 1.0, (None, 0)),
        (["1/2", "0.5", "3"], 3, 2 / 3, ("1/2", 2)),
        (["4", "4", None], 3, 1.0, (None, 2)),
        (["4", "5", "6"], 3, 0.6, (None, 1)),
        (["4"], 3, 0.6, (None, 1)),
    ],
)
def test_a_share_of_the_labellers_answers_agrees(
    stated: list[str | None], of: int, share: float, found: tuple[str | None, int]
) -> None:
    """Equal answers agree in any form; one that is missing agrees with none."""
    assert agreed_answer(stated, of, share) == found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"roles.labeller": {"model": "gpt", "answers": 3}}, "answers is 3, but at temperature 0 all are the same"),
        ({"reward.candidates.policies.short.sources": ["none"]}, "sources names 'none'; the seeds are"),
        ({"bench.policies": {"math": {"each": 8, "sources": ["plain"]}}}, "has sources, which are for reward.candidates"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict[str, Any], change: dict[str, Any], why: str) -> None:
    """Each when the recipe is loaded."""
    with pytest.raises(UserError, match=why):
        load_recipe("laptop", changes | change)


def test_a_problem_too_long_for_the_ranker_is_a_dropped_row(
    serve: Any, make: Any, random_reward_model: Path, tmp_path: Path
) -> None:
    """With its reason, and in no group. The run goes on."""
    url = serve({"right": lambda _: "So \\boxed{2}.", "wrong": lambda _: "So \\boxed{3}."})
    prompts = [f"Ann has {n} pens and loses {n - 2}. How many has she?" for n in range(5, 9)]
    prompts.append(f"{'On every day of that long week she counted them again. ' * 12}{prompts[0]}")
    plain = [{"question": prompt, "answer": "2"} for prompt in prompts]
    rm = {"id": str(random_reward_model), "dtype": "float32", "max_length": 120}
    recipe = load_recipe("laptop", {
        "models": {"right": {"engine": "endpoint", "url": url}, "wrong": {"engine": "endpoint", "url": url}, "rm": rm},
        "roles": {"teachers": {"all": "right"}, "ranker": {"model": "rm", "chat": {}}},
        "problems.seeds": {"plain": {"file": rows(tmp_path / "plain.jsonl", plain), "subject": "math"}},
        "curate.evolve.methods": [],
        "sft.stages": {"math": {"blend": ["math"]}},
        "reward.problems": None,
        "reward.candidates": {"each": 1, "policies": {"right": {}, "wrong": {}}},
        "reward.groups": {"own": [], "own_share": 0.0, "size": 2, "least": 1},
    })  # fmt: skip
    stores = make(recipe, tmp_path / "run", "groups").stores
    (lost,) = stores["ranks"].dropped()
    assert (lost.reason, lost.step, lost.text) == ("too-long", "ranks", prompts[-1])
    assert {r.problem_id for r in stores["ranks"].all_rows(Response)} == {g.problem_id for g in stores["groups"].all_rows(Group)}
    facts = stores["ranks"].manifest["facts"]
    assert (facts["problems"], facts["scores"], facts["too_long"]) == (4, 8, 1)
    assert stores["groups"].manifest["facts"]["groups"] == 4
