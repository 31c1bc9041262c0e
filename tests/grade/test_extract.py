"""Extraction of the final answer from whole responses."""

from __future__ import annotations

import pytest

from acemath.grade import LENIENT, QWEN, STRICT, extract, grade


@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        (r"so $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}", "boxed"),
        (r"\boxed{\left\{1, \frac{2}{3}\right\}} holds", r"\left\{1, \frac{2}{3}\right\}", "boxed"),
        (r"first \boxed{3}. Wait, that is wrong. So \boxed{4}.", "4", "boxed"),
        (r"$x=\boxed{2}$ or $x=\boxed{3}$", "2; 3", "boxes"),
        (r"\boxed{\boxed{7}}", "7", "boxed"),
        (r"it is \fbox{12}", "12", "boxed"),
        (r"cut off in the middle: \boxed{\frac{3}{4}", r"\frac{3}{4}", "boxed"),
        (r"\boxed{5} earlier. Final Answer: The final answer is $6$. Done.", "6", "final-answer"),
        ("some work\n#### 1,234", "1,234", "hashes"),
        ("The answer is 42.", "42", "answer-is"),
        ("**Answer:** 3/4", "3/4", "answer-is"),
        ("Therefore, the answer is $x = 5$ because it fits.", "x = 5", "answer-is"),
        ('{"reasoning": "…", "answer": "17"}', "17", "json"),
        ("<answer>12</answer>", "12", "answer-tag"),
        (r"We get $y = 3$ and so $y^2 = 9$.", "y^2 = 9", "last-formula"),
        ("There are 3 rows of 4, hence 12 seats.", "12", "last-number"),
        ("She pays $2 each, so 9 * $2 = $18 daily.", r"\$18", "last-number"),
        ("１２", "12", "whole"),
        ("The answer is 5 because 3 + 2 = 5 and not 6.", "5", "answer-is"),
        ("The answer is 5 (not 6).", "5", "answer-is"),
        (r"The minimum is \(1/2\), attained at \(x = 3\).", "1/2", "last-formula"),
        (r"Hence the maximum value of f is $7$ when $x = 2$.", "7", "last-formula"),
        (r"Since $x=3$, the value is $7$.", "7", "last-formula"),
        ("We need 3 apples when the total is 12, so 4 boxes.", "4", "last-number"),
        ("The number of ways when n=3 is 5.", "5", "last-number"),
        (r"Thus $x = 1$ or $x = -2$.", "$x = 1$ or $x = -2$", "last-formula"),
        (r"So the roots are $2$ and $3$.", "$2$ and $3$", "last-formula"),
        (r"so $m=3$, $n=4$ and $m+n = 7$.", "m+n = 7", "last-formula"),
        (r"The solutions are $x = 1$ and $x = 2$.", "$x = 1$ and $x = 2$", "answer-is"),
        ("Therefore the ratio is 3:4.", "3:4", "last-number"),
        ("In step 2: 5 apples", "5", "last-number"),
        ("It takes 2 hours and 30 minutes.", "2 hours and 30 minutes", "last-number"),
        ("He leaves at 3:45 pm.", "3:45 pm", "last-number"),
        ("所以答案是 15。", "15", "answer-is"),
        (r"\boxed{3} \boxed{17}", "17", "boxed"),
        (r"The side is \boxed{4}, so the area is \boxed{16}.", "16", "boxed"),
        (r"\boxed{3}, \boxed{17} and \boxed{5}", "3; 17; 5", "boxes"),
        (r"$x = \boxed{2}$, $y = \boxed{3}$", "2; 3", "boxes"),
        ("#### 1. Plan\nAdd.\n\nThe answer is 7.", "7", "answer-is"),
        ("#### 2. Sum\nSo it is 9.", "9", "last-number"),
        ("#### 18\n\nQuestion: What is 2 + 3?", "18", "hashes"),
        (r'{"answer": "\"512\""}', "512", "json"),
        (r'{"reasoning": "so \\boxed{5}", "answer": "7"}', "7", "json"),
        (r'{"answer": "\\frac{1}{2}"}', r"\frac{1}{2}", "json"),
        (r'{"answer": "\frac{1}{2}"}', r"\frac{1}{2}", "json"),
        ('{"answer": "3"} Corrected: \\boxed{4}', "4", "boxed"),
        (r"We get \boxed{x^2}." "\n\n**Answer:** 12", "12", "final-answer"),
        (r"\boxed{12}. If zero counts as well, the answer is 13.", "12", "boxed"),
        (r"\boxed{12}" "\n\nQuestion: another\nAnswer: 7", "12", "boxed"),
        ("**Answer**: __73__", "73", "answer-is"),
        ("Answer: <b>73</b>", "73", "answer-is"),
        ("> 73", "73", "whole"),
        ("The area is 2**3*4 = 32", "32", "last-number"),
        ("The answer is 20 $cm^2$.", "20 cm^2", "answer-is"),
        (r"So $x$ is $2$ or $-2$.", "$2$ or $-2$", "last-formula"),
        ("It is 5 or 6.", "5 or 6", "last-number"),
        ("The rate is 700/1000 = 0.7 or 70%.", "70%", "last-number"),
        ("He waits 145 minutes, or 2 hours and 25 minutes.", "2 hours and 25 minutes", "last-number"),
        ("How many of the 7 apples are left? There are 4.", "There are 4.", "whole"),
        (r"\boxed{8}<!-- \boxed{7} -->", "8", "boxed"),
    ],
)
def test_rules(text: str, answer: str, rule: str) -> None:
    found = extract(text)
    assert (found.answer, found.rule) == (answer, rule)


@pytest.mark.parametrize("text", ["", "   ", "I do not know", r"\boxed{}", "<think>maybe 5, maybe 6"])
def test_nothing_is_found(text: str) -> None:
    assert extract(text).answer in (None, text.strip() or None)
    assert grade(text, "5").status in ("no_answer", "wrong")


def test_only_what_follows_a_closed_reasoning_block_counts() -> None:
    text = r"<think>\boxed{42}</think> I am not sure."
    assert grade(text, "42").status != "correct"
    assert grade(text, "42", LENIENT).correct
    assert grade(r"<think>\boxed{1}</think> It is \boxed{42}.", "42").correct


@pytest.mark.parametrize(
    "text", [r"First \boxed{7}. Final: \boxed{}", r"First \boxed{7}. Final: \boxed{", "It has 7. <answer></answer>"]
)
def test_an_empty_or_torn_last_mark_is_no_answer_by_convention(text: str) -> None:
    assert grade(text, "7").status == "no_answer"
    assert grade(text, "7", LENIENT).correct and grade(text, "7", STRICT.but(skip_empty=True)).correct


@pytest.mark.parametrize("text", [r"<think>so \boxed{7}", "<think>a</think> no <think>so 7"])
def test_nothing_in_an_unclosed_reasoning_block_counts(text: str) -> None:
    assert grade(text, "7").status in ("no_answer", "wrong") and grade(text, "7", LENIENT).correct


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("Counting on, 100 = 14*7 + 2, so the day is Friday.", "Friday", True),
        ("100 = 14*7 + 2, so the day is not Friday.", "Friday", False),
        ("The last marble is blue.", "blue", True),
        ("So n is congruent to 1 or 5 modulo 6.", r"n \equiv 1,5 \pmod 6", True),
        ("So n is congruent to 1 or 2 modulo 6.", r"n \equiv 1,5 \pmod 6", False),
        ("The smallest number congruent to 668 modulo 997 is 668.", "668", True),
        ("So x must be at least 3.", r"x \ge 3", True),
        ("So x must be at most 3.", r"x \ge 3", False),
    ],
)
def test_words_bounds_and_congruences_in_the_last_sentence(text: str, reference: str, expected: bool) -> None:
    assert grade(text, reference).correct == expected


def test_qwen_conventions_take_the_last_box_only() -> None:
    assert extract(r"\boxed{1} and \boxed{2}", QWEN).answer == "2"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("It is not A, therefore I think it's B", "B"),
        ("The answer is (C).", "C"),
        ("D. it cannot be A or B", "D"),
        (r"so \boxed{\text{(E)}}", "E"),
        ("Answer: B", "B"),
        ("B不是 A", "B"),
        ("It is C not D", "C"),
    ],
)
def test_choices(text: str, letter: str) -> None:
    verdict = grade(text, letter)
    assert verdict.correct and verdict.answer is not None
    assert grade(text, "ABCDE"[("ABCDE".index(letter) + 1) % 5]).status == "wrong"
