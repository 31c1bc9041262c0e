"""Sums, products and multiples of matrices, cell by cell, without calculating the cells."""

from __future__ import annotations

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node, number, substitute, symbol, symbols

_MOST_PRODUCTS = 400  # of cells, in a product of two matrices
_AXES = tuple(symbol(name) for name in ("ihat", "jhat", "khat"))
_PLAIN_AXES = ({"i", "j"}, {"i", "j", "k"}, {"j", "k"}, {"i", "k"})
_HATS = {Node("const", (), "i"): _AXES[0], symbol("j"): _AXES[1], symbol("k"): _AXES[2]}


def arithmetic(a: Node, b: Node) -> tuple[Node, Node]:
    """Both trees with matrix arithmetic carried out and unit vectors as tuples."""
    a, b = folded(a), folded(b)
    return vector(_hatted(a, b)), vector(_hatted(b, a))


def _hatted(node: Node, other: Node) -> Node:
    """The tree with plain i, j, k as unit vectors, where they stand beside another vector."""
    is_vector = other.kind == "tuple" and other.value == "()" or _axes(other)
    names = {n.value for n in node.walk() if n.kind in ("sym", "const")} if is_vector else set()
    return substitute(node, _HATS) if names in _PLAIN_AXES else node


def _axes(node: Node) -> list[Node]:
    names = symbols(node)
    return [axis for axis in _AXES if axis.value in names]


def vector(node: Node) -> Node:
    r"""`3\mathbf{i} - \mathbf{j}` as the tuple (3, -1); anything else comes back as it is."""
    if node.kind in ("tuple", "list", "rel", "set"):
        return node
    used = _axes(node)
    if not used:
        return node
    axes = _AXES if used[-1] == _AXES[2] else _AXES[:2]
    parts = tuple(substitute(node, {n: number(int(n == axis)) for n in _AXES}) for axis in axes)
    return Node("tuple", parts, "()")


def folded(node: Node) -> Node:
    """The tree with matrix arithmetic carried out; anything else comes back as it is."""
    if not node.args or not any(n.kind == "matrix" or n.kind in _RULES and any(a.kind == "tuple" for a in n.args) for n in node.walk()):
        return node
    args = tuple(folded(a) for a in node.args)
    if node.kind == "add" and any(map(_is_point, args)):  # `(1, 2) + t(3, 4)`
        args = tuple(_by_cells("mul", a.args) or a if a.kind == "mul" else a for a in args)
    elif node.kind == "mul" and symbols(args[0]) and _is_point(args[1]):
        return Node("mul", args)  # `P(3, 4)`
    rule = _RULES.get(node.kind)
    result = rule(node.kind, args) if rule is not None else None
    return Node(node.kind, args, node.value) if result is None else result


def _is_point(node: Node) -> bool:
    return node.kind == "tuple" and node.value == "()" and len(node.args) > 1


def _by_cells(kind: str, args: tuple[Node, ...]) -> Node | None:
    """A sum, a negation, a multiple: what is done to each cell; None where it is nothing of the kind."""
    matrices = [a for a in args if a.kind == "matrix" or _is_point(a)]
    shapes = {(a.kind, a.value, len(a.args)) for a in matrices}
    scaled = len(matrices) == 1 and (kind == "mul" or kind == "div" and args[0] is matrices[0])
    if len(shapes) != 1 or not scaled and (kind == "div" or len(matrices) < len(args)):
        return None
    ((form, columns, size),) = shapes
    cells = (tuple(a.args[i] if a.kind == form else a for a in args) for i in range(size))
    return Node(form, tuple(Node(kind, cell) for cell in cells), columns)


def _transpose(kind: str, args: tuple[Node, ...]) -> Node | None:
    """`A^T` with its cells; a power of a matrix stays as it is."""
    matrix, exponent = args
    if exponent.kind != "sym" or exponent.value not in ("T", "top"):
        return None
    if matrix.kind == "tuple":
        return Node("matrix", matrix.args, 1)
    if matrix.kind != "matrix":
        return None
    rows = len(matrix.args) // matrix.value
    cells = tuple(matrix.args[r * matrix.value + c] for c in range(matrix.value) for r in range(rows))
    return Node("matrix", cells, rows)


def _multiply(kind: str, args: tuple[Node, ...]) -> Node | None:
    left, right = args
    if left.kind != right.kind:
        return _by_cells(kind, args)
    if left.kind != "matrix":
        return None
    inner, columns = left.value, right.value
    if len(right.args) // columns != inner:
        return None
    rows = len(left.args) // inner
    if rows * columns * inner > _MOST_PRODUCTS:
        raise TooHard("a product of large matrices")
    sums = (
        tuple(Node("mul", (left.args[r * inner + k], right.args[k * columns + c])) for k in range(inner))
        for r in range(rows)
        for c in range(columns)
    )
    return Node("matrix", tuple(Node("add", terms) for terms in sums), columns)


_RULES = {"add": _by_cells, "neg": _by_cells, "mul": _multiply, "div": _by_cells, "pow": _transpose}
