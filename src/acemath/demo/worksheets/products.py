"""Products of two longer numbers, written tens first, so that each line is one small step."""

from __future__ import annotations

from acemath.demo.worksheets.core import Pen


def _parts(pen: Pen, a: int, b: int) -> tuple[int, int]:
    """Write a times the tens of b and a times the ones of b, a line each."""
    tens, ones = b // 10 * 10, b % 10
    return int(pen.calc(f"{a}*{tens}", a * tens)), int(pen.calc(f"{a}*{ones}", a * ones))


def _short(a: int, b: int) -> bool:
    return min(abs(a), abs(b)) <= 10 or b % 10 == 0 or b < 0


def calc_product(pen: Pen, a: int, b: int, before: str = "") -> int:
    """Write a*b and return it, in parts if both factors are long. May slip."""
    if _short(a, b):
        return int(pen.calc(f"{a}*{b}", a * b, before, "", (a + b,)))
    high, low = _parts(pen, a, b)
    return int(pen.calc(f"{high}+{low}", high + low, before))


def verify_product(pen: Pen, a: int, b: int, wanted: int) -> None:
    """Test whether a*b is `wanted`, in parts if both factors are long."""
    if _short(a, b):
        pen.verify(f"{a}*{b}", a * b, wanted)
        return
    high, low = _parts(pen, a, b)
    pen.verify(f"{high}+{low}", high + low, wanted)
