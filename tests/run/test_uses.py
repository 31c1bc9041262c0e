"""The data of a recipe like acemath-0.5b: parts of one file, prompts for one use, right responses alone, a ranking by votes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.recipe.sources import Source
from acemath.records import Chat, Problem, Response, benchmark_of
from acemath.run.display import Display
from acemath.run.measuring.problems import problem_stage, read
from acemath.run.partitions import open_run
from acemath.run.runner import Runner
from acemath.run.selection import chosen
from acemath.run.source_rows import count_rows, read_benchmark, read_source

QUESTIONS = {f"A farm of town {n} has {n} hens and gets {n + 3}; how many has it?": 2 * n + 3 for n in range(60)}


@pytest.fixture()
def train(tmp_path: Path) -> Path:
    """A train split in GSM8K's form."""
    path = tmp_path / "gsm8k_train.jsonl"
    rows = [{"question": q, "answer": f"It is <<1+{a}={a}>>{a}.\n#### {a}"} for q, a in QUESTIONS.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answer(question: str) -> str | None:
    """Right where the number of hens is even, wrong where it is odd, without an answer for town 4."""
    asked = question.split("\n")[0]
    if "town 4 " in asked:
        return "I do not know."
    number = QUESTIONS[asked]
    return f"We add. The answer is \\boxed{{{number if number % 4 == 3 else number + 1}}}."


@pytest.fixture()
def changes(serve: Any, train: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """acemath-0.5b with a server as teacher, on a small file that the folder of ACEMATH_DATA holds."""
    monkeypatch.setenv("ACEMATH_DATA", str(train.parent))
    return {
        "models.teacher": {"engine": "endpoint", "url": serve({"teacher": answer})},
        "partitions": 2,
        "problems.seeds.sft.part": [0, 0.5],
        "problems.seeds.reward.part": [0.5, 0.8],
        "problems.benchmarks": {"t": {"file": str(train), "part": [0.9, 1]}, "validation": {"known": "gsm8k-train", "part": [0.8, 0.9]}},
        "curate.decontaminate": {"ngram": 60, "lcs": 1.0},
    }  # fmt: skip


def test_parts_are_disjoint_and_the_same_under_every_name(train: Path) -> None:
    """Together they are all rows; the count of a plan is near what is read; steps stay with the problem."""
    named = {"columns": {"prompt": "question", "answer": "answer"}, "file": train}
    low, high = Source(part=(0, 0.3), **named), Source(part=(0.3, 1), **named)
    first, second = (list(read_source(name, source, 0)) for name, source in (("a", low), ("b", high)))
    assert {p.prompt for p in first} | {p.prompt for p in second} == set(QUESTIONS) and len(first) + len(second) == 60
    assert {p.prompt for p in read_benchmark("c", low, 0)} == {p.prompt for p in first}
    assert abs(count_rows("a", low) - len(first)) < 15 and count_rows("a", low) == 18
    assert len(list(read_source("a", Source(part=(0.3, 1), count=5, **named), 0))) == 5
    assert {p.meta["steps"] for p in first} == {1}
    with pytest.raises(ValueError, match="smaller to a larger"):
        Source(part=(0.5, 0.5), **named)


def test_prompts_are_for_one_use_and_only_right_responses_are_kept(
    make: Any, changes: dict[str, Any], tmp_path: Path
) -> None:
    """The teacher answers the SFT part alone; what is wrong or has no answer is dropped; reward problems are the rest."""
    recipe = load_recipe("acemath-0.5b", changes)
    runner = make(recipe, tmp_path / "run", "blend-math", "reward-problems")
    stores = runner.stores
    chats = list(stores["blend-math"].all_rows(Chat))
    asked = {r.problem_id for r in stores["teacher-math"].all_rows(Response)}
    sources = {p.id: p.source for p in stores["prompts"].all_rows(Problem)}
    assert {sources[key] for key in asked} == {"sft"} and len(list(stores["teacher-math"].all_rows(Response))) == 2 * len(asked)
    assert chats and {c.source for c in chats} == {"sft"}
    for chat in chats:
        assert QUESTIONS[chat.messages[-2]["content"].split("\n")[0]] % 4 == 3
    reasons = stores["responses"].manifest["facts"]["funnel"]["filter responses"]["drops"]
    assert reasons["wrong by reference"] > 4 and "cross-check" not in stores
    problems = list(stores["reward-problems"].all_rows(Problem))
    assert {p.source for p in problems} == {"reward"}
    prompts = {c.messages[-2]["content"].split("\n")[0] for c in chats}
    assert not prompts & {p.prompt for p in problems}


def test_a_limit_takes_as_many_problems_of_each_benchmark(tmp_path: Path) -> None:
    """Whatever their subjects are: here both are math, and one is four times as large. A small one is taken whole."""
    for name, count in (("large", 60), ("small", 15)):
        rows = [{"id": f"{name}{n}", "prompt": f"{name} {n} + 1?", "answer": str(n + 1)} for n in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = read([str(tmp_path / "large.jsonl"), str(tmp_path / "small.jsonl")], None, None)
    folder = tmp_path / "run"
    open_run(folder, lambda: {"benchmarks": 75}, {"benchmarks": 2})
    limits = {20: {"large": 10, "small": 10}, 60: {"large": 30, "small": 15}}
    stages = [chosen(f"some-{n}", "problems", n, answered=True, space="benchmarks") for n in limits]
    runner = Runner(folder, [problem_stage(asked), *stages], Display())
    runner.make_all()
    for limit, expected in limits.items():
        rows = runner.stores[f"some-{limit}"].all_rows(Problem)
        assert Counter(benchmark_of(row) for row in rows) == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sft.stages.math.blend": ["math.checked"]}, "which the cross-check fills; name roles.checker"),
        ({"bench.validation": "val"}, "bench.validation is 'val'; it is one of at least two benchmarks (gsm8k, validation)"),
        ({"problems.seeds.sft.part": [0.4, 0.2]}, "it goes from a smaller to a larger number"),
        ({"problems.seeds.sft.use": "rm"}, "problems.seeds.sft.use"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_when_the_recipe_is_read(changes: dict[str, Any], says: str) -> None:
    """One line."""
    with pytest.raises(UserError) as caught:
        load_recipe("acemath-0.5b", changes)
    assert says in str(caught.value) and "\n" not in str(caught.value)
