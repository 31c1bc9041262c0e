"""Families with an integer parameter (`π/4 + kπ`, `\\{2k + 1 : k \\in Z\\}`) and congruences (`x ≡ 3 (mod 7)`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from acemath.grade.base.nodes import STRUCTURES, Node, number, substitute, symbol, symbols
from acemath.grade.compare.lists import Same, all_same
from acemath.grade.compare.names import head_and_value, is_equation, same_name
from acemath.grade.compare.spread import signed
from acemath.grade.values.evaluate import Undefined, approximate, exact
from acemath.grade.values.probe import random_point

_PARAMETERS = frozenset("knmljtzNK")
_INNER, _OUTER = 5, 60  # values of the parameter that must occur in the other family, and that are searched there
_MOST_MEMBERS = 6  # expressions in one family
# The least value of a parameter from each set.
_STARTS = {"Z": -_OUTER, "N": 1, "Z+": 1, "N+": 1, "Z0+": 0, "N0+": 0, "N_0": 0}
_NO_MEMBERS = frozenset("list union set matrix named text minus inter".split())
_LAYOUT = re.compile(r"\\(?:text|mathbb|mathbf|Bbb|mathrm)(?![A-Za-z])|[{}$]")
_DECLARED = re.compile(
    r"(?<![A-Za-z\\])(?P<in>[a-zA-Z](?:\s*,\s*[a-zA-Z])*)\s*\\in\s*(?P<set>[ZN])\s*(?P<sign>\^\s*\+|_\s*\+|\+|_\s*0)?"
    r"|(?<![A-Za-z\\])(?P<is>[a-zA-Z])[\s,]+(?:(?:is|be|being|an?|any|some|arbitrary|the)\s+)*(?P<kind>\S+\s+)?(?:integer|whole number|natural number)"
    r"|(?P<kind2>[a-z-]+\s+)?(?:integers?|natural numbers?)\s+(?P<of>[a-zA-Z])(?![A-Za-z])"
)


def declared(text: str) -> dict[str, int]:
    """The parameters that an answer calls integers, with the least value of each: `x = k\\pi, k \\in \\mathbb{Z}`."""
    if "in" not in text:
        return {}
    found = {}
    for match in _DECLARED.finditer(_LAYOUT.sub(" ", text)):
        kind = (match["kind"] or match["kind2"] or "").strip().replace("-", "")
        sign = match["sign"] or ""
        start = _STARTS[(match["set"] or "Z") + ("0+" if "0" in sign else "+" if sign else "")]
        if kind in ("positive", "natural", "nonnegative") or "natural number" in match[0]:
            start = 0 if kind == "nonnegative" else 1
        found |= dict.fromkeys(re.findall("[A-Za-z]", match["in"] or match["is"] or match["of"]), start)
    return found


class _Family(NamedTuple):
    members: list[Node]
    starts: dict[str, int]  # the parameters and the least value of each
    heads: list[Node]  # what the answer calls the values: the x of `x = 2k`

    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*map(symbols, self.members))


def same_families(
    a: Node, b: Node, integers: Mapping[str, int], others: Mapping[str, int], same: Same, ordered: bool
) -> bool:
    """Whether two answers run through the same values as their integer parameters do, whatever these are called.

    `integers` and `others` are the parameters that a and b call integers; `ordered`: lists are in order. Where neither
    calls any, only families of angles are looked at: `2k` and `2n` are more often two different unknowns, and the t of
    `sin(8πt)` runs through all numbers.
    """
    if a.kind == b.kind == "builder" and _same_builders(a, b, same):
        return True
    one, other = _family(a, integers), _family(b, others)
    if one is None or other is None or any(not same_name(x, y) for x in one.heads for y in other.heads):
        return False
    left, right = _parameter(one, other), _parameter(other, one)
    starts = {*one.starts.values(), *other.starts.values()}
    if not left or not right or len(starts) != 1 or one.names() - {left} != other.names() - {right}:
        return False
    env, (start,) = random_point(one.names() - {left}, 3, 2.9), starts
    pairs = [(one.members, other.members)]
    if ordered:
        if len(one.members) != len(other.members):
            return False
        pairs = [([x], [y]) for x, y in zip(one.members, other.members, strict=True)]
    return all(
        _within(x, left, y, right, env, start) and _within(y, right, x, left, env, start) for x, y in pairs
    )


def _parameter(family: _Family, beside: _Family) -> str:
    """The one parameter of a family; "" where there are several or none. What the other one knows too is none."""
    found = family.starts.keys() or (family.names() - beside.names()) & _PARAMETERS
    return next(iter(found)) if len(found) == 1 else ""


def _same_builders(a: Node, b: Node, same: Same) -> bool:
    """`\\{(x, y) : x < y\\}` and `\\{(s, t) : s < t\\}`: what a set-builder binds may have any name."""
    bound = [_bound(t) for t in (a, b)]
    if len(bound[0]) != len(bound[1]) or bound[0] == bound[1]:
        return False
    renamed = substitute(b, {symbol(y): symbol(x) for x, y in zip(*bound, strict=True)})
    return all_same(a.args, renamed.args, same)


def _bound(builder: Node) -> list[str]:
    """The names that a set-builder binds, in their order: those of its elements, and those that it takes from a set."""
    taken = [c.args[0] for c in builder.args[1:] if c.kind == "rel" and c.value == ("in",)]
    trees = [n for tree in (builder.args[0], *taken) for n in reversed(list(tree.walk()))]
    return list(dict.fromkeys(n.value for n in trees if n.kind == "sym"))


def _family(node: Node, integers: Mapping[str, int]) -> _Family | None:
    """The members of a family and its parameters; None for anything else. `integers` are parameters that the answer names."""
    parts = node.args if node.kind in ("list", "union") else (node,)
    members: list[Node] = []
    starts: dict[str, int] = {}
    heads: list[Node] = []
    for part in parts:
        listed = part.kind == "set" and len(part.args) > 1 and all(c.kind == "rel" for c in part.args[1:])
        if part.kind == "builder" or listed:  # `\\{3n + 1, n \\in Z\\}` says the same with a comma
            built = _built(part)
            if built is None:
                return None
            members, starts = [*members, *built.members], starts | built.starts
            continue
        named = head_and_value(part) if is_equation(part) else None
        if part.kind in _NO_MEMBERS or is_equation(part) and not named:
            return None
        member = named[1] if named else part
        heads += [named[0]] if named else []
        members += signed(member)
        names = symbols(member)
        starts |= {n: integers[n] for n in names & integers.keys()}
        inside = any(n.kind == "func" and symbols(n) for n in member.walk())
        if not starts and len(names) == 1 and names <= _PARAMETERS and is_angular(member) and not inside:
            starts |= dict.fromkeys(names, _STARTS["Z"])
    heads = [h for h in heads if not symbols(h) <= starts.keys()]  # `k = 0` limits the parameter
    if any(not same_name(x, y) for x, y in combinations(heads, 2)):  # `m = 6k, n = 3k`: one point
        if len(heads) != len(members):
            return None
        points = sorted(zip(map(repr, heads), members, strict=True))
        members, heads = [Node("tuple", tuple(m for _, m in points), " ".join(h for h, _ in points))], []
    return _Family(members, starts, heads) if 1 <= len(members) <= _MOST_MEMBERS else None


def _built(node: Node) -> _Family | None:
    """`\\{2k : k \\in Z\\}`, also `\\{x : x = 2k, k \\in Z\\}`, as a family."""
    member, starts = node.args[0], {}
    for condition in node.args[1:]:
        if condition.kind != "rel" or len(condition.args) != 2:
            return None
        name, value = condition.args
        if condition.value == ("=",) and name == member:
            member = value
        elif (
            condition.value == ("in",)
            and name.kind == "sym"
            and value.kind == "named"
            and value.value in _STARTS
        ):
            starts[name.value] = _STARTS[value.value]
        else:
            return None
    return _Family([member], starts, []) if starts.keys() <= symbols(member) else None


def is_angular(node: Node) -> bool:
    """Whether a degree sign or π occurs in a tree."""
    return any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


Member = tuple[object, list[complex]]


def _within(a: list[Node], name: str, b: list[Node], other: str, env: dict[str, complex], start: int) -> bool:
    """Whether the values of a near 0 are among the values of b."""
    inner, outer = (range(max(start, -size), max(start, -size) + 2 * size + 1) for size in (_INNER, _OUTER))
    try:
        wanted = [_member(m, {**env, name: float(k)}) for m in a for k in inner]
        given = [_member(m, {**env, other: float(k)}) for m in b for k in outer]
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


class Congruence(NamedTuple):
    """`x ≡ 3 (mod 7)`; the name is "" where there is none."""

    residue: int
    modulus: int
    name: str


def congruence(node: Node) -> Congruence | None:
    """`x ≡ r (mod m)` or `r (mod m)`; None for anything else."""
    name = ""
    if (
        node.kind == "rel"
        and node.value[-1] in ("equiv", "=")
        and len(node.args) == 2
        and node.args[0].kind == "sym"
    ):
        name, node = node.args[0].value, node.args[1]
    values = [exact(a) for a in node.args] if node.kind == "mod" else []
    whole = [int(v) for v in values if v is not None and v.denominator == 1]
    if len(whole) != 2 or whole[1] <= 0:
        return None
    return Congruence(whole[0] % whole[1], whole[1], name)


def progression(node: Node, modulus: int) -> Congruence | None:
    """`12k + 7` or `x = 12k + 7` as a congruence of the modulus 12; None for anything else."""
    name = ""
    if node.kind == "rel" and node.value == ("=",) and node.args[0].kind == "sym":
        name, node = node.args[0].value, node.args[1]
    letters = symbols(node)
    if len(letters) != 1 or not letters <= _PARAMETERS or node.kind in STRUCTURES:
        return None
    (letter,) = letters
    values = [exact(substitute(node, {symbol(letter): number(k)})) for k in (0, 1, 2, 5)]
    whole = [int(v) for v in values if v is not None and v.denominator == 1]
    if len(whole) < 4:
        return None
    zero, one, two, five = whole
    if abs(one - zero) != modulus or two - one != one - zero or five - zero != 5 * (one - zero):
        return None
    return Congruence(zero % modulus, modulus, name)


def same_congruence(a: Congruence, b: Congruence) -> bool:
    """Whether two congruences have the same residue and modulus, and no different names."""
    return a[:2] == b[:2] and (a.name == b.name or not a.name or not b.name)
