r"""Decimals inside expressions as rounded or cut values: `x + 1.7320508` beside `x + \sqrt3`, `6.944444 \times 10^{-3}`."""

from __future__ import annotations

import re
from fractions import Fraction

from acemath.grade.base.nodes import Node, number, substitute, symbols
from acemath.grade.values.evaluate import Undefined, approximate
from acemath.grade.values.probe import random_point

_DECIMAL = re.compile(r"(\d*)\.(\d+)(?:[eE]([-+]?\d+))?")
_NOISE_DIGITS, _NOISE = 13, Fraction(1, 10**12)  # what binary floating point leaves behind: 499.99999999999994
_MOST_DECIMALS, _MOST_NAMES = 8, 6
_POINTS = 5


def rounds_to(rounded: Node, value: Node, digits: int) -> bool:
    r"""Whether an expression is another one in which decimals of at least `digits` significant digits were rounded or cut.

    Each such decimal may lie half a unit of its last place above the exact value, or less than a whole one below it.
    Together they may move the expression by no more than a number of `digits` digits would: `10^9(3.14159 - \pi)` is no number.
    """
    units = {n: unit for n in rounded.walk() if (unit := _last_place(n, digits))} if digits else {}
    names = sorted(symbols(rounded) | symbols(value))
    if not units or len(units) > _MOST_DECIMALS or len(names) > _MOST_NAMES:
        return False
    shifted = [substitute(rounded, {n: number(n.value[0] + unit)}) for n, unit in units.items()]
    seen, moved, scale = 0, 0.0, 0.0
    for seed in range(_POINTS if names else 1):
        env = random_point(names, seed, 2.9)
        try:
            written, exact = approximate(rounded, env), approximate(value, env)
            steps = [approximate(tree, env) - written for tree in shifted]
        except Undefined:
            continue
        for part in ("real", "imag"):
            gap = getattr(complex(exact - written), part)
            sizes = [getattr(complex(step), part) for step in steps]
            noise = 1e-13 * abs(written) if names else 0.0
            low = sum(min(-0.5001 * size, 0.9999 * size) for size in sizes)
            high = sum(max(-0.5001 * size, 0.9999 * size) for size in sizes)
            if not low - noise <= gap <= high + noise:
                return False
        seen, moved, scale = seen + 1, max(moved, sum(map(abs, steps))), max(scale, abs(written))
    return seen > 0 and moved <= 1.0001 * 10.0 ** (1 - digits) * scale


def _last_place(node: Node, digits: int) -> Fraction | None:
    """The unit of the last place of a decimal; None for other nodes and for decimals with too few digits."""
    match = _DECIMAL.fullmatch(node.value[2]) if node.kind == "num" else None
    if match is None:
        return None
    count = len((match[1] + match[2]).lstrip("0"))
    if count < digits:
        return None
    unit = Fraction(10) ** (int(match[3] or 0) - len(match[2]))
    return max(unit, node.value[0] * _NOISE) if count >= _NOISE_DIGITS else unit
