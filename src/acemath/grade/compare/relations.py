"""Equations and inequalities: names on their left, the same curve, the same condition."""

from __future__ import annotations

import random
import re

from acemath.grade.base.nodes import Node, substitute, symbols
from acemath.grade.compare.regions import Region, end_value
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import same_value

_EQUAL = frozenset("=~")
_SYMMETRIC = frozenset(("=", "~", "!=", "equiv", "perp", "parallel", "cong"))
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def is_equation(node: Node) -> bool:
    """Whether a tree is a chain of = and ≈ only."""
    return node.kind == "rel" and set(node.value) <= _EQUAL


def head_and_value(node: Node) -> tuple[Node, Node] | None:
    """`x = 5` or `f(x) = … = 5` as its name and its last exact side; None for other equations.

    A name is a symbol, a function value, a ratio or product of segments, words, or a tuple of names; an
    equation such as `2x + z = 1` has none.
    """
    if not is_equation(node):
        return None
    head, sides = node.args[0], node.args
    value = sides[-1]
    for operator, side in zip(reversed(node.value), reversed(sides[:-1]), strict=False):
        if operator != "~":
            break
        value = side
    if value is head:
        value = sides[-1]
    if is_name(head):
        return None if head.kind == "sym" and head.value in symbols(value) else (head, value)
    if is_name(value) and value.kind == "sym" and value.value not in symbols(head) and len(sides) == 2:
        return value, head
    return None


def exact_side(node: Node) -> Node:
    """The last side of a chain that stands before any ≈."""
    for operator, side in zip(reversed(node.value), reversed(node.args[:-1]), strict=True):
        if operator == "~":
            return side
        break
    return node.args[-1]


def approximate_value(node: Node) -> Node | None:
    """The side behind the last ≈, where a chain has one."""
    return (
        node.args[-1]
        if node.kind == "rel" and node.value and node.value[-1] == "~" and len(node.args) > 1
        else None
    )


_PARTS = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "arg", "re", "im", "det", "dim"))


_DIFFERENTIALS = (Node("sym", (), "d"), Node("sym", (), "partial"))
_EXTREME = re.compile(r"_(?:max|min|text|mathrm)+$")


def is_name(node: Node) -> bool:
    """Whether a side of an equation only names a quantity."""
    if node.kind in ("sym", "text", "apply"):
        return True
    if (
        node.kind == "big"
        and node.value == "lim"
        or node.kind == "func"
        and node.value in ("gcd", "lcm", "max", "min")
    ):
        return any(n.kind == "sym" for a in node.args[:1] for n in a.walk())
    if node.kind == "tuple":
        return all(is_name(a) for a in node.args)
    if node.kind == "abs" and node.args[0].kind == "sym" and node.args[0].value in ("u", "v", "w", "z"):
        return True  # vectors and complex numbers: |z| = 5 gives |z|, where |x| = 5 gives x
    if node.kind == "abs":
        return (
            is_name(node.args[0])
            and (node.args[0].kind != "sym" or len(node.args[0].value) > 1)
            or _segment(node.args[0])
        )
    if node.kind == "func" and node.value in _PARTS:
        return len(node.args) == 1 and node.args[0].kind == "sym"  # cos A = 1/2 gives cos A
    if node.kind in ("div", "ratio"):
        if all(a.kind == "mul" and a.args[0] in _DIFFERENTIALS for a in node.args):
            return True  # dy/dx
        return all(_segment(a) for a in node.args)
    if node.kind == "mul":
        return (
            _segment(node)
            or node.args[0] == Node("sym", (), "nabla")
            or node.args[0].kind == "sym"
            and node.args[1].kind in ("tuple", "sym")
            and _applied(node)
        )
    return False


def _applied(node: Node) -> bool:
    if str(node.args[1].value).startswith("angle"):
        return True
    """`W(n)`, `P(A)` read as a product of a capital letter and a bracket."""
    return str(node.args[0].value)[:1].isupper() and (
        node.args[1].kind == "tuple" or len(node.args[1].value) == 1
    )


def _segment(node: Node) -> bool:
    """`AB`, `S_1`: capital letters that name a segment, an area, a volume."""
    if node.kind == "sym":
        return str(node.value)[:1].isupper() or str(node.value).startswith(("angle", "triangle"))
    return (
        node.kind == "mul"
        and all(_segment(a) for a in node.args)
        or node.kind == "abs"
        and _segment(node.args[0])
    )


def same_name(a: Node, b: Node) -> bool:
    """Whether two names may stand for the same thing: only plain letters can contradict each other."""
    if a.kind == "sym" and b.kind == "sym":
        return bool(_EXTREME.sub("", a.value) == _EXTREME.sub("", b.value))  # `k_{max} = 5` states k = 5
    if a.kind == "tuple" and b.kind == "tuple":
        return a == b or len(a.args) == len(b.args)
    if a.kind == b.kind == "text":
        return bool(set(a.value.split()) & set(b.value.split()))
    if "text" in (a.kind, b.kind):
        return True
    if a.kind == "func" or b.kind == "func":
        return a == b  # cos A is neither sin A nor cos B
    return a.kind == b.kind and (a.kind != "apply" or a.value == b.value)


def rename_arguments(head: Node, value: Node) -> Node:
    """`f(t) = t^2` with a standard name for t, so that `f(x) = x^2` says the same."""
    arguments = head.args if head.kind == "apply" else head.args[1:] if head.kind == "mul" else ()
    names = {a.value: Node("sym", (), f"#{i}") for i, a in enumerate(arguments) if a.kind == "sym"}
    return substitute(value, names) if names else value


def difference(node: Node) -> Node:
    """Left side minus right side of a relation with two sides."""
    return Node("add", (node.args[0], Node("neg", (node.args[-1],))))


def same_equation(a: Node, b: Node) -> bool | None:
    """Whether two equations describe the same set: equal up to a constant factor, or with the same roots."""
    f, g = difference(a), difference(b)
    if symbols(f) != symbols(g) or not symbols(f):
        return False
    return _proportional(f, g, None) or _same_roots(f, g)


def same_inequality(a: Node, b: Node) -> bool:
    """Whether two inequalities of two sides are one up to a constant factor."""
    if len(a.args) != 2 or len(b.args) != 2 or symbols(a) != symbols(b):
        return False
    f, g = difference(a), difference(b)
    (one,), (other,) = a.value, b.value
    if one not in ("<", ">", "<=", ">=", "!="):
        return False
    if one == other and (one in ("!=", "in", "~") or _proportional(f, g, 1)):
        return _proportional(f, g, None) is True
    return _FLIP.get(one) == other and _proportional(f, g, -1) is True


def _points(names: list[str], seed: int) -> dict[str, float]:
    source = random.Random(seed)
    return {name: source.uniform(0.3, 3.1) for name in names}


def _proportional(f: Node, g: Node, sign: int | None) -> bool:
    """Whether f = c·g with a constant c, of a given sign if one is given."""
    names = sorted(symbols(f) | symbols(g))
    ratios: list[complex] = []
    pair: tuple[Node, Node] | None = None
    for seed in range(24):
        env = _points(names, seed)
        try:
            x, y = approximate(f, env), approximate(g, env)
        except Undefined:
            continue
        if abs(x) < 1e-9 or abs(y) < 1e-9:
            if (abs(x) < 1e-9) != (abs(y) < 1e-9):
                return False
            continue
        ratios.append(x / y)
        if abs(ratios[-1] - ratios[0]) > 1e-8 * abs(ratios[0]):
            return False
        pair = (f, g)
        if len(ratios) >= 5:
            break
    if len(ratios) < 3 or pair is None:
        return False
    factor = ratios[0]
    return sign is None or (factor.real > 0) == (sign > 0) and abs(factor.imag) < 1e-9


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
                try:
                    miss = abs(approximate(other, root))
                    slope = abs(
                        approximate(other, {**root, name: root[name] * 1.001 + 1e-4})
                        - approximate(other, root)
                    )
                except Undefined:
                    continue
                if miss > 1e-6 * max(slope * 1e3, 1e-6):
                    return False
                checked += 1
    return checked >= 6


def _root(f: Node, name: str, names: list[str], seed: int) -> dict[str, complex] | None:
    """A point with f = 0: Newton's method in one variable from a random complex start."""
    env: dict[str, complex] = dict(_points(names, 100 + seed))
    source = random.Random(seed)
    x = complex(env[name] * source.choice((-1, 1)), source.uniform(-1.5, 1.5))
    try:
        for _ in range(60):
            step = 1e-6 * (1 + abs(x))
            value = approximate(f, {**env, name: x})
            slope = (approximate(f, {**env, name: x + step}) - approximate(f, {**env, name: x - step})) / (
                2 * step
            )
            if slope == 0:
                return None
            move = value / slope
            x -= move
            if abs(move) < 1e-12 * (1 + abs(x)):
                return {**env, name: x}
    except Undefined:
        return None
    return None


def holds(node: Node, name: str, x: float) -> bool | None:
    """Whether a relation chain in one variable is true at x."""
    for operator, left, right in zip(node.value, node.args, node.args[1:], strict=False):
        low, high = end_value(substitute(left, {})), end_value(substitute(right, {}))
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
        if truth is None:
            return None
        if not truth:
            return False
    return True


def solves(node: Node, region: Region) -> bool:
    """Whether a relation in one variable holds exactly on a region: tested at its ends, between and beyond."""
    names = symbols(node)
    if len(names) != 1:
        return False
    name = next(iter(names))
    ends = sorted({e for i in region for e in (i.low, i.high) if abs(e) != float("inf")})
    tests = list(ends)
    edges = [(ends[0] if ends else 0.0) - 7.3, *ends, (ends[-1] if ends else 0.0) + 7.9]
    source = random.Random(7)
    for low, high in zip(edges, edges[1:], strict=False):
        tests += [low + (high - low) * (0.001 + 0.998 * source.random()) for _ in range(8)]
    tests += [edges[0] - 60.5, edges[-1] + 61.5, edges[0] - 0.37, edges[-1] + 0.41]
    return all(holds(node, name, x) == _inside(region, x) for x in tests)


def _inside(region: Region, x: float) -> bool:
    return any(
        i.low < x < i.high or x == i.low and i.low_closed or x == i.high and i.high_closed for i in region
    )


def equal_sides(a: Node, b: Node) -> bool:
    """Whether two relation chains have equal sides in the same or in the mirrored order."""
    if len(a.args) != len(b.args):
        return False
    readings = [(b.value, b.args)]
    if all(o in _FLIP or o in _SYMMETRIC for o in b.value):
        readings.append((tuple(_FLIP.get(o, o) for o in reversed(b.value)), tuple(reversed(b.args))))
    for operators, sides in readings:
        if operators == a.value and all(
            same_value(x, y) is True or x == y for x, y in zip(a.args, sides, strict=True)
        ):
            return True
    return False
