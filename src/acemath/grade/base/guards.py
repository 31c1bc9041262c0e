"""Limits: hostile or broken text is turned away before any work is done on it."""

from __future__ import annotations

import re

MAX_ANSWER = 4000  # characters of one answer; the longest reference of the benchmarks has under 700
MAX_DEPTH = 60  # nested brackets
MAX_TOKENS = 2500
MAX_BITS = 120_000  # size of an exact integer result
_MAX_DIGITS = 2000  # digits in one number
_LONG_NUMBER = re.compile(rf"\d{{{_MAX_DIGITS + 1}}}")


class TooHard(Exception):
    """The answer exceeds a limit; the message says which."""


def problem_of(answer: str) -> str | None:
    """Why an answer is not read, None where it is fine."""
    if len(answer) > MAX_ANSWER:
        return f"{len(answer)} characters, the limit is {MAX_ANSWER}"
    if len(answer) > _MAX_DIGITS and _LONG_NUMBER.search(answer):
        return f"a number of more than {_MAX_DIGITS} digits"
    if "\x00" in answer:
        return "a null byte"
    return None
