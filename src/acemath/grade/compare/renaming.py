"""Names that differ without a difference: free constants of a general solution, products of letters written as one.

`y = Ce^{2x}` and `y = Ae^{2x}` are one family of functions, so are `x²/2 + C` and `(x² + C)/2`; `2RC` and
`2 R C` are one product.
"""

from __future__ import annotations

import re
from functools import reduce
from itertools import permutations

from acemath.grade.base.nodes import Node, substitute, symbol, symbols
from acemath.grade.compare.lists import Same
from acemath.grade.compare.names import head_and_value, same_name
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import random_point

_CONSTANT = re.compile(r"[CcK](?:_[0-9])?'?|[ABDk](?:_[0-9])?|c_\{?[a-z]\}?")
_SURE = re.compile(r"[Cc](?:_[0-9])?")
_PARAMETERS = frozenset("a b c d j k l m n p r s t u v lambda mu alpha".split())
_TYPED = ("mu", "nu", "xi")  # Greek letters, or products where their letters stand alone too
_COORDINATES = ("x", "y", "z")
_POINTS = 9  # at which two general solutions are compared
_LARGEST = 1e6  # of a value beside the factor of a constant: beyond it, the constant is lost in rounding


def with_constants_renamed(a: Node, b: Node, same: Same) -> bool:
    """Whether two solutions differ in the names of their free constants alone: `Ce^x`, `Ae^x`."""
    if {a.kind, b.kind} & {"list", "tuple", "set"} or all(map(_is_constant, symbols(a) & symbols(b))):
        return False  # points or choices named by letters, not a function of something
    names = symbols(a) ^ symbols(b)
    return all(map(_is_constant, names)) and any(map(_SURE.fullmatch, names)) and _same_renamed(a, b, same)


def with_parameters_renamed(a: Node, b: Node, same: Same) -> bool:
    """`(t, 2t)` and `(s, 2s)`, `n = 2^k` and `n = 2^m`: points and solutions that run with a parameter."""
    a, b = _without_domain(a), _without_domain(b)
    if not (_runs(a) and _runs(b)):
        return False
    one, other = head_and_value(a), head_and_value(b)
    if one is not None and other is not None and not same_name(one[0], other[0]):
        return False
    a, b = (one[1] if one else a), (other[1] if other else b)
    return symbols(a) ^ symbols(b) <= _PARAMETERS and _same_renamed(a, b, same)


def _without_domain(node: Node) -> Node:
    r"""`\{(2a, a) : a \in R\}` as the points that run with a."""
    rest = node.args[1:] if node.kind == "builder" else ()
    real = all(c.kind == "rel" and c.value == ("in",) and c.args[1].value == "R" for c in rest)
    return node.args[0] if rest and real else node


def _is_constant(name: str) -> bool:
    return _CONSTANT.fullmatch(name) is not None


def _same_renamed(a: Node, b: Node, same: Same) -> bool:
    """Whether two trees are equal when the one or two names that only b has are read as those that only a has."""
    mine, yours = sorted(symbols(a) - symbols(b)), sorted(symbols(b) - symbols(a))
    if len(mine) != len(yours) or not 1 <= len(mine) <= 2:
        return False
    return any(
        same(a, substitute(b, dict(zip(map(symbol, yours), map(symbol, order), strict=True)))) is True
        for order in permutations(mine)
    )


def _runs(node: Node) -> bool:
    """Whether a tree is a point, a vector or `name = …` with a parameter inside."""
    if node.kind in ("tuple", "matrix"):
        return len(node.args) > 1
    if node.kind == "mul":
        return any(a.kind in ("tuple", "matrix") and len(a.args) > 1 for a in node.args)
    if node.kind == "list":
        heads = [head_and_value(a) for a in node.args]
        return len(heads) > 1 and all(h is not None and h[0].value in _COORDINATES for h in heads)
    named = head_and_value(node)
    if named is None:
        return False
    head = named[0]
    return head.kind == "tuple" or head.kind == "sym" and head.value in (*_COORDINATES, "n")


def same_solutions(a: Node, b: Node) -> bool:
    r"""Whether two general solutions run through the same functions as their constants run through all numbers.

    Both are `y = …` with constants called C, c_1 and the like (or both a sum `… + C`), in which they occur
    linearly. The functions beside the constants must span the same space, and the rest may differ by one of it.
    """
    heads = [head_and_value(tree) for tree in (a, b)]
    named = any(head is not None for head in heads)
    left, right = _general(a, named), _general(b, named)
    if left is None or right is None or len(left[1]) != len(right[1]):
        return False
    if not any(_SURE.fullmatch(n) for n in (*left[1], *right[1])):
        return False
    mine, yours = symbols(left[0]) - set(left[1]), symbols(right[0]) - set(right[1])
    if len(mine) == len(yours) == 1 and mine != yours and any(h and h[0].kind == "apply" for h in heads):
        (old,), (new,) = yours, mine
        right, yours = (substitute(right[0], {symbol(old): symbol(new)}), right[1]), mine  # y(t) for y(x)
    variables = sorted(mine | yours)
    if not variables or len(variables) > 3:
        return False
    rows = [_row(left, right, random_point(variables, seed, 2.3)) for seed in range(3 * _POINTS)]
    kept = [row for row in rows if row is not None][:_POINTS]
    size = len(left[1])
    if len(kept) < _POINTS or _rank([row[1 : size + 1] for row in kept]) != size:
        return False
    if _rank([row[size + 2 :] for row in kept]) != size:
        return False
    return _rank([[*row[1 : size + 1], *row[size + 2 :], row[0] - row[size + 1]] for row in kept]) == size


General = tuple[Node, list[str]]
_VERDICTS = frozenset("TFYN")  # letters of true, false, yes and no: their order matters


def _general(node: Node, beside_named: bool) -> General | None:
    """A general solution as its expression and the names of its constants."""
    named = head_and_value(node)
    if node.kind == "rel" and named is None:
        return None
    value = node if named is None else named[1]
    names = sorted(filter(_is_constant, symbols(value)))
    products = "".join(n for n in symbols(value) if len(n) > 1 and n.isalpha() and n.isupper())
    if not 1 <= len(names) <= 4 or any(n in products for n in names):
        return None  # the C of `RC + C` is a quantity
    added = value.args if value.kind == "add" else ()
    if named is None and not beside_named and not any(t.kind == "sym" and t.value in names for t in added):
        return None  # `C/2` without a head may be a quantity called C
    return value, names


def _row(left: General, right: General, env: dict[str, complex]) -> list[complex] | None:
    """At one point: the rest and the factor of each constant, of one solution and then of the other."""
    values: list[complex] = []
    for tree, names in (left, right):
        none = {**env, **dict.fromkeys(names, 0.0)}
        try:
            zero = approximate(tree, none)
            values.append(zero)
            for name in names:
                once, thrice = (approximate(tree, {**none, name: x}) for x in (1.0, 3.0))
                if abs(thrice - zero - 3 * (once - zero)) > 1e-9 * (1 + abs(thrice)):
                    return None  # not linear in this constant
                values.append(once - zero)
            if abs(zero) > _LARGEST * max(map(abs, values[-len(names) :])):
                return None
        except Undefined:
            return None
    return values


def _rank(rows: list[list[complex]]) -> int:
    """The rank of a matrix, by elimination with the largest pivot."""
    matrix = [list(row) for row in rows]
    largest = max((abs(x) for row in matrix for x in row), default=0.0)
    rank = 0
    for column in range(len(matrix[0])):
        pivot = max(range(rank, len(matrix)), key=lambda r: abs(matrix[r][column]), default=rank)
        if rank >= len(matrix) or abs(matrix[pivot][column]) <= 1e-8 * largest:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for row in range(rank + 1, len(matrix)):
            factor = matrix[row][column] / matrix[rank][column]
            matrix[row] = [x - factor * y for x, y in zip(matrix[row], matrix[rank], strict=True)]
        rank += 1
    return rank


def letters_apart(a: Node, b: Node, turned: bool) -> tuple[Node, Node] | None:
    """Both trees with `RC` read as R·C and `F(x)` as F·x where R, C and F stand alone too; None where nothing changes.

    `turned`: `RC` and `CR` beside each other are products too, as they are not if they are vectors.
    """
    known = symbols(a) | symbols(b)
    named = {str(n.value) for tree in (a, b) for n in tree.walk() if n.kind in ("sym", "apply")}
    split = {n for n in named if 2 <= len(n) <= 4 and n.isalpha() and (n.isupper() or n in _TYPED) and set(n) <= known}
    if turned:
        pairs = (n for n in named if len(n) == 2 and n.isupper() and not set(n) & _VERDICTS)
        split |= {n for n in pairs if n[0] != n[1] and n[::-1] in named}
    split |= {n.value for tree in (a, b) for n in tree.walk() if n.kind == "apply" and n.value in known}
    return (_apart(a, split), _apart(b, split)) if split else None


def _apart(node: Node, names: set[str]) -> Node:
    if node.kind == "sym" and node.value in names:
        return reduce(lambda x, y: Node("mul", (x, y)), map(symbol, node.value))
    args = tuple(_apart(a, names) for a in node.args)
    if node.kind == "pow" and node.args[0].kind == "sym" and node.args[0].value in names:
        *others, last = map(symbol, node.args[0].value)  # the square of `RI^2` is that of I
        return reduce(lambda x, y: Node("mul", (x, y)), (*others, Node("pow", (last, args[1]))))
    if node.kind == "apply" and node.value in names and len(args) == 1:
        return Node("mul", (symbol(node.value), args[0]))
    return Node(node.kind, args, node.value)
