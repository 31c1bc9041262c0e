"""Groups as trees of texts: every response is there once, and what several begin with is read once."""

from __future__ import annotations

import random

import pytest

from acemath.models.score import packed
from acemath.models.score.layout import Row
from acemath.models.score.packed import LEAST, Text, texts_of


def read_back(tree: list[Text], at: int | None) -> list[int]:
    """The tokens of a text and of all that it goes on from."""
    return [] if at is None else [*read_back(tree, tree[at].after), *tree[at].ids]


@pytest.mark.parametrize("seed", range(50))
def test_the_tree_holds_every_response(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response ends in a text that nothing follows; an opening is long enough, and several texts follow it."""
    rng = random.Random(seed)
    responses = [rng.choices([1, 2], k=rng.randint(1, 6)) for _ in range(rng.randint(0, 12))]
    monkeypatch.setattr(packed, "LEAST", 2)
    tree = texts_of(Row([7, 8], responses))
    assert tree[0] == Text([7, 8], None, None)
    assert sorted(text.which for text in tree if text.which is not None) == list(range(len(responses)))
    for at, text in enumerate(tree[1:], 1):
        followers = sum(other.after == at for other in tree)
        assert text.after is not None and text.after < at and text.ids
        if text.which is None:
            assert followers > 1 and len(text.ids) >= 2
        else:
            assert followers == 0 and read_back(tree, at) == [7, 8, *responses[text.which]]


def test_openings_are_read_once_and_short_ones_left_alone() -> None:
    """What lies behind an opening may have another; equal responses keep a last token each."""
    short = [[1] * (LEAST - 1) + [2], [1] * (LEAST - 1) + [3]]
    assert [text.after for text in texts_of(Row([9], short))] == [None, 0, 0]
    responses = [
        [1] * 40 + [2],
        [1] * 40 + [3] * 30 + [4],
        [5],
        [1] * 40 + [3] * 30 + [5],
        [5] * 20,
        [5] * 20,
    ]
    assert [(len(t.ids), t.after, t.which) for t in texts_of(Row([9], responses))] == [
        (1, None, None), (40, 0, None), (1, 1, 0), (30, 1, None), (1, 3, 1), (1, 3, 3), (1, 0, 2), (19, 0, None), (1, 7, 4),
        (1, 7, 5),
    ]  # fmt: skip
