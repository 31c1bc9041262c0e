"""Geometry: areas, perimeters, angles, and sides that are found by trying."""

from __future__ import annotations

import random

from acemath.worksheets.core import Pen, Question, exact_div
from acemath.worksheets.registry import family


@family("rectangle", "geometry")
def rectangle(rng: random.Random, level: int) -> Question:
    """Area or perimeter of a rectangle."""
    a, b = rng.randint(2, (9, 15, 25, 40, 60)[level - 1]), rng.randint(2, (9, 9, 12, 19, 29)[level - 1])
    area = rng.random() < 0.5
    what = "area" if area else "perimeter"
    text = rng.choice((f"A rectangle is {a} long and {b} wide. What is its {what}?", f"Find the {what} of a {a} by {b} rectangle.", f"With sides {a} and {b}, what {what} does a rectangle have?"))

    def work(pen: Pen) -> None:
        x, y = pen.given(a, (b,)), pen.given(b, (a,))
        if area:
            pen.answer(pen.calc(f"{x}*{y}", x * y, pen.say("Area: "), "", (x + y, 2 * (x + y))))
        else:
            half = pen.calc(f"{x}+{y}", x + y, pen.say("Half of it: "), "", (x * y,))
            pen.answer(pen.step(f"2*{half}", 2 * half, half, pen.say("Perimeter: ")))

    return Question(text, str(a * b if area else 2 * (a + b)), (a, b, area), work)


@family("triangle-angle", "geometry")
def triangle_angle(rng: random.Random, level: int) -> Question:
    """The third angle of a triangle, or of one with two equal angles."""
    step = (10, 5, 5, 1, 1)[level - 1]
    a = step * rng.randint(20 // step, 80 // step)
    b = a if rng.random() < 0.3 else step * rng.randint(20 // step, 80 // step)
    told = f"two angles of {a} degrees each" if a == b else f"angles of {a} and {b} degrees"
    text = rng.choice((f"A triangle has {told}. Find the last angle.", f"What is the third angle if a triangle has {told}?", f"In a triangle with {told}, how large is the other angle?"))

    def work(pen: Pen) -> None:
        x = pen.given(a, (b,))
        both = pen.step(f"{x}+{b}", x + b, x, pen.say("Two angles: "))
        pen.answer(pen.calc(f"180-{both}", 180 - both, pen.say("The third: "), "", (360 - both, 90 + both)))

    return Question(text, str(180 - a - b), (a, b), work)


@family("box", "geometry")
def box(rng: random.Random, level: int) -> Question:
    """Volume or surface of a box."""
    top = (5, 7, 9, 12, 15)[level - 1]
    a, b, c = rng.randint(2, top), rng.randint(2, top), rng.randint(2, 9)
    surface = level > 2 and rng.random() < 0.5
    what = "surface area" if surface else "volume"
    text = rng.choice((f"A box is {a} by {b} by {c}. What is its {what}?", f"Find the {what} of a box with edges {a}, {b} and {c}.", f"What {what} has a {a} by {b} by {c} box?"))

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

    return Question(text, str(2 * (a * b + a * c + b * c) if surface else a * b * c), (a, b, c, surface), work)


@family("sides-from-area", "geometry", weight=2.5)
def sides_from_area(rng: random.Random, level: int) -> Question:
    """A rectangle's longer side from its area and perimeter."""
    top = (7, 12, 18, 26, 36)[level - 1]
    b = rng.randint(2, top)
    a = rng.randint(b, top + 2)
    area, around = a * b, 2 * (a + b)
    half = a + b
    text = rng.choice((f"A rectangle has area {area} and perimeter {around}. What is its longer side?", f"The perimeter of a rectangle is {around}, its area {area}. Find the longer side.", f"How long is the longer side of a rectangle with area {area} and perimeter {around}?"))
    near = [(half - y, y) for y in range(max(1, b - 4), min(b + 4, half // 2) + 1)]

    def work(pen: Pen) -> None:
        x, y = pen.guess((a, b), near)
        pen.line(pen.say(f"Try sides {x} and {y}.", f"Try {x} and {y}."))
        pen.verify(f"{x}+{y}", x + y, half)
        pen.verify(f"{x}*{y}", x * y, area)
        pen.answer(x)

    return Question(text, str(a), (a, b), work)


@family("right-triangle", "geometry", weight=2.0)
def right_triangle(rng: random.Random, level: int) -> Question:
    """A side of a right triangle with whole sides."""
    triples = ((3, 4, 5), (6, 8, 10), (5, 12, 13), (9, 12, 15), (8, 15, 17), (12, 16, 20), (7, 24, 25), (15, 20, 25), (10, 24, 26), (20, 21, 29), (18, 24, 30), (16, 30, 34), (21, 28, 35), (12, 35, 37), (15, 36, 39), (24, 32, 40), (9, 40, 41), (27, 36, 45), (30, 40, 50), (14, 48, 50))  # fmt: skip
    a, b, c = triples[rng.randrange(min(len(triples), 4 * level))]
    if rng.random() < 0.5:
        a, b = b, a
    leg = rng.random() < 0.5
    told = f"a leg {a} and hypotenuse {c}" if leg else f"legs {a} and {b}"
    asked = "the other leg" if leg else "the hypotenuse"
    name = rng.choice(("ABC", "PQR", "XYZ", "DEF"))
    text = rng.choice((f"Right triangle {name} has {told}. How long is {asked}?", f"Find {asked} of the right triangle {name} with {told}.", f"With {told}, what is {asked} of right triangle {name}?"))
    goal = b if leg else c

    def work(pen: Pen) -> None:
        first = int(pen.calc(f"{a}*{a}", a * a))
        second = int(pen.calc(f"{c}*{c}", c * c)) if leg else int(pen.calc(f"{b}*{b}", b * b))
        square = int(pen.calc(f"{second}-{first}", second - first) if leg else pen.calc(f"{first}+{second}", first + second))
        (n,) = pen.guess(goal, [goal + d for d in (-3, -2, -1, 1, 2, 3) if goal + d > 0])
        pen.verify(f"{n}*{n}", n * n, square)
        pen.answer(n)

    return Question(text, str(goal), (a, b, c, leg, name), work)


@family("triangle-base", "geometry", weight=2.0)
def triangle_base(rng: random.Random, level: int) -> Question:
    """The base of a triangle from its area and height."""
    h, base = 2 * rng.randint(1, 2 + 2 * level), rng.randint(3, (9, 15, 25, 40, 60)[level - 1])
    area = h * base // 2
    text = rng.choice((f"A triangle has area {area} and height {h}. How long is its base?", f"The height of a triangle is {h} and its area {area}. Find the base.", f"What is the base of a triangle with area {area} and height {h}?"))

    def work(pen: Pen) -> None:
        (n,) = pen.guess(base, [base + d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if base + d > 0])
        pen.line(pen.say(f"Try a base of {n}.", f"Try {n}."))
        product = int(pen.calc(f"{n}*{h}", n * h))
        pen.verify(f"{product}/2", exact_div(product, 2), area)
        pen.answer(n)

    return Question(text, str(base), (h, base), work)


@family("frame", "geometry", held_out=True)
def frame(rng: random.Random, level: int) -> Question:
    """The area between two squares."""
    a = rng.randint(2, 4 + 4 * level)
    b = a + rng.randint(1, 3 + 2 * level)
    text = rng.choice((f"A square of side {a} lies inside a square of side {b}. What area is between them?", f"From a square with side {b} a square with side {a} is cut out. What area is left?", f"How much larger in area is a square of side {b} than one of side {a}?"))

    def work(pen: Pen) -> None:
        x, y = pen.given(b, (a,)), pen.given(a, (b,))
        big = pen.calc(f"{x}*{x}", x * x, pen.say("Large: "), "", (4 * x,))
        small = pen.calc(f"{y}*{y}", y * y, pen.say("Small: "), "", (4 * y,))
        pen.answer(pen.step(f"{big}-{small}", big - small, big, pen.say("Between: ")))

    return Question(text, str(b * b - a * a), (a, b), work)
