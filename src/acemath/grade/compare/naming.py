"""Names that differ without a difference: free constants of a general solution, products of letters written as one.

`y = Ce^{2x}` and `y = Ae^{2x}` are one family of functions, so are `x²/2 + C` and `(x² + C)/2`; `2RC` and
`2 R C` are one product.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import permutations

from acemath.grade.base.nodes import Node, substitute, symbols
from acemath.grade.compare.relations import head_and_value, same_name
from acemath.grade.conventions import Conventions
from acemath.grade.values.evaluate import Undefined, approximate

Same = Callable[[Node, Node, Conventions], bool | None]

_CONSTANT = re.compile(r"[CcK](?:_[0-9])?'?|[ABDk](?:_[0-9])?|c_\{?[a-z]\}?")
_SURE = re.compile(r"[Cc](?:_[0-9])?")
_POINTS = 9


def with_constants_renamed(a: Node, b: Node, conventions: Conventions, same: Same) -> bool | None:
    """Whether two solutions differ in the names of their free constants alone: `Ce^x`, `Ae^x`."""
    mine, yours = sorted(symbols(a) - symbols(b)), sorted(symbols(b) - symbols(a))
    if len(mine) != len(yours) or not 1 <= len(mine) <= 2:
        return None
    if not any(not _CONSTANT.fullmatch(n) for n in symbols(a) & symbols(b)) or {a.kind, b.kind} & {
        "list", "tuple", "set",
    }:  # fmt: skip
        return None  # points or choices named by letters, not a function of something
    names = (*mine, *yours)
    if not all(_CONSTANT.fullmatch(n) for n in names) or not any(_SURE.fullmatch(n) for n in names):
        return None
    for order in permutations(mine):
        renamed = {old: Node("sym", (), new) for old, new in zip(yours, order, strict=True)}
        if same(a, substitute(b, renamed), conventions) is True:
            return True
    return None


def with_parameters_renamed(a: Node, b: Node, conventions: Conventions, same: Same) -> bool | None:
    """`(t, 2t)` and `(s, 2s)`, `n = 2^k` and `n = 2^m`: points and solutions that run with a parameter."""
    if not (_runs(a) and _runs(b)):
        return None
    one, other = head_and_value(a), head_and_value(b)
    if one is not None and other is not None and not same_name(one[0], other[0]):
        return None
    a, b = (one[1] if one else a), (other[1] if other else b)
    mine, yours = sorted(symbols(a) - symbols(b)), sorted(symbols(b) - symbols(a))
    if len(mine) != len(yours) or not 1 <= len(mine) <= 2 or not {*mine, *yours} <= _PARAMETERS:
        return None
    for order in permutations(mine):
        renamed = {old: Node("sym", (), new) for old, new in zip(yours, order, strict=True)}
        if same(a, substitute(b, renamed), conventions) is True:
            return True
    return None


_PARAMETERS = frozenset(
    ["a", "b", "c", "d", "j", "k", "l", "m", "n", "p", "r", "s", "t", "u", "v", "lambda", "mu", "alpha"]
)


def _runs(node: Node) -> bool:
    """Whether a tree is a point, a vector or `name = …` with a parameter inside."""
    if node.kind in ("tuple", "matrix"):
        return len(node.args) > 1
    if node.kind == "mul":
        return any(a.kind in ("tuple", "matrix") and len(a.args) > 1 for a in node.args)
    if node.kind == "list":
        heads = [head_and_value(a) for a in node.args]
        return len(heads) > 1 and all(h is not None and h[0].value in ("x", "y", "z") for h in heads)
    named = head_and_value(node)
    return named is not None and (
        named[0].kind == "tuple" or named[0].kind == "sym" and named[0].value in ("n", "x", "y", "z")
    )


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
        right, yours = (substitute(right[0], {old: Node("sym", (), new)}), right[1]), mine  # y(t) for y(x)
    variables = sorted(mine | yours)
    if not variables or len(variables) > 3:
        return False
    rows = [_row(left, right, _point(variables, seed)) for seed in range(3 * _POINTS)]
    kept = [row for row in rows if row is not None][:_POINTS]
    if len(kept) < _POINTS:
        return False
    size = len(left[1])
    one, other = [row[: size + 1] for row in kept], [row[size + 1 :] for row in kept]
    basis = [row[1:] for row in one]
    if _rank(basis) != size or _rank([row[1:] for row in other]) != size:
        return False
    joined = [[*x[1:], *y[1:], x[0] - y[0]] for x, y in zip(one, other, strict=True)]
    return _rank(joined) == size


General = tuple[Node, list[str]]


def _general(node: Node, beside_named: bool) -> General | None:
    """A general solution as its expression and the names of its constants."""
    named = head_and_value(node)
    value = node if named is None else named[1]
    names = sorted(n for n in symbols(value) if _CONSTANT.fullmatch(n))
    if not 1 <= len(names) <= 4 or node.kind == "rel" and named is None:
        return None
    if (
        named is None
        and not beside_named
        and not any(t.kind == "sym" and t.value in names for t in _terms(value))
    ):
        return None  # `C/2` without a head may be a quantity called C
    return value, names


def _terms(node: Node) -> tuple[Node, ...]:
    return node.args if node.kind == "add" else ()


def _point(names: list[str], seed: int) -> dict[str, complex]:
    source = random.Random(seed)
    return {name: source.uniform(0.3, 2.3) for name in names}


def _row(left: General, right: General, env: dict[str, complex]) -> list[complex] | None:
    """At one point: the rest and the factor of each constant, of one solution and then of the other."""
    values: list[complex] = []
    for tree, names in (left, right):
        try:
            zero = approximate(tree, {**env, **dict.fromkeys(names, 0.0)})
            values.append(zero)
            for name in names:
                others = {**env, **dict.fromkeys(names, 0.0)}
                once, thrice = (approximate(tree, {**others, name: x}) for x in (1.0, 3.0))
                if abs(thrice - zero - 3 * (once - zero)) > 1e-9 * (1 + abs(thrice)):
                    return None  # not linear in this constant
                values.append(once - zero)
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


def letters_apart(a: Node, b: Node) -> tuple[Node, Node] | None:
    """Both trees with `RC` read as R·C where the other side knows R and C alone; None where nothing changes."""
    known = symbols(a) | symbols(b)
    runs = [n for n in known if 2 <= len(n) <= 4 and n.isalpha() and n.isupper() and set(n) <= known]
    if not runs:
        return None
    names = {run: _product(run) for run in runs}
    return substitute(a, names), substitute(b, names)


def _product(run: str) -> Node:
    node = Node("sym", (), run[0])
    for letter in run[1:]:
        node = Node("mul", (node, Node("sym", (), letter)))
    return node
