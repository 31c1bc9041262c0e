"""Equality of expressions by their values: exact where rational, else at random points, then with many digits."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from acemath.grade.base.nodes import Node, symbols
from acemath.grade.values.evaluate import Undefined, approximate, differs, exact

_CLOSE = 1e-7
INTEGER_NAMES = frozenset("nkmijlN")
_TRIALS = 60
Point = dict[str, Any]
_ALONG = (1.0, 3.0, -1.7)  # where an expression that is linear from 0 to 1 has to be linear too
_WHOLE_ONLY = frozenset("floor ceil binom sin cos".split())  # functions with special values at whole numbers
_random = random.Random(20241219)
_RANGES = ((0.15, 0.95), (1.05, 2.9), (-0.95, -0.15), (-2.9, -1.05), (3.1, 9.5), (0.2, 2.5))
_POINTS = [Fraction(round(_random.uniform(low, high) * 8191), 8191) for low, high in _RANGES * 40]
_INTEGERS = [Fraction(n) for n in (2, 5, 3, 7, 4, 9, 6, 11, 8, 13, 10, 12)]


def same_value(a: Node, b: Node) -> bool | None:
    """Whether two expressions are equal wherever both are real; None where that cannot be seen."""
    left, right = exact(a), exact(b)
    if left is not None and right is not None:
        return left == right
    names = sorted(symbols(a) | symbols(b))
    if not names:
        return _constants(a, b)
    if len(names) > 12:
        return None
    whole = INTEGER_NAMES.intersection(names)
    if _stepped(a) or _stepped(b):
        return _agree(a, b, _points(names, whole, 1), _TRIALS, _TRIALS // 3)
    verdict = _agree(a, b, _points(names, frozenset()), 5)
    if verdict is not True and whole and (_integral(a) or _integral(b)):
        return _agree(a, b, _points(names, whole), 10)
    return verdict


def random_point(names: Iterable[str], seed: int, high: float) -> dict[str, complex]:
    """A value between 0.3 and `high` for each name, the same for a seed."""
    source = random.Random(seed)
    return {name: source.uniform(0.3, high) for name in names}


def line(node: Node, name: str, env: Mapping[str, complex]) -> tuple[complex, complex]:
    """The value at 0 and the slope of an expression in one variable. Raises `Undefined` where it is not linear in it."""
    zero, one, *others = (approximate(node, {**env, name: x}) for x in (0.0, *_ALONG))
    for x, value in zip(_ALONG[1:], others, strict=True):
        if abs(value - zero - x * (one - zero)) > 1e-9 * (1 + abs(value)):
            raise Undefined(f"not linear in {name}")
    return zero, one - zero


def _stepped(node: Node) -> bool:
    """Whether a floor or a ceiling stands in a tree: such values agree at many points without being equal."""
    return any(n.kind == "func" and n.value in ("floor", "ceil") for n in node.walk())


def _points(names: list[str], whole: frozenset[str], step: int = 0) -> Iterator[Point]:
    """Values of either sign, whole numbers for the names in `whole`; with a step, further and further out."""
    for trial in range(_TRIALS):
        sets = [_INTEGERS if name in whole else _POINTS for name in names]
        yield {
            name: values[(trial * (2 * at + 1) + 5 * at * at) % len(values)] + step * trial
            for at, (name, values) in enumerate(zip(names, sets, strict=True))
        }


def _integral(tree: Node) -> bool:
    """Whether something in an expression makes sense for whole numbers only."""
    return any(
        node.kind in ("fact", "big")
        or node.kind == "func" and node.value in _WHOLE_ONLY
        or node.kind == "pow" and (value := exact(node.args[0])) is not None and value < 0
        for node in tree.walk()
    )  # fmt: skip


def _constants(a: Node, b: Node) -> bool | None:
    try:
        x, y = approximate(a, {}), approximate(b, {})
        if abs(x - y) > _CLOSE * max(abs(x), abs(y)) and max(abs(x), abs(y)) > 1e-9:
            return False
    except Undefined:
        pass  # too large or too small for a float
    different = differs(a, b, {})
    return None if different is None else not different


def _agree(a: Node, b: Node, points: Iterable[Point], enough: int, least: int = 1) -> bool | None:
    """Whether two expressions are equal at as many points as are enough; None where fewer than `least` could be seen.

    Complex values count only where there are no real ones.
    """
    confirmed: list[Point] = []
    others: list[bool] = []
    for env in points:
        try:
            x, y = approximate(a, env), approximate(b, env)
        except Undefined:
            continue
        close = abs(x - y) <= _CLOSE * max(abs(x), abs(y)) or max(abs(x), abs(y)) < 1e-9
        if isinstance(x, complex) or isinstance(y, complex):
            others.append(close)
            continue
        if not close:
            return False
        confirmed.append(env)
        if len(confirmed) >= enough:
            break
    if not confirmed:
        return False if not all(others) else True if len(others) >= 3 else None
    if len(confirmed) < least:
        return None
    return all(differs(a, b, env) is not True for env in confirmed[:: max(1, len(confirmed) // 2)][:2])
