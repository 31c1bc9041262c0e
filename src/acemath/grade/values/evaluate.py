"""Values of expressions: exact rationals where possible, complex floats at a point otherwise.

Odd roots of negative reals are real here (the convention of school mathematics), other powers of negative
numbers take their principal value.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from acemath.grade.base.guards import MAX_BITS
from acemath.grade.base.nodes import Node

MAX_TERMS = 2000
TERMS = "#terms"  # in an environment: how many terms the sums around this node multiply to


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
    if any(v is None for v in values):
        return None
    return rule(*values)


def _add(*terms: Fraction) -> Fraction:
    return sum(terms, Fraction(0))


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return _rational_root(base, exponent)
    power = exponent.numerator
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(power) > MAX_BITS:
        return None
    if base == 0 and power <= 0:
        return None
    return base ** (power if bits > 1 else power % 2 + 2 * (power != 0))


def _rational_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    index = exponent.denominator
    if index > 64 or base < 0 or max(base.numerator.bit_length(), base.denominator.bit_length()) > 2000:
        return None
    top, bottom = _root(base.numerator, index), _root(base.denominator, index)
    return (
        None if top is None or bottom is None else _power(Fraction(top, bottom), Fraction(exponent.numerator))
    )


def _root(value: int, index: int) -> int | None:
    if index == 2:
        found = math.isqrt(value)
    elif value < 2:
        found = value
    else:
        low, high = 1, 1 << (value.bit_length() // index + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**index <= value else (low, middle - 1)
        found = low
    return found if found**index == value else None


def _factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or not 0 <= value <= 3000:
        return None
    return Fraction(math.factorial(value.numerator))


_EXACT: dict[str, Callable[..., Fraction | None]] = {
    "add": _add,
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


def _real(value: complex) -> bool:
    return not isinstance(value, complex) or value.imag == 0


def _by_domain(
    real: Callable[[float], float], wide: Callable[[complex], complex], ok: Callable[[float], bool]
) -> Any:
    def function(x: complex) -> complex:
        if _real(x):
            number = x.real
            if ok(number):
                return real(number)
        return wide(x)

    return function


def _always(_: float) -> bool:
    return True


def _integral(function: Callable[..., int]) -> Callable[..., float]:
    def wrapped(*values: complex) -> float:
        integers = []
        for value in values:
            if not _real(value) or abs(value.real - round(value.real)) > 1e-9:
                raise Undefined("not an integer")
            integers.append(round(value.real))
        return float(function(*integers))

    return wrapped


def _stepped(function: Callable[[float], int]) -> Callable[[complex], float]:
    def wrapped(value: complex) -> float:
        if not _real(value):
            raise Undefined("not real")
        return float(function(value.real + 1e-12 if function is math.floor else value.real - 1e-12))

    return wrapped


def _binomial(n: complex, k: complex) -> float:
    if not (_real(n) and _real(k)) or k.real < 0 or abs(k.real - round(k.real)) > 1e-9 or k.real > 500:
        return gamma(n + 1) / (gamma(k + 1) * gamma(n - k + 1))
    result = 1.0
    for i in range(round(k.real)):
        result *= (n.real - i) / (i + 1)
    return result


def gamma(value: complex) -> float:
    """Γ for real arguments, so that factorials can be probed between the integers."""
    if not _real(value):
        raise Undefined("gamma of a complex number")
    return math.gamma(value.real)


def _extreme(function: Callable[[list[float]], float]) -> Callable[..., float]:
    def wrapped(*values: complex) -> float:
        if not all(_real(v) for v in values):
            raise Undefined("not real")
        return function([v.real for v in values])

    return wrapped


_HALF_PI = math.pi / 2
_SIN = _by_domain(math.sin, cmath.sin, _always)
_COS = _by_domain(math.cos, cmath.cos, _always)
_TAN = _by_domain(math.tan, cmath.tan, _always)
_ATAN = _by_domain(math.atan, cmath.atan, _always)
_SINH = _by_domain(math.sinh, cmath.sinh, _always)
_COSH = _by_domain(math.cosh, cmath.cosh, _always)
_TANH = _by_domain(math.tanh, cmath.tanh, _always)
FUNCTIONS: dict[str, Callable[..., complex]] = {
    "sqrt": _by_domain(math.sqrt, cmath.sqrt, lambda x: x >= 0),
    "cbrt": lambda x: power(x, Fraction(1, 3)),
    "log": _by_domain(math.log, cmath.log, lambda x: x > 0),
    "lg": _by_domain(math.log, cmath.log, lambda x: x > 0),
    "exp": _by_domain(math.exp, cmath.exp, _always),
    "sin": _SIN,
    "cos": _COS,
    "tan": _TAN,
    "cot": lambda x: 1 / _TAN(x),
    "sec": lambda x: 1 / _COS(x),
    "csc": lambda x: 1 / _SIN(x),
    "arcsin": _by_domain(math.asin, cmath.asin, lambda x: -1 <= x <= 1),
    "arccos": _by_domain(math.acos, cmath.acos, lambda x: -1 <= x <= 1),
    "arctan": _ATAN,
    "arccot": lambda x: _HALF_PI - _ATAN(x),
    "arcsec": lambda x: FUNCTIONS["arccos"](1 / x),
    "arccsc": lambda x: FUNCTIONS["arcsin"](1 / x),
    "sinh": _SINH, "cosh": _COSH, "tanh": _TANH,
    "coth": lambda x: 1 / _TANH(x), "sech": lambda x: 1 / _COSH(x), "csch": lambda x: 1 / _SINH(x),
    "asinh": _by_domain(math.asinh, cmath.asinh, _always),
    "acosh": _by_domain(math.acosh, cmath.acosh, lambda x: x >= 1),
    "atanh": _by_domain(math.atanh, cmath.atanh, lambda x: -1 < x < 1),
    "abs": abs,
    "floor": _stepped(math.floor), "ceil": _stepped(math.ceil),
    "sign": lambda x: (x.real > 0) - (x.real < 0),
    "gcd": _integral(math.gcd), "lcm": _integral(math.lcm),
    "max": _extreme(max), "min": _extreme(min),
    "binom": _binomial,
    "root": lambda x, n: power(x, Fraction(1, round(n.real))) if n.real and n.real == round(n.real) else power(x, 1 / n),
    "re": lambda x: x.real, "im": lambda x: complex(x).imag, "arg": lambda x: cmath.phase(x),
    "cis": lambda x: cmath.exp(1j * x),
    "deg": lambda x: x, "dim": lambda x: x,
}  # fmt: skip


def power(base: complex, exponent: complex | Fraction) -> complex:
    """`base ** exponent`; odd roots of negative reals are real."""
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return _plain(base ** int(exponent)) if abs(exponent) < 10**6 else _plain(base ** float(exponent))
        if exponent.denominator % 2 and _real(base) and base.real < 0:
            size = (-base.real) ** float(exponent)
            return -size if exponent.numerator % 2 else size
        exponent = float(exponent)
    if _real(base) and _real(exponent) and base.real >= 0:
        return float(base.real**exponent.real)
    return base**exponent


def _plain(value: complex) -> complex:
    return value


Environment = Mapping[str, complex]


def approximate(node: Node, env: Environment) -> complex:
    """The value at a point, in double precision. Raises `Undefined` where there is none."""
    try:
        value = _value(node, env)
        if not cmath.isfinite(value):
            raise Undefined("not finite")
        return value
    except (ZeroDivisionError, OverflowError, ValueError, TypeError, RecursionError) as error:
        raise Undefined(str(error)) from None


def _value(node: Node, env: Environment) -> complex:
    kind, args = node.kind, node.args
    if kind == "num":
        return float(node.value[0])
    if kind == "sym":
        if node.value not in env:
            raise Undefined(f"{node.value} has no value")
        return env[node.value]
    rule = _RULES.get(kind)
    if rule is None:
        raise Undefined(f"{kind} has no value")
    if rule is _function and node.value not in FUNCTIONS:
        raise Undefined(f"{node.value} has no value")
    return rule(node, args, env)


def _function(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    return FUNCTIONS[node.value](*(_value(a, env) for a in args))


def _constant(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    if node.value == "inf":
        raise Undefined("infinity")
    return {"pi": math.pi, "e": math.e, "i": 1j}[node.value]


def _sum(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    total: complex = 0.0
    for argument in args:
        total += _value(argument, env)
    return total


def _pow(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    exponent = exact(args[1])
    return power(_value(args[0], env), _value(args[1], env) if exponent is None else exponent)


def _big(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    """A finite sum or product, term by term."""
    if (
        node.value not in ("sum", "prod")
        or len(args) != 3
        or args[1].kind != "rel"
        or args[1].args[0].kind != "sym"
    ):
        raise Undefined(f"{node.value} has no closed value here")
    name = args[1].args[0].value
    low, high = _value(args[1].args[1], env), _value(args[2], env)
    if not (_real(low) and _real(high)) or low.real != round(low.real) or high.real != round(high.real):
        raise Undefined("bounds that are not integers")
    terms = max(1.0, high.real - low.real + 1) * env.get(TERMS, 1.0).real
    if terms > MAX_TERMS:
        raise Undefined(f"sums of more than {MAX_TERMS} terms in all")
    total: complex = 0.0 if node.value == "sum" else 1.0
    for k in range(int(low.real), int(high.real) + 1):
        term = _value(args[0], {**env, name: float(k), TERMS: terms})
        total = total + term if node.value == "sum" else total * term
    return total


def _based(node: Node, args: tuple[Node, ...], env: Environment) -> complex:
    base, digits = node.value
    return float(int(digits, base))


_RULES: dict[str, Callable[[Node, tuple[Node, ...], Environment], complex]] = {
    "const": _constant,
    "add": _sum,
    "neg": lambda n, a, env: -_value(a[0], env),
    "mul": lambda n, a, env: _value(a[0], env) * _value(a[1], env),
    "div": lambda n, a, env: _value(a[0], env) / _value(a[1], env),
    "ratio": lambda n, a, env: _value(a[0], env) / _value(a[1], env),
    "pow": _pow,
    "fact": lambda n, a, env: gamma(_value(a[0], env) + 1),
    "func": _function,
    "abs": lambda n, a, env: abs(_value(a[0], env)),
    "deg": lambda n, a, env: _value(a[0], env) * math.pi / 180,
    "pct": lambda n, a, env: _value(a[0], env) / 100,
    "big": _big,
    "based": _based,
}
