"""Short questions of the rehearsal in our own words, from whose text a script can tell the answer.

Seeds, benchmarks and evolved questions have forms of their own, so that decontamination finds only the copies that are meant
to be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from acemath.records import content_key

Kind = Literal["seeds", "benchmarks", "evolved"]
FORMS: dict[Kind, tuple[str, ...]] = {
    "seeds": (
        "{name} sorts {a} {thing} before lunch and {b} after it. How many {thing} does that make?",
        "A {place} keeps {a} {thing} on its ground floor; another {b} wait upstairs. Find the number of all {thing}.",
        "After {a} {thing} arrived at the {place}, {name} ordered {b} more. What is the total?",
        "Two carts leave the {place}, one with {a} {thing}, its twin with {b}. Compute how many {thing} travel.",
        "{name} wrote {a} pages about {thing} last year and has added {b} since. How long is the text now, in pages?",
    ),
    "benchmarks": (
        "In the {place} hang {a} lamps made by {name} and {b} by somebody else. How many lamps hang there?",
        "{name} walks {a} steps to the {place} and then {b} steps home on another path. Determine the steps of the whole way.",
        "Of the {thing} in a chest, {a} are painted red; the remaining {b} are blue. What is the size of the collection?",
    ),
    "evolved": (
        "Every morning {name} counts {a} {thing}, every evening {b}. What does a day of counting add up to?",
        "The owner of a {place} bought {a} {thing}, lost none of them, and inherited {b}. How many {thing} are owned now?",
    ),
}  # fmt: skip
NAMES = ("Ada", "Bruno", "Chidi", "Dana", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena")
THINGS = ("stamps", "pebbles", "buttons", "maps", "tickets", "shells", "lanterns", "ropes", "bells", "kites", "jars")
PLACES = ("harbour", "library", "workshop", "bakery", "museum", "station", "garden", "theatre", "mill", "school")
_CHOICE = re.compile(r"\(([A-J])\) (\d+)")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its two numbers, whose sum is the answer."""

    text: str
    a: int
    b: int

    @property
    def answer(self) -> int:
        """The right answer."""
        return self.a + self.b


def number(*words: object) -> int:
    """A large number that depends on some words alone, the same in every process."""
    return int(content_key(*map(str, words)), 16)


def question(kind: Kind, *words: object) -> Question:
    """The question that belongs to some words. Others almost surely get another one."""
    n = number(kind, *words)
    a, b = 11 + n % 881, 11 + n // 881 % 877
    n //= 881 * 877
    form = FORMS[kind][n % len(FORMS[kind])]
    name, thing, place = NAMES[n // 7 % 12], THINGS[n // 101 % 11], PLACES[n // 1009 % 10]
    return Question(form.format(a=a, b=b, name=name, thing=thing, place=place), a, b)


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    fields = {"a": r"(\d+)", "b": r"(\d+)", "name": r"\w+", "thing": r"\w+", "place": r"\w+"}
    forms = (form for forms in FORMS.values() for form in forms)
    return tuple(
        re.compile("".join(fields.get(part, re.escape(part)) for part in re.split(r"\{(\w+)\}", form))) for form in forms
    )


def last_question(text: str) -> Question | None:
    """The last of our questions in a text; None if there is none."""
    found = [match for pattern in _patterns() for match in pattern.finditer(text)]
    if not found:
        return None
    last = max(found, key=lambda match: match.start())
    return Question(last[0], int(last[1]), int(last[2]))


def letter_of(text: str, answer: int) -> str | None:
    """The letter of the choice with this number; None in a text without choices."""
    return next((letter for letter, value in _CHOICE.findall(text) if int(value) == answer), None)
