"""Names beside values, equations in other forms, functions by cases, items that are said again."""

from __future__ import annotations

import pytest

from acemath.grade import equal

NAMES_SAME = [
    (r"\angle A = 60^\circ", r"A = \frac{\pi}{3}"),
    ("P(X > 3) = 0.27", "0.27"),
    ("|AB| = 5", "AB = 5"),
    (r"\lambda = 2, 5", r"\lambda_1 = 5, \lambda_2 = 2"),
    ("(x, y) = (1, 2)", "(a, b) = (1, 2)"),
    ("f'(x) = 2x", r"\frac{dy}{dx} = 2x"),
    ("f_x = 2xy", r"\frac{\partial f}{\partial x} = 2xy"),
    ("maximum value 3", "3"),
    ("side length 5", "length 5"),
    (r"\text{local max at } x=1", r"\text{local maximum at } x=1"),
]
NAMES_DIFFERENT = [
    ("x = 0", r"\sin x = 0"),
    ("z = 5", "|z| = 5"),
    ("P(A) = 0.3", "P(B) = 0.3"),
    ("P(X > 3) = 0.27", "P(X < 3) = 0.27"),
    ("f(x) = 5", "g(x) = 5"),
    (r"\frac{AB}{BC} = 2", r"\frac{BC}{AB} = 2"),
    ("(x, y) = (1, 2)", "(y, x) = (1, 2)"),
    (r"\frac{dy}{dx} = 2y", r"\frac{dy}{dt} = 2y"),
    (r"\frac{dy}{dx} = 2x", "y = 2x"),
    ("f'(x) = 2x", "f(x) = 2x"),
    ("g^{-1}(x) = 2x", "g(x) = 2x"),
    ("gain of 5", "loss of 5"),
    ("first law", "second law"),
    ("CuCl2", "CaCl2"),
    ("increases by 4", "reduces by 4"),
    ("Metaphase I", "Anaphase I"),
]

EQUATIONS_SAME = [
    (r"\frac1x = 2", r"x = \frac12"),
    (r"\frac1y = x + C", r"y = \frac{1}{x + C}"),
    (r"\frac1a + \frac1b = 1", "a + b = ab"),
    (r"\frac1f = \frac1u + \frac1v", r"f = \frac{uv}{u+v}"),
    (r"\begin{cases} x+1 & x \ge 0\\ 1-x & x<0 \end{cases}", "1 + |x|"),
    (r"\begin{cases} x+1, & \text{if } x \ge 0\\ 1-x, & \text{otherwise} \end{cases}", r"\begin{cases} 1-x & x \le 0\\ 1+x & x>0 \end{cases}"),
]
EQUATIONS_DIFFERENT = [
    (r"\frac1x = 2", "x = 2"),
    (r"\frac1a - \frac1b = 1", "a + b = ab"),
    ("x = 1", "x(x-1) = 0"),
    ("x = 7", "|x| = 7"),
    (r"\begin{cases} x+1 & x \ge 0\\ 1-x & x<0 \end{cases}", "|1 + x|"),
    (r"\begin{cases} 1 & x \ge 0\\ 0 & x<0 \end{cases}", r"\begin{cases} 1 & x>0\\ 0 & x \le 0 \end{cases}"),
]

LISTS_SAME = [
    (r"\{1, 2, 2\}", r"\{1, 2\}"),
    (r"\{1, 2, 2\}", "1, 2"),
    ("x=1, x=2, x=2", "x=1, x=2"),
    ("1 or 2 or 2", "1, 2"),
    ("-2, -2", "-2"),
]
LISTS_DIFFERENT = [("1, 2, 2", "1, 2"), ("1, 2, 2", "1, 1, 2")]


@pytest.mark.parametrize(("a", "b"), NAMES_SAME + EQUATIONS_SAME + LISTS_SAME)
def test_equal_both_ways(a: str, b: str) -> None:
    assert equal(a, b).status == equal(b, a).status == "correct"


@pytest.mark.parametrize(("a", "b"), NAMES_DIFFERENT + EQUATIONS_DIFFERENT + LISTS_DIFFERENT)
def test_different_both_ways(a: str, b: str) -> None:
    assert equal(a, b).status == equal(b, a).status == "wrong"
