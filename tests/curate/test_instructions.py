"""Benchmark problems inside instructions: leaks with any wording of the instruction, but not with an extra condition."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acemath.curate.decontaminate.instructions import is_instruction, shared_wrapper, unwrapped
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import words_of
from acemath.records import Problem

# Written for this test, with 3, 8, 12 and 31 words.
PROBLEMS = [
    "Simplify $\\sqrt{507}$.",
    "What is the units digit of $3^{77}$?",
    "How many positive divisors of $6^8$ are perfect cubes of integers?",
    "A lighthouse flashes every 14 seconds and a buoy every 10 seconds. Both flash at noon. How many times do they flash "
    "together in the ten minutes that follow?",
]
WRAPPERS = [
    "{} Think it through and state the result in a box.",
    "Question: {}\nAnswer:",
    "User: {}\n\nAssistant: Let me think about this.",
    "<|im_start|>system\nYou are a patient mathematics tutor.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "[INST] Here is an exercise for you. {} [/INST]",
    "### Instruction:\nAnswer the exam question below and justify every step of your solution.\n\n{}\n\n### Response:\n",
    "You are given a problem from a mathematics competition. Before you answer, write down your reasoning between <think> and "
    "</think>; after that, write nothing but the final result between <answer> and </answer>.\n\nProblem 7. {}",
    "I will ask you a question and you will reply with one integer and no explanation at all. Ready? {} The answer is X, "
    "where X is what you found.",
]


def index(problems: list[str] = PROBLEMS) -> Decontaminator:
    """An index of some problems."""
    rows = [Problem(f"t{at}", text, subject="bench") for at, text in enumerate(problems)]
    return Decontaminator(rows, DecontaminateSettings())


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("place", range(len(PROBLEMS)))
def test_a_problem_among_instructions_is_a_leak(place: int, wrapper: str) -> None:
    """Before it, after it, or both, for short and long problems."""
    hit = index().index.find(Problem("p", wrapper.format(PROBLEMS[place])), math=True)
    assert hit is not None and (hit.kind, hit.benchmark_id) == ("leak", f"t{place}")


@pytest.mark.parametrize(
    "text",
    [
        "A gardener plants 40 tulips in rows of 8 and wonders about another matter. {} Then she waters the tulips for "
        "12 minutes. How long does a row take her, and what do both results add up to?",
        "Let $n$ be the result of this one: {} For which primes $p$ below 50 is $n^2 + p$ a perfect square, and how many "
        "of them leave the remainder 3 on division by 4? List them in ascending order.",
    ],
)
def test_a_problem_with_a_condition_of_its_own_is_no_leak(text: str) -> None:
    """Inside another problem it is "contained", unless it is so short that it could be a common phrase."""
    kinds = [
        getattr(index().index.find(Problem("p", text.format(one)), math=True), "kind", None) for one in PROBLEMS
    ]
    assert "leak" not in kinds and kinds[1:] == ["contained"] * 3


def test_what_is_an_instruction() -> None:
    """Words about answering, in any order; no numbers, variables, operations or things."""
    for text in (
        "",
        "Please answer step by step.",
        "Question 12.",
        "Write the answer inside \\boxed{}.",
        "The answer is X.",
    ):
        assert is_instruction(words_of(text)), text
    for text in ("Use 12 steps.", "Find x.", "Answer with x + 1.", "Also find the perimeter of the garden."):
        assert not is_instruction(words_of(text)), text


def test_instructions_that_are_shared_are_no_hit() -> None:
    """One instruction around all prompts and all benchmark problems: only the same problem is a leak."""
    around = WRAPPERS[6]
    tests = [around.format(f"What is {n} plus the {n + 3}rd prime?") for n in range(20, 60)]
    rows = [
        Problem(f"p{n}", around.format(f"Divide {n} by {n - 3} and round down.")) for n in range(300, 340)
    ]
    rows.append(Problem("same", tests[7]))
    for found in (scan(rows, index(tests)), scan(rows * 20, index(tests))[: len(rows)]):
        assert [(hit.problem_id, hit.kind) for hit in found if hit is not None] == [("same", "leak")]


def test_an_instruction_around_all_prompts_is_ignored() -> None:
    """A long instruction around every prompt hides no copy that is found without it."""
    copy = PROBLEMS[3].replace("a buoy every 10", "a second one every 10")
    rows = [
        Problem("copy", copy),
        *(Problem(str(n), f"What is {n} times the year {n + 1900}?") for n in range(30)),
    ]
    wrapped = [replace(row, prompt=WRAPPERS[6].format(row.prompt)) for row in rows]
    for some in (rows, wrapped):
        assert [(hit.problem_id, hit.kind) for hit in scan(some, index()) if hit] == [("copy", "leak")]


def test_shared_wrappers() -> None:
    """Whole sentences, lines and labels of an instruction; nothing of the problems, and nothing for few texts."""
    problems = [f"Find the product of the divisors of {n}. Use 6 colours." for n in range(60, 70)]
    head, tail = "Solve this problem step by step.\n\nQuestion: ", "\n\nPut your answer in a box."
    assert shared_wrapper([head + text + tail for text in problems]) == (head, "Put your answer in a box.")
    assert unwrapped(head + problems[0] + tail, {(head, tail)}) == problems[0] == unwrapped(problems[0], {(head, tail)})
    assert shared_wrapper(problems) == ("", "") == shared_wrapper([head + text for text in problems[:3]])


def test_a_benchmark_without_problems_is_an_error(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Otherwise an empty file would find no leak and look like success."""
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": PROBLEMS[3]}) + "\n")
    for name, text in (("empty.jsonl", ""), ("blank.jsonl", json.dumps({"prompt": "  "}) + "\n")):
        (tmp_path / name).write_text(text)
        for given in (["decontaminate", "prompts.jsonl"], ["curate", "prompts.jsonl", "--out", "out.jsonl"]):
            done = command(*given, "--against", name)
            assert done.code == 2 and re.search(f"{name}(: 0 problems| holds no problem)", done.err)
    assert not (tmp_path / "out.jsonl").exists()


def test_the_shared_cases(shared: Path, command: Callable[..., Any]) -> None:
    """Twelve benchmark problems in three usual instructions are all leaks."""
    folder = shared / "cases" / "decontaminate"
    done = command("decontaminate", folder / "wrapped.jsonl", "--against", folder / "bench2.jsonl", "--json")
    found = json.loads(done.out)
    assert (found["n"], found["hits"]) == (12, 12)
