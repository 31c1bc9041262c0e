"""Equations and inequalities: the same curve, the same condition."""

from __future__ import annotations

import random

from acemath.grade.base.nodes import Node, symbols
from acemath.grade.compare.regions import FLIP, Region, contains, end_value
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import random_point, same_value

_SYMMETRIC = frozenset(("equiv", "perp", "parallel", "cong"))
_HIGH = 3.1  # of the random values of a variable
_LOST = 1e-6  # one side of an equation is this much smaller than the other: their difference no longer shows it


def _difference(node: Node) -> Node:
    """Left side minus right side of a relation with two sides."""
    return Node("add", (node.args[0], Node("neg", (node.args[-1],))))


def same_equation(a: Node, b: Node) -> bool:
    """Whether two equations describe the same set: equal up to a constant factor, or with the same roots."""
    f, g = _difference(a), _difference(b)
    if symbols(f) != symbols(g) or not symbols(f):
        return False
    return _proportional(f, g) or _same_roots(f, g)


def same_inequality(a: Node, b: Node) -> bool:
    """Whether two inequalities of two sides are one up to a constant factor."""
    if len(a.args) != 2 or len(b.args) != 2 or symbols(a) != symbols(b):
        return False
    (one,), (other,) = a.value, b.value
    if one == other == "!=":
        return _proportional(_difference(a), _difference(b))
    if one not in ("<", ">", "<=", ">=") or other not in (one, FLIP[one]):
        return False
    return _proportional(_difference(a), _difference(b), 1 if one == other else -1)


def _proportional(f: Node, g: Node, sign: int = 0) -> bool:
    """Whether f = c·g with a constant c, of a given sign if one is given."""
    names = sorted(symbols(f) | symbols(g))
    ratios: list[complex] = []
    for seed in range(24):
        env = random_point(names, seed, _HIGH)
        try:
            x, y = approximate(f, env), approximate(g, env)
            if _hides_a_side(f, env) or _hides_a_side(g, env):
                continue
        except Undefined:
            continue
        if abs(x) < 1e-9 or abs(y) < 1e-9:
            if (abs(x) < 1e-9) != (abs(y) < 1e-9):
                return False
            continue
        ratios.append(x / y)
        if abs(ratios[-1] - ratios[0]) > 1e-8 * abs(ratios[0]):
            return False
        if len(ratios) >= 5:
            break
    if len(ratios) < 3:
        return False
    factor = ratios[0]
    return not sign or (factor.real > 0) == (sign > 0) and abs(factor.imag) < 1e-9


def _hides_a_side(difference: Node, env: dict[str, complex]) -> bool:
    """Whether one side of a difference is lost beside the other at a point: `x = e^(e^3)` near x = 1. A side 0 hides nothing."""
    low, high = sorted(abs(approximate(side, env)) for side in difference.args)
    return 0 < low < _LOST * high


def _same_roots(f: Node, g: Node) -> bool:
    """Whether the roots found for one equation solve the other, both ways, for each choice of the rest."""
    names = sorted(symbols(f))
    checked = 0
    for one, other in ((f, g), (g, f)):
        for name in names[:2]:
            for seed in range(6):
                root = _root(one, name, names, seed)
                if root is None or abs(root[name]) < 1e-6:  # 0 solves too many equations to tell them apart
                    continue
                near = {**root, name: root[name] * 1.001 + 1e-4}
                try:
                    value = approximate(other, root)
                    slope = abs(approximate(other, near) - value)
                except Undefined:
                    continue
                if abs(value) > 1e-6 * max(slope * 1e3, 1e-6) or abs(value) > 1e-9 and _hides_a_side(other, root):
                    return False  # the sides of a solved equation are equal, so neither hides the other
                checked += 1
    return checked >= 6


def _root(f: Node, name: str, names: list[str], seed: int) -> dict[str, complex] | None:
    """A point with f = 0: Newton's method in one variable from a random complex start."""
    env = random_point(names, 100 + seed, _HIGH)
    source = random.Random(seed)
    x = complex(env[name].real * source.choice((-1, 1)), source.uniform(-1.5, 1.5))
    try:
        for _ in range(60):
            step = 1e-6 * (1 + abs(x))
            before, value, behind = (approximate(f, {**env, name: z}) for z in (x - step, x, x + step))
            slope = (behind - before) / (2 * step)
            if slope == 0:
                return None
            move = value / slope
            x -= move
            if abs(move) < 1e-12 * (1 + abs(x)):
                return {**env, name: x}
    except Undefined:
        return None
    return None


def _holds(node: Node, name: str, x: float) -> bool | None:
    """Whether a relation chain in one variable is true at x."""
    for operator, left, right in zip(node.value, node.args, node.args[1:], strict=False):
        low, high = end_value(left), end_value(right)
        try:
            a = low if low is not None else approximate(left, {name: x})
            b = high if high is not None else approximate(right, {name: x})
        except Undefined:
            return False
        if isinstance(a, complex) or isinstance(b, complex):
            return False
        near = abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1)
        truth = {"<": a < b and not near, ">": a > b and not near, "<=": a <= b or near, ">=": a >= b or near,
                 "=": near, "~": near, "!=": not near}.get(operator)  # fmt: skip
        if not truth:
            return truth
    return True


def solves(node: Node, region: Region) -> bool:
    """Whether a relation in one variable holds exactly on a region: tested at its ends, between and beyond."""
    names = symbols(node)
    if len(names) != 1:
        return False
    (name,) = names
    ends = sorted({e for i in region for e in (i.low, i.high) if abs(e) != float("inf")})
    edges = [(ends[0] if ends else 0.0) - 7.3, *ends, (ends[-1] if ends else 0.0) + 7.9]
    tests = [*ends, edges[0] - 60.5, edges[-1] + 61.5, edges[0] - 0.37, edges[-1] + 0.41]
    source = random.Random(7)
    for low, high in zip(edges, edges[1:], strict=False):
        tests += [low + (high - low) * (0.001 + 0.998 * source.random()) for _ in range(8)]
    return all(_holds(node, name, x) == contains(region, x) for x in tests)


def equal_sides(a: Node, b: Node) -> bool:
    """Whether two relation chains have equal sides in the same or in the mirrored order."""
    if len(a.args) != len(b.args):
        return False
    readings = [(b.value, b.args)]
    if all(o in FLIP or o in _SYMMETRIC for o in b.value):
        readings.append((tuple(FLIP.get(o, o) for o in reversed(b.value)), tuple(reversed(b.args))))
    return any(
        operators == a.value
        and all(same_value(x, y) is True or x == y for x, y in zip(a.args, sides, strict=True))
        for operators, sides in readings
    )
