"""Equations and inequalities: the same curve, the same condition."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import Node, number, substitute, symbol, symbols
from acemath.grade.compare.regions import FLIP
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import line, random_point, same_value

_SYMMETRIC = frozenset(("equiv", "perp", "parallel", "cong"))
_ZERO = 1e-9


def _minus(a: Node, b: Node) -> Node:
    return Node("add", (a, Node("neg", (b,))))


def same_equation(a: Node, b: Node) -> bool:
    """Whether two equations describe the same set: equal up to a constant factor, or with one solution for a variable."""
    f, g = _minus(a.args[0], a.args[-1]), _minus(b.args[0], b.args[-1])
    names = symbols(f)
    return names == symbols(g) != frozenset() and (
        _factor(f, g) != 0 or any(_same_solution(f, g, name) for name in sorted(names)[:3])
    )


def same_inequality(a: Node, b: Node) -> bool:
    """Whether two inequalities of two sides are one up to a constant factor."""
    if len(a.args) != 2 or len(b.args) != 2 or symbols(a) != symbols(b):
        return False
    (one,), (other,) = a.value, b.value
    factor = _factor(_minus(*a.args), _minus(*b.args)) if other in (one, FLIP.get(one)) else 0.0
    return factor != 0 if one == "!=" else one in FLIP and (factor > 0 if one == other else factor < 0)


def _factor(f: Node, g: Node) -> float:
    """The constant c with f = c·g wherever both have values; 0 where there is none."""
    names = sorted(symbols(f) | symbols(g))
    point = {symbol(name): number(Fraction(1009 + 377 * at, 731)) for at, name in enumerate(names)}  # of no special value
    at_f, at_g = substitute(f, point), substitute(g, point)
    try:
        x, y = approximate(at_f, {}), approximate(at_g, {})
    except Undefined:
        return 0.0
    if min(abs(x), abs(y)) < _ZERO or isinstance(x / y, complex):
        return 0.0
    same = same_value(Node("mul", (f, at_g)), Node("mul", (g, at_f)))
    return float((x / y).real) if same is True else 0.0


def _same_solution(f: Node, g: Node, name: str) -> bool:
    """Whether f = 0 and g = 0 are both linear in a variable, and solved for it by the same expression."""
    env = random_point(symbols(f) - {name}, 5, 3.1)
    solutions = []
    for tree in (f, g):
        try:
            line(tree, name, env)
        except Undefined:
            return False
        rest, one = (substitute(tree, {symbol(name): number(x)}) for x in (0, 1))
        solutions.append(Node("div", (rest, _minus(rest, one))))
    return same_value(*solutions) is True


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
