"""Families with an integer parameter (`π/4 + kπ`) and congruences (`x ≡ 3 (mod 7)`)."""

from __future__ import annotations

from acemath.grade.base.nodes import STRUCTURES, Node, number, substitute, symbols
from acemath.grade.values.evaluate import Undefined, approximate, exact

_PARAMETERS = frozenset(["k", "n", "m", "l", "j", "t", "z", "N", "K"])
_INNER, _OUTER = 5, 60


def same_family(a: Node, b: Node) -> bool:
    """Whether two expressions in one integer parameter each run through the same values.

    Only families of angles are looked at: `2k` and `2n` are more often two different unknowns.
    """
    one, other = symbols(a), symbols(b)
    if (
        len(one) != 1
        or len(other) != 1
        or not (one | other) <= _PARAMETERS
        or not (_angular(a) and _angular(b))
    ):
        return False
    left, right = next(iter(one)), next(iter(other))
    return _within(a, left, b, right) and _within(b, right, a, left)


def _angular(node: Node) -> bool:
    return any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


def _within(a: Node, name: str, b: Node, other: str) -> bool:
    """Whether the values of a near 0 are among the values of b."""
    try:
        wanted = [approximate(a, {name: float(k)}) for k in range(-_INNER, _INNER + 1)]
        given = sorted(approximate(b, {other: float(k)}).real for k in range(-_OUTER, _OUTER + 1))
    except Undefined:
        return False
    return all(any(abs(w - g) < 1e-9 * (1 + abs(w)) for g in given) for w in wanted)


def congruence(node: Node) -> tuple[int, int, str] | None:
    """`x ≡ r (mod m)` or `r (mod m)` as residue, modulus and name ("" without one); None for anything else."""
    name = ""
    if (
        node.kind == "rel"
        and node.value[-1] in ("equiv", "=")
        and len(node.args) == 2
        and node.args[0].kind == "sym"
    ):
        name, node = node.args[0].value, node.args[1]
    if node.kind != "mod":
        return None
    residue, modulus = exact(node.args[0]), exact(node.args[1])
    if (
        residue is None
        or modulus is None
        or residue.denominator != 1
        or modulus.denominator != 1
        or modulus <= 0
    ):
        return None
    return int(residue) % int(modulus), int(modulus), name


def progression(node: Node, modulus: int) -> tuple[int, int, str] | None:
    """`12k + 7` or `x = 12k + 7` as a congruence of the modulus 12; None for anything else."""
    name = ""
    if node.kind == "rel" and node.value == ("=",) and node.args[0].kind == "sym":
        name, node = node.args[0].value, node.args[1]
    letters = symbols(node)
    if len(letters) != 1 or not letters <= _PARAMETERS or node.kind in STRUCTURES:
        return None
    (letter,) = letters
    at = [exact(substitute(node, {letter: number(k)})) for k in (0, 1, 2, 5)]
    if any(value is None or value.denominator != 1 for value in at):
        return None
    zero, one, two, five = (int(value) for value in at if value is not None)
    if abs(one - zero) != modulus or two - one != one - zero or five - zero != 5 * (one - zero):
        return None
    return zero % modulus, modulus, name


def same_congruence(a: tuple[int, int, str], b: tuple[int, int, str]) -> bool:
    """Whether two congruences have the same residue and modulus, and no different names."""
    return a[:2] == b[:2] and (a[2] == b[2] or not a[2] or not b[2])
