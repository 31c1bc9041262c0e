r"""Answers that can be written in several ways, in one form: systems, chains, unions of points, lists with dots.

Each rule looks at the top of a tree only and leaves the meaning as it was.
"""

from __future__ import annotations

from acemath.grade.base.nodes import Node
from acemath.grade.compare.dots import without_dots
from acemath.grade.compare.spread import opposite, signed
from acemath.grade.values.evaluate import exact


def standard_form(node: Node) -> Node:
    """The tree without what does not change the answer: a list around one item, braces around a system."""
    while node.kind == "list" and len(node.args) == 1:
        node = node.args[0]
    points = signed(node) if node.kind in ("tuple", "pm") else ()
    if len(points) > 1 and points[0].kind == "tuple":
        return Node("list", points, ",")
    if node.kind == "neg" and node.args[0].kind == "tuple":
        return opposite(node.args[0])
    if node.kind == "neg" and node.args[0].kind in ("deg", "pct", "quantity"):
        marked = node.args[0]
        return Node(marked.kind, (Node("neg", marked.args),), marked.value)
    rule = _RULES.get(node.kind)
    return node if rule is None else rule(node)


def _matrix(node: Node) -> Node:
    if node.value == 1 and all(a.kind == "rel" for a in node.args):
        return Node("list", node.args, ",")  # a system in braces
    return node


def _sum(node: Node) -> Node:
    if len(node.args) == 2 and node.args[1].kind == "neg" and node.args[1].args[0].kind == "set":
        return Node("minus", (node.args[0], node.args[1].args[0]))
    return node


def _tuple(node: Node) -> Node:
    rows = node.args if node.value == "[]" else ()
    if rows and all(r.kind == "tuple" and r.value == "[]" and len(r.args) == len(rows[0].args) for r in rows):
        return Node("matrix", tuple(c for row in rows for c in row.args), len(rows[0].args))
    return without_dots(node)


def _relation(node: Node) -> Node:
    """`x = y = z = 1` as three equations; an equation of two columns as one of tuples."""
    sides, last = node.args[:-1], node.args[-1]
    if node.value == ("!=",) and len(values := signed(last)) > 1:
        return Node("list", tuple(Node("rel", (sides[0], value), node.value) for value in values), "and")
    named = len(sides) > 1 and set(node.value) == {"="} and all(s.kind == "sym" for s in sides)
    if named and last.kind not in ("sym", "rel") and len(set(sides)) == len(sides):
        return Node("list", tuple(Node("rel", (s, last), ("=",)) for s in sides), "=")
    if node.value == ("=",) and _column(node.args[0]) and _column(last):
        names, values = node.args[0].args, last.args
        if len(names) == len(values) and all(n.kind == "sym" for n in names):
            return Node("rel", (Node("tuple", names, "()"), Node("tuple", values, "()")), ("=",))
    return node


def _column(node: Node) -> bool:
    return node.kind == "matrix" and 1 in (node.value, len(node.args) // node.value)


def _list(node: Node) -> Node:
    r"""`x \ne 0, 1` and `x = 2, 5` as two relations; dots written out."""
    if not node.args:
        return node
    first, *others = node.args
    if first.kind == "rel" and first.value in (("!=",), ("=",)) and all(exact(o) is not None for o in others):
        rest = (Node("rel", (first.args[0], other), first.value) for other in others)
        return Node("list", (first, *rest), "and" if first.value == ("!=",) else node.value)
    return without_dots(node)


_RULES = {
    "matrix": _matrix, "add": _sum, "tuple": _tuple, "rel": _relation, "list": _list, "set": without_dots,
}  # fmt: skip
