"""What each role is really sent, and which stages another chat or another model makes again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.records import Problem, Response
from acemath.run.display import Display
from acemath.run.run import opened, run_recipe, run_until

BOX = "put your final answer within \\boxed{}."
SEEDS = {
    "math": {"What is 3+4?": "7", "What is 5+6?": "11"},
    "code": {"Write a function that reverses a list.": ""},
    "general": {"Name a colour of the rainbow.": ""},
}
CREATOR = "You write good mathematics questions."  # how the templates of evolution begin
CREATED = "How many legs do nine spiders have?"


def replies(asked: list[str]) -> Callable[[str], str]:
    """A model that remembers what it was asked: it writes one new question, and answers all others with 7."""

    def reply(question: str) -> str:
        asked.append(question)
        return CREATED if CREATOR in question else "We add them. So the answer is \\boxed{7}."

    return reply


@pytest.fixture()
def asked() -> dict[str, list[str]]:
    """What each model of the server was asked."""
    return {"gpt": [], "qwen": []}


@pytest.fixture()
def changes(asked: dict[str, list[str]], serve: Any, tmp_path: Path) -> dict[str, Any]:
    """The laptop recipe with the paper's roles, on a server and on a few seeds of each subject."""
    url = serve({name: replies(texts) for name, texts in asked.items()})
    files = {}
    for subject, rows in SEEDS.items():
        files[subject] = {"file": str(tmp_path / f"{subject}.jsonl"), "subject": subject}
        text = "".join(json.dumps({"prompt": q, "answer": a}) + "\n" for q, a in rows.items())
        (tmp_path / f"{subject}.jsonl").write_text(text)
    return {
        "models": {name: {"engine": "endpoint", "url": url} for name in asked},
        "roles": {"writer": "gpt", "teachers": {"math": "qwen", "all": "gpt"}, "checker": {"model": "gpt", "temperature": 0.7}},
        "problems.seeds": files,
        "problems.benchmarks.worksheets.count": 14,
        "curate.evolve.methods": ["in-breadth"],
        "sft.chat.instruction": f"Please reason step by step, and {BOX}",
    }  # fmt: skip


def run_data(changes: dict[str, Any], folder: Path) -> list[str]:
    """The stages up to the training sets; those that ran."""
    ran: list[str] = run_until(load_recipe("laptop", changes), folder, Display(quiet=True), "data")["ran"]
    return ran


def test_each_role_is_asked_in_its_own_chat(
    asked: dict[str, list[str]], changes: dict[str, Any], tmp_path: Path
) -> None:
    """The writer and the teachers of code and general prompts see no solver's instruction; solvers of math do."""
    run_data(changes, tmp_path / "run")
    evolving = [text for text in asked["gpt"] if CREATOR in text]
    others = [text for text in asked["gpt"] if text not in evolving]
    assert len(evolving) == len(SEEDS["math"]) and not any(
        BOX in text or "boxed" in text for text in evolving
    )
    plain = {*SEEDS["code"], *SEEDS["general"]}
    assert plain <= set(others) and all(text.endswith(BOX) for text in others if text not in plain)
    math = {f"{text}\nPlease reason step by step, and {BOX}" for text in (*SEEDS["math"], CREATED)}
    assert set(asked["qwen"]) == math == {text for text in others if text not in plain}
    stores = opened(tmp_path / "run", Display(quiet=True))[1].stores
    rows = {row.id: row for row in stores["prompts"].all_rows(Problem)}
    for stage, model in (("teacher-math", "qwen"), ("teacher-code", "gpt"), ("teacher-general", "gpt")):
        found = list(stores[stage].all_rows(Response))
        assert {r.model for r in found} == {model}
        assert {rows[r.problem_id].group for r in found} == {stage.removeprefix("teacher-")}


def test_a_role_makes_only_its_own_stages_again(changes: dict[str, Any], tmp_path: Path) -> None:
    """Of the stages that ask a model, those of the role whose chat or sampling changed, and no other role's."""
    run_data(changes, tmp_path / "run")
    for change, again in (
        ({"roles.checker.chat": {"system": "Check."}}, {"checker-first"}),
        ({"roles.checker.max_new_tokens": 99}, {"checker-first"}),
        ({"roles.teachers.code": {"model": "gpt", "chat": {"system": "Code."}}}, {"teacher-code"}),
        ({"roles.labeller": {"model": "gpt"}}, set()),
        ({"models.gpt.in_flight": 2, "models.gpt.timeout": 9.0}, set()),
        ({"roles.ranker": None}, set()),
    ):
        folder = shutil.copytree(tmp_path / "run", tmp_path / " ".join(change))
        ran = run_data({**changes, **change}, folder)
        assert {name for name in ran if name.startswith(("evolve", "teacher", "checker"))} == again, change


def test_a_role_that_nobody_fills_is_one_line(changes: dict[str, Any], tmp_path: Path) -> None:
    """New questions without a writer, prompts without a teacher, a model that is nowhere: before anything is asked."""
    changes["roles.writer"] = None
    with pytest.raises(
        UserError, match="no role writes new questions from the seeds math, which are no worksheets"
    ):
        run_data(changes, tmp_path / "a")
    assert "evolve" in run_data({**changes, "curate.evolve.methods": []}, tmp_path / "a")
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"prompt": "Name a bird.", "answer": "", "subject": "general"}\n')
    changes |= {"problems.seeds": {"mixed": {"file": str(mixed)}}, "roles.teachers": {"math": "qwen"}}
    changes["curate.evolve.methods"] = []
    with pytest.raises(
        UserError, match=r"no teacher answers the general prompts; name a model as roles.teachers.general"
    ):
        run_data(changes, tmp_path / "b")
    recipe = load_recipe("laptop", {"roles.teachers.math": "techer"})
    with pytest.raises(
        UserError, match="roles.teachers.math.model is 'techer', which is neither one of models nor a stage"
    ):
        run_recipe(recipe, tmp_path / "c", Display(quiet=True))
