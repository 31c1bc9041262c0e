"""Word problems: short stories, some computed step by step, some guessed and checked."""

from __future__ import annotations

import random

from acemath.demo.worksheets.core import CannotCarry, Pen, Question, exact_div
from acemath.demo.worksheets.registry import family
from acemath.demo.worksheets.words import NAMES, THINGS


@family("buy-and-spend", "word-problems")
def buy_and_spend(rng: random.Random, level: int) -> Question:
    """What is left of an amount after buying some things."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    count, price = rng.randint(2, (5, 9, 9, 9, 9)[level - 1]), rng.randint(2, (6, 9, 15, 29, 59)[level - 1])
    left = rng.randint(1, 40 * level)
    money = count * price + left
    text = rng.choice(
        (
            f"{name} has {money} dollars and buys {count} {thing} at {price} dollars each. How many dollars are left?",
            f"With {money} dollars {name} pays for {count} {thing}, {price} dollars apiece. How much money remains?",
            f"{count} {thing} cost {price} dollars each. {name} had {money} dollars before buying them. How much is left?",
        )
    )

    def work(pen: Pen) -> None:
        n, p = pen.given(count, (price,)), pen.given(price, (count,))
        cost = pen.calc(f"{n}*{p}", n * p, pen.say(f"The {thing} cost "), "", (n + p,))
        m = pen.given(money)
        if cost > m:
            raise CannotCarry("the money does not reach")
        pen.answer(pen.calc(f"{m}-{cost}", m - cost, pen.say("Left are "), "", (m + cost,)))

    return Question(text, str(left), (money, count, price), work)


@family("sharing", "word-problems")
def sharing(rng: random.Random, level: int) -> Question:
    """Some things are lost, the rest is shared equally."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    friends, each = (
        rng.randint(2, (4, 6, 9, 9, 12)[level - 1]),
        rng.randint(2, (9, 12, 20, 40, 60)[level - 1]),
    )
    lost = rng.randint(1, 10 * level)
    start = friends * each + lost
    text = rng.choice(
        (
            f"{name} loses {lost} of {start} {thing} and shares the rest among {friends} friends. How many does each get?",
            f"{lost} of {start} {thing} are broken; {friends} friends of {name} share the others. How many each?",
            f"{friends} friends share {start} {thing} equally after {name} takes {lost} away. How many does one get?",
        )
    )

    def work(pen: Pen) -> None:
        s = pen.given(start)
        rest = pen.step(f"{s}-{lost}", s - lost, s, pen.say("To share: "), "", (s + lost,))
        f = pen.given(friends, (lost,))
        pen.answer(pen.calc(f"{rest}/{f}", exact_div(rest, f), pen.say("Each gets ")))

    return Question(text, str(each), (start, lost, friends), work)


@family("two-people", "word-problems")
def two_people(rng: random.Random, level: int) -> Question:
    """One has some, another a multiple or more; how many in all."""
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    a, times, more = rng.randint(3, 15 * level), rng.randint(2, 3 + level), rng.randint(1, 10 * level)
    total = a + a * times + more
    text = rng.choice(
        (
            f"{name} has {a} {thing}. {other} has {times} times as many and {more} more. How many do they have together?",
            f"There are {a} {thing} in a box of {name}; {other} owns {times} times that number plus {more}. How many in all?",
            f"{other} has {more} more than {times} times the {a} {thing} of {name}. What is the total number of {thing}?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(a, (times, more))
        big = pen.calc(f"{x}*{times}", x * times, pen.say("The multiple is "), "", (x + times,))
        full = pen.step(f"{big}+{more}", big + more, big, pen.say(f"{other} has "), "", (big - more,))
        pen.answer(pen.step(f"{full}+{x}", full + x, full, pen.say("Together ")))

    return Question(text, str(total), (a, times, more), work)


@family("heads-and-legs", "word-problems", weight=2.5)
def heads_and_legs(rng: random.Random, level: int) -> Question:
    """How many of each animal: guessed, and checked by counting legs."""
    few, many = rng.choice((("hens", "cows"), ("ducks", "dogs"), ("birds", "cats")))
    x, y = rng.randint(1, 5 + 5 * level), rng.randint(1, 5 + 5 * level)
    heads, legs = x + y, 2 * x + 4 * y
    text = rng.choice(
        (
            f"A farm has {heads} animals, {few} and {many}, with {legs} legs in all. How many {many} are there?",
            f"{heads} heads and {legs} legs belong to {few} and {many}. Find the number of {many}.",
            f"Among {few} and {many} one counts {legs} legs and {heads} heads. How many {many}?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(y, [y + d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if 0 < y + d < heads])
        rest = pen.mental(heads - n)
        pen.line(pen.say(f"Try {n} {many} and {rest} {few}.", f"Try {n} and {rest}."))
        pen.verify(f"{n}+{rest}", n + rest, heads)
        four = int(pen.calc(f"4*{n}", 4 * n))
        two = int(pen.calc(f"2*{rest}", 2 * rest))
        pen.verify(f"{four}+{two}", four + two, legs)
        pen.answer(n)

    return Question(text, str(y), (heads, legs), work)


@family("two-coins", "word-problems", weight=2.5)
def two_coins(rng: random.Random, level: int) -> Question:
    """Change made of two kinds of coins with a known number of coins."""
    a, b = rng.choice(((2, 5), (5, 10), (2, 10), (1, 5), (5, 20)))
    x, y = rng.randint(1, 3 + 4 * level), rng.randint(1, 3 + 4 * level)
    name = rng.choice(NAMES)
    count, total = x + y, a * x + b * y
    text = rng.choice(
        (
            f"Coins of {a} and {b} cents, {count} in all, are worth {total} cents. How many {b} cent coins has {name}?",
            f"Using coins of {a} and {b} cents, {name} pays {total} cents. How many of {b} cents are among the {count} coins?",
            f"{count} coins, some {a} and some {b} cents, make {total} cents. How many {b} cent coins does {name} have?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(y, [y + d for d in (-4, -3, -2, -1, 1, 2, 3, 4) if 0 <= y + d <= count])
        rest = pen.mental(count - n)
        pen.line(pen.say(f"Try {n} of {b} and {rest} of {a}.", f"Try {n} and {rest}."))
        pen.verify(f"{n}+{rest}", n + rest, count)
        high = int(pen.calc(f"{b}*{n}", b * n))
        low = int(pen.calc(f"{a}*{rest}", a * rest))
        pen.verify(f"{high}+{low}", high + low, total)
        pen.answer(n)

    return Question(text, str(y), (a, b, count, total), work)


@family("ages", "word-problems", weight=2.0)
def ages(rng: random.Random, level: int) -> Question:
    """Two ages from their sum and a multiple."""
    name, other = rng.sample(NAMES, 2)
    young, times = rng.randint(3, 15 + 5 * level), rng.randint(2, 5)
    extra = rng.choice((0, 0, 1, 2, 3)) if level > 2 else 0
    total = young + times * young + extra
    more = f" and {extra} years more" if extra else ""
    text = rng.choice(
        (
            f"{name} is {times} times as old as {other}{more}. Together they are {total} years old. How old is {other}?",
            f"The ages of {name} and {other} add up to {total}. {name} has {times} times the age of {other}{more}. Find the age of {other}.",
            f"{total} is the sum of two ages: {name} is {times} times {other}{more}. How old is {other}?",
        )
    )

    def work(pen: Pen) -> None:
        (n,) = pen.guess(young, [young + d for d in (-3, -2, -1, 1, 2, 3) if young + d > 0])
        pen.line(pen.say(f"Suppose {other} is {n}.", f"Try {n}."))
        old = int(pen.calc(f"{n}*{times}", n * times))
        if extra:
            old = int(pen.calc(f"{old}+{extra}", old + extra))
        pen.verify(f"{old}+{n}", old + n, total)
        pen.answer(n)

    return Question(text, str(young), (young, times, extra), work)


@family("work-days", "word-problems", held_out=True)
def work_days(rng: random.Random, level: int) -> Question:
    """Reading or saving at a daily rate that changes once."""
    name = rng.choice(NAMES)
    a, b, d, e = (
        rng.randint(2, 5 + 4 * level),
        rng.randint(2, 5 + 4 * level),
        rng.randint(2, 9),
        rng.randint(2, 9),
    )
    text = rng.choice(
        (
            f"{name} reads {a} pages a day for {d} days and then {b} pages a day for {e} days. How many pages in all?",
            f"For {d} days {name} saves {a} coins daily, for {e} more days {b} coins daily. How many coins is that?",
            f"{a} cards a day for {d} days, then {b} a day for {e} days: how many cards does {name} make?",
        )
    )

    def work(pen: Pen) -> None:
        x = pen.given(a, (b,))
        first = pen.calc(f"{x}*{d}", x * d, pen.say("First "))
        y = pen.given(b, (a,))
        second = pen.step(f"{y}*{e}", y * e, 0, pen.say("Then "))
        pen.answer(pen.calc(f"{first}+{second}", first + second, pen.say("In all ")))

    return Question(text, str(a * d + b * e), (a, b, d, e), work)
