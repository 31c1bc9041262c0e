"""Equations and inequalities: the same curve, the same condition."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import Node, number, substitute, symbol, symbols
from acemath.grade.compare.regions import FLIP
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import line, random_point, same_value

_SYMMETRIC = frozenset(("equiv", "perp", "parallel", "cong"))
_ZERO = 1e-9
_MOST_FRACTIONS = 8  # in two equations whose denominators are cleared: numerators grow with each


def _minus(a: Node, b: Node) -> Node:
    return Node("add", (a, Node("neg", (b,))))


def same_equation(a: Node, b: Node) -> bool:
    """Whether two equations describe the same set, perhaps after their denominators are cleared.

    They do where they are equal up to a constant factor, or linear in a variable with one solution for it.
    """
    sides = [_minus(node.args[0], node.args[-1]) for node in (a, b)]
    fractions = sum(n.kind == "div" for side in sides for n in side.walk())
    cleared = [_fraction(side)[0] for side in sides if fractions <= _MOST_FRACTIONS] or sides
    names = symbols(a)
    return names == symbols(b) != frozenset() and any(
        _factor(f, g) != 0 or any(_same_solution(f, g, name) for name in sorted(names)[:3])
        for f, g in (sides, cleared)
    )


def _fraction(node: Node) -> tuple[Node, Node]:
    """An expression as a numerator and a denominator."""
    if node.kind not in ("add", "mul", "div", "neg"):
        return node, number(1)
    (top, bottom), *rest = map(_fraction, node.args)
    for above, below in rest:
        if node.kind == "add":
            above, top = Node("mul", (above, bottom)), Node("mul", (top, below))
            top, bottom = Node("add", (top, above)), Node("mul", (bottom, below))
        else:
            above, below = (below, above) if node.kind == "div" else (above, below)
            top, bottom = Node("mul", (top, above)), Node("mul", (bottom, below))
    return (Node("neg", (top,)) if node.kind == "neg" else top), bottom


def same_inequality(a: Node, b: Node) -> bool:
    """Whether two inequalities of two sides are one up to a constant factor."""
    if len(a.args) != 2 or len(b.args) != 2 or not symbols(a) or symbols(a) != symbols(b):
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
