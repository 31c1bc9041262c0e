"""Prefix trees: every response is there once, and shared openings are read once."""

from __future__ import annotations

import random

import pytest

from acemath.models.score import packed
from acemath.models.score.layout import Row
from acemath.models.score.packed import MIN_OPENING, Node, prefix_tree


def read_back(tree: list[Node], at: int | None) -> list[int]:
    """The tokens of a node after those of all nodes above it."""
    return [] if at is None else [*read_back(tree, tree[at].parent), *tree[at].ids]


@pytest.mark.parametrize("seed", range(50))
def test_the_tree_holds_every_response(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response ends in a leaf. An opening is long enough and has several children."""
    rng = random.Random(seed)
    responses = [rng.choices([1, 2], k=rng.randint(1, 6)) for _ in range(rng.randint(0, 12))]
    monkeypatch.setattr(packed, "MIN_OPENING", 2)
    tree = prefix_tree(Row([7, 8], responses))
    assert tree[0] == Node([7, 8], None, None)
    assert sorted(node.response for node in tree if node.response is not None) == list(range(len(responses)))
    for at, node in enumerate(tree[1:], 1):
        children = sum(other.parent == at for other in tree)
        assert node.parent is not None and node.parent < at and node.ids
        if node.response is None:
            assert children > 1 and len(node.ids) >= 2
        else:
            assert children == 0 and read_back(tree, at) == [7, 8, *responses[node.response]]


def test_openings_are_read_once_and_short_ones_left_alone() -> None:
    """An opening may have another below it; equal responses keep a last token each."""
    short = [[1] * (MIN_OPENING - 1) + [2], [1] * (MIN_OPENING - 1) + [3]]
    assert [node.parent for node in prefix_tree(Row([9], short))] == [None, 0, 0]
    responses = [
        [1] * 40 + [2],
        [1] * 40 + [3] * 30 + [4],
        [5],
        [1] * 40 + [3] * 30 + [5],
        [5] * 20,
        [5] * 20,
    ]
    assert [(len(n.ids), n.parent, n.response) for n in prefix_tree(Row([9], responses))] == [
        (1, None, None), (40, 0, None), (1, 1, 0), (30, 1, None), (1, 3, 1), (1, 3, 3), (1, 0, 2), (19, 0, None), (1, 7, 4),
        (1, 7, 5),
    ]  # fmt: skip
