"""Sets of real numbers: intervals, inequalities, unions, set-builders, and when two of them are the same set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from acemath.grade.base.nodes import Node, symbol, symbols
from acemath.grade.values.evaluate import Undefined, approximate


class Interval(NamedTuple):
    """One interval with its ends; a point is an interval closed at both ends."""

    low: float
    low_closed: bool
    high: float
    high_closed: bool


Region = tuple[Interval, ...]
FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!=", "~": "~"}
_NEAR = 1e-9
_POSITIVE, _NEGATIVE = Interval(0.0, False, math.inf, False), Interval(-math.inf, False, 0.0, False)
_EVERYTHING: Region = (Interval(-math.inf, False, math.inf, False),)
_NAMED: dict[str, Region] = {
    "R": _EVERYTHING, "R+": (_POSITIVE,), "R-": (_NEGATIVE,), "R0+": (_POSITIVE._replace(low_closed=True),),
    "R0-": (_NEGATIVE._replace(high_closed=True),),
}  # fmt: skip


def region(node: Node) -> Region | None:
    """The set of reals that a tree names; None where it names none, or none that this module can tell."""
    rule = _RULES.get(node.kind)
    found = rule(node) if rule is not None else None
    return None if found is None else _normal(found)


def end_value(node: Node) -> float | None:
    """The value of an interval's end, infinite ones included; None where it is not a real constant."""
    sign = 1.0
    while node.kind == "neg" or node.kind == "add" and len(node.args) == 1:
        sign, node = (-sign if node.kind == "neg" else sign), node.args[0]
    if node.kind == "const" and node.value == "inf":
        return sign * math.inf
    try:
        value = approximate(node, {})
    except Undefined:
        return None
    return None if isinstance(value, complex) else sign * value


def _tuple(node: Node) -> Region | None:
    if len(node.args) != 2:
        return None
    low, high = map(end_value, node.args)
    if low is None or high is None or low > high:
        return None
    return (Interval(low, node.value[0] == "[", high, node.value[1] == "]"),)


def _set(node: Node) -> Region | None:
    points = [end_value(a) for a in node.args]
    found = tuple(Interval(p, True, p, True) for p in points if p is not None and not math.isinf(p))
    return found if len(found) == len(points) else None


def _combined(operation: Callable[[Region, Region], Region]) -> Callable[[Node], Region | None]:
    def rule(node: Node) -> Region | None:
        left, right = map(region, node.args)
        return None if left is None or right is None else operation(left, right)

    return rule


def _relation(node: Node) -> Region | None:
    """Chains such as `1 < x <= 3` whose other sides are constants, and `x in S`."""
    if node.value == ("in",):
        return region(node.args[1]) if _is_variable(node.args[0]) else None
    result = _EVERYTHING
    variable: Node | None = None
    for operator, left, right in zip(node.value, node.args, node.args[1:], strict=False):
        if operator not in FLIP:
            return None
        if end_value(left) is not None:
            left, right, operator = right, left, FLIP[operator]
        bound = end_value(right)
        part = None if bound is None else _half(left, operator, bound)
        if part is None or variable is not None and part[0] != variable:
            return None
        variable = part[0]
        result = _meet(result, part[1])
    return result


def _half(side: Node, operator: str, bound: float) -> tuple[Node, Region] | None:
    """`side operator bound` solved for the variable in side: x, -x, c·x, x + c, |x|, |x - c|."""
    found = _compared(operator, bound)
    names = symbols(side)
    if len(names) != 1 or side.kind == "apply":
        return (side, found) if _is_variable(side) else None
    (name,) = names
    line = _linear(side, name)
    if line is None and side.kind == "abs":
        line = _linear(side.args[0], name)
        right = _meet(found, _NAMED["R0+"])
        found = right + tuple(Interval(-i.high, i.high_closed, -i.low, i.low_closed) for i in right)
    if line is None:
        return None
    slope, offset = line
    solved = [
        Interval((i.low - offset) / slope, i.low_closed, (i.high - offset) / slope, i.high_closed)
        for i in found
    ]
    if slope < 0:
        solved = [Interval(i.high, i.high_closed, i.low, i.low_closed) for i in solved]
    return symbol(name), tuple(solved)


def _is_variable(node: Node) -> bool:
    """Whether a side is a plain name: a symbol, a function value, or words."""
    return (
        node.kind in ("sym", "text")
        or node.kind == "apply"
        and all(a.kind in ("sym", "num") for a in node.args)
    )


def _linear(node: Node, name: str) -> tuple[float, float] | None:
    """Slope and value at 0 of a linear expression in one variable."""
    try:
        values = [approximate(node, {name: x}) for x in (0.0, 1.0, 2.0, -3.5)]
    except Undefined:
        return None
    if any(isinstance(v, complex) for v in values):
        return None
    offset, slope = values[0].real, values[1].real - values[0].real
    for x, value in ((2.0, values[2]), (-3.5, values[3])):
        if abs(value.real - offset - slope * x) > _NEAR * (1 + abs(offset) + abs(slope)):
            return None
    return (slope, offset) if slope else None


def _compared(operator: str, bound: float) -> Region:
    """All x with `x operator bound`."""
    if operator in ("=", "~"):
        return (Interval(bound, True, bound, True),)
    below = Interval(-math.inf, False, bound, operator == "<=")
    above = Interval(bound, operator == ">=", math.inf, False)
    return (below, above) if operator == "!=" else (below,) if operator in ("<", "<=") else (above,)


def _list(node: Node) -> Region | None:
    """`x < 1 or x > 3` is a union; `x > 1 and x < 3` an intersection; with commas, what is not empty."""
    parts = [region(a) for a in node.args if a.kind in ("rel", "tuple", "union", "set")]
    regions = [p for p in parts if p is not None]
    if len(regions) != len(node.args):
        return None
    if any(a.kind != "rel" for a in node.args):
        return sum(regions, ()) if node.value in ("or", "and") else None
    points = [a for a in node.args if set(a.value) <= {"=", "~"}]
    if points and (node.value != "or" or len(points) == len(node.args)):
        return None
    if len({symbols(a) for a in node.args}) > 1:
        return None  # conditions on different variables
    joined = regions[0]
    for other in regions[1:]:
        joined = _meet(joined, other)
    return sum(regions, ()) if node.value == "or" or not joined else joined


def _builder(node: Node) -> Region | None:
    first = node.args[0]
    base = region(first.args[1]) if first.kind == "rel" and first.value == ("in",) else _EVERYTHING
    if first.kind not in ("sym", "rel"):
        return None
    for condition in node.args[1:]:
        part = region(condition)
        if base is None or part is None:
            return None
        base = _meet(base, part)
    return base


def _complement(parts: Region) -> Region:
    """All reals that are not in the region."""
    result = _EVERYTHING
    for part in parts:
        below = Interval(-math.inf, False, part.low, not part.low_closed)
        above = Interval(part.high, not part.high_closed, math.inf, False)
        result = _meet(result, (below, above))
    return result


def _meet(left: Region, right: Region) -> Region:
    """The intersection of two regions."""
    found = []
    for a in left:
        for b in right:
            low, low_open = max((a.low, not a.low_closed), (b.low, not b.low_closed))
            high, high_closed = min((a.high, a.high_closed), (b.high, b.high_closed))
            found.append(Interval(low, not low_open, high, high_closed))
    return tuple(i for i in found if not _empty(i))


def _empty(i: Interval) -> bool:
    nothing = i.low == i.high and not (i.low_closed and i.high_closed)
    return i.low > i.high or nothing or i.low == math.inf


def _normal(parts: Region) -> Region:
    """Sorted, and merged where parts touch."""
    merged: list[Interval] = []
    for part in sorted((p for p in parts if not _empty(p)), key=lambda i: (i.low, not i.low_closed)):
        last = merged[-1] if merged else None
        if (
            last is None
            or part.low > last.high
            or part.low == last.high
            and not (part.low_closed or last.high_closed)
        ):
            merged.append(part)
        elif (part.high, part.high_closed) > (last.high, last.high_closed):
            merged[-1] = last._replace(high=part.high, high_closed=part.high_closed)
    return tuple(merged)


def contains(parts: Region, x: float) -> bool:
    """Whether a number lies in the region."""
    return any(
        i.low < x < i.high or x == i.low and i.low_closed or x == i.high and i.high_closed for i in parts
    )


def same_region(a: Region, b: Region) -> bool:
    """Whether two regions have the same ends, open and closed alike."""
    return len(a) == len(b) and all(
        _same_end(x.low, x.low_closed, y.low, y.low_closed)
        and _same_end(x.high, x.high_closed, y.high, y.high_closed)
        for x, y in zip(a, b, strict=True)
    )


def _same_end(x: float, x_closed: bool, y: float, y_closed: bool) -> bool:
    if math.isinf(x) or math.isinf(y):
        return x == y
    return x_closed == y_closed and abs(x - y) <= _NEAR * max(abs(x), abs(y), 1e-3)


_RULES: dict[str, Callable[[Node], Region | None]] = {
    "tuple": _tuple,
    "set": _set,
    "union": _combined(lambda left, right: left + right),
    "inter": _combined(_meet),
    "minus": _combined(lambda left, right: _meet(left, _complement(right))),
    "named": lambda node: _NAMED.get(node.value),
    "rel": _relation,
    "list": _list,
    "builder": _builder,
}
