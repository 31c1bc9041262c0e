"""Values of expressions with many digits, to confirm that two values which agree as floats are equal."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from acemath.grade.base.guards import TooHard
from acemath.grade.base.nodes import Node
from acemath.grade.values.evaluate import MAX_TERMS, TERMS, Undefined, exact, series
from acemath.grade.values.walk import LIBRARY_NAMES, Walker

_MAX_EXPONENT = 10**7  # binary exponent of a result: beyond it even mpmath takes long for nothing
_MAX_ANGLE = 10**12
_ANY_SIZE = frozenset("sqrt log lg root cbrt binom".split())  # functions whose arguments may be huge
_NAMES = frozenset(
    "sqrt log exp sin cos tan cot sec csc asin acos atan asec acsc sinh cosh tanh coth sech csch "
    "asinh acosh atanh floor ceil sign binomial fac2 re im arg".split()
)


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
            x, y = _Precise(context, env).value(a), _Precise(context, env).value(b)
        except (ZeroDivisionError, OverflowError, ValueError, TypeError, ArithmeticError, Undefined):
            return None
        if not (context.isfinite(x) and context.isfinite(y)):
            return None  # log 0 is no number that could equal another
        scale, gap = max(abs(x), abs(y)), abs(x - y)
        if not gap:
            return False
        gaps.append(gap)
    coarse, fine = gaps
    return bool(fine > coarse / 10**20) and not bool(fine < scale / 10**70)


class _Precise(Walker):
    """The value of a tree with the digits of a context of mpmath."""

    def __init__(self, context: Any, env: Mapping[str, Fraction]) -> None:
        self.mp = context
        self.pi = +context.pi
        self.env = env

    def no_rule(self, node: Node) -> Exception:
        return Undefined(f"{node.kind} has no value")

    def _num(self, node: Node) -> Any:
        return self.mp.mpf(node.value[0].numerator) / node.value[0].denominator

    def _sym(self, node: Node) -> Any:
        found = self.env.get(node.value)
        if found is None:
            raise Undefined(f"{node.value} has no value")
        return self.mp.mpf(found.numerator) / found.denominator

    def _const(self, node: Node) -> Any:
        if node.value == "inf":
            raise Undefined("infinity")
        return {"pi": self.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[node.value]

    _ratio = Walker._div

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

    def _func(self, node: Node) -> Any:
        values = [self.value(a) for a in node.args]
        if node.value not in _ANY_SIZE and any(abs(v) > _MAX_ANGLE for v in values):
            raise TooHard("a function of a huge number")
        if node.value in ("root", "cbrt"):
            index = exact(node.args[1]) if node.value == "root" else Fraction(3)
            if index is None or index.denominator != 1 or index == 0:
                raise Undefined("an index that is not an integer")
            return self._rational_power(values[0], 1 / index)
        if node.value == "cis":
            return self.mp.expj(values[0])
        if node.value == "arccot":
            return self.pi / 2 - self.mp.atan(values[0])
        name = LIBRARY_NAMES.get(node.value, node.value)
        if name not in _NAMES:
            raise Undefined(f"{name} has no value")
        return getattr(self.mp, name)(*values)

    def _big(self, node: Node) -> Any:
        body, name, *bounds = series(node)
        low, high = map(self.value, bounds)
        if low != int(low) or high != int(high):
            raise Undefined("bounds that are not integers")
        terms = max(1, int(high - low) + 1) * self.env.get(TERMS, Fraction(1))
        if terms > MAX_TERMS:
            raise Undefined(f"sums of more than {MAX_TERMS} terms in all")
        total = self.mp.mpf(node.value == "prod")
        for k in range(int(low), int(high) + 1):
            env = {**self.env, name: Fraction(k), TERMS: Fraction(terms)}
            term = _Precise(self.mp, env).value(body)
            total = total + term if node.value == "sum" else total * term
        return total
