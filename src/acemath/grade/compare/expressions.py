"""Two expressions by value: exact, rounded, within a tolerance, or up to the name of a constant."""

from __future__ import annotations

from acemath.grade.base.nodes import (
    STRUCTURES,
    Node,
    function,
    is_decimal,
    kinds,
    number,
    symbols,
)
from acemath.grade.compare.dots import without_dots
from acemath.grade.conventions import Conventions
from acemath.grade.values.evaluate import Undefined, approximate, exact
from acemath.grade.values.probe import same_value
from acemath.grade.values.rounding import rounds_to

_TERMS = 12  # of an infinite series that are compared


def same_expression(a: Node, b: Node, conventions: Conventions) -> bool | None:
    """Whether two expressions are equal by value; None where that cannot be seen."""
    if a.kind in STRUCTURES or b.kind in STRUCTURES:
        return False
    result: bool | None = None
    readings = _readings(a, b)
    if "..." in symbols(a) | symbols(b):
        readings += ((without_dots(a), without_dots(b)),)
    for x, y in readings:
        result = _same(x, y, conventions)
        if result is True:
            return True
    if "big" in kinds(a) & kinds(b):
        x, y = _partial(a), _partial(b)
        if x != a and y != b and same_value(x, y) is True:
            return True
    return result


def _same(a: Node, b: Node, conventions: Conventions) -> bool | None:
    result = same_value(a, b)
    if result is True:
        return True
    if rounds_to(a, b, conventions.digits) or rounds_to(b, a, conventions.digits):
        return True
    if not symbols(a) and not symbols(b):
        if _close(a, b, conventions):
            return True
        return False if _without_value(a) or _without_value(b) else result
    return result


def _readings(a: Node, b: Node) -> tuple[tuple[Node, Node], ...]:
    """The pair, once for each base that a log without a base may have.

    Against a number it is ten (`\\log 100` is 2 and not 4.605). Where the other side has a logarithm or e, the base is
    either: `\\log x` is as often a spelling of `\\ln x` as of `\\log_{10} x`.
    """
    leaves = [{value for kind, _, value in tree.walk() if kind in ("func", "const")} for tree in (a, b)]
    bare = sum("lg" in names for names in leaves)
    if not bare:
        return ((a, b),)
    decadic = _decadic(a), _decadic(b)
    return (decadic, (a, b)) if bare == 2 or {"log", "e", "exp"} & (leaves[0] | leaves[1]) else (decadic,)


def _partial(node: Node) -> Node:
    """The tree with each infinite series cut to its first terms: series with equal ones count as equal, whatever their index is called."""
    args = tuple(map(_partial, node.args))
    if node.kind == "big" and len(args) == 3 and args[1].kind == "rel" and args[2] == Node("const", (), "inf"):
        args = (*args[:2], Node("add", (args[1].args[-1], number(_TERMS))))
    return Node(node.kind, args, node.value)


def _decadic(node: Node) -> Node:
    args = tuple(_decadic(a) for a in node.args)
    if node.kind == "func" and node.value == "lg":
        return Node("div", (function("log", *args), function("log", number(10))))
    return Node(node.kind, args, node.value)


def _without_value(node: Node) -> bool:
    """Whether a constant is infinite or a quotient by zero, such as the time 2:00: no number equals it."""
    if node.kind == "ratio":
        return exact(node) is None
    return node.kind in ("const", "neg") and any(n.value == "inf" for n in node.walk())


def _close(a: Node, b: Node, conventions: Conventions) -> bool:
    """Whether two constants agree within the conventions' tolerances, or as a fraction and its percentage."""
    try:
        x, y = approximate(a, {}), approximate(b, {})
    except Undefined:
        return False
    tolerance = max(conventions.rel_tol, 1e-12)
    scales = [100.0, 0.01] if conventions.percent == "any" else []
    if conventions.percent == "fraction" and {a.kind, b.kind} <= {"num", "div"} and 0 < min(x.real, y.real) < 1:
        part, whole, scale = (a, b, 100.0) if x.real < y.real else (b, a, 0.01)
        scales = [scale] if whole.kind == "num" and 1 <= (exact(whole) or 0) <= 100 and (part.kind == "num" or not is_decimal(part)) else []
    if (conventions.rel_tol or conventions.abs_tol) and (
        conventions.exact_within or is_decimal(a) or is_decimal(b)
    ):
        scales.append(1.0)
    return any(
        abs(x * s - y) <= max(conventions.abs_tol, tolerance * max(abs(x * s), abs(y))) for s in scales
    )
