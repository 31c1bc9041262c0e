r"""Sums and products with dots by their value: `1 + 2 + \dots + n` is n(n + 1)/2, `1 + x + \dots + x^n` a geometric sum."""

from __future__ import annotations

import cmath

from acemath.grade.base.nodes import Node, number, symbol, symbols
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import INTEGER_NAMES, random_point

DOTS = symbol("...")
_SIZES: tuple[complex, ...] = (7.0, 10.0)  # of the names of integers, where a progression is looked for
_NEAR = 1e-9


def without_dots(node: Node) -> Node:
    """The tree with each sum and product of an arithmetic or geometric progression as an expression of its ends."""
    if DOTS not in node.walk():
        return node
    terms = _factors(node) if node.kind == "mul" else node.args
    if node.kind in ("add", "mul") and terms.count(DOTS) == 1:
        return _closed(node.kind, terms) or node
    return Node(node.kind, tuple(map(without_dots, node.args)), node.value)


def _factors(node: Node) -> tuple[Node, ...]:
    return _factors(node.args[0]) + _factors(node.args[1]) if node.kind == "mul" else (node,)


def _closed(kind: str, terms: tuple[Node, ...]) -> Node | None:
    at = terms.index(DOTS)
    if at == 0 or at == len(terms) - 1:
        return None
    before, after = terms[:at], terms[at + 1 :]
    if at == 1:  # `n + … + 2 + 1`: the step shows at the end
        before, after = after[::-1], before
    if len(before) < 2:
        return None
    first, second, last = before[0], before[1], after[-1]
    step, ratio = _minus(second, first), Node("div", (second, first))
    if _progresses(before, after, False):
        count = Node("div", (_minus(last, first), step))
        if kind == "add":
            pairs = Node("mul", (Node("add", (first, last)), Node("add", (count, number(1)))))
            return Node("div", (pairs, number(2)))
        index = symbol("#k")
        factor = Node("add", (first, Node("mul", (index, step))))
        return Node("big", (factor, Node("rel", (index, number(0)), ("=",)), count), "prod")
    if kind == "add" and _progresses(before, after, True):
        return Node("div", (_minus(Node("mul", (last, ratio)), first), _minus(ratio, number(1))))
    return None


def _minus(a: Node, b: Node) -> Node:
    return Node("add", (a, Node("neg", (b,))))


def _progresses(before: tuple[Node, ...], after: tuple[Node, ...], geometric: bool) -> bool:
    """Whether all terms that are written lie on one progression, in this order, at the points that are tried."""
    names = frozenset[str]().union(*map(symbols, (*before, *after)))
    shown = len(before)
    for size in _SIZES:
        env = random_point(names, 11, 2.9) | dict.fromkeys(names & INTEGER_NAMES, size)
        try:
            values = [approximate(term, env) for term in (*before, *after)]
            if geometric:
                values = [cmath.log(value / values[0]) for value in values]
            step = values[1] - values[0]
            places = [round(((value - values[0]) / step).real) for value in values]
        except (Undefined, ZeroDivisionError, ValueError):
            return False
        on_line = zip(values, places, strict=True)
        if any(abs(values[0] + p * step - v) > _NEAR * abs(v) + _NEAR**2 for v, p in on_line):
            return False
        rows = [*range(shown), *range(places[shown], places[shown] + len(after))]
        if places != rows or places[shown] < shown:
            return False
    return True
