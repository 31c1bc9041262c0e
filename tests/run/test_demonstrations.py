"""Benchmarks of a run after their demonstrations, of which the paper gives MMLU STEM five."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.registry import BENCHMARKS
from acemath.recipe.load import load_recipe
from acemath.records import Problem, Response
from acemath.run.preflight.finding import Findings
from acemath.run.preflight.sources import check_sources
from acemath.run.rehearsal.rows import write_benchmark

HEAD = "Answer Choices: "


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of two benchmarks, and the demonstrations of one."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("mmlu_stem", "gaokao2023en"):
        write_benchmark(folder / f"{name}.jsonl", name)
    return folder


@pytest.mark.parametrize("wanted", [True, False])
def test_five_of_the_subject_come_before_mmlu_stem_alone(wanted: bool, data: Path, serve: Any, make: Any, tmp_path: Path) -> None:
    """In the same turn. The stored problem has none, so a reward model reads it without them."""
    asked: list[str] = []

    def reply(question: str) -> str:
        asked.append(question)
        return "\\boxed{A}"

    recipe = load_recipe("laptop", {
        "models": {"gpt": {"engine": "endpoint", "url": serve({"gpt": reply})}},
        "problems.benchmarks": {name: {"benchmark": name, "file": str(data / f"{name}.jsonl")} for name in ("mmlu_stem", "gaokao2023en")},
        "bench": {"headline": "gpt", "demonstrations": wanted, "policies": {"gpt": {"each": 1, "problems": 12}}},
    })  # fmt: skip
    runner = make(recipe, tmp_path / "run", "greedy-gpt")
    problems = {p.prompt: p for p in runner.stores["bench-problems-12"].all_rows(Problem)}
    assert len(asked) == len(problems) == 12
    for text in asked:
        own = next(p for p in problems.values() if p.prompt in text)
        shots = 5 if wanted and own.meta["benchmark"] == "mmlu_stem" else 0
        assert text.split("\n\n")[-1].startswith(own.prompt) or own.prompt in text
        assert text.count("The answer is \\boxed{") == shots and text.count(HEAD) == shots + ("mmlu" in own.meta["benchmark"])
    rows = list(runner.stores["greedy-gpt"].all_rows(Response))
    assert {row.status for row in rows} <= {"correct", "wrong", "no_answer"} and len(rows) == 12
    longest = check_sources(recipe, Findings(), network=False, count=False).longest["benchmarks"]
    assert ("The answer is" in longest[1]) == wanted


def test_demonstrations_are_of_the_same_subject(data: Path, make: Any, tmp_path: Path) -> None:
    """Five of each of the 18, from the split for development."""
    bench = {"headline": "nano", "demonstrations": True, "policies": {"nano": {"each": 1, "problems": 12}}}
    source = {"mmlu_stem": {"benchmark": "mmlu_stem", "file": str(data / "mmlu_stem.jsonl")}}
    runner = make(load_recipe("laptop", {"problems.benchmarks": source, "bench": bench}), tmp_path / "run", "demonstrations")
    rows = list(runner.stores["demonstrations"].all_rows(Problem))
    subjects = [row.subject for row in rows]
    assert {subject: subjects.count(subject) for subject in subjects} == dict.fromkeys(BENCHMARKS["mmlu_stem"].subjects, 5)
    assert all(row.answer.startswith("The answer is \\boxed{") for row in rows)


def test_a_problem_of_a_benchmark_is_no_worked_problem(data: Path, tmp_path: Path) -> None:
    """Neither of a benchmark that is asked after demonstrations nor of another one."""
    for name in ("mmlu_stem", "gaokao2023en"):
        (leak,) = (data / f"{name}.jsonl").read_text().splitlines()[:1]
        (tmp_path / "shots.jsonl").write_text(leak + "\n")
        recipe = load_recipe("laptop", {
            "problems.benchmarks": {name: {"benchmark": name, "file": str(data / f"{name}.jsonl")}},
            "bench.demonstrations": True,
            "reward.candidates.policies.worked": {"model": "nano", "each": 2, "shots": {"file": str(tmp_path / "shots.jsonl"), "count": 1}},
        })  # fmt: skip
        found = Findings()
        check_sources(recipe, found, network=False, count=False)
        (fault,) = [row for row in found.rows if row.place == "reward.candidates.policies.worked.shots"]
        assert fault.state == "fault" and "1 of 1 worked problems are problems of the benchmarks" in fault.says
