"""Families with an integer parameter: `π/4 + kπ`, `\\{2k + 1 : k \\in Z\\}`, `x ≡ 3 (mod 7)`, `2kπ < x < 2kπ + π`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from acemath.grade.base.nodes import Node, kinds, symbol, symbols
from acemath.grade.compare.names import head_and_value, is_equation, same_name
from acemath.grade.compare.regions import STARTS, as_interval
from acemath.grade.compare.spread import signed
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import random_point

_PARAMETERS = frozenset("knmljtzNK")
_INNER, _OUTER = 5, 60  # values of the parameter that must occur in the other family, and that are searched there
_MOST_MEMBERS = 6  # expressions in one family
_MULTIPLE = symbol("#k")  # the parameter of a congruence: x is r plus any multiple of m
_NO_MEMBERS = frozenset("list union set matrix named text minus inter".split())
_LAYOUT = re.compile(r"\\(?:text|mathbb|mathbf|Bbb|mathrm)(?![A-Za-z])|[{}$]")
_DECLARED = re.compile(
    r"(?<![A-Za-z\\])(?P<in>[a-zA-Z](?:\s*,\s*[a-zA-Z])*)\s*\\in\s*(?P<set>[ZN])\s*(?P<sign>\^\s*\+|_\s*\+|\+|_\s*0)?"
    r"|(?<![A-Za-z\\])(?P<is>[a-zA-Z])[\s,]+(?:(?:is|be|being|an?|any|some|arbitrary|the)\s+)*(?P<kind>\S+\s+)?(?:integer|whole number|natural number)"
    r"|(?:[,;(]|(?:for|where|with)\s)\s*(?P<at>[a-zA-Z])\s*(?:\\geq?(?:slant)?|>=|≥)\s*(?P<from>\d{1,3})(?!\d)"
    r"|(?P<kind2>[a-z-]+\s+)?(?:integers?|natural numbers?)\s+(?P<of>[a-zA-Z])(?![A-Za-z])"
)


def declared(text: str) -> dict[str, float]:
    """The parameters of an answer that are called integers or begin with one, and the least value of each: `k\\pi, k \\in Z`."""
    if not any(mark in text for mark in ("in", "ge", "number")):
        return {}
    found: dict[str, float] = {}
    for match in _DECLARED.finditer(_LAYOUT.sub(" ", text)):
        kind = (match["kind"] or match["kind2"] or "").strip().replace("-", "")
        sign = match["sign"] or ""
        start = STARTS[(match["set"] or "Z") + ("0+" if "0" in sign else "+" if sign else "")]
        if kind in ("positive", "natural", "nonnegative") or "natural number" in match[0]:
            start = 0 if kind == "nonnegative" else 1
        for name in re.findall("[A-Za-z]", match["in"] or match["is"] or match["of"] or match["at"]):
            found[name] = max(found.get(name, -math.inf), float(match["from"] or start))
    return found


class _Family(NamedTuple):
    members: list[Node]
    starts: dict[str, float]  # the parameters and the least value of each
    heads: list[Node]  # what the answer calls the values: the x of `x = 2k`

    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*map(symbols, self.members))


def same_families(
    a: Node, b: Node, integers: Mapping[str, float], others: Mapping[str, float], ordered: bool
) -> bool:
    """Whether two answers run through the same values as their integer parameters do, whatever these are called.

    `integers` and `others` are the parameters that a and b call integers; `ordered`: lists are in order. Where neither
    calls any, only families of angles are looked at: `2k` and `2n` are more often two different unknowns, and the t of
    `sin(8πt)` runs through all numbers.
    """
    if not all(symbols(tree) or "mod" in kinds(tree) for tree in (a, b)):
        return False  # nothing runs
    one, other = _family(a, integers), _family(b, others)
    if one is None or other is None or any(not same_name(x, y) for x in one.heads for y in other.heads):
        return False
    left, right = _parameter(one, other), _parameter(other, one)
    known = [*one.starts.values(), *other.starts.values()]  # for both, where only one says it
    if not left or not right or not known or one.names() - {left} != other.names() - {right}:
        return False
    env = random_point(one.names() - {left}, 3, 2.9)
    mine, yours = (left, one.starts.get(left, known[0])), (right, other.starts.get(right, known[0]))
    pairs = [(one.members, other.members)]
    if ordered:
        if len(one.members) != len(other.members):
            return False
        pairs = [([x], [y]) for x, y in zip(one.members, other.members, strict=True)]
    return all(
        _within(x, mine, y, yours, env) and _within(y, yours, x, mine, env) for x, y in pairs
    )


def _parameter(family: _Family, beside: _Family) -> str:
    """The one parameter of a family; "" where there are several or none. What the other one knows too is none."""
    found = family.starts.keys() or (family.names() - beside.names()) & _PARAMETERS
    return next(iter(found)) if len(found) == 1 else ""


def congruence(node: Node) -> tuple[Node | None, Node] | None:
    """`x ≡ r (mod m)` or `r (mod m)` as its name, if it has one, and its `mod` tree; None for anything else."""
    head, value = node.args if node.kind == "rel" and node.value in (("equiv",), ("=",)) else (None, node)
    return (head, value) if value.kind == "mod" else None


def _family(node: Node, integers: Mapping[str, float]) -> _Family | None:
    """The members of a family and its parameters; None for anything else. `integers` are parameters that the answer names."""
    whole = _Family([], {}, [])
    for part in node.args if node.kind in ("list", "union") else (node,):
        said = _part(part)
        if said is None:
            return None
        (member,), starts, heads = said
        names = symbols(member)
        starts |= {n: integers[n] for n in names & integers.keys()}
        inside = any(n.kind == "func" and symbols(n) for n in member.walk())
        if not starts and len(names) == 1 and names <= _PARAMETERS and is_angular(member) and not inside:
            starts = dict.fromkeys(names, STARTS["Z"])
        whole.members.extend(signed(member))
        whole.starts.update(starts)
        whole.heads.extend(heads)
    members, starts, heads = whole
    heads = [h for h in heads if not symbols(h) <= starts.keys()]  # `k = 0` limits the parameter
    if any(not same_name(x, y) for x, y in combinations(heads, 2)):  # `m = 6k, n = 3k`: one point
        if len(heads) != len(members):
            return None
        points = sorted(zip(map(repr, heads), members, strict=True))
        members, heads = [Node("tuple", tuple(m for _, m in points), " ".join(h for h, _ in points))], []
    return _Family(members, starts, heads) if 1 <= len(members) <= _MOST_MEMBERS else None


def _part(node: Node) -> _Family | None:
    """One part of a family, with the parameters that its own form tells; None where it is no part of one."""
    if node.kind == "quantity" and node.args[0].kind == "rel":  # words behind an equation
        node = node.args[0]
    listed = node.kind == "set" and len(node.args) > 1 and all(c.kind == "rel" for c in node.args[1:])
    if node.kind == "builder" or listed:  # `\\{3n + 1, n \\in Z\\}` says the same with a comma
        return _built(node)
    residue, bounds = congruence(node), as_interval(node) if len(node.args) == 3 else None
    if residue is not None:
        head, modulo = residue
        values = Node("add", (modulo.args[0], Node("mul", (modulo.args[1], _MULTIPLE))))
        plain = head is None or head.kind == "sym"
        return _Family([values], {_MULTIPLE.value: STARTS["Z"]}, [] if head is None else [head]) if plain else None
    named = bounds or (head_and_value(node) if is_equation(node) else None)
    if node.kind in _NO_MEMBERS or is_equation(node) and not named:
        return None
    head, value = named or (None, node)
    return _Family([value], {}, [] if head is None else [head])


def _built(node: Node) -> _Family | None:
    """`\\{2k : k \\in Z\\}`, also `\\{x : x = 2k, k \\in Z\\}`, as a family."""
    member, starts = node.args[0], {}
    for condition in node.args[1:]:
        if condition.kind != "rel" or len(condition.args) != 2:
            return None
        name, value = condition.args
        if condition.value == ("=",) and name == member:
            member = value
        elif condition.value == ("in",) and name.kind == "sym" and value.kind == "named" and value.value in STARTS:
            starts[name.value] = STARTS[value.value]
        else:
            return None
    return _Family([member], starts, []) if starts.keys() <= symbols(member) else None


def is_angular(node: Node) -> bool:
    """Whether a degree sign or π occurs in a tree."""
    return any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


Member = tuple[object, list[complex]]


def _within(a: list[Node], one: tuple[str, float], b: list[Node], other: tuple[str, float], env: dict[str, complex]) -> bool:
    """Whether the values of a near 0 are among the values of b; `one` and `other` are their parameters and the least of each."""
    ranges = ((name, range(low := int(max(start, -size)), low + 2 * size + 1)) for (name, start), size in ((one, _INNER), (other, _OUTER)))
    try:
        wanted, given = (
            [_member(m, {**env, name: float(k)}) for m in members for k in values]
            for members, (name, values) in zip((a, b), ranges, strict=True)
        )
    except Undefined:
        return False
    return all(any(shape == s and _near(values, v) for s, v in given) for shape, values in wanted)


def _member(node: Node, env: dict[str, complex]) -> Member:
    """What a member is (a value, a point, an interval, a relation) and the values in it."""
    if node.kind in ("tuple", "rel"):
        return (node.kind, node.value), [approximate(arg, env) for arg in node.args]
    return node.kind in ("deg", "quantity"), [approximate(node, env)]


def _near(one: list[complex], other: list[complex]) -> bool:
    return len(one) == len(other) and all(
        abs(x - y) < 1e-9 * (1 + abs(x)) for x, y in zip(one, other, strict=True)
    )
