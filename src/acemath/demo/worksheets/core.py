"""Worksheets: a question, and a pen that writes its solution, with or without slips.

A family is a function `(rng, level) -> Question` that draws its numbers and returns the text, the exact
answer and a `work(pen)` that writes the solution line by line. All arithmetic goes through the pen, which can
slip: write a wrong result, copy a wrong number from the question, leave a step out, or take a wrong guess and
then "verify" it. The lines after a slip use the slipped value, as in a careless student's work, so that only
checking finds it. `marks` say for each line whether the work is right so far.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Number = int | Fraction
SlipKind = Literal["result", "copy", "skip", "guess"]
STYLES: tuple[str, ...] = ("short", "full")


class CannotCarry(Exception):
    """A slipped value makes the rest of the work impossible, such as a division with a remainder."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a family, with a function that writes its solution.

    `key` identifies the question by its numbers, whatever its wording; it decides the split, so that no question is
    in two splits. `names` holds the true values of letters in the work (x = 4), for the test that recomputes every
    equation.
    """

    text: str
    answer: str
    key: tuple[object, ...]
    work: Callable[[Pen], None]
    names: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """A written solution: its lines, a mark for each, and the answer in its box.

    A mark is True if all is right so far, False from the first wrong line on, and None if it cannot be known yet:
    after a wrong guess, before the line that tests it.
    """

    lines: tuple[str, ...]
    marks: tuple[bool | None, ...]
    answer: str
    slip: SlipKind | None = None  # the kind of the first slip

    @property
    def text(self) -> str:
        """The solution as one text, lines joined by line breaks."""
        return "\n".join(self.lines)

    @property
    def first_wrong(self) -> int | None:
        """Number of the first wrong line, from 1; None if all are right."""
        return next((i + 1 for i, mark in enumerate(self.marks) if mark is False), None)


def show(value: Number | str) -> str:
    """A number as a solution writes it: 7, -3, 3/4."""
    return str(value)


def boxed(value: Number | str) -> str:
    r"""A number as an answer writes it: fractions as \frac{3}{4}."""
    if isinstance(value, Fraction) and value.denominator != 1:
        sign = "-" if value < 0 else ""
        return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    return str(value)


def exact_div(a: Number, b: Number) -> int:
    """a / b as an integer. CannotCarry if b does not divide a, as after a slip."""
    if b == 0 or Fraction(a) % Fraction(b) != 0:
        raise CannotCarry(f"{a}/{b}")
    return int(Fraction(a) / Fraction(b))


class Pen:
    """Writes the lines of one solution, with the given slips.

    Each call that could slip is a chance; `slips` holds the numbers of those that do, from 0 in the order of the
    calls. Without slips the solution is right. `style` is "short" (only equations) or "full" (with words); `say`
    picks between the two.
    """

    def __init__(self, rng: random.Random, style: str = "short", slips: Collection[int] = ()) -> None:
        self.rng = rng
        self.style = style
        self.slips = slips
        self.lines: list[str] = []
        self.marks: list[bool | None] = []
        self.boxed = ""
        self.slip: SlipKind | None = None
        self.chances: list[SlipKind] = []
        self._wrong = False  # a false statement is on the page
        self._bad_guess = False  # a wrong guess is on the page and not tested yet

    def _slips(self, kind: SlipKind) -> bool:
        here = len(self.chances) in self.slips
        self.chances.append(kind)
        if here:
            self.slip = self.slip or kind
        return here

    def say(self, full: str, short: str = "") -> str:
        """`full` in the full style, `short` in the short one."""
        return full if self.style == "full" else short

    def line(self, text: str) -> None:
        """Write a line that adds no new arithmetic. An empty text writes nothing."""
        if not text:
            return
        self.lines.append(text)
        self.marks.append(False if self._wrong else None if self._bad_guess else True)

    def given(self, value: int, among: Sequence[int] = ()) -> int:
        """A number copied from the question. A slip copies another one of `among`, or changes a digit.

        Call it when the number is first used, so that after a slip the next line is the first wrong one.
        """
        if not self._slips("copy"):
            return value
        self._wrong = True
        others = [v for v in among if v != value]
        return self.rng.choice(others) if others and self.rng.random() < 0.5 else misread(value, self.rng)

    def mental(self, value: int) -> int:
        """A number worked out without a line of its own. A slip is off by a little.

        Call it before the line that shows the number, so that after a slip this line is the first wrong one.
        """
        if not self._slips("copy"):
            return value
        self._wrong = True
        return int(slipped(value, self.rng))

    def calc(
        self, expression: str, value: Number, before: str = "", after: str = "", wrong: Sequence[Number] = ()
    ) -> Number:
        """Write `before expression=value after` and return the value. A slip writes and returns a wrong one.

        `wrong` holds likely wrong results of this step (a sum instead of a difference); `slipped` makes up others.
        """
        if self._slips("result"):
            value = slipped(value, self.rng, wrong)
            self._wrong = True
        self.line(f"{before}{expression}={show(value)}{after}")
        return value

    def step(
        self,
        expression: str,
        value: Number,
        skip: Number,
        before: str = "",
        after: str = "",
        wrong: Sequence[Number] = (),
    ) -> Number:
        """As `calc`, but a slip may also leave the step out: it writes no line and returns `skip`."""
        if self._slips("skip"):
            self._wrong = True
            return skip
        return self.calc(expression, value, before, after, wrong)

    def guess(self, right: int | tuple[int, ...], others: Sequence[int | tuple[int, ...]]) -> tuple[int, ...]:
        """A value that is guessed, not worked out. A slip takes one of `others`.

        A line that states the guess and `verify` lines that test it should follow.
        """
        right = right if isinstance(right, tuple) else (right,)
        wrong = [o if isinstance(o, tuple) else (o,) for o in others]
        wrong = [o for o in wrong if o != right]
        if wrong and self._slips("guess"):
            self._bad_guess = True
            return self.rng.choice(wrong)
        return right

    def verify(
        self, expression: str, actual: Number, wanted: Number, before: str = "", after: str = ""
    ) -> None:
        """Test a guess: write `expression=wanted`, if it holds.

        If the guess was wrong, the line shows the wanted value or, half of the time, the actual one, and the work goes
        on as if the test had passed. A checker must catch both. If the test holds, the line is right so far.
        """
        written = wanted
        if actual != wanted:
            self._wrong = True
            written = actual if self.rng.random() < 0.5 else wanted
        elif self._slips("result"):
            written = slipped(wanted, self.rng)
            self._wrong = True
        self.line(f"{before}{expression}={show(written)}{after}")

    def believes(self, holds: bool) -> bool:
        """Whether the solver believes that something holds. A slip believes it although it does not.

        The line that states it must come next: after a slip it is the first wrong one.
        """
        if holds or not self._slips("skip"):
            return holds
        self._wrong = True
        return True

    def reduced(self, top: int, bottom: int) -> Fraction:
        """Reduce top/bottom and return it, with a line if that changes it. A slip reduces it to another fraction."""
        value = Fraction(top, bottom)
        if self._slips("result"):
            self._wrong = True
            value = misreduced(value, self.rng)
            self.line(f"{top}/{bottom}={value}")
        elif value.denominator != bottom:
            self.line(f"{top}/{bottom}={value}")
        return value

    def answer(self, value: Number | str, unit: str = "") -> None:
        """Write the last line, with the answer in its box."""
        self.boxed = boxed(value)
        if self._bad_guess:
            self._wrong = True  # an answer taken from a wrong guess is wrong, tested or not
        words = self.say("The answer is ", "So ")
        self.line(f"{words}\\boxed{{{self.boxed}}}{unit}.")

    def done(self) -> Work:
        """The finished work."""
        return Work(tuple(self.lines), tuple(self.marks), self.boxed, self.slip)


def misread(value: int, rng: random.Random) -> int:
    """A number as a hasty reader copies it: a digit off, or two digits swapped."""
    text = str(abs(value))
    if len(text) > 1 and rng.random() < 0.3 and text[-1] != text[-2] and text[-2:][::-1][0] != "0":
        text = text[:-2] + text[-1] + text[-2]
    else:
        at = rng.randrange(len(text))
        low = 1 if at == 0 else 0
        digit = rng.choice([d for d in "0123456789"[low:] if d != text[at]])
        text = text[:at] + digit + text[at + 1 :]
    return -int(text) if value < 0 else int(text)


def misreduced(value: Fraction, rng: random.Random) -> Fraction:
    """A wrong reduction, as of a hasty solver: numerator and denominator off by a little, or a simple fraction."""
    while True:
        if rng.random() < 0.7:
            top, bottom = (max(1, abs(n) + rng.randint(-2, 2)) for n in (value.numerator, value.denominator))
        else:
            top, bottom = rng.randint(1, 4), rng.randint(2, 6)
        if (other := Fraction(top, bottom)) != value:
            return other


def slipped(value: Number, rng: random.Random, wrong: Sequence[Number] = ()) -> Number:
    """A wrong result, mostly near the right one: off by one, two or ten, a digit changed, or one of `wrong`."""
    choices = [w for w in wrong if w != value]
    if choices and rng.random() < 0.4:
        return rng.choice(choices)
    if isinstance(value, Fraction) and value.denominator != 1:
        top = slipped(value.numerator, rng)
        other = Fraction(top, value.denominator)
        return other if other != value and other != 0 else Fraction(value.numerator + 1, value.denominator)
    whole = int(value)
    if rng.random() < 0.15:  # any number of about that size
        wild = rng.randint(0, 2 * abs(whole) + 10)
        return wild if wild != whole else whole + 1
    if whole != 0 and rng.random() < 0.08:  # its sign
        return -whole
    kind = rng.random()
    if kind < 0.35:
        return whole + rng.choice((-1, 1)) if whole != 0 else 1
    if kind < 0.6 and abs(whole) >= 10:
        return whole + rng.choice((-10, 10))
    if kind < 0.7 and abs(whole) >= 3:
        return whole + rng.choice((-2, 2))
    return misread(whole, rng)


def work_right(question: Question, style: str, rng: random.Random) -> Work:
    """The right solution in a style. AssertionError if a family's work does not reach its own answer."""
    pen = Pen(rng, style)
    question.work(pen)
    work = pen.done()
    if work.answer != question.answer:
        raise AssertionError(
            f"family works out {work.answer!r}, its answer is {question.answer!r}: {question.text}"
        )
    return work


def work_wrong(question: Question, style: str, rng: random.Random, tries: int = 8) -> Work | None:
    """A solution with a slip that changes the answer; None if none was found in `tries`.

    A quarter of the attempts have a second, later slip, as in a weak solver's work.
    """
    scout = Pen(random.Random(0), style)
    question.work(scout)
    by_kind: dict[SlipKind, list[int]] = {}
    for at, kind in enumerate(scout.chances):
        by_kind.setdefault(kind, []).append(at)
    if not by_kind:
        return None
    for _ in range(tries):
        # Draw the kind first and its place second, because guesses go wrong most often.
        kind = "guess" if "guess" in by_kind and rng.random() < 0.6 else rng.choice(sorted(by_kind))
        first = rng.choice(by_kind[kind])
        slips = {first}
        if rng.random() < 0.25:
            slips.add(rng.randint(first, len(scout.chances)))
        pen = Pen(rng, style, slips)
        try:
            question.work(pen)
        except (CannotCarry, ZeroDivisionError):
            continue
        work = pen.done()
        if work.answer != question.answer and work.slip is not None:
            return work
    return None
