"""General: sorting, reversing, counting, dates, units and comparing."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import CannotCarry, Pen, Question
from acemath.demo.worksheets.registry import family
from acemath.demo.worksheets.words import NAMES, THINGS

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@family("sort-numbers", "general")
def sort_numbers(rng: random.Random, level: int) -> Question:
    """Numbers in ascending or descending order."""
    items = rng.sample(range(1, 20 * level + 10), 2 + level)
    down = rng.random() < 0.4
    order = sorted(items, reverse=down)
    what = "largest to smallest" if down else "smallest to largest"
    shown = ", ".join(map(str, items))
    text = rng.choice(
        (
            f"Sort {shown} from {what}.",
            f"Put {shown} in order from {what}.",
            f"{shown}: write them from {what}.",
        )
    )

    def work(pen: Pen) -> None:
        done = [pen.given(order[0], order), *order[1:]]
        if len(set(done)) < len(done):
            raise CannotCarry("a number twice")
        pen.line(pen.say(f"First comes {done[0]}, last {done[-1]}.", f"{done[0]} to {done[-1]}"))
        pen.answer(", ".join(map(str, done)))

    return Question(text, ", ".join(map(str, order)), (*items, down), work)


@family("reverse-word", "general")
def reverse_word(rng: random.Random, level: int) -> Question:
    """Letters in reverse order."""
    letters = rng.sample("abcdefghiklmnoprstu", 2 + level)
    word = " ".join(letters)
    back = letters[::-1]
    text = rng.choice(
        (
            f"Write these letters backwards: {word}",
            f"Reverse the order of {word}",
            f"What is {word} read from the end?",
        )
    )

    def work(pen: Pen) -> None:
        at = pen.given(0, range(1, len(back)))
        if not 0 <= at < len(back):
            raise CannotCarry("no such letter")
        mine = back[at:] + back[:at]
        pen.line(pen.say(f"The last letter is {mine[0]}.", f"{mine[0]} first."))
        pen.answer(" ".join(mine))

    return Question(text, " ".join(back), (word,), work)


@family("count-items", "general")
def count_items(rng: random.Random, level: int) -> Question:
    """How often a word is in a list."""
    kinds = rng.sample(THINGS, 3)
    items = [rng.choice(kinds) for _ in range(3 + level)]
    asked = rng.choice(items)
    shown = " ".join(items)
    text = rng.choice(
        (
            f"How many times is {asked} in this list: {shown}?",
            f"Count {asked}: {shown}",
            f"In {shown}, how often does {asked} come?",
        )
    )

    def work(pen: Pen) -> None:
        count = 0
        for place, item in enumerate(items):
            if item == asked:
                count = int(pen.calc(f"{count}+1", count + 1, pen.say(f"Place {place + 1}: ")))
        pen.answer(count)

    return Question(text, str(items.count(asked)), (asked, *items), work)


@family("weekday", "general")
def weekday(rng: random.Random, level: int) -> Question:
    """The day of the week some days later."""
    day, on = rng.randrange(7), rng.randint(2, (6, 13, 20, 40, 70)[level - 1])
    text = rng.choice(
        (
            f"Today is {_DAYS[day]}. What day is it in {on} days?",
            f"If it is {_DAYS[day]} now, which day comes {on} days later?",
            f"{on} days after {_DAYS[day]} is which day?",
        )
    )

    def work(pen: Pen) -> None:
        n = pen.given(on)
        weeks = n // 7
        left = int(pen.calc(f"{n}-{7 * weeks}", n - 7 * weeks, pen.say("Days over: "))) if weeks else n
        pen.answer(_DAYS[(day + left) % 7])

    return Question(text, _DAYS[(day + on) % 7], (day, on), work)


@family("units", "general")
def units(rng: random.Random, level: int) -> Question:
    """A length, time or weight in a smaller unit."""
    big, small, factor = rng.choice(
        (
            ("hours", "minutes", 60),
            ("feet", "inches", 12),
            ("weeks", "days", 7),
            ("days", "hours", 24),
            ("meters", "centimeters", 100),
            ("minutes", "seconds", 60),
        )[: 2 + level]
    )
    a, b = rng.randint(2, 3 + 3 * level), rng.randint(1, factor - 1)
    text = rng.choice(
        (
            f"How many {small} are {a} {big} and {b} {small}?",
            f"Write {a} {big} and {b} {small} in {small}.",
            f"{a} {big} and {b} {small}: how many {small} in all?",
        )
    )

    def work(pen: Pen) -> None:
        n = pen.given(a, (b,))
        whole = pen.calc(f"{n}*{factor}", n * factor, pen.say(f"{n} {big}: "))
        pen.answer(pen.step(f"{whole}+{b}", whole + b, whole, pen.say("In all: ")))

    return Question(text, str(a * factor + b), (a, b, big, small), work)


@family("compare", "general")
def compare(rng: random.Random, level: int) -> Question:
    """The difference between the most and the least that somebody has."""
    names = rng.sample(NAMES, 3)
    values = rng.sample(range(2, 30 * level + 10), 3)
    thing = rng.choice(THINGS)
    told = ", ".join(f"{n} has {v}" for n, v in zip(names, values, strict=True))
    high, low = max(values), min(values)
    text = rng.choice(
        (
            f"{told} {thing}. How many more has the first than the last in order?",
            f"Of {thing}, {told}. What is the difference of most and least?",
            f"{told} {thing}. How much more is the most than the least?",
        )
    )

    def work(pen: Pen) -> None:
        most, least = pen.given(high, values), pen.given(low, values)
        pen.line(pen.say(f"Most is {most}, least is {least}.", f"{most} and {least}"))
        pen.answer(pen.calc(f"{most}-{least}", most - least))

    return Question(text, str(high - low), (*values, tuple(names)), work)


@family("alphabet", "general", held_out=True)
def alphabet(rng: random.Random, level: int) -> Question:
    """Names in alphabetical order."""
    names = rng.sample(NAMES, min(6, 2 + level))
    order = sorted(names)
    shown = ", ".join(names)
    text = rng.choice(
        (
            f"Put {shown} in alphabetical order.",
            f"Sort the names {shown} by alphabet.",
            f"{shown}: write the names from A to Z.",
        )
    )

    def work(pen: Pen) -> None:
        first = pen.given(0, range(1, len(order)))
        if not 0 <= first < len(order):
            raise CannotCarry("no such name")
        mine = order[first:] + order[:first]
        pen.line(pen.say(f"First comes {mine[0]}.", f"{mine[0]} first."))
        pen.answer(", ".join(mine))

    return Question(text, ", ".join(order), tuple(names), work)
