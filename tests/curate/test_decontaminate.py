"""Decontamination: spellings, short problems, several benchmarks, and real data."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.curate.columns import problems_of
from acemath.curate.decontaminate.index import BenchmarkIndex, Hit
from acemath.curate.decontaminate.page import marked, page_of, record_of
from acemath.curate.decontaminate.scan import Decontaminator, scan, sorted_out
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import common_length, mask, tokens_of, words_of
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.records import Dropped, Problem

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SHORT = "Find the remainder when 17 is divided by 5."


def decontaminate(rows: list[Problem], tests: list[Problem], settings: DecontaminateSettings) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that stay and those dropped."""
    return sorted_out(rows, scan(rows, Decontaminator(tests, settings)), settings)


def leak(index: BenchmarkIndex, problem: Problem, math: bool) -> Hit | None:
    """The hit of a prompt by the paper's rule alone."""
    hit = index.find(problem, math)
    return hit if hit is not None and hit.kind == "leak" else None


def index(*prompts: str, subject: str = "bench") -> BenchmarkIndex:
    """An index of prompts, all with the same id, as benchmarks that number their problems give them."""
    return BenchmarkIndex([Problem("0", p, subject=subject) for p in prompts], DecontaminateSettings())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ｘ² + １", "x^2 + 1"),
        (r"$3\times4 \cdot 5$", "3 × 4 · 5"),
        (r"\dfrac{1}{2}\,\text{ of } a", r"\frac{1}{2} of a"),
        ("1,200 eggs", r"1{,}200  EGGS"),
        (r"$\left( a \leq b \right)$", "(a ≤ b)"),
        (r"90^\circ, then 45^{\circ}", "90° then 45°"),
        ("5 − 3", "5 - 3"),
        ("ap\u200bples", "apples"),
        ("½ of it", "1/2 of it"),
        ("5cm and 3x", "5 cm and $3 x$"),
        (r"\begin{align*} a_1 &= 2 \end{align*}", "a₁ = 2"),
    ],
)
def test_spellings_of_one_text_give_the_same_words(one: str, other: str) -> None:
    """LaTeX or Unicode, spaced or not: the words are the same; numbers and signs count."""
    assert words_of(one) == words_of(other)
    assert words_of("3+4") != words_of("3-4") and words_of("12 eggs") != words_of("13 eggs")


def test_benchmarks_that_share_ids_do_not_hide_each_other() -> None:
    """Two benchmarks number from 0: a copy of either is found, and the hit names its benchmark."""
    texts = [" ".join(f"{word}{i}" for i in range(20)) for word in ("apple", "pear")]
    rows = [Problem("0", text, subject=name) for name, text in zip(("first", "second"), texts, strict=True)]
    found = BenchmarkIndex(rows, DecontaminateSettings())
    for row in rows:
        hit = leak(found, Problem("x", row.prompt), math=True)
        assert hit is not None and (hit.benchmark, hit.benchmark_id) == (row.subject, "0")
        assert hit.lcs == 1.0 and len(hit.shared.split()) == 13


def test_short_problems_are_found_whole() -> None:
    """Always as the whole prompt; inside a longer math prompt if they are most of it; a very short one only as the whole."""
    found = index(SHORT, "What is 7 + 8?")
    assert leak(found, Problem("a", SHORT.upper()), math=True)
    assert leak(found, Problem("b", f"{SHORT} Show your work, please."), math=True)
    padded = f"{SHORT} Then write a poem of four lines about the sea and the sky, in words of one syllable."
    assert leak(found, Problem("c", padded), math=True) is None
    hit = leak(found, Problem("c", padded), math=False)
    assert hit is not None and hit.shared == " ".join(words_of(SHORT))
    assert leak(found, Problem("d", "what is 7+8"), math=True)
    assert leak(found, Problem("e", "Tell me in one word: what is 7 + 8? I forgot."), math=False) is None
    assert leak(found, Problem("f", SHORT.replace("17", "18")), math=True) is None


def test_no_prompt_and_no_benchmark_is_no_hit() -> None:
    """Empty texts and an empty index find nothing and break nothing."""
    assert leak(index(""), Problem("a", ""), math=True) is None
    kept, dropped = decontaminate([Problem("a", "1+1")], [], DecontaminateSettings())
    assert len(kept) == 1 and not dropped


def test_drop_rate_of_worksheets_family_by_family() -> None:
    """A few percent in total; over 30 % only for families with few questions and one long wording."""
    tests, train = draw_problems("test", 1000, 3, MATH_SUBJECTS), draw_problems("train", 6000, 4)
    started = time.process_time()
    _, dropped = decontaminate(train, tests, DecontaminateSettings())
    assert (time.process_time() - started) / 6000 < 1e-3, "microseconds a prompt, on any machine"
    family = {p.id: p.meta["family"] for p in train}
    total, lost = Counter(family.values()), Counter(family[d.id] for d in dropped)
    assert len(dropped) < 0.05 * len(train)
    assert {name for name in lost if lost[name] > 0.3 * total[name]} <= {
        "choose-two",
        "draw-chance",
        "red-balls",
    }


def test_real_prompts_against_real_benchmarks() -> None:
    """MATH train holds near-copies of MATH test; GSM8K train holds next to none of GSM8K test."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")

    def rows(name: str, column: str, count: int | None = None) -> list[Problem]:
        lines = (DATA / name).read_text().splitlines()[:count]
        return [Problem(str(i), json.loads(line)[column], subject=name) for i, line in enumerate(lines)]

    tests = rows("gsm8k_test.jsonl", "question") + rows("math500_test.jsonl", "problem")
    found = BenchmarkIndex(tests, DecontaminateSettings())
    assert all(leak(found, row, math=True) for row in tests)
    grade_school = sum(bool(leak(found, r, True)) for r in rows("gsm8k_train.jsonl", "question", 2000))
    competition = sum(bool(leak(found, r, True)) for r in rows("math_train.jsonl", "problem", 2000))
    assert grade_school < 0.002 * 2000 < competition < 0.05 * 2000


TRAIN = (
    "A train travels 270 miles in 3 hours. At the same rate, how many additional hours would it take to travel an "
    "additional 180 miles along the coast, and how much fuel does its driver use at 12 gallons an hour?"
)


def test_numbers_and_variables_are_masked() -> None:
    """One mask for numbers, including 3.5 and lists of numbers; one for letters, Greek letters, products and figures."""
    assert mask(tokens_of("Find $x+3.5$")) == mask(tokens_of("Find $t + 1,200$")) == ["find", "v", "+", "0"]
    assert mask(tokens_of(r"$\alpha$, $ABCD$ and $xy$ in a cm")) == ["v", "v", "and", "v", "in", "v", "cm"]
    assert mask(tokens_of("1, 2, 3, 4")) == ["0"] and mask([]) == []


def test_the_index_finds_what_a_plain_search_finds() -> None:
    """13 words in a row anywhere in prompt and problem, against a comparison of all runs."""
    rng = random.Random(5)
    vocabulary = [f"w{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]

    def words(count: int) -> list[str]:
        return [rng.choice(vocabulary) for _ in range(count)]

    texts = [words(rng.randint(13, 40)) for _ in range(40)]
    rows = [Problem(str(i), " ".join(text)) for i, text in enumerate(texts)]
    found = BenchmarkIndex(rows, DecontaminateSettings())
    hits = 0
    for _ in range(400):
        text = rng.choice(texts)
        run = rng.randint(11, 15)
        at = rng.randint(0, max(0, len(text) - run))
        prompt = words(rng.randint(0, 9)) + text[at : at + run] + words(rng.randint(0, 9))
        grams = {tuple(prompt[i : i + 13]) for i in range(len(prompt) - 12)}
        plain = any(
            any(tuple(other[i : i + 13]) in grams for i in range(len(other) - 12))
            and common_length(prompt, other) / len(prompt) > 0.6
            for other in texts
        )
        hit = leak(found, Problem("p", " ".join(prompt)), math=True)
        assert (hit is not None) == plain
        hits += plain
    assert 50 < hits < 350


def test_the_problem_most_like_the_prompt_is_named() -> None:
    """Of several leaked problems, the one with the most words in common."""
    found = index(TRAIN.replace("along the coast", "up a hill, by night"), TRAIN)
    hit = leak(found, Problem("p", TRAIN), math=True)
    assert hit is not None and hit.place == 1 and hit.lcs == 1.0


def test_contained_problems_and_near_copies_are_reported_and_dropped_if_a_setting_says_so() -> None:
    """By default only the paper's rule drops; the reason of a dropped row is its kind."""
    tests = [Problem("0", TRAIN, subject="bench"), Problem("1", SHORT, subject="bench")]
    more = " ".join(f"Then tell the story of day {i} of the journey in your own words." for i in range(9))
    near = TRAIN.replace("270", "31").replace("180", "4").replace("12 g", "7 g").replace("train", "plane")
    near = near.replace("hours", "days").replace("fuel", "oil").replace("driver", "pilot")
    rows = [
        Problem("in", f"{TRAIN} {more}"),
        Problem("near", near),
        Problem("leak", TRAIN),
        Problem("ok", more),
    ]
    decontaminator = Decontaminator(tests, DecontaminateSettings())
    kinds = {row.id: hit and hit.kind for row, hit in zip(rows, scan(rows, decontaminator), strict=True)}
    assert kinds == {"in": "contained", "near": "near-copy", "leak": "leak", "ok": None}
    assert [row.id for row in decontaminate(rows, tests, DecontaminateSettings())[1]] == ["leak"]
    _, dropped = decontaminate(rows, tests, DecontaminateSettings(drop=("near-copy", "contained")))
    assert {row.id: row.reason for row in dropped} == {"in": "contained", "near": "near-copy", "leak": "leak"}


def test_stock_phrases_of_textbooks_are_no_near_copies() -> None:
    """Short problems of which masking leaves little."""
    found = index("Find the greatest common divisor of 3339 and 1491.", "What is 60% of 30?")
    for text in ("Find the greatest common divisor of 6 and 10.", "What is 5% of 340?"):
        assert found.find(Problem("p", text), math=True) is None


def test_a_tiny_problem_with_one_sentence_more_is_contained() -> None:
    """At the beginning or end of the prompt, not in the middle of a long one."""
    found = index("Why is the sky blue?")
    hit = found.find(Problem("p", "Why is the sky blue? Explain it in two sentences."), math=True)
    assert hit is not None and hit.kind == "contained"
    assert found.find(Problem("p", "Explain: why is the sky blue?"), math=True)
    assert (
        found.find(Problem("p", "He asked why is the sky blue at noon and red at night?"), math=True) is None
    )


def test_hits_are_the_same_with_two_processes() -> None:
    """In the same order, over several chunks."""
    tests, train = draw_problems("test", 300, 3, MATH_SUBJECTS), draw_problems("train", 4500, 4)
    found = Decontaminator(tests, DecontaminateSettings())
    one = scan(train, found)
    assert one == scan(train, found, processes=2) and any(one) and not all(one)
    assert train[0].group == "math" and Problem("c", "print 1", subject="code").group == "code"


def test_the_page_shows_both_texts_escaped_with_the_overlap_marked() -> None:
    """Adjacent words share a mark; near-copies compare masked words; markup in a text is escaped."""
    one, other = marked("Find a<b in <script> now", "find a<b at once")
    assert (
        one == "<mark>Find a&lt;b</mark> in &lt;script&gt; now"
        and other == "<mark>find a&lt;b</mark> at once"
    )
    assert "<mark>" not in marked("word " * 3000, "word " * 3000)[0]
    assert marked("take 7 eggs", "take 12 eggs")[0] == "<mark>take</mark> 7 <mark>eggs</mark>"
    assert marked("take 7 eggs", "take 12 eggs", masked=True)[0] == "<mark>take 7 eggs</mark>"
    tests = [Problem("7", f"{TRAIN} <img src=x>", subject="ben<ch")]
    row = Problem("<p>", f"{TRAIN} <img src=x>")
    hit = BenchmarkIndex(tests, DecontaminateSettings()).find(row, math=True)
    assert hit is not None
    page = page_of([(row, hit)], tests, prompts=20)
    assert "1 of 20 prompts" in page and "<img" not in page and "ben<ch" not in page and "<p> ·" not in page
    assert page.count("&lt;img src=x&gt;") == 2 and "<script" not in page and "http" not in page
    assert record_of(row, hit, tests)["benchmark_prompt"] == tests[0].prompt


def test_the_commands_write_hits_pages_and_dropped_rows(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Benchmarks are named after their files; the counts match the files."""

    def run(name: str, *options: str) -> Any:
        return json.loads(command(name, prompts, "--against", bench, *options, "--json").out)

    prompts, bench = tmp_path / "prompts.jsonl", tmp_path / "my_bench.jsonl"
    texts = [TRAIN, TRAIN.lower(), TRAIN.replace("coast", "shore"), SHORT, "Why?"]
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    bench.write_text(json.dumps({"question": SHORT}))
    found = run("decontaminate", "--hits", "hits.jsonl", "--report", "hits.html")
    assert (found["n"], found["hits"], found["by_benchmark"]) == (5, 1, {"my_bench: leak": 1})
    lines = [json.loads(line) for line in (tmp_path / "hits.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["benchmark"], line["prompt"]) for line in lines] == [
        ("leak", "my_bench", SHORT)
    ]
    assert "my_bench" in (tmp_path / "hits.html").read_text()
    result = run("curate", "--near", "0.8", "--drop", "near-copy", "--dropped", "dropped.jsonl")
    assert result["kept"] == 2 and result["near"]["dropped"] == 1
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert reasons == ["duplicate", "near-duplicate", "leak"]
    plain = run("curate")
    assert plain["kept"] == 3 and "near" not in plain


def test_a_multiple_choice_problem_leaks_with_and_without_its_choices() -> None:
    """The question alone, and the question with the choices; the hit names the benchmark's own problem."""
    record = {
        "question": "Which of these bodies in the solar system takes the longest time for one turn around its own axis?",
        "choices": ["the planet Venus", "the planet Mars", "the planet Saturn", "the dwarf planet Ceres"],
        "answer": 0,
    }
    (asked,) = problems_of([("here", record)], {}, "quiz")
    index = BenchmarkIndex([Problem("other", "What is 3 + 4?"), asked], DecontaminateSettings())
    for prompt in (record["question"], asked.prompt):
        hit = index.find(Problem("p", str(prompt)), True)
        assert hit is not None and (hit.kind, hit.benchmark_id, hit.place) == ("leak", asked.id, 1)
