r"""Spellings of other dialects: `frac{1}{2}`, `{1 \over 2}`, colours and sizes, brackets turned outwards."""

from __future__ import annotations

import re

_BARE_COMMAND = re.compile(r"(?<![\\A-Za-z])((?:[dtc]?frac|text|textbf|mathrm|mathbf|binom|boxed)\s*\{)")
_GROUP = r"(?:[^{}]|\{[^{}]*\})"
_OVER = re.compile(rf"\{{({_GROUP}+?)\\over(?![A-Za-z])({_GROUP}+?)\}}")
_OVER_ALL = re.compile(r"^([^{}]{1,80}?)\\over(?![A-Za-z])([^{}]{1,80})$")
_COLOUR = re.compile(r"\\(?:color|textcolor|colorbox)\s*\{[^{}]{0,40}\}")
_SIZE = re.compile(
    r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge)(?![A-Za-z])"
)
_BRACKET = re.compile(r"[\[\]]")
_BETWEEN = re.compile(r"[^\[\](),;]{1,60}[,;][^\[\](),;]{1,60}")
_JOIN = re.compile(r"\s*\\cup\s*")


def standard_commands(text: str) -> str:
    r"""Commands that lost their backslash, `\over`, colours and sizes in the spelling of standard LaTeX."""
    text = _BARE_COMMAND.sub(r"\\\1", text)
    if "\\" not in text:
        return text
    if "\\over" in text:
        for _ in range(4):
            text, count = _OVER.subn(r"\\frac{\1}{\2}", text)
            if not count:
                break
        text = _OVER_ALL.sub(r"\\frac{\1}{\2}", text)
    if "color" in text:
        text = _COLOUR.sub(" ", text)
    return _SIZE.sub(" ", text).replace("\\surd", "\\sqrt")


def turned_brackets(text: str) -> str:
    r"""`]0, 1]` and `[0, 1[` as `(0, 1]` and `[0, 1)`, alone or in a union; other text comes back as it is."""
    if "sqrt[" in text:
        return text
    signs = list(_BRACKET.finditer(text))
    pairs = list(zip(signs[::2], signs[1::2], strict=False))
    if len(signs) % 2 or not any(low.group() == "]" or high.group() == "[" for low, high in pairs):
        return text
    if any(not _BETWEEN.fullmatch(text, low.end(), high.start()) for low, high in pairs):
        return text
    gaps = [text[high.end() : low.start()] for (_, high), (low, _) in zip(pairs, pairs[1:], strict=False)]
    if any(not _JOIN.fullmatch(gap) for gap in gaps) or text[pairs[-1][1].end() :].strip():
        return text
    letters = list(text)
    for low, high in pairs:
        letters[low.start()] = "(" if low.group() == "]" else "["
        letters[high.start()] = ")" if high.group() == "[" else "]"
    return "".join(letters)
