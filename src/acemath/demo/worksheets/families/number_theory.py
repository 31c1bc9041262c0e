"""Number theory: divisors, remainders, primes. Most answers are guessed, then checked by a product."""

from __future__ import annotations

import random
from math import gcd

from acemath.demo.worksheets.core import CannotCarry, Pen, Question, exact_div
from acemath.demo.worksheets.registry import family


@family("divisor-pair", "number-theory", weight=2.0)
def divisor_pair(rng: random.Random, level: int) -> Question:
    """Two numbers with a given product and sum: hard to find, easy to check."""
    top = (9, 12, 16, 24, 32)[level - 1]
    a, b = sorted((rng.randint(2, top), rng.randint(2, top)))
    s, p = a + b, a * b
    text = rng.choice(
        (
            f"Two numbers have sum {s} and product {p}. What is the smaller one?",
            f"Find the smaller of two numbers whose product is {p} and whose sum is {s}.",
            f"The product of two numbers is {p}, their sum is {s}. Give the smaller number.",
        )
    )
    near = [(x, s - x) for x in range(max(1, a - 4), min(s // 2, a + 4) + 1)]

    def work(pen: Pen) -> None:
        x, y = pen.guess((a, b), near)
        pen.line(pen.say(f"We need two numbers with sum {s}. Try {x} and {y}.", f"Try {x} and {y}."))
        pen.verify(f"{x}+{y}", x + y, s)
        pen.verify(f"{x}*{y}", x * y, p)
        pen.answer(x)

    return Question(text, str(a), (a, b), work)


@family("remainder", "number-theory")
def remainder(rng: random.Random, level: int) -> Question:
    """The remainder of a division, or of a sum or product."""
    m, a = rng.randint(3, (5, 7, 9, 12, 15)[level - 1]), rng.randint(10, (40, 90, 150, 250, 400)[level - 1])
    text = rng.choice(
        (
            f"What is the remainder when {a} is divided by {m}?",
            f"Find the remainder of {a} divided by {m}.",
            f"{a} divided by {m} leaves what remainder?",
        )
    )

    def work(pen: Pen) -> None:
        x = a
        times = x // m
        near = pen.calc(f"{m}*{times}", m * times, pen.say(f"The largest multiple of {m} is "))
        pen.answer(pen.calc(f"{x}-{near}", x - near, pen.say("The rest is ")))

    return Question(text, str(a % m), (a, m), work)


@family("gcd", "number-theory")
def greatest_common(rng: random.Random, level: int) -> Question:
    """The greatest common divisor by repeated remainders."""
    g = rng.randint(1, 3 + 3 * level)
    a, b = g * rng.randint(3, 6 + 4 * level), g * rng.randint(2, 5 + 2 * level)
    a, b = max(a, b) + (g if a == b else 0), min(a, b)
    text = rng.choice(
        (
            f"What is the greatest common divisor of {a} and {b}?",
            f"Find the greatest common divisor of {b} and {a}.",
            f"Which is the largest number that divides both {a} and {b}?",
        )
    )

    def work(pen: Pen) -> None:
        x, y = pen.given(a), b
        for _ in range(12):
            rest = x % y
            if pen.believes(rest == 0):
                pen.line(f"{pen.say(f'{y} divides {x}: ')}{x}/{y}={x // y}")
                pen.answer(y)
                return
            rest = int(pen.calc(f"{x}-{x // y}*{y}", rest))
            if not 0 < rest < y:
                raise CannotCarry("a remainder out of range")
            x, y = y, rest
        raise CannotCarry("too long")

    return Question(text, str(gcd(a, b)), (a, b), work)


@family("two-remainders", "number-theory", weight=2.5)
def two_remainders(rng: random.Random, level: int) -> Question:
    """The smallest number with two given remainders."""
    m, n = rng.choice(
        ((2, 5), (3, 4), (3, 5), (4, 5), (5, 6), (5, 7), (4, 9), (7, 8), (5, 9), (7, 9))[: 2 * level]
    )
    x = rng.randint(max(m, n), m * n - 1)
    r, s = x % m, x % n
    text = rng.choice(
        (
            f"What is the smallest number that leaves {r} divided by {m} and {s} divided by {n}?",
            f"Find the least number with remainder {r} by {m} and remainder {s} by {n}.",
            f"Dividing by {m} leaves {r}, dividing by {n} leaves {s}. What is the smallest such number?",
        )
    )

    def work(pen: Pen) -> None:
        near = [y for y in range(1, m * n) if y != x and y >= n and (y % m == r or y % n == s)]
        (y,) = pen.guess(x, near)
        pen.line(pen.say(f"Try {y} for both.", f"Try {y}."))
        pen.verify(f"{y}-{m}*{y // m}", y % m, r)
        pen.verify(f"{y}-{n}*{y // n}", y % n, s)
        pen.answer(y)

    return Question(text, str(x), (m, n, x), work)


@family("smallest-factor", "number-theory", weight=2.5)
def smallest_factor(rng: random.Random, level: int) -> Question:
    """A product of two primes: the smaller prime."""
    primes = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61)
    top = (6, 8, 11, 14, 17)[level - 1]
    p, q = sorted(rng.sample(primes[:top], 2))
    n = p * q
    text = rng.choice(
        (
            f"{n} is the product of two primes. What is the smaller one?",
            f"Find the smaller prime factor of {n}.",
            f"What is the smallest prime that divides {n}?",
        )
    )

    def work(pen: Pen) -> None:
        near = [
            (a, round(n / a))
            for a in primes[:top]
            if a * a <= n and a * round(n / a) != n and round(n / a) > 1
        ]
        a, b = pen.guess((p, q), near)
        pen.line(pen.say(f"Try {a} times {b}.", f"Try {a} and {b}."))
        tens, ones = b // 10 * 10, b % 10
        if tens and ones and pen.style == "full":
            high = int(pen.calc(f"{a}*{tens}", a * tens))
            pen.verify(f"{high}+{a * ones}", high + a * ones, n)
        else:
            pen.verify(f"{a}*{b}", a * b, n)
        pen.answer(a)

    return Question(text, str(p), (p, q), work)


@family("digit-sum-multiple", "number-theory", weight=2.0)
def digit_sum_multiple(rng: random.Random, level: int) -> Question:
    """A two-digit number from its digit sum and a divisor."""
    low = 10 * rng.randint(1, 2 + level)
    x = rng.randint(low, low + 19)
    s, m = x // 10 + x % 10, rng.choice([d for d in range(2, 13) if x % d == 0] or [x])
    others = [y for y in range(low, low + 20) if y // 10 + y % 10 == s and y % m == 0 and y != x]
    high = min([low + 19, *[y - 1 for y in others if y > x]])
    start = max([low, *[y + 1 for y in others if y < x]])
    text = rng.choice(
        (
            f"A number from {start} to {high} is a multiple of {m} and its digits add up to {s}. Which one?",
            f"Find the multiple of {m} from {start} to {high} with digit sum {s}.",
            f"From {start} to {high}, which multiple of {m} has digits that add up to {s}?",
        )
    )

    def work(pen: Pen) -> None:
        near = [y for y in range(start, high + 1) if y != x and (y % m == 0 or y // 10 + y % 10 == s)]
        (y,) = pen.guess(x, near)
        pen.line(pen.say(f"Try {y} here.", f"Try {y}."))
        pen.verify(f"{y // 10}+{y % 10}", y // 10 + y % 10, s)
        pen.verify(f"{m}*{y // m}", m * (y // m), y)
        pen.answer(y)

    return Question(text, str(x), (x, start, high, m), work)


@family("multiple-count", "number-theory", held_out=True)
def multiple_count(rng: random.Random, level: int) -> Question:
    """How many multiples lie below a number, one of them left out."""
    m, k = rng.randint(2, 4 + 2 * level), rng.randint(3, 6 + 6 * level)
    top = m * k + rng.randint(0, m - 1)
    text = rng.choice(
        (
            f"How many positive multiples of {m} are at most {top}, not counting {m} itself?",
            f"Not counting {m}, how many multiples of {m} are there up to {top}?",
            f"Up to {top}, how many multiples of {m} are larger than {m}?",
        )
    )

    def work(pen: Pen) -> None:
        t = pen.given(top)
        count = t // m
        last = pen.calc(f"{m}*{count}", m * count, pen.say("The last is "))
        number = pen.calc(f"{last}/{m}", exact_div(last, m))
        pen.answer(pen.step(f"{number}-1", number - 1, number))

    return Question(text, str(k - 1), (m, top), work)
