"""Values of expressions: exact rationals where possible, complex floats at a point otherwise.

Odd roots of negative reals are real here (the convention of school mathematics), other powers of negative
numbers take their principal value.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from acemath.grade.base.guards import MAX_BITS
from acemath.grade.base.nodes import Node

MAX_TERMS = 2000
TERMS = "#terms"  # in an environment: the product of the numbers of terms of the enclosing sums
Environment = Mapping[str, complex]


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
    if exponent.denominator != 1:
        return _rational_root(base, exponent)
    power = exponent.numerator
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and bits * abs(power) > MAX_BITS or base == 0 and power <= 0:
        return None
    return base ** (power if bits > 1 else power % 2 + 2 * (power != 0))


def _rational_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    index = exponent.denominator
    if index > 64 or base < 0 or max(base.numerator.bit_length(), base.denominator.bit_length()) > 2000:
        return None
    top, bottom = _root(base.numerator, index), _root(base.denominator, index)
    if top is None or bottom is None:
        return None
    return _power(Fraction(top, bottom), Fraction(exponent.numerator))


def _root(value: int, index: int) -> int | None:
    """The whole root of a whole number, None where it has none: by bisection, in whole numbers."""
    low, high = 0, 1 << (value.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**index <= value else (low, middle - 1)
    return low if low**index == value else None


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


def _is_real(value: complex) -> bool:
    return not isinstance(value, complex) or value.imag == 0


def _real(value: complex) -> float:
    if not _is_real(value):
        raise Undefined("not real")
    return value.real


def _whole(value: complex) -> int:
    if not _is_real(value) or abs(value.real - round(value.real)) > 1e-9:
        raise Undefined("not an integer")
    return round(value.real)


def _by_domain(name: str, ok: Callable[[float], bool] | None = None) -> Callable[[complex], complex]:
    """A function of the standard library: real where its argument is real and `ok`, complex elsewhere."""
    real, wide = getattr(math, name), getattr(cmath, name)

    def function(x: complex) -> complex:
        if _is_real(x) and (ok is None or ok(x.real)):
            return real(x.real)
        return wide(x)

    return function


def _binomial(n: complex, k: complex) -> float:
    if not (_is_real(n) and _is_real(k)) or k.real < 0 or abs(k.real - round(k.real)) > 1e-9 or k.real > 500:
        return gamma(n + 1) / (gamma(k + 1) * gamma(n - k + 1))
    result = 1.0
    for i in range(round(k.real)):
        result *= (n.real - i) / (i + 1)
    return result


def gamma(value: complex) -> float:
    """Γ for real arguments, so that factorials can be compared between the integers."""
    return math.gamma(_real(value))


def _nth_root(x: complex, n: complex) -> complex:
    return power(x, Fraction(1, round(n.real)) if n.real and n.real == round(n.real) else 1 / n)


def _one_over(function: Callable[[complex], complex]) -> Callable[[complex], complex]:
    return lambda x: 1 / function(x)


FUNCTIONS: dict[str, Callable[..., complex]] = {
    **{name: _by_domain(name) for name in "exp sin cos tan sinh cosh tanh asinh".split()},
    "sqrt": _by_domain("sqrt", lambda x: x >= 0),
    "cbrt": lambda x: power(x, Fraction(1, 3)),
    "root": _nth_root,
    "log": _by_domain("log", lambda x: x > 0),
    "lg": _by_domain("log", lambda x: x > 0),
    "arcsin": _by_domain("asin", lambda x: -1 <= x <= 1),
    "arccos": _by_domain("acos", lambda x: -1 <= x <= 1),
    "arctan": _by_domain("atan"),
    "arccot": lambda x: math.pi / 2 - FUNCTIONS["arctan"](x),
    "arcsec": lambda x: FUNCTIONS["arccos"](1 / x),
    "arccsc": lambda x: FUNCTIONS["arcsin"](1 / x),
    "acosh": _by_domain("acosh", lambda x: x >= 1),
    "atanh": _by_domain("atanh", lambda x: -1 < x < 1),
    "abs": abs,
    "floor": lambda x: float(math.floor(_real(x) + 1e-12)),
    "ceil": lambda x: float(math.ceil(_real(x) - 1e-12)),
    "fact2": lambda x: float(math.prod(range(_whole(x), 0, -2))) if 0 <= _whole(x) < 300 else math.nan,
    "sign": lambda x: (x.real > 0) - (x.real < 0),
    "gcd": lambda *values: float(math.gcd(*map(_whole, values))),
    "lcm": lambda *values: float(math.lcm(*map(_whole, values))),
    "max": lambda *values: max(map(_real, values)),
    "min": lambda *values: min(map(_real, values)),
    "binom": _binomial,
    "re": lambda x: x.real,
    "im": lambda x: complex(x).imag,
    "arg": lambda x: cmath.phase(x),
    "cis": lambda x: cmath.exp(1j * x),
    "deg": lambda x: x,
    "dim": lambda x: x,
}
for _name, _inverse in {
    "cot": "tan",
    "sec": "cos",
    "csc": "sin",
    "coth": "tanh",
    "sech": "cosh",
    "csch": "sinh",
}.items():
    FUNCTIONS[_name] = _one_over(FUNCTIONS[_inverse])


def power(base: complex, exponent: complex | Fraction) -> complex:
    """`base ** exponent`; odd roots of negative reals are real."""
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1 and abs(exponent) < 10**6:
            whole: complex = base ** int(exponent)
            return whole
        if exponent.denominator != 1 and exponent.denominator % 2 and _is_real(base) and base.real < 0:
            size = (-base.real) ** float(exponent)
            return -size if exponent.numerator % 2 else size
        exponent = float(exponent)
    if _is_real(base) and _is_real(exponent) and base.real >= 0:
        return float(base.real**exponent.real)
    return base**exponent


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
    kind = node.kind
    if kind == "num":
        return float(node.value[0])
    if kind == "sym":
        if node.value not in env:
            raise Undefined(f"{node.value} has no value")
        return env[node.value]
    rule = _RULES.get(kind)
    if rule is None:
        raise Undefined(f"{kind} has no value")
    return rule(node, node.args, env)


Args = tuple[Node, ...]


def _constant(node: Node, args: Args, env: Environment) -> complex:
    if node.value == "inf":
        raise Undefined("infinity")
    return {"pi": math.pi, "e": math.e, "i": 1j}[node.value]


def _sum(node: Node, args: Args, env: Environment) -> complex:
    total: complex = 0.0
    for argument in args:
        total += _value(argument, env)
    return total


def _pow(node: Node, args: Args, env: Environment) -> complex:
    exponent = exact(args[1])
    return power(_value(args[0], env), _value(args[1], env) if exponent is None else exponent)


def _function(node: Node, args: Args, env: Environment) -> complex:
    function = FUNCTIONS.get(node.value)
    if function is None:
        raise Undefined(f"{node.value} has no value")
    return function(*(_value(a, env) for a in args))


def series(node: Node) -> tuple[Node, str, Node, Node]:
    """The body, index and bounds of a finite sum or product. Raises `Undefined` for anything else."""
    if node.value in ("sum", "prod") and len(node.args) == 3:
        body, low, high = node.args
        if low.kind == "rel" and low.args[0].kind == "sym":
            return body, low.args[0].value, low.args[1], high
    raise Undefined(f"{node.value} is no sum between bounds")


def _big(node: Node, args: Args, env: Environment) -> complex:
    """A finite sum or product, term by term."""
    body, name, *bounds = series(node)
    low, high = (_value(bound, env) for bound in bounds)
    if not (_is_real(low) and _is_real(high)) or low.real != round(low.real) or high.real != round(high.real):
        raise Undefined("bounds that are not integers")
    terms = max(1.0, high.real - low.real + 1) * env.get(TERMS, 1.0).real
    if terms > MAX_TERMS:
        raise Undefined(f"sums of more than {MAX_TERMS} terms in all")
    total: complex = 0.0 if node.value == "sum" else 1.0
    for k in range(int(low.real), int(high.real) + 1):
        term = _value(body, {**env, name: float(k), TERMS: terms})
        total = total + term if node.value == "sum" else total * term
    return total


_RULES: dict[str, Callable[[Node, Args, Environment], complex]] = {
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
    "based": lambda n, a, env: float(int(n.value[1], n.value[0])),
}
