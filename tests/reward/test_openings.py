"""Openings that several texts share: every text is covered once, and no cut saves more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acemath.reward import openings
from acemath.reward.openings import shared_openings

TEXT = st.lists(st.integers(1, 2), min_size=1, max_size=6)


def most(texts: list[list[int]]) -> int:
    """The most that cutting the sorted texts into stretches can save, by trying every cut."""
    texts, best = sorted(texts), 0
    for bits in range(2 ** (len(texts) - 1)):
        cuts = [0, *(at for at in range(1, len(texts)) if bits >> (at - 1) & 1), len(texts)]
        saved = 0
        for first, end in pairwise(cuts):
            some = texts[first:end]
            length = min(map(len, some)) - 1
            while length > 0 and len({tuple(text[:length]) for text in some}) > 1:
                length -= 1
            saved += max(0, (len(some) - 1) * length - openings.LEAST)
        best = max(best, saved)
    return best


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 1), TEXT), max_size=12))
def test_openings_save_as_much_as_can_be(texts: list[tuple[int, list[int]]]) -> None:
    """Every text is there once, begins with its opening after its prompt, and has a token left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "LEAST", 2)
        found, alone = shared_openings(texts)
        assert sorted([*alone, *(at for opening in found for at in opening.followers)]) == list(
            range(len(texts))
        )
        saved = 0
        for prompt, text, followers in found:
            assert len(followers) > 1 and len(text) > 0
            for at in followers:
                assert (
                    texts[at][0] == prompt
                    and texts[at][1][: len(text)] == text
                    and len(texts[at][1]) > len(text)
                )
            saved += (len(followers) - 1) * len(text) - 2
        expected = sum(
            most(mine) for prompt in (0, 1) if (mine := [text for whose, text in texts if whose == prompt])
        )
        assert saved == expected


def test_short_openings_are_left_alone() -> None:
    """What would save fewer tokens than a pass costs is no opening."""
    short = [(0, [1] * (openings.LEAST - 1) + [2]), (0, [1] * (openings.LEAST - 1) + [3])]
    assert shared_openings(short) == ([], [0, 1])
    found, alone = shared_openings([(0, [1] * 40 + [2]), (1, [1] * 40 + [3]), (0, [1] * 40 + [3])])
    assert [opening.followers for opening in found] == [[0, 2]] and alone == [1]
    assert shared_openings([]) == ([], [])
