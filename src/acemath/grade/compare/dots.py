r"""Sums, products and lists with dots: `1 + 2 + \dots + n`, `1 + x + \dots + x^n`, `1, 2, 4, \dots, 64`.

The last term says the rule: with its n, or one of its numbers, in the place of an index it must give every other term.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from acemath.grade.base.nodes import Node, number, substitute, symbol
from acemath.grade.values.evaluate import exact
from acemath.grade.values.probe import INTEGER_NAMES, same_value

DOTS = symbol("...")
_INDEX = symbol("#k")
_LONGEST = 200  # items that a list with dots is written out to
_BEGINNINGS = tuple((Fraction(first, step), Fraction(1, step)) for step in (1, 2) for first in (1, 0, 2))


class _Rule(NamedTuple):
    """Terms T(first), T(first + step) … T(last), where T is a tree with the index in it."""

    term: Node
    first: Fraction
    step: Fraction
    last: Node

    def at(self, place: Node) -> Node:
        """The term whose index is first + step·place."""
        index = Node("add", (number(self.first), Node("mul", (number(self.step), place))))
        return substitute(self.term, {_INDEX: index})

    def places(self) -> Node:
        """The place of the last term."""
        return Node("div", (Node("add", (self.last, number(-self.first))), number(self.step)))


def without_dots(node: Node) -> Node:
    """The tree with each sum and product of terms that follow a rule as a series, and a list of numbers written out."""
    if DOTS not in node.walk():
        return node
    terms = _factors(node) if node.kind == "mul" else node.args
    if node.kind not in ("add", "mul", "list", "tuple", "set") or terms.count(DOTS) != 1:
        return Node(node.kind, tuple(map(without_dots, node.args)), node.value)
    series = node.kind in ("add", "mul")
    at = terms.index(DOTS)
    found = _rule(terms[:at], terms[at + 1 :]) or series and _rule(terms[:at:-1], terms[:at][::-1])
    if not found:
        return node
    places = found.places()
    if series:
        bounds = Node("rel", (_INDEX, number(0)), ("=",)), places
        return Node("big", (found.at(_INDEX), *bounds), "sum" if node.kind == "add" else "prod")
    count = exact(places)
    if count is None or count.denominator != 1 or not 0 < count <= _LONGEST:
        return node
    values = [v for k in range(int(count) + 1) if (v := exact(found.at(number(k)))) is not None]
    return Node(node.kind, tuple(map(number, values)), node.value) if len(values) > count else node


def _factors(node: Node) -> tuple[Node, ...]:
    return _factors(node.args[0]) + _factors(node.args[1]) if node.kind == "mul" else (node,)


def _rule(before: tuple[Node, ...], after: tuple[Node, ...]) -> _Rule | None:
    """The rule that gives the terms before the dots and those behind them, in this order; three of them at least."""
    if not before or not after or len(before) + len(after) < 3:
        return None
    return next((rule for rule in _guesses(before, after[-1]) if _fits(rule, before, after)), None)


def _guesses(before: tuple[Node, ...], last: Node) -> Iterator[_Rule]:
    """Rules by which the last term, with an index in the place of a name or number in it, may be one of the terms."""
    first, second, end = exact(before[0]), exact(before[1]) if len(before) > 1 else None, exact(last)
    if first is not None and second is not None and second != first:
        if end is not None:
            yield _Rule(_INDEX, first, second - first, number(end))
        if end is not None and first and second and (count := _count(end / first, second / first)):
            powers = Node("pow", (number(second / first), _INDEX))
            yield _Rule(Node("mul", (number(first), powers)), Fraction(0), Fraction(1), number(count))
    leaves = [n for n in last.walk() if n.kind == "num" or n.kind == "sym" and n.value in INTEGER_NAMES]
    for leaf in dict.fromkeys(leaves):
        term = substitute(last, {leaf: _INDEX})
        yield from (_Rule(term, first, step, leaf) for first, step in _BEGINNINGS)


def _count(value: Fraction, base: Fraction) -> int:
    """The n with base^n = value; 0 where there is none up to the limit."""
    return next((n for n in range(1, _LONGEST) if base**n == value), 0) if abs(base) != 1 else 0


def _fits(rule: _Rule, before: tuple[Node, ...], after: tuple[Node, ...]) -> bool:
    """Whether the rule gives the terms before the dots from the first on, and those behind them up to the last."""
    behind = enumerate(after[-2::-1], 1)
    written = [(number(k), term) for k, term in enumerate(before)]
    written += [(Node("add", (rule.places(), number(-k))), term) for k, term in behind]
    length = exact(rule.places())
    if length is not None and (length.denominator != 1 or length < len(before) + len(after) - 1):
        return False
    return all(same_value(rule.at(place), term) is True for place, term in written)
