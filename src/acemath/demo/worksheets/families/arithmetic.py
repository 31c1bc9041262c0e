"""Arithmetic: sums, products and quotients computed in steps, and numbers that are guessed and checked."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import Pen, Question
from acemath.demo.worksheets.registry import family


def split_product(pen: Pen, a: int, b: int) -> tuple[str, int]:
    """The last step of `a*b` and its value; the lines of a long product, in tens and ones, come before it."""
    tens, ones = b // 10 * 10, b % 10
    if b <= 12 or not ones:
        return f"{a}*{b}", a * b
    high, low = int(pen.calc(f"{a}*{tens}", a * tens)), int(pen.calc(f"{a}*{ones}", a * ones))
    return f"{high}+{low}", high + low


@family("chain-sum", "arithmetic")
def chain_sum(rng: random.Random, level: int) -> Question:
    """A sum and difference of several numbers, worked from left to right."""
    top = (20, 50, 99, 300, 500)[level - 1]
    numbers = [rng.randint(2, top) for _ in range(2 + (level + 1) // 2)]
    signs = [rng.choice((1, -1)) for _ in numbers[1:]]
    shown = str(numbers[0]) + "".join(
        f" {'+' if s > 0 else '-'} {n}" for s, n in zip(signs, numbers[1:], strict=True)
    )
    total = numbers[0] + sum(s * n for s, n in zip(signs, numbers[1:], strict=True))
    text = rng.choice(
        (f"What is {shown}?", f"Compute {shown}.", f"Work out the value of {shown}.", f"{shown} = ?")
    )

    def work(pen: Pen) -> None:
        at = pen.given(numbers[0])
        for sign, number in zip(signs, numbers[1:], strict=True):
            new = at + sign * number
            at = int(
                pen.step(
                    f"{at}{'+' if sign > 0 else '-'}{number}",
                    new,
                    at,
                    pen.say("First " if at == numbers[0] else "Then "),
                    "",
                    (at - sign * number,),
                )
            )
        pen.answer(at)

    return Question(text, str(total), (*numbers, *signs), work)


@family("two-digit-product", "arithmetic")
def two_digit_product(rng: random.Random, level: int) -> Question:
    """A product worked by splitting one factor into tens and ones."""
    a, b = rng.randint(11, (19, 39, 59, 89, 99)[level - 1]), rng.randint(3, (9, 12, 19, 39, 79)[level - 1])
    text = rng.choice((f"What is {a} * {b}?", f"Multiply {a} by {b}.", f"Compute the product {a} * {b}."))

    def work(pen: Pen) -> None:
        tens, ones = b // 10 * 10, b % 10
        x = pen.given(a)
        low = pen.calc(f"{x}*{ones}", x * ones, pen.say("Ones: "))
        if not tens:
            pen.answer(low)
            return
        high = pen.calc(f"{x}*{tens}", x * tens, pen.say("Tens: "))
        pen.answer(pen.calc(f"{high}+{low}", high + low, pen.say("Together: ")))

    return Question(text, str(a * b), (a, b), work)


@family("order-of-operations", "arithmetic")
def order_of_operations(rng: random.Random, level: int) -> Question:
    """A product inside a sum: what comes first."""
    top = (6, 9, 9, 12, 19)[level - 1]
    a, b, c = rng.randint(2, 30 * level), rng.randint(2, 9), rng.randint(2, top)
    inside = rng.random() < 0.4
    shown = f"({a} + {b}) * {c}" if inside else f"{a} + {b} * {c}"
    total = (a + b) * c if inside else a + b * c
    text = rng.choice((f"What is {shown}?", f"Find the value of {shown}.", f"Evaluate {shown}."))

    def work(pen: Pen) -> None:
        if inside:
            x, y = pen.given(a, (b, c)), pen.given(b, (a, c))
            first = pen.calc(f"{x}+{y}", x + y, pen.say("The bracket first: "), "", (x * y,))
            pen.answer(pen.calc(f"{first}*{c}", first * c, pen.say("Then times: "), "", (first + c,)))
        else:
            y = pen.given(b, (a, c))
            first = pen.calc(f"{y}*{c}", y * c, pen.say("The product first: "), "", (y + c,))
            x = pen.given(a, (b, c))
            pen.answer(pen.calc(f"{x}+{first}", x + first, pen.say("Then the sum: "), "", (x * y + c,)))

    return Question(text, str(total), (a, b, c, inside), work)


@family("missing-factor", "arithmetic", weight=2.5)
def missing_factor(rng: random.Random, level: int) -> Question:
    """The other factor of a product: guessed, and checked by multiplying."""
    a = rng.randint(3, (9, 9, 12, 19, 29)[level - 1])
    b = rng.randint(4, (12, 29, 59, 79, 99)[level - 1])
    p = a * b
    text = rng.choice(
        (
            f"{a} times what number is {p}?",
            f"What number times {a} gives {p}?",
            f"Find the missing number: {a} * ? = {p}.",
            f"How many times does {a} go into {p}?",
        )
    )
    near = [b + d for d in (-10, -3, -2, -1, 1, 2, 3, 10) if b + d > 1]

    def work(pen: Pen) -> None:
        (x,) = pen.guess(b, near)
        pen.line(pen.say(f"Try {x} and test it.", f"Try {x}."))
        pen.verify(*split_product(pen, a, x), p)
        pen.answer(x)

    return Question(text, str(b), (a, b), work)


@family("square-root", "arithmetic", weight=2.5)
def square_root(rng: random.Random, level: int) -> Question:
    """The number whose square, or square plus a multiple of it, is given."""
    n = rng.randint(3, (12, 20, 32, 48, 64)[level - 1])
    extra = rng.choice((0, 0, 1, -1, 2, 3))
    goal = n * n + extra * n
    more = {0: "", 1: ", plus the number,", -1: ", minus the number,"}.get(extra, f", plus {extra} times it,")
    text = rng.choice(
        (
            f"A positive number times itself{more} is {goal}. Which number is it?",
            f"Find the positive number that times itself{more} gives {goal}.",
            f"{goal} is a positive number times itself{more.removesuffix(',')}. Which number?",
        )
    )
    near = [n + d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if n + d > 0]

    def work(pen: Pen) -> None:
        (x,) = pen.guess(n, near)
        pen.line(pen.say(f"Suppose it is {x}.", f"Try {x}."))
        last, value = split_product(pen, x, x)
        if not extra:
            pen.verify(last, value, goal)
        else:
            square = int(pen.calc(last, value))
            pen.verify(f"{square}{'+' if extra > 0 else '-'}{abs(extra) * x}", square + extra * x, goal)
        pen.answer(x)

    return Question(text, str(n), (n, extra), work)


@family("missing-digit", "arithmetic", weight=2.0)
def missing_digit(rng: random.Random, level: int) -> Question:
    """A digit hidden in a product."""
    a, b = rng.randint(11, (19, 39, 59, 79, 99)[level - 1]), rng.randint(3, 9)
    tens, digit = a // 10, a % 10
    p = a * b
    text = rng.choice(
        (
            f"In {tens}d * {b} = {p} the letter d is one digit. Which digit?",
            f"The digit d is missing in {tens}d * {b} = {p}. Find d.",
            f"For which digit d is {tens}d * {b} = {p}?",
        )
    )

    def work(pen: Pen) -> None:
        (d,) = pen.guess(digit, [x for x in range(10) if abs(x - digit) <= 4])
        number = 10 * tens + d
        pen.line(pen.say(f"With d={d} the number is {number}.", f"Try {number}."))
        pen.verify(f"{number}*{b}", number * b, p)
        pen.answer(d)

    return Question(text, str(digit), (a, b), work, {"d": digit})


@family("three-consecutive", "arithmetic", weight=1.5)
def three_consecutive(rng: random.Random, level: int) -> Question:
    """Consecutive numbers with a given sum."""
    count = rng.choice(((3,), (3, 4), (3, 4), (3, 4, 5), (3, 4, 5))[level - 1])
    first = rng.randint(3, 30 + 30 * level)
    run = [first + i for i in range(count)]
    total = sum(run)
    names = {3: "Three", 4: "Four", 5: "Five"}[count]
    text = rng.choice(
        (
            f"{names} consecutive whole numbers add up to {total}. What is the smallest?",
            f"The sum {total} is that of {names.lower()} consecutive whole numbers. Find the smallest.",
            f"Which is the smallest of {names.lower()} consecutive numbers whose sum is {total}?",
        )
    )

    def work(pen: Pen) -> None:
        (x,) = pen.guess(first, [first + d for d in (-3, -2, -1, 1, 2, 3) if first + d > 0])
        pen.line(pen.say(f"Try {x} as the smallest.", f"Try {x}."))
        at = x
        for i in range(1, count - 1):
            at = int(pen.calc(f"{at}+{x + i}", at + x + i))
        pen.verify(f"{at}+{x + count - 1}", at + x + count - 1, total)
        pen.answer(x)

    return Question(text, str(first), (count, first), work)


@family("digit-sum-number", "arithmetic", held_out=True)
def digit_sum_number(rng: random.Random, level: int) -> Question:
    """A number from the sum of its digits and the difference of the outer two."""
    first = rng.randint(2, 9)
    last = rng.randint(0, first - 1)
    middle = rng.randint(0, (0, 3, 5, 7, 9)[level - 1]) if level > 1 else None
    s, d = first + (middle or 0) + last, first - last
    shape = "a two-digit number" if middle is None else f"a three-digit number with {middle} in the middle"
    text = rng.choice(
        (
            f"The digits of {shape} add up to {s}; the first is {d} more than the last. Find the number.",
            f"Find {shape} whose digits have sum {s}, the first being larger than the last by {d}.",
            f"The digit sum is {s} and the first digit is {d} above the last: find {shape} like this.",
        )
    )
    near = [(x, first + last - x) for x in range(max(1, first + last - 9), min(9, first + last) + 1)]
    near += [(x, x - d) for x in range(max(1, d), 10)]

    def work(pen: Pen) -> None:
        x, y = pen.guess((first, last), near)
        pen.line(pen.say(f"Try the first digit {x} and the last {y}.", f"Try {x} and {y}."))
        pen.verify(f"{x}-{y}", x - y, d)
        if middle is None:
            pen.verify(f"{x}+{y}", x + y, s)
            pen.answer(10 * x + y)
        else:
            outer = int(pen.calc(f"{x}+{y}", x + y))
            pen.verify(f"{outer}+{middle}", outer + middle, s)
            pen.answer(100 * x + 10 * middle + y)

    number = 10 * first + last if middle is None else 100 * first + 10 * middle + last
    return Question(text, str(number), (first, middle, last), work)
