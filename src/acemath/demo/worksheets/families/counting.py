"""Counting and probability."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

from acemath.demo.worksheets.core import Pen, Question, boxed, exact_div
from acemath.demo.worksheets.registry import family
from acemath.demo.worksheets.words import NAMES


@family("outfits", "counting")
def outfits(rng: random.Random, level: int) -> Question:
    """Independent choices multiplied, some ruled out."""
    a, b, c = rng.randint(2, 4 + level), rng.randint(2, 4 + level), rng.randint(2, 3 + level)
    three, name = level > 1 and rng.random() < 0.7, rng.choice(NAMES)
    banned = rng.randint(1, a * b - 1) if level > 3 else 0
    total = a * b * (c if three else 1) - banned
    items = f"{a} shirts, {b} hats and {c} coats" if three else f"{a} shirts and {b} hats"
    rule = f" except {banned} that look bad" if banned else ""
    text = rng.choice(
        (
            f"{name} has {items}. How many outfits are there{rule}?",
            f"With {items}, how many outfits can {name} wear{rule}?",
            f"How many outfits can be made of {items}{rule}?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(a, (b, c))
        count = pen.calc(f"{x}*{b}", x * b, "", "", (x + b,))
        if three:
            count = pen.step(f"{count}*{c}", count * c, count, "", "", (count + c,))
        if banned:
            count = pen.step(f"{count}-{banned}", count - banned, count, pen.say("Without the bad: "))
        pen.answer(count)

    return Question(text, str(total), (a, b, c if three else 0, banned), work)


@family("choose-two", "counting")
def choose_two(rng: random.Random, level: int) -> Question:
    """Pairs, or teams of three, out of a group."""
    n = rng.randint(4, (8, 12, 19, 29, 40)[level - 1])
    three = level > 2 and n < 15 and rng.random() < 0.4
    size = "three" if three else "two"
    name = rng.choice(NAMES)
    text = rng.choice(
        (
            f"In how many ways can {name} choose {size} of {n} books?",
            f"How many groups of {size} are there among {n} children?",
            f"{n} cards lie on a table. How many ways to pick {size} of them?",
        )
    )

    def work(pen: Pen) -> None:
        m = pen.given(n)
        ordered = pen.calc(f"{m}*{m - 1}", m * (m - 1), pen.say("In order: "), "", (m * m,))
        if three:
            ordered = pen.step(f"{ordered}*{m - 2}", ordered * (m - 2), ordered)
        divisor = 6 if three else 2
        pen.answer(
            pen.step(
                f"{ordered}/{divisor}",
                exact_div(ordered, divisor),
                ordered,
                pen.say("Order does not matter: "),
            )
        )

    return Question(text, str(comb(n, 3 if three else 2)), (n, three), work)


@family("draw-chance", "counting")
def draw_chance(rng: random.Random, level: int) -> Question:
    """The chance of drawing a colour, or of not drawing it."""
    red, blue, green = (
        rng.randint(1, 3 + 3 * level),
        rng.randint(1, 3 + 3 * level),
        rng.randint(1, 3 + 2 * level),
    )
    kinds = level > 2
    total = red + blue + (green if kinds else 0)
    no = rng.random() < 0.4
    value = Fraction(total - red if no else red, total)
    balls = f"{red} red, {blue} blue and {green} green balls" if kinds else f"{red} red and {blue} blue balls"
    asked = "is not red" if no else "is red"
    text = rng.choice(
        (
            f"A bag holds {balls}. How likely is it that one ball {asked}?",
            f"From {balls} one is drawn. Find the chance that it {asked}.",
            f"Of {balls} one is picked. With what probability it {asked}?",
        )
    )

    def work(pen: Pen) -> None:
        all_balls = int(pen.calc(f"{red}+{blue}", red + blue, pen.say("Balls: ")))
        if kinds:
            all_balls = int(pen.step(f"{all_balls}+{green}", all_balls + green, all_balls))
        good = int(pen.calc(f"{all_balls}-{red}", all_balls - red, pen.say("Not red: "))) if no else red
        exact_div(0, all_balls)
        pen.answer(pen.reduced(good, all_balls))

    return Question(text, boxed(value), (red, blue, green if kinds else 0, no), work)


@family("handshakes", "counting", weight=2.5)
def handshakes(rng: random.Random, level: int) -> Question:
    """How many people shook hands, from the number of handshakes."""
    n, half = rng.randint(4, (10, 16, 24, 34, 45)[level - 1]), rng.random() < 0.6
    pairs = n * (n - 1) // 2 if half else n * (n - 1)
    what = "handshakes" if half else "letters"
    text = rng.choice(
        (
            f"{pairs} handshakes, one for each pair: how many guests?",
            f"{pairs} games let each team meet each other once. How many teams?",
            f"How many people make {pairs} different pairs?",
        )
        if half
        else (
            f"Each child writes to each other: {pairs} letters. How many children?",
            f"{pairs} letters go between all friends both ways. How many friends?",
            f"How many people send {pairs} letters if each writes to all others?",
        )
    )

    def work(pen: Pen) -> None:
        (m,) = pen.guess(n, [n + d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if n + d > 1])
        pen.line(pen.say(f"Try {m} for these {what}.", f"Try {m}."))
        if half:
            product = int(pen.calc(f"{m}*{m - 1}", m * (m - 1)))
            pen.verify(f"{product}/2", exact_div(product, 2), pairs)
        else:
            pen.verify(f"{m}*{m - 1}", m * (m - 1), pairs)
        pen.answer(m)

    return Question(text, str(n), (n, half), work)


@family("red-balls", "counting", weight=2.5)
def red_balls(rng: random.Random, level: int) -> Question:
    """The number of red balls that gives a certain chance."""
    den = rng.randint(2, 4 + 2 * level)
    num = rng.randint(1, den - 1)
    unit = rng.randint(2, 4 + 4 * level)
    blue, red = (den - num) * unit, num * unit
    text = rng.choice(
        (
            f"{blue} balls are blue, the rest red. Red has chance {num}/{den}. How many red?",
            f"With {blue} blue balls red has probability {num}/{den}. Find the red balls.",
            f"How many red balls join {blue} blue ones so that red has chance {num}/{den}?",
        )
    )

    def work(pen: Pen) -> None:
        (r,) = pen.guess(red, [red + d for d in (-4, -3, -2, -1, 1, 2, 3, 4, num, -num) if red + d > 0])
        pen.line(pen.say(f"Try {r} red balls.", f"Try {r}."))
        total = int(pen.calc(f"{r}+{blue}", r + blue))
        left = int(pen.calc(f"{r}*{den}", r * den))
        pen.verify(f"{total}*{num}", total * num, left)
        pen.answer(r)

    return Question(text, str(red), (num, den, unit), work)


@family("rows-of-seats", "counting", weight=2.0)
def rows_of_seats(rng: random.Random, level: int) -> Question:
    """The number of rows of a triangle of things, from the total."""
    n, first = rng.randint(3, (7, 10, 15, 20, 26)[level - 1]), rng.randint(1, 2 + 2 * level)
    last = first + n - 1
    total = (first + last) * n // 2
    name = rng.choice(NAMES)
    text = rng.choice(
        (
            f"{name} stacks {total} cups: {first} in the first row, then one more each. How many rows?",
            f"Rows grow by one seat from {first}; {name} counts {total} seats. How many rows?",
            f"Of {total} stones {name} lays {first} first, then one more each row. How many rows?",
        )
    )

    def work(pen: Pen) -> None:
        (m,) = pen.guess(n, [n + d for d in (-3, -2, -1, 1, 2, 3) if n + d > 1])
        end = int(
            pen.calc(f"{first}+{m}-1", first + m - 1, pen.say(f"Try {m} rows. The last has ", f"Try {m}. "))
        )
        both = int(pen.calc(f"{first}+{end}", first + end))
        product = int(pen.calc(f"{both}*{m}", both * m))
        pen.verify(f"{product}/2", exact_div(product, 2), total)
        pen.answer(m)

    return Question(text, str(n), (n, first), work)


@family("arrangements", "counting", held_out=True)
def arrangements(rng: random.Random, level: int) -> Question:
    """First, second and third place."""
    n = rng.randint(4, 6 + 3 * level)
    three = level > 1
    places = "first, second and third" if three else "first and second"
    text = rng.choice(
        (
            f"{n} runners race. In how many ways can {places} place be won?",
            f"How many results for {places} place can a race of {n} have?",
            f"Of {n} players, in how many ways can {places} prize be given?",
        )
    )

    def work(pen: Pen) -> None:
        m = pen.given(n)
        two = pen.calc(f"{m}*{m - 1}", m * (m - 1), "", "", (m * m,))
        pen.answer(pen.step(f"{two}*{m - 2}", two * (m - 2), two) if three else two)

    return Question(text, str(n * (n - 1) * (n - 2 if three else 1)), (n, three), work)
