"""Near-duplicates: what merges, what must not, and that hashing finds what a comparison of all pairs finds."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest

from acemath.curate.decontaminate.changes import re_wrapped
from acemath.curate.near import amounts, bands_for, jaccard, near_dedup, shingles
from acemath.curate.settings import CurateSettings, NearSettings
from acemath.curate.words import fold, tokens_of
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.records import Problem

LONG = (
    "A farmer keeps 17 sheep and 5 goats on a meadow behind the old mill. Each day a sheep eats 3 kilograms of grass "
    "and a goat eats twice as much. How many kilograms of grass do all of his animals eat in one week together?"
)


def kept(*texts: str, **settings: float) -> list[str]:
    """The texts that stay."""
    rows = [Problem(str(i), text) for i, text in enumerate(texts)]
    return [row.prompt for row in near_dedup(rows, NearSettings.model_validate(settings))[0]]


def test_the_papers_recipes_drop_exact_copies_alone() -> None:
    """Near-deduplication is off unless a recipe asks for it."""
    assert CurateSettings().near is None


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG.replace(" ", "\n"),
        LONG.replace("animals", "beasts"),
        LONG.replace("17", "$17$").replace("5", "\\(5\\)"),
    ],
)
def test_spellings_and_a_changed_word_merge(other: str) -> None:
    """The first in order stays."""
    assert kept(LONG, other, threshold=0.8) == [LONG] and kept(other, LONG, threshold=0.8) == [other]


@pytest.mark.parametrize(
    ("old", "new"),
    [("17", "18"), ("twice", "half"), ("one week", "two weeks"), ("17 sheep and 5", "17 sheep and 15")],
)
def test_a_number_keeps_problems_apart(old: str, new: str) -> None:
    """In digits or in words, even if everything else is equal."""
    other = LONG.replace(old, new)
    assert other != LONG and kept(LONG, other, threshold=0.5) == [LONG, other]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("If $x - y = 6$ and $x + y = 12$, what is the value of $x$?", "If $x - y = 6$ and $x + y = 12$, what is the value of $y$?"),
        ("What is $88 \\div 4 \\div 2$?", "What is $88 \\div (4 \\div 2)$?"),
        ("What is $3 + 4$, all told?", "What is $3 * 4$, all told?"),
        ("Find $\\sin \\angle HAC$ in the cube.", "Find $\\sin \\angle GAC$ in the cube."),
    ],
)  # fmt: skip
def test_signs_variables_and_brackets_keep_problems_apart(one: str, other: str) -> None:
    """They change the problem although nearly all words are the same."""
    assert kept(one, other, threshold=0.5) == [one, other]


def test_a_template_of_many_problems_stays_whole_and_is_cheap() -> None:
    """Of thousands that differ only in a number, none merge and none are compared."""
    rows = [Problem(str(i), LONG.replace("17", str(i))) for i in range(20, 3020)]
    stay, dropped, facts = near_dedup(rows, NearSettings())
    assert len(stay) == 3000 and not dropped and facts.compared == 0 and not facts.alarms


def test_a_large_cluster_raises_an_alarm_with_samples() -> None:
    """Its size, the prompt that stays, and some texts; dropped rows name the prompt that they duplicate."""
    rng = random.Random(0)
    texts = [LONG] + [str(re_wrapped(LONG, rng)) for _ in range(30)]
    rows = [Problem(f"p{i}", text, source="web") for i, text in enumerate(texts)]
    stay, dropped, facts = near_dedup(rows, NearSettings(alarm=20))
    assert [row.id for row in stay] == ["p0"] and len(dropped) == 30
    assert {(d.step, d.reason, d.source, d.detail) for d in dropped} == {
        ("near-dedup", "near-duplicate", "web", "near p0, similarity 1.00")
    }
    assert (facts.dropped, facts.clusters, facts.largest) == (30, 1, 31)
    assert facts.record()["alarms"] == [{"kept": "p0", "dropped": 30, "samples": texts[:3]}]
    assert not near_dedup(rows, NearSettings(alarm=31))[2].alarms


def test_no_chain_merges_what_is_not_alike() -> None:
    """A is similar to B, and B to C, but C is not to A: each dropped row is similar to one that stays."""
    words = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60)]
    texts = []
    for changed in (0, 3, 6, 9, 12):
        texts.append(" ".join(["other"[: 3 + i % 3] if i < changed else w for i, w in enumerate(words)]))
    rows = [Problem(str(i), text) for i, text in enumerate(texts)]
    stay, dropped, _ = near_dedup(rows, NearSettings(threshold=0.85))
    sets = {row.id: shingles(fold(tokens_of(row.prompt)), 3) for row in rows}
    assert 1 < len(stay) < len(rows)
    for row in dropped:
        near = row.detail.split()[1].rstrip(",")
        assert near in {r.id for r in stay} and jaccard(sets[row.id], sets[near]) >= 0.85


def test_hashing_finds_what_comparing_all_pairs_finds() -> None:
    """On copies edited to all degrees: no pair below the threshold, and at least 98 % of the pairs above it."""
    rng = random.Random(3)
    vocabulary = [f"{a}{b}ing" for a in "bcdfghkl" for b in ("a", "e", "i", "o", "u", "ou")]
    rows = []
    for _ in range(60):
        base = [rng.choice(vocabulary) for _ in range(50)]
        for edits in (0, 1, 2, 3, 5):
            copy = list(base)
            for at in rng.sample(range(50), edits):
                copy[at] = rng.choice(vocabulary)
            rows.append(Problem(str(len(rows)), " ".join(copy)))
    sets = [shingles(row.prompt.split(), 3) for row in rows]
    settings = NearSettings(threshold=0.7)
    stay, dropped, _ = near_dedup(rows, settings)
    assert len(stay) + len(dropped) == len(rows)
    places = sorted(int(row.id) for row in stay)
    missed = [pair for pair in combinations(places, 2) if jaccard(sets[pair[0]], sets[pair[1]]) >= 0.7]
    assert len(missed) <= 0.02 * len(dropped)
    for row in dropped:
        assert jaccard(sets[int(row.id)], sets[int(row.detail.split()[1].rstrip(","))]) >= 0.7


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_find_a_pair_at_the_threshold(threshold: float) -> None:
    """In 99.5 % of cases by the formula, with no more hashes than the setting allows."""
    bands, rows = bands_for(threshold, 128)
    assert bands * rows <= 128 and 1 - (1 - threshold**rows) ** bands >= 0.995


def test_the_result_is_the_same_with_two_processes_and_each_time() -> None:
    """Rows, reasons and facts."""
    rows = draw_problems("train", 2500, 0, MATH_SUBJECTS)
    one, again = near_dedup(rows, NearSettings(threshold=0.8)), near_dedup(rows, NearSettings(threshold=0.8))
    two = near_dedup(rows, NearSettings(threshold=0.8), processes=2)
    assert one == again == two


def test_odd_texts_break_nothing() -> None:
    """Empty, without words, of one word, lone surrogates; and no rows at all."""
    texts = ["", "?!", "one", "\ud800 broken", "a b", "?!"]
    stay, dropped, _ = near_dedup([Problem(str(i), t) for i, t in enumerate(texts)], NearSettings())
    assert len(stay) + len(dropped) == len(texts)
    assert near_dedup([], NearSettings())[0] == []
    assert amounts("1,200 eggs (x)", tokens_of("1,200 eggs (x)")) == (("(", 1), ("1200", 1), ("x", 1))
    assert (
        np.isclose(jaccard(frozenset("abc"), frozenset("bcd")), 0.5)
        and jaccard(frozenset(), frozenset()) == 1.0
    )
