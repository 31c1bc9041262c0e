"""Sets of real numbers: intervals, inequalities, unions, set-builders, and when two of them are the same set."""

from __future__ import annotations

import math
from typing import NamedTuple

from acemath.grade.base.nodes import Node, symbols
from acemath.grade.values.evaluate import Undefined, approximate


class Interval(NamedTuple):
    """One interval with its ends; a point is an interval closed at both ends."""

    low: float
    low_closed: bool
    high: float
    high_closed: bool


Region = tuple[Interval, ...]
EVERYTHING: Region = (Interval(-math.inf, False, math.inf, False),)
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!=", "~": "~"}
_NEAR = 1e-9


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
    low, high = end_value(node.args[0]), end_value(node.args[1])
    if low is None or high is None or low > high:
        return None
    return (Interval(low, node.value[0] == "[", high, node.value[1] == "]"),)


def _set(node: Node) -> Region | None:
    points = [end_value(a) for a in node.args]
    if any(p is None or math.isinf(p) for p in points):
        return None
    return tuple(Interval(p, True, p, True) for p in points if p is not None)


def _union(node: Node) -> Region | None:
    left, right = region(node.args[0]), region(node.args[1])
    return None if left is None or right is None else left + right


def _intersection(node: Node) -> Region | None:
    left, right = region(node.args[0]), region(node.args[1])
    return None if left is None or right is None else meet(left, right)


def _difference(node: Node) -> Region | None:
    left, right = region(node.args[0]), region(node.args[1])
    return None if left is None or right is None else meet(left, complement(right))


def _named(node: Node) -> Region | None:
    return {"R": EVERYTHING, "R+": (Interval(0.0, False, math.inf, False),),
            "R-": (Interval(-math.inf, False, 0.0, False),), "R0+": (Interval(0.0, True, math.inf, False),),
            "R0-": (Interval(-math.inf, False, 0.0, True),)}.get(node.value)  # fmt: skip


def _relation(node: Node) -> Region | None:
    """Chains such as `1 < x <= 3` whose other sides are constants, and `x in S`."""
    if node.value == ("in",):
        return region(node.args[1]) if is_variable(node.args[0]) else None
    result = EVERYTHING
    variable: Node | None = None
    for operator, left, right in zip(node.value, node.args, node.args[1:], strict=False):
        if operator not in _FLIP:
            return None
        if end_value(left) is not None:
            left, right, operator = right, left, _FLIP[operator]
        bound = end_value(right)
        if bound is None:
            return None
        part = _half(left, operator, bound)
        if part is None or variable is not None and part[0] != variable:
            return None
        variable = part[0]
        result = meet(result, part[1])
    return result


def _half(side: Node, operator: str, bound: float) -> tuple[Node, Region] | None:
    """`side operator bound` solved for the variable in side: x, -x, c·x, x + c, |x|, |x - c|."""
    name = _single(side)
    if name is None:
        return (side, compared(operator, bound)) if is_variable(side) else None
    line = _linear(side, name)
    if line is not None:
        slope, offset = line
        limit = (bound - offset) / slope
        return Node("sym", (), name), compared(operator if slope > 0 else _FLIP[operator], limit)
    if side.kind == "abs":
        line = _linear(side.args[0], name)
        if line is not None:
            slope, offset = line
            inner = meet(compared(operator, bound), (Interval(0.0, True, math.inf, False),))
            both = tuple(
                Interval((-i.high - offset) / slope, i.high_closed, (-i.low - offset) / slope, i.low_closed)
                for i in inner
            ) + tuple(
                Interval((i.low - offset) / slope, i.low_closed, (i.high - offset) / slope, i.high_closed)
                for i in inner
            )
            ordered = tuple(
                i if slope > 0 else Interval(i.high, i.high_closed, i.low, i.low_closed) for i in both
            )
            return Node("sym", (), name), _normal(ordered)
    return None


def is_variable(node: Node) -> bool:
    """Whether a side is a plain name: a symbol, a function value, or words."""
    return (
        node.kind in ("sym", "text")
        or node.kind == "apply"
        and all(a.kind in ("sym", "num") for a in node.args)
    )


def _single(node: Node) -> str | None:
    names = symbols(node)
    return next(iter(names)) if len(names) == 1 and node.kind != "apply" else None


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


def compared(operator: str, bound: float) -> Region:
    """All x with `x operator bound`."""
    if operator in ("=", "~"):
        return (Interval(bound, True, bound, True),)
    if operator == "!=":
        return (Interval(-math.inf, False, bound, False), Interval(bound, False, math.inf, False))
    closed = operator in ("<=", ">=")
    if operator in ("<", "<="):
        return (Interval(-math.inf, False, bound, closed),)
    return (Interval(bound, closed, math.inf, False),)


def _list(node: Node) -> Region | None:
    """`x < 1 or x > 3` is a union; `x > 1 and x < 3` an intersection; with commas, what is not empty."""
    parts = [region(a) for a in node.args if a.kind in ("rel", "tuple", "union", "set")]
    if len(parts) != len(node.args) or any(p is None for p in parts):
        return None
    regions = [p for p in parts if p is not None]
    if any(a.kind != "rel" for a in node.args):
        return sum(regions, ()) if node.value in ("or", "and") else None
    points = [a for a in node.args if set(a.value) <= {"=", "~"}]
    if points and (node.value != "or" or len(points) == len(node.args)):
        return None
    if len({symbols(a) for a in node.args}) > 1:
        return None  # conditions on different variables
    joined = regions[0]
    for other in regions[1:]:
        joined = meet(joined, other)
    return sum(regions, ()) if node.value == "or" or not joined else joined


def _builder(node: Node) -> Region | None:
    first = node.args[0]
    base = region(first.args[1]) if first.kind == "rel" and first.value == ("in",) else EVERYTHING
    if base is None or first.kind not in ("sym", "rel"):
        return None
    for condition in node.args[1:]:
        part = region(condition)
        if part is None:
            return None
        base = meet(base, part)
    return base


_RULES = {
    "tuple": _tuple, "set": _set, "union": _union, "inter": _intersection, "minus": _difference, "named": _named,
    "rel": _relation, "list": _list, "builder": _builder,
}  # fmt: skip


def complement(parts: Region) -> Region:
    """All reals that are not in the region."""
    result = EVERYTHING
    for part in _normal(parts):
        outside = (
            Interval(-math.inf, False, part.low, not part.low_closed),
            Interval(part.high, not part.high_closed, math.inf, False),
        )
        result = meet(result, tuple(i for i in outside if not _empty(i)))
    return result


def meet(left: Region, right: Region) -> Region:
    """The intersection of two regions."""
    found = []
    for a in left:
        for b in right:
            low, low_closed = max((a.low, not a.low_closed), (b.low, not b.low_closed))
            high, high_closed = min((a.high, a.high_closed), (b.high, b.high_closed))
            candidate = Interval(low, not low_closed, high, high_closed)
            if not _empty(candidate):
                found.append(candidate)
    return tuple(found)


def _empty(i: Interval) -> bool:
    return (
        i.low > i.high
        or i.low == i.high
        and not (i.low_closed and i.high_closed)
        or math.isinf(i.low)
        and i.low > 0
    )


def _normal(parts: Region) -> Region:
    """Sorted, and merged where parts touch."""
    merged: list[Interval] = []
    for part in sorted((p for p in parts if not _empty(p)), key=lambda i: (i.low, not i.low_closed)):
        last = merged[-1] if merged else None
        if last is not None and (
            part.low < last.high or part.low == last.high and (part.low_closed or last.high_closed)
        ):
            if (part.high, part.high_closed) > (last.high, last.high_closed):
                merged[-1] = Interval(last.low, last.low_closed, part.high, part.high_closed)
        else:
            merged.append(part)
    return tuple(merged)


def same_region(a: Region, b: Region) -> bool:
    """Whether two regions have the same ends, open and closed alike."""
    if len(a) != len(b):
        return False
    return all(
        _same_end(x.low, y.low) and _same_end(x.high, y.high)
        and (math.isinf(x.low) or x.low_closed == y.low_closed) and (math.isinf(x.high) or x.high_closed == y.high_closed)
        for x, y in zip(a, b, strict=True)
    )  # fmt: skip


def _same_end(x: float, y: float) -> bool:
    if math.isinf(x) or math.isinf(y):
        return x == y
    return abs(x - y) <= _NEAR * max(abs(x), abs(y), 1e-3)
