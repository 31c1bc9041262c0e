"""Conventions: what each of them accepts."""

from __future__ import annotations

import pytest

from acemath.errors import UserError
from acemath.grade import LENIENT, QWEN, STRICT, Conventions, equal
from acemath.grade.conventions import as_conventions


@pytest.mark.parametrize(
    ("a", "b", "conventions", "expected"),
    [
        ("5.001", "5", STRICT, False),
        ("0.333", r"\frac13", STRICT, False),
        ("0.333", r"\frac13", LENIENT, True),
        ("0.33333", r"\frac13", QWEN, True),
        ("50", "0.5", STRICT, False),
        ("50", "0.5", QWEN, True),
        (r"50\%", "0.5", STRICT, True),
        (r"50\%", "50", STRICT.but(percent="exact"), False),
        ("2, 1", "1, 2", STRICT, True),
        ("2, 1", "1, 2", STRICT.but(ordered_lists=True), False),
        ("(1,2)", r"\{2,1\}", STRICT, False),
        ("(1,2)", r"\{2,1\}", LENIENT, True),
        ("5 m", "5 cm", STRICT, False),
        ("5 m", "5 cm", LENIENT, True),
        ("5 m", "5", STRICT, True),
        ("5 m", "5", STRICT.but(units="required"), False),
        ("2", "2, 3", STRICT, False),
        ("2", "2, 3", STRICT.but(multiple="any"), True),
        ("1,22", "1.22", STRICT, True),
        ("1,22", "1.22", STRICT.but(decimal_comma=False), False),
        ("a", "A", STRICT, False),
        ("a", "A", LENIENT, True),
        ("100.5", "100", STRICT.but(abs_tol=1.0), True),
        ("y = 2, x = 1", "x = 1, y = 2", QWEN, True),  # named values have no order
        ("y = 1, x = 2", "x = 1, y = 2", QWEN, False),
        ("8 blue, 12 red", r"12\text{ red and }8\text{ blue}", LENIENT, True),
        ("12 blue, 8 red", r"12\text{ red and }8\text{ blue}", LENIENT, False),
    ],
)
def test_conventions(a: str, b: str, conventions: Conventions, expected: bool) -> None:
    assert equal(a, b, conventions).correct == expected
    assert equal(b, a, conventions).correct == expected


def test_presets_by_name_and_unknown_ones() -> None:
    assert as_conventions("lenient") is LENIENT
    with pytest.raises(UserError, match="strictest"):
        equal("1", "1", "strictest")
    with pytest.raises(UserError, match="tolerance"):
        STRICT.but(tolerance=1)
    with pytest.raises(UserError, match="-1"):
        STRICT.but(rel_tol=-1.0)
    with pytest.raises(UserError, match="units"):
        STRICT.but(units="maybe")
