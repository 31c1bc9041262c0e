"""Answers that are nothing but a number, which need no parser."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_INTEGER = re.compile(r"-?[0-9]{1,400}")
_DECIMAL = re.compile(
    r"([-+]?)[ ]?\\?\$?[ ]?([1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]{1,400})?(\.[0-9]{0,400})?(?<=[0-9.])\.?[ ]?(\\?%)?\$?"
)
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?[0-9]{1,18})\}\{([0-9]{1,18})\}")


class PlainNumber(NamedTuple):
    """A value, and whether it was written with a percent sign and with a decimal point."""

    value: Fraction | int
    percent: bool = False
    decimal: bool = False


def plain_number(text: str) -> PlainNumber | None:
    """An integer, decimal, percentage, amount of dollars or simple fraction; None for anything else."""
    if _INTEGER.fullmatch(text):
        return PlainNumber(int(text))
    match = _DECIMAL.fullmatch(text)
    if match is not None and (match[2] or len(match[3] or "") > 1):
        sign, whole, part, percent = match.groups()
        digits, places = (whole or "0").replace(",", ""), (part or ".")[1:]
        value = Fraction(int(digits + places), 10 ** len(places)) if places else int(digits)
        return PlainNumber(-value if sign == "-" else value, percent is not None, places != "")
    match = _FRACTION.fullmatch(text)
    if match is not None and match[3].strip("0"):
        value = Fraction(int(match[2]), int(match[3]))
        return PlainNumber(-value if match[1] else value)
    return None
