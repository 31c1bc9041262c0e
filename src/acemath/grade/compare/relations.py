"""Equations and inequalities: the same curve, the same condition."""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import Node, number, substitute, symbol, symbols
from acemath.grade.compare.regions import FLIP
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import same_value

_SYMMETRIC = frozenset(("equiv", "perp", "parallel", "cong"))
_ZERO = 1e-9
_MOST_FRACTIONS = 8  # in two equations whose denominators are cleared: numerators grow with each


def _minus(a: Node, b: Node) -> Node:
    return Node("add", (a, Node("neg", (b,))))


def same_relation(a: Node, b: Node) -> bool:
    """Whether two relations say the same: equal sides, or one is the other up to a constant factor."""
    return len(a.args) == len(b.args) and (_equal_sides(a, b) or len(a.args) == 2 and _multiples(a, b))


def _multiples(a: Node, b: Node) -> bool:
    """Whether two equations or inequalities of two sides are one up to a constant factor, perhaps with denominators cleared."""
    one, other = (node.value[0].replace("~", "=") for node in (a, b))
    names = symbols(a)
    if one not in FLIP or other not in (one, FLIP[one]) or not names or names != symbols(b):
        return False
    sides = [_minus(*node.args) for node in (a, b)]
    fractions = sum(n.kind == "div" for side in sides for n in side.walk())
    cleared = [[_fraction(side)[0] for side in sides]] if one == "=" and fractions <= _MOST_FRACTIONS else []
    factors = (_factor(*pair) for pair in (sides, *cleared))
    return any(factor and (one in ("=", "!=") or (factor > 0) == (one == other)) for factor in factors)


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


def _equal_sides(a: Node, b: Node) -> bool:
    """Whether two relation chains of one length have equal sides in the same or in the mirrored order."""
    readings = [(b.value, b.args)]
    if all(o in FLIP or o in _SYMMETRIC for o in b.value):
        readings.append((tuple(FLIP.get(o, o) for o in reversed(b.value)), tuple(reversed(b.args))))
    return any(
        operators == a.value
        and all(same_value(x, y) is True or x == y for x, y in zip(a.args, sides, strict=True))
        for operators, sides in readings
    )
