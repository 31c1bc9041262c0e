"""Code: small Python programs to trace, and inputs to find."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import Pen, Question
from acemath.demo.worksheets.registry import family


def _asked(rng: random.Random, program: str) -> str:
    """A program, with the question of what it prints."""
    return rng.choice(
        (
            f"What does this program print?\n{program}",
            f"{program}\nWhat is printed?",
            f"Trace the program and give its output.\n{program}",
        )
    )


@family("loop-add", "code")
def loop_add(rng: random.Random, level: int) -> Question:
    """A loop that adds its counter or a constant."""
    start, times, add = rng.randint(0, 10 * level), rng.randint(2, 2 + level), rng.randint(2, 3 * level + 2)
    counter = rng.random() < 0.5
    change = "i" if counter else str(add)
    program = f"a = {start}\nfor i in range({times}):\n    a = a + {change}\nprint(a)"
    total = start + (times * (times - 1) // 2 if counter else times * add)

    def work(pen: Pen) -> None:
        a = pen.given(start)
        for i in range(times):
            b = i if counter else add
            a = int(pen.step(f"{a}+{b}", a + b, a, pen.say(f"i={i}: a=", "a=")))
        pen.answer(a)

    return Question(_asked(rng, program), str(total), (start, times, 0 if counter else add, counter), work)


@family("if-else", "code")
def if_else(rng: random.Random, level: int) -> Question:
    """One branch or the other, then a print."""
    x, limit = rng.randint(2, 20 * level), rng.randint(2, 20 * level)
    a, b = rng.randint(2, 9), rng.randint(1, 10 * level)
    program = f"x = {x}\nif x > {limit}:\n    y = x - {b}\nelse:\n    y = x * {a}\nprint(y)"
    result = x - b if x > limit else x * a

    def work(pen: Pen) -> None:
        v = pen.given(x, (limit,))
        if v > limit:
            pen.line(pen.say(f"{v} is more than {limit}.", f"{v}>{limit}"))
            pen.answer(pen.calc(f"{v}-{b}", v - b, "y=", "", (v * a,)))
        else:
            pen.line(pen.say(f"{v} is not more than {limit}.", f"not {v}>{limit}"))
            pen.answer(pen.calc(f"{v}*{a}", v * a, "y=", "", (v - b,)))

    return Question(_asked(rng, program), str(result), (x, limit, a, b), work)


@family("function-call", "code")
def function_call(rng: random.Random, level: int) -> Question:
    """A function applied once or twice."""
    a, b, x = rng.randint(2, 3 + level), rng.randint(1, 5 * level), rng.randint(1, 4 + level)
    twice = level > 2
    call = f"f(f({x}))" if twice else f"f({x})"
    program = f"def f(n):\n    return n * {a} + {b}\nprint({call})"
    first = x * a + b

    def work(pen: Pen) -> None:
        n = pen.given(x, (a, b))
        for _ in range(2 if twice else 1):
            product = pen.calc(f"{n}*{a}", n * a, pen.say(f"f({n}): "))
            n = int(pen.step(f"{product}+{b}", product + b, product))
        pen.answer(n)

    return Question(_asked(rng, program), str(first * a + b if twice else first), (a, b, x, twice), work)


@family("list-index", "code")
def list_index(rng: random.Random, level: int) -> Question:
    """Two items of a list, added or subtracted."""
    items = [rng.randint(1, 9 + 10 * level) for _ in range(3 + level)]
    i, j = rng.sample(range(len(items)), 2)
    plus = rng.random() < 0.6
    program = f"v = {items}\nprint(v[{i}] {'+' if plus else '-'} v[{j}])"
    result = items[i] + items[j] if plus else items[i] - items[j]

    def work(pen: Pen) -> None:
        x, y = pen.given(items[i], items), items[j]
        pen.line(pen.say(f"v[{i}] is {x}, v[{j}] is {y}.", f"{x} and {y}"))
        pen.answer(pen.calc(f"{x}{'+' if plus else '-'}{y}", x + y if plus else x - y))

    return Question(_asked(rng, program), str(result), (*items, i, j, plus), work)


@family("string-length", "code")
def string_length(rng: random.Random, level: int) -> Question:
    """The length of a repeated or joined string."""
    a, b = (
        "".join(rng.choices("abcxyz", k=rng.randint(1, 4))),
        "".join(rng.choices("abcxyz", k=rng.randint(1, 3))),
    )
    n = rng.randint(2, 4 + 3 * level)
    program = f's = "{a}" * {n} + "{b}"\nprint(len(s))'

    def work(pen: Pen) -> None:
        pen.line(pen.say(f'"{a}" has {len(a)}, "{b}" has {len(b)}.', f"{len(a)} and {len(b)}"))
        long = pen.calc(f"{len(a)}*{n}", len(a) * n)
        pen.answer(pen.step(f"{long}+{len(b)}", long + len(b), long))

    return Question(_asked(rng, program), str(len(a) * n + len(b)), (a, b, n), work)


@family("while-count", "code")
def while_count(rng: random.Random, level: int) -> Question:
    """How often a loop runs until a number falls below a bound."""
    step, times, rest = rng.randint(2, 4 + 2 * level), rng.randint(2, 2 + level), 0
    rest = rng.randint(0, step - 1)
    start = step * times + rest
    program = f"n = {start}\nc = 0\nwhile n >= {step}:\n    n = n - {step}\n    c = c + 1\nprint(c)"

    def work(pen: Pen) -> None:
        n, c = pen.given(start), 0
        while n >= step and c < 12:
            n, c = int(pen.calc(f"{n}-{step}", n - step, "n=")), c + 1
        pen.answer(c)

    return Question(_asked(rng, program), str(times), (start, step), work)


@family("find-input", "code", weight=2.0)
def find_input(rng: random.Random, level: int) -> Question:
    """The input with which a program prints a number."""
    x, a, b = rng.randint(2, 5 + 6 * level), rng.randint(1, 5), rng.randint(1, 9 * level)
    out = x * (x + a) + b
    program = f"print(n * (n + {a}) + {b})"
    text = rng.choice(
        (
            f"For which positive n does this print {out}?\n{program}",
            f"{program}\nWhich positive n makes it print {out}?",
            f"Find the positive n for which the output is {out}.\n{program}",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(x, [x + d for d in (-3, -2, -1, 1, 2, 3) if x + d > 0])
        pen.line(pen.say(f"Try n={n}.", f"Try {n}."))
        product = int(pen.calc(f"{n}*{n + a}", n * (n + a)))
        pen.verify(f"{product}+{b}", product + b, out)
        pen.answer(n)

    return Question(text, str(x), (x, a, b), work)


@family("nested-loop", "code", held_out=True)
def nested_loop(rng: random.Random, level: int) -> Question:
    """A loop in a loop that counts."""
    a, b, c = rng.randint(2, 3 + level), rng.randint(2, 3 + level), rng.randint(1, 2 + level)
    program = f"c = 0\nfor i in range({a}):\n    for j in range({b}):\n        c = c + {c}\nprint(c)"

    def work(pen: Pen) -> None:
        turns = pen.calc(f"{pen.given(a)}*{b}", a * b, pen.say("Turns: "))
        pen.answer(pen.step(f"{turns}*{c}", turns * c, turns))

    return Question(_asked(rng, program), str(a * b * c), (a, b, c), work)
