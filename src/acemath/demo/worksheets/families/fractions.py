"""Fractions and percent."""

from __future__ import annotations

import random
from fractions import Fraction
from math import gcd

from acemath.demo.worksheets.core import Pen, Question, boxed, exact_div
from acemath.demo.worksheets.products import calc_product, verify_product
from acemath.demo.worksheets.registry import family
from acemath.demo.worksheets.words import NAMES, THINGS


@family("fraction-sum", "fractions")
def fraction_sum(rng: random.Random, level: int) -> Question:
    """Two fractions added or subtracted over a common denominator."""
    top = (5, 6, 8, 10, 12)[level - 1]
    b, d = rng.randint(2, top), rng.randint(2, top)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    sign = 1 if level < 3 or a * d <= c * b else rng.choice((1, -1))
    mark = "+" if sign > 0 else "-"
    value = Fraction(a, b) + sign * Fraction(c, d)
    text = rng.choice(
        (
            f"What is {a}/{b} {mark} {c}/{d}?",
            f"Compute {a}/{b} {mark} {c}/{d} as a fraction.",
            f"Work out {a}/{b} {mark} {c}/{d}.",
        )
    )

    def work(pen: Pen) -> None:
        common = b * d // gcd(b, d)
        p = int(
            pen.calc(f"{a}*{common // b}", a * (common // b), pen.say(f"Over {common}: ", f"/{common}: "))
        )
        q = int(pen.calc(f"{c}*{common // d}", c * (common // d), pen.say("and ")))
        top_line = int(pen.calc(f"{p}{mark}{q}", p + sign * q, "", "", (p - sign * q,)))
        pen.answer(pen.reduced(top_line, common))

    terms = ((a, b), (c, d)) if sign < 0 else tuple(sorted(((a, b), (c, d))))
    return Question(text, boxed(value), (*terms, sign), work)


@family("fraction-of", "fractions")
def fraction_of(rng: random.Random, level: int) -> Question:
    """A fraction of a number of things."""
    b = rng.randint(2, (4, 6, 8, 9, 12)[level - 1])
    a, part = rng.randint(1, b - 1), rng.randint(2, (9, 12, 20, 40, 70)[level - 1])
    whole, name, thing = b * part, rng.choice(NAMES), rng.choice(THINGS)
    ask_rest = rng.random() < 0.5
    result = whole - a * part if ask_rest else a * part
    question = "How many are left?" if ask_rest else "How many are given away?"
    text = rng.choice(
        (
            f"{name} gives away {a}/{b} of {whole} {thing}. {question}",
            f"Of {whole} {thing} {name} gives {a}/{b} away. {question}",
            f"There are {whole} {thing}. {name} gives {a}/{b} away. {question}",
        )
    )

    def work(pen: Pen) -> None:
        w = pen.given(whole)
        one = pen.calc(f"{w}/{b}", exact_div(w, b), pen.say("One part is "))
        some = pen.step(f"{one}*{a}", one * a, one, pen.say("Given away: ")) if a > 1 else one
        pen.answer(pen.step(f"{w}-{some}", w - some, some, pen.say("Left: ")) if ask_rest else some)

    return Question(text, str(result), (a, b, whole, ask_rest), work)


RATES = ((10, 20, 25, 50), (5, 10, 20, 75), (5, 15, 25, 30), (15, 35, 40, 60), (12, 35, 45, 65))  # by level
PERCENT_TEXTS = {
    "of": ("What is {r}% of {w}?", "Find {r}% of {w}.", "How much is {r}% of {w}?"),
    "rise": (
        "A price of {w} rises by {r}%. What is it now?",
        "{w} is increased by {r}%. Find the result.",
        "What is {w} after a rise of {r}%?",
    ),
    "cut": (
        "A price of {w} falls by {r}%. What is it now?",
        "{w} is reduced by {r}%. Find the result.",
        "What is {w} after a cut of {r}%?",
    ),
}


@family("percent-of", "fractions")
def percent_of(rng: random.Random, level: int) -> Question:
    """A percentage of a number, or the number after a rise or a cut, by way of a small percentage."""
    rate = rng.choice(RATES[level - 1])
    small = gcd(rate, 100)  # so many percent are one part
    parts, pieces = 100 // small, rate // small
    whole = parts * rng.randint(1, (10, 16, 20, 30, 40)[level - 1])
    kind = rng.choice(tuple(PERCENT_TEXTS))
    share = whole // parts * pieces
    result = {"of": share, "rise": whole + share, "cut": whole - share}[kind]
    text = rng.choice(PERCENT_TEXTS[kind]).format(r=rate, w=whole)

    def work(pen: Pen) -> None:
        w = pen.given(whole)
        one = int(pen.calc(f"{w}/{parts}", exact_div(w, parts), pen.say(f"{small}% is ")))
        some = one
        if pieces > 1:
            r = pen.given(rate, RATES[level - 1])
            times = int(pen.calc(f"{r}/{small}", exact_div(r, small)))
            some = calc_product(pen, one, times, pen.say(f"{r}% is "))
        if kind == "rise":
            pen.answer(pen.step(f"{w}+{some}", w + some, some, pen.say("Now "), "", (w - some,)))
        elif kind == "cut":
            pen.answer(pen.step(f"{w}-{some}", w - some, some, pen.say("Now "), "", (w + some,)))
        else:
            pen.answer(some)

    return Question(text, str(result), (rate, whole, kind), work)


@family("find-whole", "fractions", weight=2.5)
def find_whole(rng: random.Random, level: int) -> Question:
    """A number from a fraction of it: guessed, then checked."""
    b = rng.randint(3, (6, 7, 8, 9, 12)[level - 1])
    a, unit = rng.randint(2, b - 1), rng.randint(2, (8, 12, 16, 24, 32)[level - 1])
    whole, part = b * unit, a * unit
    text = rng.choice(
        (
            f"{a}/{b} of a number is {part}. What is the number?",
            f"Find the number of which {a}/{b} is {part}.",
            f"{part} is {a}/{b} of which number?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(whole, [whole + b * d for d in (-3, -2, -1, 1, 2, 3) if unit + d > 0])
        pen.line(pen.say(f"Try {n} as the number.", f"Try {n}."))
        one = int(pen.calc(f"{n}/{b}", exact_div(n, b)))
        pen.verify(f"{one}*{a}", one * a, part)
        pen.answer(n)

    return Question(text, str(whole), (a, b, unit), work)


@family("lowest-terms", "fractions", weight=2.0)
def lowest_terms(rng: random.Random, level: int) -> Question:
    """A fraction in lowest terms: the common factor is guessed, then checked."""
    top = (7, 9, 10, 10, 10)[level - 1]
    p, q = rng.choice([(p, q) for q in range(2, top + 1) for p in range(1, q) if gcd(p, q) == 1])
    f = rng.randint(2, (6, 8, 12, 16, 19)[level - 1])
    n, m = p * f, q * f
    text = rng.choice(
        (
            f"Write {n}/{m} in lowest terms.",
            f"Simplify the fraction {n}/{m}.",
            f"What is {n}/{m} in simplest form?",
        )
    )
    off = [(a, b, f) for a in (p - 1, p, p + 1) for b in range(q - 2, q + 3)]
    off += [(n // g, m // g, g) for g in range(max(2, f - 2), f + 3)]
    near = [(a, b, g) for a, b, g in off if 0 < a < b and gcd(a, b) == 1 and a * q != b * p]

    def work(pen: Pen) -> None:
        a, b, g = pen.guess((p, q, f), near)
        pen.line(pen.say(f"Divide both by {g}: {a} and {b}.", f"By {g}: {a} and {b}."))
        verify_product(pen, a, g, n)
        verify_product(pen, b, g, m)
        pen.answer(Fraction(a, b))

    return Question(text, boxed(Fraction(p, q)), (p, q, f), work)


@family("find-percent", "fractions", weight=2.0)
def find_percent(rng: random.Random, level: int) -> Question:
    """Which percentage one number is of another: guessed, then checked with a small percentage."""
    step = (20, 10, 5, 5, 4)[level - 1]
    parts, pieces = 100 // step, rng.randint(1, 100 // step - 1)
    one = rng.randint(2, (16, 16, 16, 24, 30)[level - 1])
    whole, part, rate = one * parts, one * pieces, step * pieces
    text = rng.choice(
        (
            f"{part} is what percent of {whole}?",
            f"What percentage of {whole} is {part}?",
            f"How many percent of {whole} are {part}?",
        )
    )
    near = [step * k for k in range(max(1, pieces - 4), min(parts - 1, pieces + 4) + 1) if k != pieces]

    def work(pen: Pen) -> None:
        (r,) = pen.guess(rate, near)
        pen.line(pen.say(f"Try {r} percent.", f"Try {r}."))
        small = int(pen.calc(f"{whole}/{parts}", one, pen.say(f"{step}% is ")))
        times = int(pen.calc(f"{r}/{step}", r // step))
        verify_product(pen, small, times, part)
        pen.answer(r)

    return Question(text, str(rate), (rate, whole), work)


@family("tenths-twice", "fractions", held_out=True)
def tenths_twice(rng: random.Random, level: int) -> Question:
    """Some tenths of a number are taken away and the rest is doubled."""
    part = rng.randint(2, 8 * level)
    whole, tenths = 10 * part, rng.randint(2, 8)
    text = rng.choice(
        (
            f"Take {tenths}/10 of {whole} away from {whole} and double the rest. What comes out?",
            f"{whole} loses {tenths}/10 of itself; then it is doubled. Find the result.",
            f"What is twice the rest of {whole} after {tenths}/10 of it are gone?",
        )
    )

    def work(pen: Pen) -> None:
        w = pen.given(whole)
        one = pen.calc(f"{w}/10", exact_div(w, 10), pen.say("One tenth is "))
        gone = pen.calc(f"{one}*{tenths}", one * tenths, pen.say("Gone: "))
        rest = pen.step(f"{w}-{gone}", w - gone, gone, pen.say("Rest: "))
        pen.answer(pen.step(f"{rest}*2", rest * 2, rest, pen.say("Double: ")))

    return Question(text, str((whole - part * tenths) * 2), (whole, tenths), work)
