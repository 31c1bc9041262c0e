"""Families with an integer parameter (`π/4 + kπ`) and congruences (`x ≡ 3 (mod 7)`)."""

from __future__ import annotations

from typing import NamedTuple

from acemath.grade.base.nodes import STRUCTURES, Node, number, substitute, symbol, symbols
from acemath.grade.values.evaluate import Undefined, approximate, exact

_PARAMETERS = frozenset("knmljtzNK")
_INNER, _OUTER = 5, 60  # values of the parameter that must occur in the other family, and that are searched there


def same_family(a: Node, b: Node) -> bool:
    """Whether two expressions in one integer parameter each run through the same values.

    Only families of angles are looked at: `2k` and `2n` are more often two different unknowns, and the t of `sin(8πt)`
    runs through all numbers.
    """
    one, other = symbols(a), symbols(b)
    if len(one) != 1 or len(other) != 1 or not (one | other) <= _PARAMETERS:
        return False
    (left,), (right,) = one, other
    if any(node.kind == "func" and symbols(node) for tree in (a, b) for node in tree.walk()):
        return False
    return is_angular(a) and is_angular(b) and _within(a, left, b, right) and _within(b, right, a, left)


def is_angular(node: Node) -> bool:
    """Whether a degree sign or π occurs in a tree."""
    return any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


def _within(a: Node, name: str, b: Node, other: str) -> bool:
    """Whether the values of a near 0 are among the values of b."""
    try:
        wanted = [approximate(a, {name: float(k)}) for k in range(-_INNER, _INNER + 1)]
        given = sorted(approximate(b, {other: float(k)}).real for k in range(-_OUTER, _OUTER + 1))
    except Undefined:
        return False
    return all(any(abs(w - g) < 1e-9 * (1 + abs(w)) for g in given) for w in wanted)


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
