"""Sets of real numbers: intervals, inequalities, unions, set-builders, and when two of them are the same set.

Two sets are the same when both hold the same ones among all their ends, the points between these and beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, permutations
from typing import NamedTuple

from acemath.grade.base.nodes import SKIP, STRUCTURES, Node, symbols
from acemath.grade.values.evaluate import Undefined, approximate

FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!=", "~": "~"}
STARTS = {"Z": -math.inf, "N": 1, "Z+": 1, "N+": 1, "Z0+": 0, "N0+": 0, "N_0": 0}  # the least of some integers
_INFINITY = Node("const", (), "inf")
_NEAR = 1e-9
_MOST_INTEGERS = 200
_MOST_ALTERNATIVES = 8
_BEYOND = (0.37, 7.3, 60.5, 1e3 + 0.1, 1e5 + 0.1)  # how far from the outermost ends it is looked
_INNER = (0.03, 0.13, 0.29, 0.5, 0.61, 0.77, 0.97)  # where between two ends, as shares of the way
_BESIDE = 1e-6  # how near to an end it is looked where the ends of one set are not known


class Region(NamedTuple):
    """A set of reals: which numbers it holds, and its finite ends.

    `known`: whether these are all its ends. `whole`: whether it holds integers only.
    """

    holds: Callable[[float], bool]
    ends: tuple[float, ...] = ()
    known: bool = True
    whole: bool = False


def region(node: Node) -> Region:
    """The set of reals that a tree names. Raises `Undefined` where it names none, or none that can be told here."""
    rule = _RULES.get(node.kind)
    if rule is None:
        raise Undefined(f"{node.kind} is no set of reals")
    return rule(node)


def same_region(a: Node, b: Node) -> bool | None:
    """Whether two trees name the same set of reals; None where that cannot be told."""
    try:
        one, other = region(a), region(b)
        ends = _marks(one, other)
    except Undefined:
        return None
    if not (one.known or other.known):
        return None
    beside = [] if one.known and other.known else [x + s * _BESIDE * (1 + abs(x)) for x in ends for s in (-1, 1)]
    return all(one.holds(x) == other.holds(x) for x in [*beside, *_tests(ends)])


def same_cases(a: Node, b: Node) -> object:
    """Whether two functions of one variable are equal, of which one at least is given by cases; SKIP where none is."""
    names = symbols(a) | symbols(b)
    try:
        functions = _pieces(a), _pieces(b)
        ends = _marks(*(where for pieces in functions for _, where in pieces))
    except Undefined:
        return SKIP
    if len(names) != 1 or max(map(len, functions)) < 2:
        return SKIP
    values = [[_value_at(pieces, dict.fromkeys(names, x)) for pieces in functions] for x in _tests(ends)]
    return any(x is not None for x, _ in values) and all(x == y or x is not None and y is not None and _close(x, y) for x, y in values)


def _pieces(node: Node) -> list[tuple[Node, Region]]:
    """The values of a function and where each holds."""
    if node.kind != "matrix" or node.value != 2:
        return [(node, Region(lambda x: True))]
    return [(value, region(where)) for value, where in zip(node.args[::2], node.args[1::2], strict=True)]


def _value_at(pieces: list[tuple[Node, Region]], env: dict[str, float]) -> float | None:
    """The value of the first piece that holds at a point; None where none does, or has a real value."""
    try:
        value = next(approximate(piece, env) for piece, where in pieces if where.holds(*env.values()))
    except (StopIteration, Undefined):
        return None
    return None if isinstance(value, complex) else value


def _marks(*regions: Region) -> list[float]:
    """The ends of some regions in order, and the integers among them where one holds integers only."""
    ends = {end for region in regions for end in region.ends}
    if any(region.whole for region in regions):
        low, high = math.floor(min(ends, default=0)), math.ceil(max(ends, default=0))
        if high - low > _MOST_INTEGERS:
            raise Undefined("too many integers")
        ends |= set(map(float, range(low - _MOST_INTEGERS, high + _MOST_INTEGERS)))
    return sorted(ends)


def _tests(ends: Sequence[float]) -> list[float]:
    """Points that tell regions with these ends apart: the ends, points between them and beyond."""
    lowest, highest = (ends[0], ends[-1]) if ends else (0.0, 0.0)
    beyond = [x for far in _BEYOND for x in (lowest - far, highest + far)]
    return [*ends, *beyond, *(low + (high - low) * share for low, high in pairwise(ends) for share in _INNER)]


def _close(x: float, y: float) -> bool:
    return x == y or abs(x - y) < _NEAR * max(abs(x), abs(y), 1e-3)  # two infinities may be equal, nothing is near one


def _end(node: Node) -> float:
    """The value of an interval's end, infinite ones included. Raises `Undefined` where it is not a real constant."""
    sign = 1.0
    while node.kind == "neg":
        sign, node = -sign, node.args[0]
    if node.kind == "const" and node.value == "inf":
        return sign * math.inf
    value = approximate(node, {})
    if isinstance(value, complex):
        raise Undefined("an end that is not real")
    return sign * value


def _finite(*ends: float) -> tuple[float, ...]:
    return tuple(end for end in ends if not math.isinf(end))


def _interval(node: Node) -> Region:
    low, high = map(_end, node.args) if len(node.args) == 2 else (1.0, 0.0)
    if low > high:
        raise Undefined("no interval")
    left, right = ("<=" if bracket in "[]" else "<" for bracket in node.value)
    return Region(lambda x: _compared(low, left, x) and _compared(x, right, high), _finite(low, high))


def _points(node: Node) -> Region:
    points = _finite(*map(_end, node.args))
    return Region(lambda x: any(_close(x, point) for point in points), points)


def _joined(parts: Sequence[Region], rule: Callable[[Sequence[bool]], bool]) -> Region:
    """A set that holds what a rule says of the answers of its parts."""
    return Region(
        lambda x: rule([part.holds(x) for part in parts]),
        tuple(end for part in parts for end in part.ends),
        all(part.known for part in parts),
        any(part.whole for part in parts),
    )


def _combined(rule: Callable[[Sequence[bool]], bool]) -> Callable[[Node], Region]:
    return lambda node: _joined([region(a) for a in node.args], rule)


def _named(node: Node) -> Region:
    if node.value in STARTS:
        start = STARTS[node.value]
        return Region(lambda x: _close(x, round(x)) and x >= start - _NEAR, whole=True)
    name = str(node.value)
    if name.replace("0", "") not in ("R", "R+", "R-"):
        raise Undefined(f"{name} is no set of reals")
    operator = {"+": ">", "-": "<"}.get(name[-1], "") + "=" * ("0" in name)
    return Region(lambda x: _compared(x, operator, 0.0), (0.0,)) if operator else Region(lambda x: True)


def _relation(node: Node) -> Region:
    """Chains such as `1 < x <= 3`, `x in S`, and conditions on one variable such as `x^2 < 4`, whose ends are not known."""
    plain = [side for side in node.args if _is_variable(side)]
    if node.value == ("in",) and plain[:1] == [node.args[0]]:
        return region(node.args[1])
    names = symbols(node)
    if not set(node.value) <= FLIP.keys() or len(names) > 1 or not (names or plain):
        raise Undefined("no condition on one variable")
    others = [side for side in node.args if side not in plain]
    known = len(set(plain)) == 1 and not any(map(symbols, others))
    if not known and (set(node.value) & {"=", "~", "!="} or any(side.kind != "sym" for side in plain)):
        raise Undefined("single points that nothing shows")
    ends = [_end(side) for side in others] if known else []

    def value(side: Node, x: float) -> float:
        if known and side in plain:
            return x
        found = _end(side) if not symbols(side) else approximate(side, dict.fromkeys(names, x))
        if isinstance(found, complex):
            raise Undefined("a side that is not real")
        return found

    def holds(x: float) -> bool | None:
        try:
            sides = [value(side, x) for side in node.args]
        except Undefined:
            return None
        return all(_compared(a, sign, b) for (a, b), sign in zip(pairwise(sides), node.value, strict=True))

    if not known and all(holds(x) is None for x in _tests([0.0])):
        raise Undefined("sides without a value")
    return Region(lambda x: bool(holds(x)), _finite(*ends), known)


def _is_variable(node: Node) -> bool:
    """Whether a side is a plain name: a symbol, a function value, or words."""
    applied = node.kind == "apply" and all(a.kind in ("sym", "num") for a in node.args)
    return node.kind in ("sym", "text") or applied


def _compared(x: float, operator: str, y: float) -> bool:
    if _close(x, y):
        return "=" in operator and operator != "!=" or operator == "~"
    return operator == "!=" or x < y if "<" in operator or operator == "!=" else ">" in operator and x > y


def as_interval(node: Node) -> tuple[Node | None, Node] | None:
    """`a < x <= b` as x and the interval (a, b], `x > a` as x and (a, ∞), an interval as itself without a name."""
    if node.kind == "tuple" and len(node.args) == 2:
        return None, node
    if node.kind == "builder" and len(node.args) == 2 and node.args[0] in node.args[1].args:
        node = node.args[1]  # `\{x : a < x < b\}`
    if node.kind != "rel" or len(node.args) > 3:
        return None
    sides, signs = list(node.args), list(node.value)
    if signs[0] in (">", ">="):
        sides, signs = sides[::-1], [FLIP.get(sign, sign) for sign in signs[::-1]]
    if len(sides) == 2:
        below = _is_variable(sides[0])
        sides.insert(0 if below else 2, Node("neg", (_INFINITY,)) if below else _INFINITY)
        signs.insert(0 if below else 1, "<")
    low, name, high = sides
    if not set(signs) <= {"<", "<="} or not _is_variable(name) or symbols(name) & (symbols(low) | symbols(high)):
        return None
    brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
    return name, Node("tuple", (low, high), brackets)


def _list(node: Node) -> Region:
    """`x < 1 or x > 3` is a union; `x > 1 and x < 3` an intersection; with commas, what is not empty. Numbers are points."""
    if not any(a.kind in STRUCTURES for a in node.args):
        return _points(node)
    relations = all(a.kind == "rel" for a in node.args)
    if not relations and node.value == "," or any(a.kind not in _MEMBERS for a in node.args):
        raise Undefined("a list of sets")
    points = [a for a in node.args if a.kind == "rel" and set(a.value) <= {"=", "~"}]
    if points and (node.value != "or" or len(points) == len(node.args)):
        raise Undefined("values and bounds in one list")
    if relations and len({symbols(a) for a in node.args}) > 1:
        raise Undefined("conditions on different variables")
    parts = [region(a) for a in node.args]
    both, either = _joined(parts, all), _joined(parts, any)
    if node.value == "or" or not relations:
        tests = _tests(_marks(either))
        covered = [{x for x in tests if part.holds(x)} for part in parts]
        if len(parts) <= _MOST_ALTERNATIVES and any(x <= y for x, y in permutations(covered, 2)):
            raise Undefined("alternatives, of which one holds another")
        return either
    return both if any(map(both.holds, _tests(_marks(both)))) else either


def _builder(node: Node) -> Region:
    first, *conditions = node.args
    if first.kind == "rel":
        conditions, first = [first, *conditions], first.args[0]
    if first.kind != "sym" or not conditions or any(symbols(c) != {first.value} for c in conditions):
        raise Undefined("conditions on anything but the element")
    return _joined([region(c) for c in conditions], all)


_MEMBERS = ("rel", "tuple", "union", "set")
_RULES: dict[str, Callable[[Node], Region]] = {
    "tuple": _interval,
    "set": _points,
    "union": _combined(any),
    "inter": _combined(all),
    "minus": _combined(lambda held: held[0] and not held[1]),
    "named": _named,
    "rel": _relation,
    "list": _list,
    "builder": _builder,
}
