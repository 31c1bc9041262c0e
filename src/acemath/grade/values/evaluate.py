"""Values of expressions: exact rationals where possible, else numbers at a point, in double precision or with many digits.

Odd roots of negative reals are real here (the convention of school mathematics), other powers of negative
numbers take their principal value.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from acemath.grade.base.guards import MAX_BITS, TooHard
from acemath.grade.base.nodes import Node

MAX_TERMS = 2000
TERMS = "#terms"  # in an environment: the product of the numbers of terms of the enclosing sums
_MAX_EXPONENT = 10**7  # binary exponent of a result: beyond it even mpmath takes long for nothing
_MAX_ANGLE = 10**12
_ANY_SIZE = frozenset("sqrt log lg root cbrt binom".split())  # functions whose arguments may be huge
Environment = Mapping[str, Any]
# Names of functions that mpmath and sympy spell otherwise.
LIBRARY_NAMES = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsec": "asec", "arccsc": "acsc", "lg": "log", "binom": "binomial",
    "fact2": "fac2",
}  # fmt: skip


class Undefined(Exception):
    """The expression has no value here: a pole, a domain error, an overflow, or a node without a value."""


def exact(node: Node) -> Fraction | None:
    """The rational value of an expression; None where it is not rational or not known to be."""
    try:
        return _exact(node)
    except (ZeroDivisionError, RecursionError):
        return None


def _exact(node: Node) -> Fraction | None:
    kind = node.kind
    if kind == "num":
        value: Fraction = node.value[0]
        return value
    rule = _EXACT.get(kind)
    if rule is None:
        return None
    values = [_exact(a) for a in node.args]
    return None if any(v is None for v in values) else rule(*values)


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    power, bits = exponent.numerator, max(base.numerator.bit_length(), base.denominator.bit_length())
    huge = bits > 1 and bits * abs(power) > MAX_BITS
    if exponent.denominator != 1 or huge or base == 0 and power <= 0:
        return None
    return base ** (power if bits > 1 else power % 2 + 2 * (power != 0))


def _factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or not 0 <= value <= 3000:
        return None
    return Fraction(math.factorial(value.numerator))


_EXACT: dict[str, Callable[..., Fraction | None]] = {
    "add": lambda *terms: sum(terms, Fraction(0)),
    "neg": lambda a: -a,
    "mul": lambda a, b: a * b if a.numerator.bit_length() + b.numerator.bit_length() < MAX_BITS else None,
    "div": lambda a, b: a / b,
    "ratio": lambda *v: v[0] / v[1] if len(v) == 2 else None,
    "pow": _power,
    "fact": _factorial,
    "abs": abs,
    "pct": lambda a: a / 100,
    "mod": lambda a, b: a - b * (a // b),
}


def approximate(node: Node, env: Environment) -> complex:
    """The value at a point, in double precision. Raises `Undefined` where there is none."""
    import mpmath  # type: ignore[import-untyped]

    value: complex = _finite(node, mpmath.fp, env)
    return value


def differs(a: Node, b: Node, env: Environment) -> bool | None:
    """Whether two expressions differ at a point, seen with 40 and with 80 digits; None where undefined.

    A difference that shrinks as digits are added is rounding noise; one that stays is real.
    """
    gaps = []
    for digits in (40, 80):
        context = _context(digits, threading.get_ident())
        try:
            x, y = _finite(a, context, env), _finite(b, context, env)
        except Undefined:
            return None
        scale, gap = max(abs(x), abs(y)), abs(x - y)
        if not gap:
            return False
        gaps.append(gap)
    coarse, fine = gaps
    return bool(fine > coarse / 10**20) and not bool(fine < scale / 10**70)


@lru_cache(maxsize=64)
def _context(digits: int, thread: int) -> Any:
    """Numbers of so many digits, for one thread: functions change the precision of their context while they run."""
    import mpmath

    context = mpmath.mp.clone()
    context.dps = digits
    return context


def _finite(node: Node, context: Any, env: Environment) -> Any:
    try:
        value = Numbers(context, env).value(node)
        if abs(value) < context.inf:  # log 0 is no number that could equal another
            return value
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise Undefined(str(error)) from None
    raise Undefined("not finite")


def series(node: Node) -> tuple[Node, str, Node, Node]:
    """The body, index and bounds of a finite sum or product. Raises `Undefined` for anything else."""
    if node.value in ("sum", "prod") and len(node.args) == 3:
        body, low, high = node.args
        if low.kind == "rel" and low.args[0].kind == "sym":
            return body, low.args[0].value, low.args[1], high
    raise Undefined(f"{node.value} is no sum between bounds")


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


class Numbers(Walker):
    """The value of a tree at a point, in a context of mpmath: `fp` for Python's own floats, or one with many digits.

    Raises `TooHard` for what would be huge with many digits; floats overflow instead.
    """

    def __init__(self, context: Any, env: Environment) -> None:
        self.mp, self.pi, self.env = context, +context.pi, env
        self.number = context.convert
        self.many_digits = context.eps < 1e-30

    def no_rule(self, node: Node) -> Exception:
        return Undefined(f"{node.kind} has no value")

    def _num(self, node: Node) -> Any:
        return self.number(node.value[0])

    def _sym(self, node: Node) -> Any:
        if node.value not in self.env:
            raise Undefined(f"{node.value} has no value")
        return self.number(self.env[node.value])

    def _const(self, node: Node) -> Any:
        if node.value == "inf":
            raise Undefined("infinity")
        return {"pi": self.pi, "e": +self.mp.e, "i": self.mp.j}[node.value]

    def _based(self, node: Node) -> Any:
        return self.number(int(node.value[1], node.value[0]))

    _ratio = Walker._div

    def _pow(self, node: Node) -> Any:
        exponent = exact(node.args[1])
        return self.power(
            self.value(node.args[0]), self.value(node.args[1]) if exponent is None else exponent
        )

    def power(self, base: Any, exponent: Any) -> Any:
        """`base ** exponent`; an exponent that is a Fraction is exact."""
        if isinstance(exponent, Fraction):
            odd_root = exponent.denominator != 1 and exponent.denominator % 2
            if odd_root and base.imag == 0 and base.real < 0:
                size = self.power(-base.real, exponent)
                return -size if exponent.numerator % 2 else size
            exponent = exponent.numerator if exponent.denominator == 1 else self.number(exponent)
        if self.many_digits:
            size = abs(exponent) * (1 + abs(self.mp.log(abs(base), 2)) if base else 1)
            self._limit(size, _MAX_EXPONENT, "a power whose result would be huge")
        return base**exponent

    def _limit(self, size: Any, most: int, what: str) -> None:
        if self.many_digits and abs(size) > most:
            raise TooHard(what)

    def _fact(self, node: Node) -> Any:
        value = self.value(node.args[0])
        self._limit(value, 10**6, "a factorial whose result would be huge")
        return self.mp.gamma(value + 1)

    def _matrix(self, node: Node) -> Any:
        cells = [self.value(a) for a in node.args]
        return self.mp.matrix([cells[i : i + node.value] for i in range(0, len(cells), node.value)])

    def _func(self, node: Node) -> Any:
        if node.value == "det":
            return self.mp.det(self.value(node.args[0]))
        values = [self.value(a) for a in node.args]
        for value in () if node.value in _ANY_SIZE else values:
            self._limit(value, _MAX_ANGLE, "a function of a huge number")
        if node.value in _FUNCTIONS:
            return _FUNCTIONS[node.value](self, *values)
        name = LIBRARY_NAMES.get(node.value, node.value)
        if name not in _LIBRARY:
            raise Undefined(f"{name} has no value")
        return getattr(self.mp, name)(*values)

    def _big(self, node: Node) -> Any:
        """A finite sum or product, term by term."""
        body, name, *bounds = series(node)
        low, high = (_whole(self.value(bound)) for bound in bounds)
        terms = max(1, high - low + 1) * self.env.get(TERMS, 1)
        if terms > MAX_TERMS:
            raise Undefined(f"sums of more than {MAX_TERMS} terms in all")
        total = self.number(node.value == "prod")
        for k in range(low, high + 1):
            term = Numbers(self.mp, {**self.env, name: k, TERMS: terms}).value(body)
            total = total + term if node.value == "sum" else total * term
        return total


def _whole(value: Any) -> int:
    if value != int(value):
        raise Undefined("not an integer")
    return int(value)


_LIBRARY = frozenset(
    "sqrt log exp sin cos tan cot sec csc asin acos atan asec acsc sinh cosh tanh coth sech csch sign binomial fac2 re im "
    "arg".split()
)
# What mpmath has not, not in both kinds of numbers, or with other conventions.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cbrt": lambda n, x: n.power(x, Fraction(1, 3)),
    "root": lambda n, x, index: n.power(x, Fraction(1, _whole(index))),
    "cis": lambda n, x: n.mp.expj(x),
    "arccot": lambda n, x: n.pi / 2 - n.mp.atan(x),
    "asinh": lambda n, x: n.mp.log(x + n.mp.sqrt(x * x + 1)),
    "acosh": lambda n, x: n.mp.log(x + n.mp.sqrt(x - 1) * n.mp.sqrt(x + 1)),
    "atanh": lambda n, x: (n.mp.log(1 + x) - n.mp.log(1 - x)) / 2,
    "abs": lambda n, x: abs(x),
    # a whole number that was calculated may lie a little beside itself
    "floor": lambda n, x: n.mp.floor(x + 4096 * n.mp.eps),
    "ceil": lambda n, x: n.mp.ceil(x - 4096 * n.mp.eps),
    "gcd": lambda n, *values: n.number(math.gcd(*map(_whole, values))),
    "lcm": lambda n, *values: n.number(math.lcm(*map(_whole, values))),
    "max": lambda n, *values: max(values),
    "min": lambda n, *values: min(values),
}
