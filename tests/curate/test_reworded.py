"""Reworded problems: what makes two texts the same problem, and what does not."""

from __future__ import annotations

import pytest

from acemath.curate.decontaminate.features import feature_of, read, stem
from acemath.curate.decontaminate.index import BenchmarkIndex
from acemath.curate.decontaminate.reworded import Shared, alike
from acemath.curate.decontaminate.scan import Decontaminator, scan, sorted_out
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import tokens_of
from acemath.records import Dropped, Problem

# Written for this test, each with a rewording of it.
PAIRS = [
    (
        "A baker sells 48 croissants in the morning and half as many in the afternoon. Each croissant costs $3. How much "
        "money does the baker earn that day?",
        "In the afternoon 24 fewer croissants leave the bakery than in the morning, when it is 48 of them. What does the "
        "baker take in on such a day, if a croissant is sold for $3, and half the morning's number goes after noon?",
    ),
    (
        "Priya walks her dog for 25 minutes every morning and 40 minutes every evening. How many hours does she walk her "
        "dog in 12 days?",
        "Each evening Lena's dog is walked for 40 minutes, each morning for 25. Over 12 days, find the hours of dog walking.",
    ),
    (
        "Let $g(t) = t^4 - 5t^2 + 3$. Find the sum of all real zeros of $g(t) = 7$.",
        "What do the real solutions of $g(t) = 7$ add up to, where $g(t) = t^4 - 5t^2 + 3$?",
    ),
    (
        "Why does a pendulum clock run slower on a high mountain than at sea level?",
        "What is the reason that at sea level pendulum clocks run faster than high up on mountains?",
    ),
]
OTHERS = [
    "A baker sells 36 croissants and 10 rolls. Each roll costs $2. How many rolls are left of 50?",
    "Priya walks to school in 20 minutes. Her brother needs 45 minutes. How much longer does he walk in 12 days?",
    "Let $h(t) = t^3 - 5t + 3$. Find $h(7)$.",
    "Why does a candle go out under a glass?",
]


def decontaminate(rows: list[Problem], tests: list[Problem], settings: DecontaminateSettings) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that stay and those dropped."""
    return sorted_out(rows, scan(rows, Decontaminator(tests, settings)), settings)


def index(**settings: object) -> BenchmarkIndex:
    """An index of the originals."""
    rows = [Problem(f"t{i}", text, subject="bench") for i, (text, _) in enumerate(PAIRS)]
    return BenchmarkIndex(rows, DecontaminateSettings.model_validate(settings))


@pytest.mark.parametrize("place", range(1, len(PAIRS)))
def test_a_rewording_is_found_and_is_no_leak(place: int) -> None:
    """Question first, other names, other verbs: the same problem; the hit lists what both share."""
    copy = Problem("p", PAIRS[place][1])
    hit = index().find(copy, math=True)
    assert hit is not None and (hit.kind, hit.benchmark_id) == ("reworded", f"t{place}") and hit.shared
    assert index(reworded=False).find(copy, math=True) is None


def test_numbers_must_agree() -> None:
    """One extra number is allowed; if most numbers differ, it is another problem."""
    assert index().find(Problem("p", PAIRS[0][1]), math=True) is not None, "24 is not in the original"
    changed = PAIRS[1][1].replace("12", "15").replace("40", "35")
    assert index().find(Problem("p", changed), math=True) is None
    told = [alike(Shared(common, 20, 20, 60)) for common in (10, 9, 5, 2)]
    assert told == sorted(told, reverse=True) and len(set(told)) == 4


def test_the_limit_grows_with_the_number_of_benchmark_problems() -> None:
    """One of ten thousand problems is more likely to be similar by chance than one of a hundred."""
    rows = [Problem(str(i), f"What is {i} + {i + 1}?") for i in range(3000)]
    few, many = (BenchmarkIndex(some, DecontaminateSettings()) for some in (rows[:100], rows))
    assert few.reworded and many.reworded and few.reworded.limit < many.reworded.limit


def test_answers_are_evidence() -> None:
    """One pair is a rewording with the same answer and none with another; an unknown answer changes nothing."""
    ours = "A ferry carries 18 cars across the bay in 35 minutes. How many cars can it bring over in 7 hours?"
    theirs = (
        "A boat needs 35 minutes for a crossing with 18 trucks on board and 7 hours for the whole river. How long does it "
        "take there and back?"
    )

    def found(one: str, other: str) -> bool:
        rows = [Problem("t", ours, answer=one, subject="bench")]
        return (
            BenchmarkIndex(rows, DecontaminateSettings()).find(Problem("p", theirs, answer=other), True)
            is not None
        )

    assert found("216", "216.0") and not found("216", "12") and found("216", "") == found("", "12")


def test_an_equal_answer_finds_another_story_with_the_same_numbers() -> None:
    """Few common words and one extra number: not enough without an answer, enough with the same one."""
    ours = "A ferry carries 18 cars across the bay in 35 minutes. How many cars can it bring over in 7 hours?"
    theirs = "A loom weaves 18 scarves per 35 minutes. What does it weave during a shift of 7 hours with two breaks of 15 minutes?"
    asked = BenchmarkIndex([Problem("t", ours, answer="216", subject="bench")], DecontaminateSettings())
    assert asked.find(Problem("p", theirs, answer="216"), True) is not None
    assert asked.find(Problem("p", theirs), True) is None


@pytest.mark.parametrize("text", OTHERS)
def test_similar_problems_are_not_taken_for_rewordings(text: str) -> None:
    """The same names, things or numbers in another problem."""
    assert index().find(Problem("p", text), math=True) is None


def test_it_is_dropped_if_a_setting_names_it() -> None:
    """Reported by default."""
    rows = [Problem("p", PAIRS[2][1])]
    tests = [Problem("t", PAIRS[2][0], subject="bench")]
    assert decontaminate(rows, tests, DecontaminateSettings())[0] == rows
    kept, dropped = decontaminate(rows, tests, DecontaminateSettings(drop=("reworded",)))
    assert not kept and dropped[0].reason == "reworded"


def test_features_of_tokens() -> None:
    """Number words are numbers, stems lose endings, function words have no feature, formulas are runs of signs."""
    assert [feature_of(t) for t in ("12", "twelve", "twice", "The", "walked", "\\frac", "x")] == [
        "#12",
        "#12",
        "#2",
        "",
        "walk",
        "~frac",
        "~x",
    ]
    assert stem("planned") == stem("planning") == "plan" and stem("studies") == stem("study")
    text = read(tokens_of("Solve $x^2 - 3 = 1$ twice."))
    assert text.numbers() == {("#2", 0), ("#2", 1), ("#3", 0)} and "~x~^#2" in text.stems()
    assert read([]).stems() == read([]).numbers() == frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("half of the marbles", "50% of the marbles"),
        ("three quarters of the marbles", "75 percent of the marbles"),
        ("a fifth of the marbles", "1/5 of the marbles"),
        ("2 dozen marbles for $4.00", "twice 12 marbles for 4 dollars"),
        ("She bought 6 kg of rice daily", "She purchases six kilograms of rice every day"),
    ],
)
def test_two_ways_to_say_the_same(one: str, other: str) -> None:
    """Fractions and percentages, words and digits, units and their names, forms of a word."""
    first, second = read(tokens_of(one)), read(tokens_of(other))
    assert first.numbers() == second.numbers() and first.stems() == second.stems()
