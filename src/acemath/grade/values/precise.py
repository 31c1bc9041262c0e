"""Values of expressions with many digits, to confirm that two values which agree as floats are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node
from acemath.grade.values.evaluate import MAX_TERMS, TERMS, Undefined, exact

_MAX_EXPONENT = 10**7  # binary exponent of a result: beyond it even mpmath takes long for nothing
_MAX_ANGLE = 10**12


def differs(a: Node, b: Node, env: Mapping[str, Fraction]) -> bool | None:
    """Whether two expressions differ at a point, seen with 40 and with 80 digits; None where undefined.

    A difference that shrinks as digits are added is rounding noise; one that stays is real.
    """
    import mpmath  # type: ignore[import-untyped]

    gaps = []
    for digits in (40, 80):
        context = mpmath.mp.clone()
        context.dps = digits
        try:
            x, y = _Walker(context, env).value(a), _Walker(context, env).value(b)
        except (ZeroDivisionError, OverflowError, ValueError, TypeError, ArithmeticError, Undefined):
            return None
        if not (context.isfinite(x) and context.isfinite(y)):
            return None  # log 0 is no number that could equal another
        scale = max(abs(x), abs(y))
        gap = abs(x - y)
        if not gap:
            return False
        gaps.append((gap, scale))
    (coarse, _), (fine, scale) = gaps
    return bool(fine > coarse / 10**20) and not bool(fine < scale / 10**70)


class _Walker:
    def __init__(self, context: Any, env: Mapping[str, Fraction]) -> None:
        self.mp = context
        self.env = env

    def value(self, node: Node) -> Any:
        """The value of a tree with the digits of the context."""
        kind, mp = node.kind, self.mp
        if kind == "num":
            return mp.mpf(node.value[0].numerator) / node.value[0].denominator
        if kind == "sym":
            found = self.env.get(node.value)
            if found is None:
                raise Undefined(f"{node.value} has no value")
            return mp.mpf(found.numerator) / found.denominator
        rule: Callable[[Node], Any] | None = getattr(self, f"_{kind}", None)
        if rule is None:
            raise Undefined(f"{kind} has no value")
        return rule(node)

    def _const(self, node: Node) -> Any:
        if node.value == "inf":
            raise Undefined("infinity")
        return {"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[node.value]

    def _add(self, node: Node) -> Any:
        return sum((self.value(a) for a in node.args), self.mp.mpf(0))

    def _neg(self, node: Node) -> Any:
        return -self.value(node.args[0])

    def _mul(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.value(node.args[1])

    def _div(self, node: Node) -> Any:
        return self.value(node.args[0]) / self.value(node.args[1])

    _ratio = _div

    def _pow(self, node: Node) -> Any:
        base, exponent = self.value(node.args[0]), exact(node.args[1])
        if exponent is None:
            return self._guarded_power(base, self.value(node.args[1]))
        if exponent.denominator == 1:
            return self._guarded_power(base, exponent.numerator)
        return self._rational_power(base, exponent)

    def _guarded_power(self, base: Any, exponent: Any) -> Any:
        size = abs(exponent) * (1 + abs(self.mp.log(abs(base), 2)) if base else 1)
        if size > _MAX_EXPONENT:
            raise TooHard("a power whose result would be huge")
        return base**exponent

    def _rational_power(self, base: Any, exponent: Fraction) -> Any:
        mp = self.mp
        power = mp.mpf(exponent.numerator) / exponent.denominator
        if exponent.denominator % 2 and mp.im(base) == 0 and mp.re(base) < 0:
            size = self._guarded_power(-mp.re(base), power)
            return -size if exponent.numerator % 2 else size
        return self._guarded_power(base, power)

    def _fact(self, node: Node) -> Any:
        value = self.value(node.args[0])
        if abs(value) > 10**6:
            raise TooHard("a factorial whose result would be huge")
        return self.mp.gamma(value + 1)

    def _abs(self, node: Node) -> Any:
        return abs(self.value(node.args[0]))

    def _deg(self, node: Node) -> Any:
        return self.value(node.args[0]) * self.mp.pi / 180

    def _pct(self, node: Node) -> Any:
        return self.value(node.args[0]) / 100

    def _func(self, node: Node) -> Any:
        values = [self.value(a) for a in node.args]
        if any(abs(v) > _MAX_ANGLE for v in values) and node.value not in (
            "sqrt",
            "log",
            "lg",
            "root",
            "cbrt",
            "binom",
        ):
            raise TooHard("a function of a huge number")
        if node.value in ("root", "cbrt"):
            index = exact(node.args[1]) if node.value == "root" else Fraction(3)
            if index is None or index.denominator != 1 or index == 0:
                raise Undefined("an index that is not an integer")
            return self._rational_power(values[0], 1 / index)
        name = {
            "lg": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsec": "asec", "arccsc": "acsc",
            "binom": "binomial", "arccot": "acot",
        }.get(node.value, node.value)  # fmt: skip
        if name not in _NAMES and name != "cis":
            raise Undefined(f"{name} has no value")
        if name == "cis":
            return self.mp.expj(values[0])
        if name == "acot":
            return self.mp.pi / 2 - self.mp.atan(values[0])
        return getattr(self.mp, name)(*values)

    def _big(self, node: Node) -> Any:
        args = node.args
        if (
            node.value not in ("sum", "prod")
            or len(args) != 3
            or args[1].kind != "rel"
            or args[1].args[0].kind != "sym"
        ):
            raise Undefined(f"{node.value} has no closed value here")
        low, high = self.value(args[1].args[1]), self.value(args[2])
        if low != int(low) or high != int(high):
            raise Undefined("bounds that are not integers")
        terms = max(1, int(high - low) + 1) * self.env.get(TERMS, Fraction(1))
        if terms > MAX_TERMS:
            raise Undefined(f"sums of more than {MAX_TERMS} terms in all")
        total = self.mp.mpf(node.value == "prod")
        for k in range(int(low), int(high) + 1):
            term = _Walker(
                self.mp, {**self.env, args[1].args[0].value: Fraction(k), TERMS: Fraction(terms)}
            ).value(args[0])
            total = total + term if node.value == "sum" else total * term
        return total


_NAMES = frozenset(
    [
        "sqrt",
        "log",
        "exp",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "asin",
        "acos",
        "atan",
        "asec",
        "acsc",
        "acot",
        "sinh",
        "cosh",
        "tanh",
        "coth",
        "sech",
        "csch",
        "asinh",
        "acosh",
        "atanh",
        "floor",
        "ceil",
        "sign",
        "binomial",
        "re",
        "im",
        "arg",
    ]
)
