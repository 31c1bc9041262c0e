"""Two expressions by value: exact, rounded, within a tolerance, or up to the name of a constant."""

from __future__ import annotations

from acemath.grade.base.nodes import (
    STRUCTURES,
    Node,
    function,
    number,
    substitute,
    symbol,
    symbols,
)
from acemath.grade.compare.families import same_family
from acemath.grade.conventions import Conventions
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import same_value
from acemath.grade.values.rounding import rounds_to

_CONSTANT_NAMES = frozenset(("C", "c", "K", "k", "C_1", "c_1"))


def same_expression(a: Node, b: Node, conventions: Conventions) -> bool | None:
    """Whether two expressions are equal by value; None where that cannot be seen."""
    if a.kind in STRUCTURES or b.kind in STRUCTURES:
        return False
    result = same_value(a, b)
    if result is False and any(n.value == "lg" for tree in (a, b) for n in tree.walk()):
        result = same_value(_decadic(a), _decadic(b))  # log without a base: natural failed, ten is the other
    if result is True:
        return True
    if rounds_to(a, b, conventions.digits) or rounds_to(b, a, conventions.digits):
        return True
    if not symbols(a) and not symbols(b):
        if _close(a, b, conventions):
            return True
    elif result is False and (_same_up_to_constant(a, b) or same_family(a, b)):
        return True
    return result


def _decadic(node: Node) -> Node:
    args = tuple(_decadic(a) for a in node.args)
    if node.kind == "func" and node.value == "lg":
        return Node("div", (function("log", *args), function("log", number(10))))
    return Node(node.kind, args, node.value)


def _close(a: Node, b: Node, conventions: Conventions) -> bool:
    """Whether two constants agree within the conventions' tolerances, percent spellings included."""
    scales = (1.0, 100.0, 0.01) if conventions.percent == "any" else (1.0,)
    if not conventions.rel_tol and not conventions.abs_tol and len(scales) == 1:
        return False
    try:
        x, y = approximate(a, {}), approximate(b, {})
    except Undefined:
        return False
    tolerance = max(conventions.rel_tol, 1e-12)
    return any(
        abs(x * s - y) <= max(conventions.abs_tol, tolerance * max(abs(x * s), abs(y))) for s in scales
    )


def _same_up_to_constant(a: Node, b: Node) -> bool:
    """Antiderivatives whose constants have different names."""
    one, other = symbols(a) - symbols(b), symbols(b) - symbols(a)
    if len(one) != 1 or len(other) != 1 or not (one | other) <= _CONSTANT_NAMES:
        return False
    (name,), (renamed,) = one, other
    return same_value(substitute(a, {symbol(name): symbol(renamed)}), b) is True
