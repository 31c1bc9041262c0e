"""The grader's syntax tree: what the parser builds and every later tier walks.

A tree is plain data. It is evaluated by walking it; it is never turned into source code or handed to a
library as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple


class Node(NamedTuple):
    """One node: its kind, its children, and a value where the kind has one.

    Kinds and their children (value in brackets):
    num [Fraction, digits after the point or -1, the text] · sym [name] · const [pi, e, i, inf] · text [words]
    add a b … · mul a b … · div a b · pow a b · neg a · pm a b [+1 or -1 first] · fact a · func [name] a …
    abs a · deg a · pct a · apply [name] a … · based [base, digits] · unit [name]
    tuple [brackets] items · set items · builder variable conditions · list [";", ",", "and", "or"] items
    union / inter / minus a b · rel [operators] sides · matrix [columns] cells · named [name] (R, Z, N, Q, C)
    big [sum, prod, int, lim] … · quantity value unit text
    """

    kind: str
    args: tuple[Node, ...] = ()
    value: Any = None

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.args)


def number(value: int | Fraction) -> Node:
    """An exact number node."""
    return Node("num", (), (Fraction(value), -1, ""))


def symbols(node: Node) -> frozenset[str]:
    """Names of the free symbols of a tree; the names of unknown functions are not among them."""
    return frozenset(n.value for n in node.walk() if n.kind == "sym")


def kinds(node: Node) -> frozenset[str]:
    """The kinds that occur in a tree."""
    return frozenset(n.kind for n in node.walk())


SKIP = object()  # what a comparison rule returns where it does not apply


def canonical(node: Node) -> object:
    """The tree with the terms of sums and products in a fixed order: equal keys mean equal trees."""
    children = [canonical(a) for a in node.args]
    if node.kind in ("add", "mul"):
        flat: list[object] = []
        for child, argument in zip(children, node.args, strict=True):
            flat.extend(child[1] if argument.kind == node.kind else [child])  # type: ignore[index]
        return (node.kind, sorted(flat, key=repr))
    if node.kind == "num":
        return ("num", [], str(node.value[0]))
    return (node.kind, children, str(node.value))


def substitute(node: Node, names: dict[str, Node]) -> Node:
    """The tree with symbols replaced."""
    if node.kind == "sym":
        return names.get(node.value, node)
    if not node.args:
        return node
    return Node(node.kind, tuple(substitute(a, names) for a in node.args), node.value)


def replace_constant(node: Node, old: Node, new: Node) -> Node:
    """The tree with one leaf in place of another."""
    if node == old:
        return new
    if not node.args:
        return node
    return Node(node.kind, tuple(replace_constant(a, old, new) for a in node.args), node.value)


def is_decimal(node: Node) -> bool:
    """Whether a decimal point occurs in the tree: such values may be rounded ones."""
    return any(n.kind == "num" and n.value[1] >= 0 for n in node.walk())


STRUCTURES = frozenset(
    (
        "tuple",
        "set",
        "builder",
        "list",
        "union",
        "inter",
        "minus",
        "rel",
        "matrix",
        "named",
        "text",
        "quantity",
    )
)
