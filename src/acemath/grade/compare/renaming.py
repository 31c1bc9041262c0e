"""Names that differ without a difference: what an answer binds itself, and products of letters written as one.

`\\{(x, y) : x < y\\}` and `\\{(s, t) : s < t\\}` are one set, `y = Ce^{2x}` and `y = Ae^{2x}` one family of functions;
`2RC` and `2 R C` are one product.
"""

from __future__ import annotations

import re
from functools import reduce
from itertools import permutations

from acemath.grade.base.nodes import Node, substitute, symbol, symbols
from acemath.grade.compare.lists import Same
from acemath.grade.compare.names import head_and_value
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import line, random_point

_CONSTANT = re.compile(r"[CcK](?:_[0-9])?'?|[ABDk](?:_[0-9])?|c_\{?[a-z]\}?")
_SURE = re.compile(r"[Cc](?:_[0-9])?")
_PARAMETERS = frozenset("a b c d j k l m n p r s t u v lambda mu alpha".split())
_INTEGERS = frozenset("j k l m n t".split())
_TYPED = ("mu", "nu", "xi")  # Greek letters, or products where their letters stand alone too
_COORDINATES = ("x", "y", "z")
_MOST_NAMES = 3
_POINTS = 9  # at which two general solutions are compared
_LARGEST = 1e6  # of a value beside the factor of a constant: beyond it, the constant is lost in rounding


def same_renamed(a: Node, b: Node, same: Same) -> bool:
    """Whether two answers are equal when the names that one of them binds are read as those that the other one binds.

    Bound are the names of a set-builder, the free constants of a solution, and a letter that only one of them has in
    what runs with a parameter: points and vectors `(t, 2t)`, and `n = 2^k` with one of k, m, n …. A bare `2k` is not `2n`.
    """
    a, b = _without_domain(a), _without_domain(b)
    mine, yours = symbols(a) - symbols(b), symbols(b) - symbols(a)
    if len(mine) != len(yours) or not 1 <= len(mine) <= _MOST_NAMES:
        return False
    builders = a.kind == b.kind == "builder" and mine <= _bound(a) and yours <= _bound(b)
    running = all(mine | yours <= _run_with(tree) for tree in (a, b))
    if not (builders or running or _solutions(a, b, mine | yours)):
        return False
    return any(
        same(a, substitute(b, dict(zip(map(symbol, yours), map(symbol, order), strict=True)))) is True
        for order in permutations(sorted(mine))
    )


def _without_domain(node: Node) -> Node:
    r"""`\{(2a, a) : a \in R\}` as the points that run with a."""
    rest = node.args[1:] if node.kind == "builder" else ()
    real = all(c.kind == "rel" and c.value == ("in",) and c.args[1].value == "R" for c in rest)
    return node.args[0] if rest and real else node


def _bound(builder: Node) -> frozenset[str]:
    """The names that a set-builder binds: those of its elements, and those that it takes from a set."""
    taken = [c.args[0] for c in builder.args[1:] if c.kind == "rel" and c.value == ("in",)]
    return frozenset[str]().union(*map(symbols, (builder.args[0], *taken)))


def _run_with(node: Node) -> frozenset[str]:
    """The letters that may be parameters of a point, a vector or `name = …`; none for anything else."""
    parts = node.args if node.kind == "mul" else (node,)
    if any(p.kind in ("tuple", "matrix") and len(p.args) > 1 for p in parts):
        return _PARAMETERS
    if node.kind == "list":
        heads = [head_and_value(a) for a in node.args]
        names = {h[0].value for h in heads if h is not None}
        point = 1 < len(names) == len(heads) and names <= set(_COORDINATES)
        return _PARAMETERS if point else frozenset()
    named = head_and_value(node)
    if named is None or named[0].kind != "tuple" and named[0].value not in (*_COORDINATES, "n"):
        return frozenset()
    return _PARAMETERS if named[0].kind == "tuple" else _INTEGERS


def _solutions(a: Node, b: Node, names: frozenset[str]) -> bool:
    """Whether these names are free constants of two functions of something: not points or choices named by letters."""
    if {a.kind, b.kind} & {"list", "tuple", "set"} or all(map(_is_constant, symbols(a) & symbols(b))):
        return False
    return all(map(_is_constant, names)) and any(map(_SURE.fullmatch, names))


def _is_constant(name: str) -> bool:
    return _CONSTANT.fullmatch(name) is not None


def same_solutions(a: Node, b: Node) -> bool:
    r"""Whether two general solutions run through the same functions as their constants run through all numbers.

    Both are `y = …` with constants called C, c_1 and the like (or both a sum `… + C`), in which they occur
    linearly. The functions beside the constants must span the same space, and the rest may differ by one of it.
    """
    heads = [head_and_value(tree) for tree in (a, b)]
    named = any(head is not None for head in heads)
    numbered = sum("_" in name for name in symbols(a) & symbols(b) if _SURE.fullmatch(name)) > 1  # C_1 and C_2
    left, right = _general(a, named or numbered), _general(b, named or numbered)
    if left is None or right is None or len(left[1]) != len(right[1]):
        return False
    if not any(_SURE.fullmatch(n) for n in (*left[1], *right[1])):
        return False
    mine, yours = symbols(left[0]) - set(left[1]), symbols(right[0]) - set(right[1])
    if len(mine) == len(yours) == 1 and mine != yours and any(h and h[0].kind == "apply" for h in heads):
        (old,), (new,) = yours, mine
        right, yours = (substitute(right[0], {symbol(old): symbol(new)}), right[1]), mine  # y(t) for y(x)
    variables = sorted(mine | yours)
    return 1 <= len(variables) <= (3 if named else 1) and _same_span(left, right, variables)


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


def _same_span(left: General, right: General, variables: list[str]) -> bool:
    """Whether the functions beside the constants span one space, which holds the difference of the rests too."""
    import numpy

    rows = []
    for seed in range(3 * _POINTS):
        env = random_point(variables, seed, 2.3)
        try:
            (rest, *own), (other_rest, *other) = _terms(*left, env), _terms(*right, env)
        except Undefined:
            continue
        rows.append([*own, *other, rest - other_rest])
    matrix, size = numpy.array(rows[:_POINTS]), len(left[1])
    spans = (matrix[:, :size], matrix[:, size : 2 * size], matrix) if len(matrix) == _POINTS else ()
    return bool(spans) and all(numpy.linalg.matrix_rank(span, rtol=1e-8) == size for span in spans)


def _terms(tree: Node, names: list[str], env: dict[str, complex]) -> list[complex]:
    """A solution at a point: its value without constants, and the factor of each. Raises `Undefined` where it is not linear."""
    none = {**env, **dict.fromkeys(names, 0.0)}
    zero = approximate(tree, none)
    factors = [line(tree, name, none)[1] for name in names]
    if abs(zero) > _LARGEST * max(map(abs, factors)):
        raise Undefined("constants that are lost beside the rest")
    return [zero, *factors]


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
