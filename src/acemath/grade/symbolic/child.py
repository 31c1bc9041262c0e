"""What a worker does: build sympy objects from two answer trees and look whether their difference vanishes.

The trees come from the grader's own parser; sympy's constructors are called on them one node at a time. No
text reaches `sympify`, `parse_expr`, `eval` or `exec`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node
from acemath.grade.compare.relations import head_and_value
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.reader import read
from acemath.grade.values.evaluate import exact


class Unsupported(Exception):
    """A node that has no sympy counterpart here."""


class Builder:
    """Answer trees as sympy expressions."""

    def __init__(self, sympy: Any) -> None:
        self.sp = sympy

    def build(self, node: Node) -> Any:
        """The sympy expression of a tree. Raises `Unsupported`."""
        rule: Callable[[Node], Any] | None = getattr(self, f"_{node.kind}", None)
        if rule is None:
            raise Unsupported(node.kind)
        return rule(node)

    def _num(self, node: Node) -> Any:
        value = node.value[0]
        return self.sp.Rational(value.numerator, value.denominator)

    def _sym(self, node: Node) -> Any:
        if node.value == "...":
            raise Unsupported("...")
        return self.sp.Symbol(node.value)

    def _const(self, node: Node) -> Any:
        return {"pi": self.sp.pi, "e": self.sp.E, "i": self.sp.I, "inf": self.sp.oo}[node.value]

    def _add(self, node: Node) -> Any:
        return self.sp.Add(*map(self.build, node.args))

    def _neg(self, node: Node) -> Any:
        return -self.build(node.args[0])

    def _mul(self, node: Node) -> Any:
        return self.build(node.args[0]) * self.build(node.args[1])

    def _div(self, node: Node) -> Any:
        return self.build(node.args[0]) / self.build(node.args[1])

    def _pow(self, node: Node) -> Any:
        exponent = exact(node.args[1])
        if exponent is not None and abs(exponent) > 10_000:
            raise TooHard("a huge power")
        return self.sp.Pow(self.build(node.args[0]), self.build(node.args[1]))

    def _fact(self, node: Node) -> Any:
        value = exact(node.args[0])
        if value is not None and value > 3000:
            raise TooHard("a huge factorial")
        return self.sp.factorial(self.build(node.args[0]))

    def _abs(self, node: Node) -> Any:
        return self.sp.Abs(self.build(node.args[0]))

    def _deg(self, node: Node) -> Any:
        return self.build(node.args[0]) * self.sp.pi / 180

    def _pct(self, node: Node) -> Any:
        return self.build(node.args[0]) / 100

    def _func(self, node: Node) -> Any:
        name = _FUNCTIONS.get(node.value, node.value)
        if name not in _KNOWN:
            raise Unsupported(name)
        arguments = [self.build(a) for a in node.args]
        if name == "cbrt":
            return self.sp.root(arguments[0], 3)
        return getattr(self.sp, name)(*arguments)

    def _apply(self, node: Node) -> Any:
        return self.sp.Function(node.value)(*map(self.build, node.args))

    def _big(self, node: Node) -> Any:
        if node.value in ("sum", "prod"):
            return self._series(node)
        if node.value == "int":
            return self._integral(node)
        return self._limit(node)

    def _series(self, node: Node) -> Any:
        if len(node.args) != 3 or node.args[1].kind != "rel" or node.args[1].args[0].kind != "sym":
            raise Unsupported("a sum without bounds")
        body, low, high = node.args
        name = self.build(low.args[0])
        kind = self.sp.Sum if node.value == "sum" else self.sp.Product
        return kind(self.build(body), (name, self.build(low.args[1]), self.build(high))).doit()

    def _integral(self, node: Node) -> Any:
        body, name = _without_differential(node.args[0])
        variable = self.sp.Symbol(name)
        if len(node.args) == 3:
            return self.sp.integrate(
                self.build(body), (variable, self.build(node.args[1]), self.build(node.args[2]))
            )
        return self.sp.integrate(self.build(body), variable)

    def _limit(self, node: Node) -> Any:
        if len(node.args) != 2 or node.args[1].kind != "rel" or node.args[1].value != ("to",):
            raise Unsupported("a limit without a point")
        name, point = map(self.build, node.args[1].args)
        return self.sp.limit(self.build(node.args[0]), name, point)


_FUNCTIONS = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc",
    "lg": "log", "binom": "binomial", "ceil": "ceiling", "max": "Max", "min": "Min",
}  # fmt: skip
_KNOWN = frozenset((
    "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "asec", "acsc", "sinh", "cosh", "tanh",
    "coth", "sech", "csch", "asinh", "acosh", "atanh", "log", "exp", "sqrt", "root", "cbrt", "floor", "ceiling", "sign",
    "binomial", "Max", "Min", "re", "im", "arg", "gcd", "lcm",
))  # fmt: skip


def _without_differential(body: Node) -> tuple[Node, str]:
    """The integrand of `f(x) dx`, read as a product that ends in d·x, and its variable."""
    factors: list[Node] = []
    node = body
    while node.kind == "mul":
        factors.insert(0, node.args[1])
        node = node.args[0]
    factors.insert(0, node)
    if len(factors) < 2 or factors[-2] != Node("sym", (), "d") or factors[-1].kind != "sym":
        raise Unsupported("an integral without d and its variable")
    result = Node("num", (), (exact_one(), -1, "1"))
    for factor in factors[:-2]:
        result = Node("mul", (result, factor))
    return result, factors[-1].value


def exact_one() -> Any:
    """The number 1 as the parser stores it."""
    from fractions import Fraction

    return Fraction(1)


def compare(left: str, right: str, sympy: Any) -> str:
    """equal, different, or unknown, for two cleaned answers."""
    builder = Builder(sympy)
    try:
        a, b = (builder.build(_value(read(text))) for text in (left, right))
    except (Unsupported, Unreadable, TooHard, NotImplementedError, ValueError, TypeError, ZeroDivisionError):
        return "unknown"
    difference = a - b
    if difference == 0:
        return "equal"
    if difference.has(sympy.nan, sympy.zoo):
        return "unknown"
    simple = sympy.simplify(difference)
    if simple == 0:
        return "equal"
    return "different" if simple.is_number else "unknown"


def _value(node: Node) -> Node:
    if node.kind == "rel":
        named = head_and_value(node)
        return node if named is None else named[1]
    return node.args[0] if node.kind == "quantity" else node


def main() -> None:
    """Answer lines of JSON until standard input ends."""
    _limit_memory(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    import sympy

    print("ready", flush=True)
    for line in sys.stdin:
        left, right = json.loads(line)
        try:
            outcome = compare(left, right, sympy)
        except (
            MemoryError,
            RecursionError,
            ArithmeticError,
            AttributeError,
            NotImplementedError,
            TypeError,
            ValueError,
        ):
            outcome = "unknown"  # sympy gave up on these two; the process is sound and goes on
        print(outcome, flush=True)


def _limit_memory(megabytes: int) -> None:
    if megabytes <= 0 or sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


if __name__ == "__main__":
    main()
