"""A walk over a tree, for mpmath's numbers and for sympy's objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acemath.grade.base.nodes import Node

# Names of functions that mpmath and sympy spell otherwise.
LIBRARY_NAMES = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsec": "asec", "arccsc": "acsc", "lg": "log", "binom": "binomial",
    "fact2": "fac2",
}  # fmt: skip


class Walker:
    """The value of a tree, made from the leaves up: the method `_kind` of a subclass makes that of a node of this kind."""

    pi: Any

    def no_rule(self, node: Node) -> Exception:
        """What is raised for a kind without a method."""
        raise NotImplementedError

    def value(self, node: Node) -> Any:
        """The value of a tree."""
        rule: Callable[[Node], Any] | None = getattr(self, f"_{node.kind}", None)
        if rule is None:
            raise self.no_rule(node)
        return rule(node)

    def _add(self, node: Node) -> Any:
        return sum(map(self.value, node.args))

    def _neg(self, node: Node) -> Any:
        return -self.value(node.args[0])

    def _mul(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.value(node.args[1])

    def _div(self, node: Node) -> Any:
        return self.value(node.args[0]) / self.value(node.args[1])

    def _abs(self, node: Node) -> Any:
        return abs(self.value(node.args[0]))

    def _deg(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.pi / 180

    def _pct(self, node: Node) -> Any:
        return self.value(node.args[0]) / 100
