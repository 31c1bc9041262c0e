"""Algebra: linear equations solved step by step, and equations whose root is guessed and checked."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import Pen, Question, exact_div
from acemath.demo.worksheets.products import calc_product, verify_product
from acemath.demo.worksheets.registry import family


def _near(x: int, reach: int, top: int | None = None) -> list[int]:
    """The positive numbers within `reach` of x, below `top`, without x itself."""
    end = x + reach if top is None else min(x + reach, top - 1)
    return [n for n in range(max(1, x - reach), end + 1) if n != x]


@family("linear-equation", "algebra")
def linear_equation(rng: random.Random, level: int) -> Question:
    """a x + b = c, solved step by step."""
    a, x = rng.randint(2, (5, 9, 9, 12, 15)[level - 1]), rng.randint(2, (9, 12, 20, 40, 60)[level - 1])
    b = rng.randint(1, 12 * level)
    sign = rng.choice((1, -1)) if a * x > b else 1
    c = a * x + sign * b
    mark, undo = ("+", "-") if sign > 0 else ("-", "+")
    text = rng.choice(
        (
            f"Solve {a}x {mark} {b} = {c} for x.",
            f"Find x if {a}x {mark} {b} = {c}.",
            f"What is x when {a}x {mark} {b} = {c}?",
        )
    )

    def work(pen: Pen) -> None:
        r, s = pen.given(c), pen.given(b, (a,))
        rest = pen.calc(f"{r}{undo}{s}", r - sign * s, pen.say(f"{a}x is "), "", (r + sign * s,))
        pen.answer(pen.calc(f"{rest}/{a}", exact_div(rest, a), pen.say("x is ")))

    return Question(text, str(x), (a, b, c, sign), work, {"x": x})


@family("evaluate", "algebra")
def evaluate(rng: random.Random, level: int) -> Question:
    """The value of an expression at a point."""
    a, x = rng.randint(2, 4 + level), rng.randint(2, (6, 9, 12, 15, 19)[level - 1])
    b = rng.randint(1, 12 * level)
    square = level > 1 and rng.random() < 0.5
    shown = f"x*x + {a}x - {b}" if square else f"{a}x + {b}"
    value = x * x + a * x - b if square else a * x + b
    text = rng.choice(
        (
            f"What is {shown} for x = {x}?",
            f"Evaluate {shown} at x = {x}.",
            f"If x = {x}, what is {shown}?",
        )
    )

    def work(pen: Pen) -> None:
        p = pen.given(x, (a, b))
        term = pen.calc(f"{a}*{p}", a * p, "", "", (a + p,))
        if square:
            sq = pen.calc(f"{p}*{p}", p * p, "", "", (2 * p,))
            both = pen.step(f"{sq}+{term}", sq + term, sq)
            pen.answer(pen.step(f"{both}-{b}", both - b, both, "", "", (both + b,)))
        else:
            pen.answer(pen.step(f"{term}+{b}", term + b, term, "", "", (term - b,)))

    return Question(text, str(value), (a, b, x, square), work, {"x": x})


@family("quadratic-root", "algebra", weight=2.5)
def quadratic_root(rng: random.Random, level: int) -> Question:
    """x with x*x + a x = c: guessed and checked."""
    x, a = rng.randint(2, (9, 12, 20, 30, 40)[level - 1]), rng.randint(1, (6, 7, 9, 12, 19)[level - 1])
    c = x * x + a * x
    text = rng.choice(
        (
            f"Find the positive x with x*x + {a}x = {c}.",
            f"Which positive number x solves x*x + {a}x = {c}?",
            f"For x > 0 solve x*x + {a}x = {c}.",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(x, _near(x, 4))
        if pen.style == "full":
            pen.line(f"Then x*(x+{a})={c}. Try x={n}.")
            verify_product(pen, n, n + a, c)
        else:
            pen.line(f"Try {n}.")
            square = int(pen.calc(f"{n}*{n}", n * n))
            term = calc_product(pen, n, a)
            pen.verify(f"{square}+{term}", square + term, c)
        pen.answer(n)

    return Question(text, str(x), (a, x), work, {"x": x})


@family("two-unknowns", "algebra", weight=2.5)
def two_unknowns(rng: random.Random, level: int) -> Question:
    """Two unknowns from their sum and a weighted sum."""
    a, b = rng.randint(2, 3 + level), rng.randint(1, 3 + level)
    if a == b:
        a += 1
    x, y = rng.randint(2, 4 + 5 * level), rng.randint(2, 4 + 5 * level)
    s, t = x + y, a * x + b * y
    shown = f"{a}x + {b}y = {t}" if b > 1 else f"{a}x + y = {t}"
    text = rng.choice(
        (
            f"If x + y = {s} and {shown}, what is x?",
            f"Find x: {shown}, x + y = {s}.",
            f"x + y = {s} and {shown}. What is x?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(x, _near(x, 4, s))
        m = pen.mental(s - n)
        pen.line(pen.say(f"Try x={n} and y={m}.", f"Try {n} and {m}."))
        pen.verify(f"{n}+{m}", n + m, s)
        first = int(pen.calc(f"{a}*{n}", a * n))
        second = int(pen.calc(f"{b}*{m}", b * m)) if b > 1 else m
        pen.verify(f"{first}+{second}", first + second, t)
        pen.answer(n)

    return Question(text, str(x), (a, b, x, y), work, {"x": x, "y": y})


@family("equal-sides", "algebra", weight=2.5)
def equal_sides(rng: random.Random, level: int) -> Question:
    """a x + b = c x + d with x on both sides."""
    x = rng.randint(1, (6, 10, 16, 24, 36)[level - 1])
    c, a = sorted(rng.sample(range(2, 5 + 2 * level), 2))
    b = rng.randint(1, 8 * level)
    d = (a - c) * x + b
    text = rng.choice(
        (
            f"Solve {a}x + {b} = {c}x + {d}.",
            f"For which x is {a}x + {b} equal to {c}x + {d}?",
            f"Find x: {a}x + {b} = {c}x + {d}.",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(x, _near(x, 3))
        pen.line(pen.say(f"Test x={n} on both sides.", f"Try {n}."))
        left = int(pen.calc(f"{a}*{n}", a * n))
        left = int(pen.calc(f"{left}+{b}", left + b))
        right = int(pen.calc(f"{c}*{n}", c * n))
        pen.verify(f"{right}+{d}", right + d, left)
        pen.answer(n)

    return Question(text, str(x), (a, b, c, d), work, {"x": x})


@family("consecutive-product", "algebra", weight=2.0)
def consecutive_product(rng: random.Random, level: int) -> Question:
    """x with x (x + d) = p, stated in words."""
    x, d = rng.randint(2, (9, 14, 21, 30, 40)[level - 1]), rng.randint(1, 4 + 2 * level)
    p = x * (x + d)
    text = rng.choice(
        (
            f"Two positive numbers differ by {d}, their product is {p}. What is the smaller one?",
            f"Find the smaller of two positive numbers with difference {d} and product {p}.",
            f"The product of n and n + {d} is {p} for which positive n?",
        )
    )

    def work(pen: Pen) -> None:
        n, m = pen.guess((x, x + d), [(n, n + d) for n in _near(x, 4)])
        pen.line(pen.say(f"Try {n} and {m}, {d} more.", f"Try {n} and {m}."))
        pen.verify(f"{m}-{n}", m - n, d)
        verify_product(pen, n, m, p)
        pen.answer(n)

    return Question(text, str(x), (d, x), work)


@family("sequence-term", "algebra")
def sequence_term(rng: random.Random, level: int) -> Question:
    """A later term of an arithmetic sequence."""
    first, gap = rng.randint(1, 10 * level), rng.randint(2, 4 + 3 * level)
    n = rng.randint(5, (8, 12, 20, 30, 50)[level - 1])
    a, b, c = first, first + gap, first + 2 * gap
    text = rng.choice(
        (
            f"The sequence {a}, {b}, {c} goes on evenly. What is term {n}?",
            f"Find term number {n} of {a}, {b}, {c}, ...",
            f"What is term {n} of the arithmetic sequence {a}, {b}, {c}, ...?",
        )
    )

    def work(pen: Pen) -> None:
        g = int(pen.calc(f"{b}-{a}", gap, pen.say("The gap is ")))
        k = int(pen.calc(f"{n}-1", n - 1, pen.say("Gaps to go: "), "", (n,)))
        way = calc_product(pen, k, g)
        pen.answer(pen.step(f"{a}+{way}", a + way, way, pen.say("The term is ")))

    return Question(text, str(first + (n - 1) * gap), (first, gap, n), work)


@family("cube-root", "algebra", weight=1.5, held_out=True)
def cube_root(rng: random.Random, level: int) -> Question:
    """x with x*x*x + a x = c: guessed and checked."""
    x, a = rng.randint(2, (6, 7, 8, 8, 8)[level - 1]), rng.randint(1, 8 + 8 * level)
    c = x**3 + a * x
    text = rng.choice(
        (
            f"Find the whole number x with x*x*x + {a}x = {c}.",
            f"Which whole number x has x*x*x + {a}x = {c}?",
            f"Solve x*x*x + {a}x = {c} for a whole number x.",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(x, _near(x, 2))
        pen.line(pen.say(f"Try x={n}.", f"Try {n}."))
        square = int(pen.calc(f"{n}*{n}", n * n))
        cube = calc_product(pen, square, n)
        term = calc_product(pen, a, n)
        pen.verify(f"{cube}+{term}", cube + term, c)
        pen.answer(n)

    return Question(text, str(x), (x, a), work, {"x": x})
