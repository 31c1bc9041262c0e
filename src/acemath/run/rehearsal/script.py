"""What the models of a rehearsal say: right and wrong responses in the form of their role.

A random model writes nothing that a later stage could use. A script decides by the question, the model and the number of
the response, so that a stopped and an undisturbed run get the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import get_args

from acemath.curate.evolve import evolution_prompt
from acemath.curate.settings import Method
from acemath.records import LENGTH, REFUSED, STOP
from acemath.run.rehearsal.questions import last_question, letter_of, number, question

# Of a hundred responses to math problems: how many are cut, say nothing, and are refused (by endpoints alone).
CUT, SILENT, REFUSALS = 4, 3, 2
_GIVEN = re.compile(r"\\boxed\{[^}]")  # a box that is not empty: the prompt holds worked examples
_OPENINGS = (
    "We need the sum of both numbers.", "The question asks for a total.", "Let us add what is given.",
    "Both amounts belong together.", "Start from what is known.", "First write down the two numbers.",
)  # fmt: skip
_CLOSINGS = ("The answer is", "So the result is", "Hence we get", "This gives", "In all that is")


@dataclass(frozen=True, slots=True)
class Line:
    """A response: its text and its finish reason."""

    text: str
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Script:
    """`known` holds the reference answers of prompts that are not ours, "" for those without one."""

    known: Mapping[str, str]

    def line(
        self, asked: str, model: str, sample: int, seed: int, skill: float, reference: str = "", refuses: bool = False
    ) -> Line:
        """The response to the user's turn `asked`. `skill` is the share of right ones among answers to math problems.

        `reference` is the problem's answer where the caller has it.
        """
        luck = number(asked, model, sample, seed)
        if refuses and luck % 100 < REFUSALS:
            return Line("", REFUSED)
        if _writes(asked):
            return Line(question("evolved", luck).text, STOP)
        right = self._answer(asked, reference)
        if right is None:
            return Line(_prose(asked, luck), STOP)
        return _solution(asked, right, luck // 100, skill)

    def _answer(self, asked: str, reference: str) -> str | None:
        """The right answer; None to what is no math problem."""
        if (ours := last_question(asked)) is not None:
            return letter_of(asked, ours.answer) or str(ours.answer)
        if reference:
            return reference
        mine = max((prompt for prompt in self.known if prompt in asked), key=len, default=None)
        return None if mine is None else self.known[mine] or str(number(mine) % 1000)


@cache
def _heads() -> tuple[str, ...]:
    """How the requests to the question writer begin."""
    return tuple(evolution_prompt("\0", method).split("\0")[0] for method in get_args(Method))


def _writes(asked: str) -> bool:
    return any(head in asked for head in _heads())


def _solution(asked: str, right: str, luck: int, skill: float) -> Line:
    """A response to a math problem: brief after worked examples."""
    if luck % 100 < SILENT:
        return Line("I cannot tell from what is given.", STOP)
    answer = right if luck // 100 % 1000 < 1000 * skill else _wrong(right, luck // 7)
    luck //= 100_000
    if _GIVEN.search(asked):
        return Line(f"It is {answer}; seen {luck % 97} times. \\boxed{{{answer}}}", STOP)
    opening, closing = _OPENINGS[luck % 6], _CLOSINGS[luck // 6 % 5]
    text = f"{opening}\n\nWe add step by step, in {2 + luck // 30 % 7} steps, and check it {luck // 210 % 89} times.\n\n"
    if luck // 18_690 % 100 < CUT:
        return Line(text, LENGTH)
    return Line(f"{text}{closing} \\boxed{{{answer}}}.", STOP)


def _wrong(right: str, luck: int) -> str:
    """Another answer of the same kind."""
    if len(right) == 1 and right in "ABCD":
        return "ABCD"[("ABCD".index(right) + 1 + luck % 3) % 4]
    return str(int(right) + 1 + luck % 3) if right.lstrip("-").isdigit() else str(1000 + luck % 3)


def _prose(asked: str, luck: int) -> str:
    """A response to a request for code, or to any other."""
    if "function" in asked.lower():
        return f"Here it is:\n\n```python\ndef solve(value):\n    return value + {luck % 97}\n```\n\nIt adds {luck % 97}."
    return f"In short: it depends on {1 + luck % 7} things. Write them down in order, and decide one after the other."
