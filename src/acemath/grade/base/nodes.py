"""The grader's syntax tree: the parser builds it and every later step walks it.

A tree is plain data. It is never turned into source code or handed to a library as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple


class Node(NamedTuple):
    """One node: its kind, its children, and a value where the kind has one.

    Kinds and their children (value in brackets):
    num [Fraction, digits after the point or -1, the text] · sym [name] · const [pi, e, i, inf] · text [words]
    add a b … · mul a b … · div a b · pow a b · neg a · pm a [1 for ±, -1 for ∓] · fact a · func [name] a …
    abs a · deg a · pct a · apply [name] a … · based [base, digits] · mod a b · ratio a b …
    tuple [brackets] items · set items · builder variable conditions · list [";", ",", "and", "or"] items
    union / inter / minus a b · rel [operators] sides · matrix [columns] cells · named [name] (R, Z, N, Q, C)
    big [sum, prod, int, lim] body bounds … · quantity [unit] a
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


# Nodes that are no single value.
STRUCTURES = frozenset("tuple set builder list union inter minus rel matrix named text quantity".split())
SKIP = object()  # what a comparison rule returns where it does not apply


def number(value: int | Fraction) -> Node:
    """An exact number."""
    return Node("num", (), (Fraction(value), -1, ""))


def symbol(name: str) -> Node:
    """A symbol."""
    return Node("sym", (), name)


def letter(name: str) -> Node:
    """A letter as a factor: e and i are constants."""
    return Node("const", (), name) if name in ("e", "i") else symbol(name)


def function(name: str, *args: Node) -> Node:
    """A known function of some arguments."""
    return Node("func", args, name)


def symbols(node: Node) -> frozenset[str]:
    """The names of the free symbols of a tree, without the names of unknown functions."""
    found, stack = set(), [node]
    while stack:
        kind, args, value = stack.pop()
        if kind == "sym":
            found.add(value)
        stack.extend(args)
    return frozenset(found)


def kinds(node: Node) -> frozenset[str]:
    """The kinds that occur in a tree."""
    return frozenset(n.kind for n in node.walk())


def is_decimal(node: Node) -> bool:
    """Whether a number with a decimal point occurs in the tree: such values may be rounded."""
    return any(n.kind == "num" and n.value[1] >= 0 for n in node.walk())


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


def substitute(node: Node, leaves: Mapping[Node, Node]) -> Node:
    """The tree with other trees in the place of some of its leaves."""
    if not node.args:
        return leaves.get(node, node)
    return Node(node.kind, tuple(substitute(a, leaves) for a in node.args), node.value)
