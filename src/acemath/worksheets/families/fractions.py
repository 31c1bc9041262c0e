"""Fractions and percent."""

from __future__ import annotations

import random
from fractions import Fraction
from math import gcd

from acemath.worksheets.core import CannotCarry, Pen, Question, boxed, exact_div
from acemath.worksheets.registry import family
from acemath.worksheets.words import NAMES, THINGS


@family("fraction-sum", "fractions")
def fraction_sum(rng: random.Random, level: int) -> Question:
    """Two fractions added or taken apart over a common denominator."""
    top = (5, 6, 8, 10, 12)[level - 1]
    b, d = rng.randint(2, top), rng.randint(2, top)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    sign = 1 if level < 3 or a * d <= c * b else rng.choice((1, -1))
    value = Fraction(a, b) + sign * Fraction(c, d)
    mark = "+" if sign > 0 else "-"
    text = rng.choice((f"What is {a}/{b} {mark} {c}/{d}?", f"Compute {a}/{b} {mark} {c}/{d} as a fraction.", f"Work out {a}/{b} {mark} {c}/{d}."))

    def work(pen: Pen) -> None:
        if value == 0:
            raise CannotCarry("zero")
        common = b * d // gcd(b, d)
        p = int(pen.calc(f"{a}*{common // b}", a * (common // b), pen.say(f"Over {common}: ", f"/{common}: ")))
        q = int(pen.calc(f"{c}*{common // d}", c * (common // d), pen.say("and ")))
        top_line = int(pen.calc(f"{p}{mark}{q}", p + sign * q, "", "", (p - sign * q,)))
        result = Fraction(top_line, common)
        if result.denominator != common and result.denominator != 1:
            pen.line(f"{top_line}/{common}={result}")
        pen.answer(result)

    return Question(text, boxed(value) if value.denominator != 1 else str(value), (a, b, c, d, sign), work)


@family("fraction-of", "fractions")
def fraction_of(rng: random.Random, level: int) -> Question:
    """A fraction of a number of things."""
    b = rng.randint(2, (4, 6, 8, 9, 12)[level - 1])
    a, part = rng.randint(1, b - 1) if b > 2 else 1, rng.randint(2, (9, 12, 20, 40, 70)[level - 1])
    whole, name, thing = b * part, rng.choice(NAMES), rng.choice(THINGS)
    ask_rest = rng.random() < 0.5
    result = whole - a * part if ask_rest else a * part
    question = "How many are left?" if ask_rest else "How many are given away?"
    text = rng.choice(
        (
            f"{name} gives away {a}/{b} of {whole} {thing}. {question}",
            f"Of {whole} {thing} {name} gives {a}/{b} away. {question}",
            f"There are {whole} {thing}, and {a}/{b} of them are given to {name}. {question}",
        )
    )

    def work(pen: Pen) -> None:
        w = pen.given(whole)
        one = pen.calc(f"{w}/{b}", exact_div(w, b), pen.say("One part is "))
        some = pen.step(f"{one}*{a}", one * a, one, pen.say("Given away: ")) if a > 1 else one
        pen.answer(pen.step(f"{w}-{some}", w - some, some, pen.say("Left: ")) if ask_rest else some)

    return Question(text, str(result), (a, b, whole, ask_rest), work)


@family("percent-of", "fractions")
def percent_of(rng: random.Random, level: int) -> Question:
    """A percentage of a number, or the number after a rise or a cut."""
    rate = rng.choice(((10, 50), (10, 20, 50), (5, 20, 25, 30), (15, 35, 40, 60), (12, 35, 45, 65))[level - 1])
    whole = rng.randint(1, 10 * level) * 100 // gcd(rate, 100) if level < 3 else rng.randint(2, 20 * level) * (100 // gcd(rate, 100))
    kind = rng.choice(("of", "rise", "cut"))
    part = whole * rate // 100
    result = {"of": part, "rise": whole + part, "cut": whole - part}[kind]
    text = {
        "of": (f"What is {rate}% of {whole}?", f"Find {rate}% of {whole}.", f"How much is {rate}% of {whole}?"),
        "rise": (f"A price of {whole} rises by {rate}%. What is it now?", f"{whole} is increased by {rate}%. Find the result.", f"What is {whole} after a rise of {rate}%?"),
        "cut": (f"A price of {whole} falls by {rate}%. What is it now?", f"{whole} is reduced by {rate}%. Find the result.", f"What is {whole} after a cut of {rate}%?"),
    }[kind]

    def work(pen: Pen) -> None:
        w, r = pen.given(whole), pen.given(rate)
        product = pen.calc(f"{w}*{r}", w * r)
        share = pen.calc(f"{product}/100", exact_div(product, 100), pen.say("The percentage is "))
        if kind == "of":
            pen.answer(share)
        elif kind == "rise":
            pen.answer(pen.step(f"{w}+{share}", w + share, share, pen.say("Now "), "", (w - share,)))
        else:
            pen.answer(pen.step(f"{w}-{share}", w - share, share, pen.say("Now "), "", (w + share,)))

    return Question(rng.choice(text), str(result), (rate, whole, kind), work)


@family("find-whole", "fractions", weight=2.5)
def find_whole(rng: random.Random, level: int) -> Question:
    """The number of which a fraction is known: tried, then checked."""
    b = rng.randint(3, (5, 6, 8, 9, 12)[level - 1])
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
    """A fraction in lowest terms: the common factor is found, then checked."""
    while True:
        p, q = rng.randint(1, 4 + 2 * level), rng.randint(2, 5 + 2 * level)
        if p < q and gcd(p, q) == 1:
            break
    f = rng.randint(2, (5, 8, 12, 16, 19)[level - 1])
    text = rng.choice((f"Write {p * f}/{q * f} in lowest terms.", f"Simplify the fraction {p * f}/{q * f}.", f"What is {p * f}/{q * f} in simplest form?"))
    near = [(a, b) for a in range(max(1, p - 1), p + 2) for b in range(max(2, q - 2), q + 3) if a < b and gcd(a, b) == 1]

    def work(pen: Pen) -> None:
        a, b = pen.guess((p, q), near)
        pen.line(pen.say(f"Divide both by {f}: {a} and {b}.", f"By {f}: {a} and {b}."))
        pen.verify(f"{a}*{f}", a * f, p * f)
        pen.verify(f"{b}*{f}", b * f, q * f)
        pen.answer(f"\\frac{{{a}}}{{{b}}}")

    return Question(text, f"\\frac{{{p}}}{{{q}}}", (p, q, f), work)


@family("find-percent", "fractions", weight=2.0)
def find_percent(rng: random.Random, level: int) -> Question:
    """Which percentage one number is of another."""
    step = (25, 10, 5, 5, 4)[level - 1]
    rate = step * rng.randint(1, 100 // step - 1)
    base = 100 // gcd(rate, 100)
    whole = base * rng.randint(1, 5 + 5 * level)
    part = whole * rate // 100
    text = rng.choice((f"{part} is what percent of {whole}?", f"What percentage of {whole} is {part}?", f"How many percent of {whole} are {part}?"))

    def work(pen: Pen) -> None:
        (r,) = pen.guess(rate, [rate + step * d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if 0 < rate + step * d < 100])
        pen.line(pen.say(f"Try {r} percent.", f"Try {r}."))
        product = int(pen.calc(f"{whole}*{r}", whole * r))
        pen.verify(f"{product}/100", Fraction(product, 100), part)
        pen.answer(r)

    return Question(text, str(rate), (rate, whole), work)


@family("decimal-sum", "fractions", held_out=True)
def decimal_sum(rng: random.Random, level: int) -> Question:
    """Tenths of a number taken away and the rest doubled."""
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
