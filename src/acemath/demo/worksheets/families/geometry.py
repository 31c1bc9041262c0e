"""Geometry: areas, perimeters, angles, and sides that are guessed and checked."""

from __future__ import annotations

import random
from math import isqrt

from acemath.demo.worksheets.core import Pen, Question, exact_div
from acemath.demo.worksheets.products import calc_product, verify_product
from acemath.demo.worksheets.registry import family


def _near(x: int, reach: int) -> list[int]:
    """The positive numbers within `reach` of x, without x itself."""
    return [n for n in range(max(1, x - reach), x + reach + 1) if n != x]


def _triples(top: int) -> list[tuple[int, int, int]]:
    """Whole sides a < b < c of right triangles with c up to `top`."""
    pairs = [(a, b) for b in range(4, top) for a in range(3, b) if a * a + b * b <= top * top]
    sides = [(a, b, isqrt(a * a + b * b)) for a, b in pairs]
    return [(a, b, c) for a, b, c in sides if a * a + b * b == c * c]


TRIPLES = tuple(_triples(top) for top in (40, 50, 65, 85, 100))  # by level


@family("rectangle", "geometry")
def rectangle(rng: random.Random, level: int) -> Question:
    """Area or perimeter of a rectangle."""
    a, b = rng.randint(2, (9, 15, 25, 40, 60)[level - 1]), rng.randint(2, (9, 9, 12, 19, 29)[level - 1])
    area = rng.random() < 0.5
    what = "area" if area else "perimeter"
    text = rng.choice(
        (
            f"A rectangle is {a} long and {b} wide. What is its {what}?",
            f"Find the {what} of a {a} by {b} rectangle.",
            f"With sides {a} and {b}, what {what} does a rectangle have?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(a, (b,))
        if area:
            pen.answer(calc_product(pen, x, b, pen.say("Area: ")))
        else:
            half = pen.calc(f"{x}+{b}", x + b, pen.say("Half of it: "), "", (x * b,))
            pen.answer(pen.step(f"2*{half}", 2 * half, half, pen.say("Perimeter: ")))

    value = a * b if area else 2 * (a + b)
    return Question(text, str(value), (min(a, b), max(a, b), area), work)


@family("triangle-angle", "geometry")
def triangle_angle(rng: random.Random, level: int) -> Question:
    """The third angle of a triangle, or of one with two equal angles."""
    step = (5, 5, 2, 1, 1)[level - 1]
    a = step * rng.randint(20 // step, 80 // step)
    b = a if rng.random() < 0.2 else step * rng.randint(20 // step, 80 // step)
    told = f"two angles of {a} degrees each" if a == b else f"angles of {a} and {b} degrees"
    text = rng.choice(
        (
            f"A triangle has {told}. Find the last angle.",
            f"What third angle has a triangle with {told}?",
            f"In a triangle with {told}, how large is the other angle?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(a, (b,))
        both = pen.step(f"{x}+{b}", x + b, x, pen.say("Two angles: "))
        pen.answer(pen.calc(f"180-{both}", 180 - both, pen.say("The third: "), "", (360 - both, 90 + both)))

    return Question(text, str(180 - a - b), (min(a, b), max(a, b)), work)


@family("box", "geometry")
def box(rng: random.Random, level: int) -> Question:
    """Volume or surface of a box."""
    top = (6, 7, 9, 10, 12)[level - 1]
    a, b, c = rng.randint(2, top), rng.randint(2, top), rng.randint(2, 9)
    surface = level > 2 and rng.random() < 0.5
    what = "surface area" if surface else "volume"
    text = rng.choice(
        (
            f"A box is {a} by {b} by {c}. What is its {what}?",
            f"Find the {what} of a box with edges {a}, {b} and {c}.",
            f"What {what} has a {a} by {b} by {c} box?",
        )
    )

    def work(pen: Pen) -> None:
        x, y = pen.given(a, (b, c)), pen.given(b, (a, c))
        base = pen.calc(f"{x}*{y}", x * y, pen.say("Base: "), "", (x + y,))
        if not surface:
            pen.answer(pen.step(f"{base}*{c}", base * c, base, pen.say("Volume: ")))
            return
        side = pen.calc(f"{x}*{c}", x * c, pen.say("Side: "))
        front = pen.step(f"{y}*{c}", y * c, 0, pen.say("Front: "))
        two = pen.calc(f"{base}+{side}", base + side)
        half = pen.calc(f"{two}+{front}", two + front)
        pen.answer(pen.step(f"2*{half}", 2 * half, half, pen.say("Surface: ")))

    value = 2 * (a * b + a * c + b * c) if surface else a * b * c
    return Question(text, str(value), (*sorted((a, b, c)), surface), work)


@family("sides-from-area", "geometry", weight=2.5)
def sides_from_area(rng: random.Random, level: int) -> Question:
    """A rectangle's longer side from its area and perimeter."""
    top = (9, 12, 18, 26, 36)[level - 1]
    b = rng.randint(2, top)
    a = rng.randint(b, top + 2)
    area, half = a * b, a + b
    text = rng.choice(
        (
            f"A rectangle has area {area} and perimeter {2 * half}. What is its longer side?",
            f"The perimeter of a rectangle is {2 * half}, its area {area}. Find the longer side.",
            f"With area {area} and perimeter {2 * half}, how long is a rectangle's longer side?",
        )
    )
    near = [(half - y, y) for y in range(max(1, b - 4), min(b + 4, half // 2) + 1)]

    def work(pen: Pen) -> None:
        x, y = pen.guess((a, b), near)
        pen.line(pen.say(f"Try sides {x} and {y}.", f"Try {x} and {y}."))
        pen.verify(f"{x}+{y}", x + y, half)
        verify_product(pen, x, y, area)
        pen.answer(x)

    return Question(text, str(a), (a, b), work)


@family("longer-by", "geometry", weight=2.0)
def longer_by(rng: random.Random, level: int) -> Question:
    """A rectangle's shorter side from its area and how much longer the other one is."""
    b, d = rng.randint(2, (9, 12, 18, 26, 36)[level - 1]), rng.randint(1, 4 + level)
    area = b * (b + d)
    text = rng.choice(
        (
            f"A rectangle is {d} longer than wide and has area {area}. How wide is it?",
            f"The area of a rectangle is {area}, one side is {d} longer. Find the shorter side.",
            f"With area {area} and one side {d} longer, how long is a rectangle's shorter side?",
        )
    )

    def work(pen: Pen) -> None:
        x, y = pen.guess((b + d, b), [(n + d, n) for n in _near(b, 4)])
        pen.line(pen.say(f"Try sides {y} and {x}.", f"Try {y} and {x}."))
        pen.verify(f"{x}-{y}", x - y, d)
        verify_product(pen, x, y, area)
        pen.answer(y)

    return Question(text, str(b), (b, d), work)


@family("two-squares", "geometry", weight=2.0)
def two_squares(rng: random.Random, level: int) -> Question:
    """The larger of two squares from the sum of their sides and of their areas."""
    top = (10, 13, 17, 21, 25)[level - 1]
    b = rng.randint(2, top - 1)
    a = rng.randint(b + 1, top + 1)
    total, areas = a + b, a * a + b * b
    text = rng.choice(
        (
            f"Two squares have areas of sum {areas} and sides of sum {total}. Find the longer side.",
            f"The sides of two squares add up to {total}, their areas to {areas}. What is the longer side?",
            f"With sides of sum {total} and areas of sum {areas}, how long is the larger square's side?",
        )
    )
    near = [(total - y, y) for y in range(max(1, b - 4), min(b + 4, (total - 1) // 2) + 1)]

    def work(pen: Pen) -> None:
        x, y = pen.guess((a, b), near)
        pen.line(pen.say(f"Try sides {x} and {y}.", f"Try {x} and {y}."))
        pen.verify(f"{x}+{y}", x + y, total)
        large = int(pen.calc(f"{x}*{x}", x * x))
        small = int(pen.calc(f"{y}*{y}", y * y))
        pen.verify(f"{large}+{small}", large + small, areas)
        pen.answer(x)

    return Question(text, str(a), (a, b), work)


@family("right-triangle", "geometry")
def right_triangle(rng: random.Random, level: int) -> Question:
    """A side of a right triangle with whole sides."""
    a, b, c = rng.choice(TRIPLES[level - 1])
    if rng.random() < 0.5:
        a, b = b, a
    leg = rng.random() < 0.5
    told = f"a leg {a} and hypotenuse {c}" if leg else f"legs {a} and {b}"
    asked = "the other leg" if leg else "the hypotenuse"
    goal = b if leg else c
    text = rng.choice(
        (
            f"A right triangle has {told}. How long is {asked}?",
            f"Right triangle: {told}. Find {asked}.",
            f"With {told} in a right triangle, what is {asked}?",
        )
    )

    def work(pen: Pen) -> None:
        first = int(pen.calc(f"{a}*{a}", a * a))
        other, sign = (c, "-") if leg else (b, "+")
        second = int(pen.calc(f"{other}*{other}", other * other))
        square = second - first if leg else second + first
        square = int(pen.calc(f"{second}{sign}{first}", square))
        (n,) = pen.guess(goal, _near(goal, 3))
        pen.line(pen.say(f"Try {n} for {asked}.", f"Try {n}."))
        pen.verify(f"{n}*{n}", n * n, square)
        pen.answer(n)

    known = (a, c) if leg else (min(a, b), max(a, b))
    return Question(text, str(goal), (*known, leg), work)


@family("triangle-base", "geometry", weight=2.0)
def triangle_base(rng: random.Random, level: int) -> Question:
    """The base of a triangle from its area and height."""
    h, base = 2 * rng.randint(1, 3 + 2 * level), rng.randint(3, (11, 15, 25, 40, 60)[level - 1])
    area = h * base // 2
    text = rng.choice(
        (
            f"A triangle has area {area} and height {h}. How long is its base?",
            f"The height of a triangle is {h} and its area {area}. Find the base.",
            f"What is the base of a triangle with area {area} and height {h}?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(base, _near(base, 4))
        pen.line(pen.say(f"Try a base of {n}.", f"Try {n}."))
        if pen.style == "full":
            half = int(pen.calc(f"{h}/2", h // 2, "Half the height is "))
            verify_product(pen, n, half, area)
        else:
            product = calc_product(pen, n, h)
            pen.verify(f"{product}/2", exact_div(product, 2), area)
        pen.answer(n)

    return Question(text, str(base), (h, base), work)


@family("frame", "geometry", held_out=True)
def frame(rng: random.Random, level: int) -> Question:
    """The area between two squares."""
    a = rng.randint(2, 4 + 4 * level)
    b = a + rng.randint(1, 4 + 2 * level)
    text = rng.choice(
        (
            f"A square of side {a} lies inside a square of side {b}. What area is between them?",
            f"From a square with side {b} a square with side {a} is cut out. What area is left?",
            f"Squares have sides {b} and {a}. How much larger in area is the first one?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(b, (a,))
        big = pen.calc(f"{x}*{x}", x * x, pen.say("Large: "), "", (4 * x,))
        y = pen.given(a, (b,))
        small = pen.calc(f"{y}*{y}", y * y, pen.say("Small: "), "", (4 * y,))
        pen.answer(pen.step(f"{big}-{small}", big - small, big, pen.say("Between: ")))

    return Question(text, str(b * b - a * a), (a, b), work)
