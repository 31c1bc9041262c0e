"""Problems in other words: what makes two texts the same problem, and what does not."""

from __future__ import annotations

import pytest

from acemath.curate.decontaminate import Decontaminator, decontaminate
from acemath.curate.features import feature_of, read, stem
from acemath.curate.reworded import needed
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import tokens_of
from acemath.records import Problem

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


def index(**settings: object) -> Decontaminator:
    """An index of the originals."""
    rows = [Problem(f"t{i}", text, subject="bench") for i, (text, _) in enumerate(PAIRS)]
    return Decontaminator(rows, DecontaminateSettings.model_validate(settings))


@pytest.mark.parametrize("place", range(1, len(PAIRS)))
def test_a_rewording_is_found_and_is_no_leak(place: int) -> None:
    """Question first, other names, other verbs: the same problem, and what it shares is said."""
    copy = Problem("p", PAIRS[place][1])
    hit = index().find(copy, math=True)
    assert hit is not None and (hit.kind, hit.benchmark_id) == ("reworded", f"t{place}") and hit.shared
    assert index(reworded=False).find(copy, math=True) is None


def test_another_number_is_another_problem() -> None:
    """A number too many or one that differs asks for more that is alike."""
    assert index().find(Problem("p", PAIRS[0][1]), math=True) is None, "24 is not in the original"
    changed = PAIRS[1][1].replace("12", "15").replace("40", "35")
    assert index().find(Problem("p", changed), math=True) is None
    assert needed(1.0, 9.0) < needed(0.95, 9.0) < needed(0.8, 9.0) < needed(0.2, 9.0)


@pytest.mark.parametrize("text", OTHERS)
def test_like_problems_are_not_taken_for_rewordings(text: str) -> None:
    """The same names, things or numbers in another problem."""
    assert index().find(Problem("p", text), math=True) is None


def test_it_is_dropped_where_a_setting_names_it() -> None:
    """Reported by default."""
    rows = [Problem("p", PAIRS[2][1])]
    tests = [Problem("t", PAIRS[2][0], subject="bench")]
    assert decontaminate(rows, tests, DecontaminateSettings())[0] == rows
    kept, dropped = decontaminate(rows, tests, DecontaminateSettings(drop=("reworded",)))
    assert not kept and dropped[0].reason == "reworded"


def test_what_tokens_say() -> None:
    """Numbers in words are numbers, endings go, function words say nothing, formulas are runs of signs."""
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
    assert text.numbers == {"#2", "#3"} and "~x~^#2" in text.features()
    assert read([]).features() == frozenset()
