r"""Answers that stand for several: `±` in numbers and tuples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from acemath.grade.base.nodes import Node

_MOST_SIGNS = 4  # of independent ± in one answer: sixteen values


def signed(node: Node) -> tuple[Node, ...]:
    r"""The values of an expression with ±; a tree without one comes back alone.

    With a \mp all signs belong together (`(22 ± a, 22 ∓ a)` is two points). Otherwise each ± has a sign of its
    own: `(±3, ±2)` is four points, `±\sqrt{5 ± 2}` four numbers.
    """
    marks = [n.value for n in node.walk() if n.kind == "pm"]
    if not marks or node.kind in ("set", "list"):
        return (node,)
    together = -1 in marks or len(marks) > _MOST_SIGNS
    choices = [(sign,) * len(marks) for sign in (1, -1)] if together else product((1, -1), repeat=len(marks))
    return tuple(_with_signs(node, iter(signs)) for signs in choices)


def _with_signs(node: Node, signs: Iterator[int]) -> Node:
    """The tree with the next of the signs for each ±."""
    if node.kind == "pm":
        sign = next(signs) * node.value
        inner = _with_signs(node.args[0], signs)
        return inner if sign > 0 else opposite(inner)
    return Node(node.kind, tuple(_with_signs(a, signs) for a in node.args), node.value)


def opposite(node: Node) -> Node:
    """The tree with a minus before it; the minus before a tuple goes to its components."""
    if node.kind == "tuple":
        return Node("tuple", tuple(opposite(a) for a in node.args), node.value)
    return Node("neg", (node,))
