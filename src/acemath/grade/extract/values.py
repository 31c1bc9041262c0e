"""What a value looks like in a text: a formula, a number, an amount; and where sentences end."""

from __future__ import annotations

import re

from acemath.grade.extract.boxes import GROUP

# Patterns that are tried everywhere begin with one set of characters: so the engine skips what none of them can be.
_FORMULA = (
    r"[$\\](?:(?<=\$)\$.+?\$\$|(?<=\$)(?<!\\\$)(?:\\\$|[^$\n])+?(?<!\\)\$|(?<=\\)\(.+?\\\)|(?<=\\)\[.+?\\\])"
)
_LATEX = rf"-?[0-9]*\s?\\[dt]?(?:frac|sqrt)(?:{GROUP}){{1,2}}(?:\s?/\s?[0-9]+)?"
_DURATION = (
    r"(?i:[0-9]+\s+(?:hours?|days?|weeks?|years?|minutes?|feet|foot|pounds?|dollars?)(?:\s*,)?\s+(?:and\s+)?"
    r"[0-9]+\s+(?:minutes?|seconds?|hours?|days?|months?|inches|inch|ounces?|cents?)\b)"
)
_NUMBER = (
    r"(?<![A-Za-z0-9_^\\.])(?<![\^_]\{)(?:(?<![\w)\]}])[-+])?(?:\\?[$€£¥]\s?)?-?"
    r"(?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
    r"(?:[eE][-+]?[0-9]{1,3}(?!\w)|\s?(?:x|\*|\\times|\\cdot)\s?10\s?\^\s?\{?-?[0-9]{1,3}\}?)?"
    r"(?:(?::[0-9]+)+(?:\s?[ap]\.?m\b\.?)?|(?:\s:\s[0-9]+)+|\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?"
    r"(?:\s?\\?%|\s?(?:percent|pct)\b|\^\\circ|\s?\\pi\b(?:\s?/\s?[0-9]+)?)?"
)
# `(2, 3)`, `[0, 1) U (2, \infty)`, `[[1, 2], [3, 4]]`; `(1,234)` is a number in brackets.
_ITEM = r"[-+]?(?:[0-9]+(?:\.[0-9]+|/[0-9]+)?|\\infty|inf(?:inity)?)(?:\s?\\pi)?\s?"
_POINT = rf"[(\[{{<]\s?{_ITEM}(?:,(?!\d{{3}}(?!\d))\s?{_ITEM})+[)\]}}>]"
_POINTS = rf"[(\[]\s?{_POINT}(?:,\s?{_POINT})+\s?[)\]]|{_POINT}(?:\s?(?:U|\\cup)\s?{_POINT})*"
# A formula without marks: `3x + 2`, `2 sqrt(3)`, `pi/4`, `2^10`.
_CALLED = r"(?:sqrt|sin|cos|tan|ln|log|exp)\s?\([^()\n]{1,40}\)|(?:\\pi|(?<![A-Za-z])pi)(?![A-Za-z])|\\sqrt\s?\([^()\n]{1,40}\)"
_ATOM = rf"(?:{_CALLED}|[0-9]+(?:\.[0-9]+)?|(?<![A-Za-z])[A-Za-z](?![A-Za-z'])|\([^()\n]{{1,40}}\))"
_TERM = rf"{_ATOM}(?:\s?(?={_CALLED}){_ATOM}|{_ATOM}|\s?\^\s?(?:\{{[^{{}}\n]{{1,20}}\}}|\([^()\n]{{1,20}}\)|-?[0-9]+|[a-z](?![a-z])))*"
PLAIN_FORMULA = re.compile(rf"(?<![\w^.,])-?{_TERM}(?:\s?(?:[-+*/]|\\cdot|\\times)\s?{_TERM})*(?!\w)")
# What tells it from numbers and units: a function, a power, or a letter with an operator or a factor.
IS_FORMULA = re.compile(rf"{_CALLED}|\^|[0-9)][xyznti](?![A-Za-z])|[A-Za-z]\s?[-+*/]|[-+*/]\s?[A-Za-z]")
FORMULA = re.compile(_FORMULA, re.DOTALL)
NUMBER = re.compile(_NUMBER)
VALUE = re.compile(rf"(?P<formula>(?s:{_FORMULA}))|(?P<latex>{_LATEX})|{_DURATION}|{_POINTS}|{_NUMBER}")
# A number, a constant or words: a lone letter is no answer.
VALUED = re.compile(r"[0-9]|\\(?:pi|infty|emptyset|varnothing|text|mathbb)")
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_BREAK = r"(?:(?<=[^\s.][.!?])(?=\s|$|[A-Z\"*])|(?<=[.!?])(?=[^\x00-\x7f])|(?<=\n)\n*)"
_PLAIN_END = re.compile(rf"[.!?\n]{_BREAK}")
_SENTENCE_END = re.compile(rf"[.!?\s](?:(?<![^\S\n]){_BREAK}|(?<=[$\]]\s)(?:(?<=\$\$\s)|(?<=\\\]\s))\s*(?=[A-Z]))")


def inside(formula: str) -> str:
    """A formula without its marks."""
    double = formula[0] == "\\" or formula.startswith("$$")
    return (formula[2:-2] if double else formula[1:-1]).strip()


def outside(text: str) -> str:
    """A text without its formulas."""
    return FORMULA.sub(" ", text) if "$" in text or "\\" in text else text


def is_foreign(text: str) -> bool:
    """Whether more than three letters of a text are outside ASCII."""
    return not text.isascii() and sum(not c.isascii() and c.isalpha() for c in text) > 3


def sentences(text: str) -> list[str]:
    """The sentences of a text; a formula is never divided."""
    if "$" not in text and "\\" not in text:
        return _PLAIN_END.split(text)
    masked = FORMULA.sub(lambda m: m[0].replace(".", "\x01").replace("\n", " "), text)
    return [sentence.replace("\x01", ".") for sentence in _SENTENCE_END.split(masked)]
