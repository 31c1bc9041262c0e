"""Openings that several texts share: every text is there once, and no cut of a level saves more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acemath.models.score import openings
from acemath.models.score.openings import Branch, branches

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


def read_back(tree: list[Branch], at: int | None) -> list[int]:
    """The tokens of a branch and of all that it follows."""
    return [] if at is None else [*read_back(tree, tree[at].after), *tree[at].ids]


def ends_below(tree: list[Branch], at: int) -> int:
    """Texts that a branch leads to."""
    return (tree[at].which is not None) + sum(
        ends_below(tree, n) for n, branch in enumerate(tree) if branch.after == at
    )


@settings(max_examples=200)
@given(st.lists(TEXT, max_size=12))
def test_the_tree_holds_every_text_and_its_first_level_saves_as_much_as_can_be(
    texts: list[list[int]],
) -> None:
    """A text ends in a branch that nothing follows; branches stand behind those they follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "LEAST", 2)
        tree = branches(texts)
        assert sorted(branch.which for branch in tree if branch.which is not None) == list(range(len(texts)))
        for at, branch in enumerate(tree):
            assert branch.ids and (branch.after is None or branch.after < at)
            assert branch.followers == sum(other.after == at for other in tree)
            assert (branch.followers == 0) == (branch.which is not None) and branch.followers != 1
            if branch.which is not None:
                assert read_back(tree, at) == texts[branch.which]
        saved = sum(
            (ends_below(tree, at) - 1) * len(branch.ids) - openings.LEAST
            for at, branch in enumerate(tree)
            if branch.after is None and branch.which is None
        )
        assert saved == (most(texts) if texts else 0)


def test_short_openings_are_left_alone() -> None:
    """What would save fewer tokens than it costs is no opening; what lies behind one may have another."""
    short = [[1] * (openings.LEAST - 1) + [2], [1] * (openings.LEAST - 1) + [3]]
    assert [branch.after for branch in branches(short)] == [None, None] and branches([]) == []
    texts = [[1] * 40 + [2], [1] * 40 + [3] * 30 + [4], [5], [1] * 40 + [3] * 30 + [5]]
    assert [(len(b.ids), b.after, b.followers, b.which) for b in branches(texts)] == [
        (40, None, 2, None), (1, 0, 0, 0), (30, 0, 2, None), (1, 2, 0, 1), (1, 2, 0, 3), (1, None, 0, 2),
    ]  # fmt: skip
