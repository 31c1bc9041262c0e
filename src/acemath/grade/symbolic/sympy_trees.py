"""Answer trees as sympy expressions, by one constructor call for each node.

No text reaches `sympify`, `parse_expr`, `eval` or `exec`.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node, number, symbol
from acemath.grade.values.evaluate import LIBRARY_NAMES, Undefined, Walker, exact, series

_NAMES = {**LIBRARY_NAMES, "arccot": "acot", "ceil": "ceiling", "max": "Max", "min": "Min"}
_KNOWN = frozenset(
    "sin cos tan cot sec csc asin acos atan acot asec acsc sinh cosh tanh coth sech csch asinh "
    "acosh atanh log exp sqrt root cbrt floor ceiling sign binomial Max Min re im arg gcd lcm".split()
)


class Builder(Walker):
    """Answer trees as sympy expressions. `value` raises `Undefined`, also where a node has no counterpart here, or `TooHard`."""

    def __init__(self, sympy: Any) -> None:
        self.sp = sympy
        self.pi = sympy.pi

    def no_rule(self, node: Node) -> Exception:
        return Undefined(node.kind)

    def _num(self, node: Node) -> Any:
        return self.sp.Rational(node.value[0].numerator, node.value[0].denominator)

    def _sym(self, node: Node) -> Any:
        if node.value == "...":
            raise Undefined("...")
        return self.sp.Symbol(node.value)

    def _const(self, node: Node) -> Any:
        return {"pi": self.sp.pi, "e": self.sp.E, "i": self.sp.I, "inf": self.sp.oo}[node.value]

    def _pow(self, node: Node) -> Any:
        exponent = exact(node.args[1])
        if exponent is not None and abs(exponent) > 10_000:
            raise TooHard("a huge power")
        return self.sp.Pow(self.value(node.args[0]), self.value(node.args[1]))

    def _fact(self, node: Node) -> Any:
        value = exact(node.args[0])
        if value is not None and value > 3000:
            raise TooHard("a huge factorial")
        return self.sp.factorial(self.value(node.args[0]))

    def _func(self, node: Node) -> Any:
        name = _NAMES.get(node.value, node.value)
        if name not in _KNOWN:
            raise Undefined(name)
        return getattr(self.sp, name)(*map(self.value, node.args))

    def _apply(self, node: Node) -> Any:
        return self.sp.Function(node.value)(*map(self.value, node.args))

    def _big(self, node: Node) -> Any:
        if node.value in ("sum", "prod"):
            body, name, low, high = series(node)
            kind = self.sp.Sum if node.value == "sum" else self.sp.Product
            return kind(self.value(body), (self.sp.Symbol(name), self.value(low), self.value(high))).doit()
        return self._integral(node) if node.value == "int" else self._limit(node)

    def _integral(self, node: Node) -> Any:
        body, name = _without_differential(node.args[0])
        variable = self.sp.Symbol(name)
        if len(node.args) == 3:
            return self.sp.integrate(self.value(body), (variable, *map(self.value, node.args[1:])))
        return self.sp.integrate(self.value(body), variable)

    def _limit(self, node: Node) -> Any:
        if len(node.args) != 2 or node.args[1].kind != "rel" or node.args[1].value != ("to",):
            raise Undefined("a limit without a point")
        name, point = map(self.value, node.args[1].args)
        return self.sp.limit(self.value(node.args[0]), name, point)


def _without_differential(body: Node) -> tuple[Node, str]:
    """The integrand of `f(x) dx`, read as a product that ends in d·x, and its variable."""
    factors: list[Node] = []
    while body.kind == "mul":
        factors.insert(0, body.args[1])
        body = body.args[0]
    factors.insert(0, body)
    if len(factors) < 2 or factors[-2] != symbol("d") or factors[-1].kind != "sym":
        raise Undefined("an integral without d and its variable")
    return reduce(lambda x, y: Node("mul", (x, y)), factors[:-2], number(1)), factors[-1].value
