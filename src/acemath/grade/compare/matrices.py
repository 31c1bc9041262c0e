"""Sums, products and multiples of matrices, cell by cell, without calculating the cells."""

from __future__ import annotations

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node, number, replace_constant, substitute, symbols

MAX_CELLS = 400


_AXES = ("ihat", "jhat", "khat")


def with_identity(a: Node, b: Node) -> tuple[Node, Node]:
    """Both trees with I as the identity matrix of the other side's size: `6I` beside a square matrix."""
    for plain, other in ((a, b), (b, a)):
        square = other.kind == "matrix" and other.value**2 == len(other.args)
        if square and plain.kind != "matrix" and _IDENTITY in plain.walk():
            size = other.value
            cells = tuple(number(int(r == c)) for r in range(size) for c in range(size))
            filled = replace_constant(plain, _IDENTITY, Node("matrix", cells, size))
            return (filled, b) if plain is a else (a, filled)
    return a, b


_IDENTITY = Node("sym", (), "I")


def vectors(a: Node, b: Node) -> tuple[Node, Node]:
    r"""Both trees with unit vectors as tuples; plain i, j, k are unit vectors beside another vector."""
    for plain, other in ((a, b), (b, a)):
        is_vector = other.kind == "tuple" and other.value == "()" or bool(symbols(other) & set(_AXES))
        if is_vector and {n.value for n in plain.walk() if n.kind in ("sym", "const")} in _PLAIN_AXES:
            hats = {name: Node("sym", (), f"{name}hat") for name in "jk"}
            hatted = substitute(
                replace_constant(plain, Node("const", (), "i"), Node("sym", (), "ihat")), hats
            )
            return (vector(hatted), vector(b)) if plain is a else (vector(a), vector(hatted))
    return vector(a), vector(b)


_PLAIN_AXES = ({"i", "j"}, {"i", "j", "k"}, {"j", "k"}, {"i", "k"})


def vector(node: Node) -> Node:
    r"""`3\mathbf{i} - \mathbf{j}` as the tuple (3, -1); anything else comes back as it is."""
    used = symbols(node) & set(_AXES)
    if not used or node.kind in ("tuple", "list", "rel", "set"):
        return node
    axes = _AXES if "khat" in used else _AXES[:2]
    parts = tuple(substitute(node, {n: number(int(n == axis)) for n in _AXES}) for axis in axes)
    return Node("tuple", parts, "()")


def folded(node: Node) -> Node:
    """The tree with matrix arithmetic carried out; anything else comes back as it is."""
    if not node.args or not any(
        n.kind == "matrix" or n.kind == "pow" and n.args[0].kind == "tuple" for n in node.walk()
    ):
        return node
    args = tuple(folded(a) for a in node.args)
    if node.kind == "func" and node.value == "det" and args[0].kind == "matrix":
        return _determinant(args[0]) or node
    rule = {"add": _add, "neg": _negate, "mul": _multiply, "div": _divide, "pow": _transpose}.get(node.kind)
    result = rule(args) if rule is not None else None
    return Node(node.kind, args, node.value) if result is None else result


def _determinant(matrix: Node) -> Node | None:
    """The determinant of a square matrix of up to four rows, by its first row."""
    size, cells = matrix.value, matrix.args
    if size * size != len(cells) or size > 4:
        return None
    if size == 1:
        return cells[0]
    terms = []
    for column in range(size):
        rest = tuple(cells[r * size + c] for r in range(1, size) for c in range(size) if c != column)
        minor = _determinant(Node("matrix", rest, size - 1))
        if minor is None:
            return None
        term = Node("mul", (cells[column], minor))
        terms.append(Node("neg", (term,)) if column % 2 else term)
    return Node("add", tuple(terms))


def _transpose(args: tuple[Node, ...]) -> Node | None:
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


def _add(args: tuple[Node, ...]) -> Node | None:
    if any(a.kind != "matrix" or a.value != args[0].value or len(a.args) != len(args[0].args) for a in args):
        return None
    return Node(
        "matrix",
        tuple(Node("add", cells) for cells in zip(*(a.args for a in args), strict=True)),
        args[0].value,
    )


def _negate(args: tuple[Node, ...]) -> Node | None:
    matrix = args[0]
    if matrix.kind != "matrix":
        return None
    return Node("matrix", tuple(Node("neg", (c,)) for c in matrix.args), matrix.value)


def _divide(args: tuple[Node, ...]) -> Node | None:
    matrix, scale = args
    if matrix.kind != "matrix" or scale.kind == "matrix":
        return None
    return Node("matrix", tuple(Node("div", (c, scale)) for c in matrix.args), matrix.value)


def _multiply(args: tuple[Node, ...]) -> Node | None:
    left, right = args
    if "matrix" not in (left.kind, right.kind):
        return None
    if left.kind != "matrix" or right.kind != "matrix":
        scale, matrix = (right, left) if left.kind == "matrix" else (left, right)
        return Node("matrix", tuple(Node("mul", (scale, c)) for c in matrix.args), matrix.value)
    inner, columns = left.value, right.value
    rows = len(left.args) // inner
    if len(right.args) // columns != inner:
        return None
    if rows * columns * inner > MAX_CELLS:
        raise TooHard("a product of large matrices")
    cells = [
        Node(
            "add",
            tuple(Node("mul", (left.args[r * inner + k], right.args[k * columns + c])) for k in range(inner)),
        )
        for r in range(rows)
        for c in range(columns)
    ]
    return Node("matrix", tuple(cells), columns)
