"""What an equation gives a name to: `x = 5`, `f(x) = … = 5`, `AB = 3`."""

from __future__ import annotations

import re
from collections.abc import Set

from acemath.grade.base.nodes import Node, canonical, substitute, symbol, symbols
from acemath.grade.values.evaluate import exact

_PARTS = frozenset("sin cos tan cot sec csc arg re im det dim".split())
_DIFFERENTIALS = (symbol("d"), symbol("partial"))
_BARE = re.compile(r"_(?:max|min|text|mathrm)+$|^angle(?=[A-Z]$)")


def is_equation(node: Node) -> bool:
    """Whether a tree is a chain of = and ≈ only."""
    return node.kind == "rel" and set(node.value) <= {"=", "~"}


def head_and_value(node: Node) -> tuple[Node, Node] | None:
    """`x = 5` or `f(x) = … = 5` as its name and its last exact side; None for other equations.

    A name is a symbol, a function value, a ratio or product of segments, words, or a tuple of names; an
    equation such as `2x + z = 1` has none.
    """
    if not is_equation(node):
        return None
    head, value = node.args[0], exact_side(node)
    if value is head:
        value = node.args[-1]
    if is_name(head):
        return None if head.kind == "sym" and head.value in symbols(value) else (head, value)
    if value.kind == "sym" and value.value not in symbols(head) and len(node.args) == 2:
        return value, head
    return None


def exact_side(node: Node) -> Node:
    """The last side of a chain, before any ≈ at its end."""
    count = len(node.value)
    while count and node.value[count - 1] == "~":
        count -= 1
    return node.args[count]


def is_name(node: Node) -> bool:
    """Whether a side of an equation only names a quantity."""
    kind, args = node.kind, node.args
    if kind in ("sym", "text", "apply"):
        return True
    if kind == "big" or kind == "func" and node.value in ("gcd", "lcm", "max", "min"):
        return bool(symbols(args[0]))
    if kind in ("tuple", "inter", "union"):
        return all(is_name(a) for a in args)
    if kind == "abs":  # |z| = 5 gives |z| for a vector or complex number, where |x| = 5 gives x
        if args[0].kind == "sym":
            return args[0].value in ("u", "v", "w", "z") or len(args[0].value) > 1 or _segment(args[0])
        return is_name(args[0]) or _segment(args[0])
    if kind == "func" and node.value in _PARTS:
        return len(args) == 1 and args[0].kind == "sym"  # cos A = 1/2 gives cos A
    if kind in ("div", "ratio"):
        return _derived(node) or all(_segment(a) for a in args)
    if kind == "pow":  # the inverse of a matrix
        return exact(args[1]) == -1 and _segment(args[0])
    if kind == "mul":
        return _segment(node) or args[0] == symbol("nabla") or _applied(*args)
    return False


def _derived(name: Node) -> bool:
    """Whether a name is that of a derivative: `dy/dx`, `f'(x)`, `f_x`."""
    marked = re.search("'|_[xyzt]$", str(name.value)) is not None
    return marked or name.kind == "div" and all(a.kind == "mul" and a.args[0] in _DIFFERENTIALS for a in name.args)


def _applied(head: Node, argument: Node) -> bool:
    """`W(n)`, `P(A)`, `P(X > 3)`, `u(x, t)` or `m ∠A`, read as a product of a letter and what follows it."""
    if head.kind != "sym" or argument.kind not in ("tuple", "sym", "rel", "inter", "union"):
        return False
    if argument.kind == "tuple" and all(a.kind == "sym" for a in argument.args):
        return True
    if argument.kind == "sym" and argument.value.startswith("angle"):
        return True
    if argument.kind in ("inter", "union") and head.value == "n":
        return is_name(argument)
    return head.value[:1].isupper() and (argument.kind != "sym" or len(argument.value) == 1)


def _segment(node: Node) -> bool:
    """`AB`, `S_1`: capital letters that name a segment, an area, a volume."""
    if node.kind == "sym":
        return node.value[:1].isupper() or node.value.startswith(("angle", "triangle"))
    return node.kind in ("mul", "abs") and all(_segment(a) for a in node.args)


def same_name(a: Node, b: Node) -> bool:
    """Whether two names may stand for the same thing: names of one kind that differ may not, nor x and |x|, y and dy/dx."""
    if a.kind != b.kind:
        plain, other = (a, b) if a.kind == "sym" else (b, a)
        function = other.kind in ("func", "pow") or other.kind == "abs" and str(plain.value).islower()  # |AB| is AB
        inside = function and plain.kind == "sym" and symbols(plain) & symbols(other)
        return _derived(a) == _derived(b) and not inside
    if a.kind == "sym":
        return _BARE.sub("", a.value) == _BARE.sub("", b.value)  # `k_{max} = 5` states k = 5, `\\angle A = 60°` A = 60°
    if a.kind == "tuple":
        return a.args == b.args or len(a.args) == len(b.args) and set(a.args) != set(b.args)
    if a.kind == "text":
        ours, theirs = set(a.value.split()), set(b.value.split())
        return all(_covers(more, fewer) for fewer, more in ((ours, theirs), (theirs, ours)) if len(fewer) <= len(more))
    return a.value == b.value if a.kind in ("apply", "big") else canonical(a) == canonical(b)


def _covers(more: Set[str], fewer: Set[str]) -> bool:
    """Whether each word of `fewer` begins one of `more`, or begins with it: `maximum`, `local max`."""
    return all(any(w.startswith(v) or v.startswith(w) for v in more) for w in fewer)


def rename_arguments(head: Node, value: Node) -> Node:
    """`f(t) = t^2` with a standard name for t, so that `f(x) = x^2` says the same."""
    arguments = head.args if head.kind == "apply" else ()
    return substitute(value, {a: symbol(f"#{i}") for i, a in enumerate(arguments) if a.kind == "sym"})
