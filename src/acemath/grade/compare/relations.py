"""Equations and inequalities: the same curve, the same condition."""

from __future__ import annotations

import random

from acemath.grade.base.nodes import Node, symbols
from acemath.grade.compare.regions import FLIP
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import random_point, same_value

_SYMMETRIC = frozenset(("equiv", "perp", "parallel", "cong"))
_HIGH = 3.1  # of the random values of a variable
_ZERO = 1e-9
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
        if (abs(x) < _ZERO) != (abs(y) < _ZERO):
            return False
        if abs(x) >= _ZERO:
            ratios.append(x / y)
        if ratios and abs(ratios[-1] - ratios[0]) > 1e-8 * abs(ratios[0]):
            return False
        if len(ratios) >= 5:
            break
    factor = ratios[0] if ratios else 0.0
    return len(ratios) >= 3 and (not sign or factor.real * sign > 0 and abs(factor.imag) < _ZERO)


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
