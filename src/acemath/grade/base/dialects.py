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
_MODULO = re.compile(
    r"\(\s*(?:\\(?:text|mathrm|operatorname)\s*\{\s*mod\s*\}|mod(?![A-Za-z]))\s*([^()]{1,40})\)"
    r"|(?<![A-Za-z\\])(?:\\(?:text|mathrm|operatorname)\s*\{\s*mod\s*\}|mod(?=\s))\s*(\w{1,12})$"
)
_BASE = re.compile(
    r"(?<![\w.])([0-9A-F]{1,40})\s*(?:\\text\s*\{)?\s*\(?(?:in\s+)?base[\s-]+(\d{1,2}|[a-z]{3,5})\)?\s*\}?$"
)
_LETTERED = re.compile(
    r"(?<![A-Za-z0-9\\])(?:\\text\s*\{\s*)?(?=[A-Z0-9]*[0-9])(?=[A-Z0-9]*[A-Z])([A-Z0-9]{2,20})\s*\}?\s*_\s*\{?\s*(1[1-9]|2\d|3[0-6])\s*\}?"
)
_FIGURE = re.compile(
    r"(?<![\\A-Za-z])(angle|triangle)\s+(?=[A-Z]{1,4}(?![A-Za-z]))|\\Delta\s*(?=[A-Z]{3}(?![A-Za-z]))"
)
_OPEN_SYSTEM = re.compile(r"\\\{\s*(?=\\begin\s*\{(?:array|aligned|matrix|gathered|align\*?)\})")
_CASE_WORDS = re.compile(r",?\s*&\s*\\text\s*\{\s*,?\s*(?:if|for|when)\s*\}|,?\s*&\s*(?:if|for|when)\s+")
_CHOSEN = re.compile(r"(?<![A-Za-z\\])C_(\{\w{1,6}\}|[A-Za-z3-9])\s*\^(\{\w{1,6}\}|\w)(?![\w^])")
_COMPOSED = re.compile(r"\(\s*([A-Za-z])\s*\\circ\s*([A-Za-z])\s*\)\s*\(\s*([a-z])\s*\)")
_COMPARED = re.compile(
    r"(?<![A-Za-z\\])([a-zA-Z])\s+(?:is|must\s+be)\s+(?:strictly\s+)?(less|smaller|greater|larger)\s+than(\s+or\s+equal\s+to)?(?=\s)"
)
_PERIOD = re.compile(
    r"(?<![\d.])(\d{1,9})\.(?:(\d{0,6}?)(\d{1,2}?)\3{2,}|()(\d{3,6})\5+)\s*(?:\\[lc]?dots[cb]?|\.\.\.)"
)
_CURRENCY = re.compile(r"(?<![A-Za-z])US\s*(?=\\?\$)")
_VECTOR_HEAD = re.compile(r"\\(?:vec|mathbf|boldsymbol|bm)\s*\{\s*([A-Za-z])\s*\}(?=\s*\(\s*[a-z]\s*\)\s*=)")
_BRACKET = re.compile(r"[\[\]]")
_BETWEEN = re.compile(r"[^\[\](),;]{1,60}[,;][^\[\](),;]{1,60}")
_JOIN = re.compile(r"\s*\\cup\s*")


def standard_commands(text: str) -> str:
    r"""Commands that lost their backslash, `\over`, colours and sizes in the spelling of standard LaTeX."""
    text = _BARE_COMMAND.sub(r"\\\1", text)
    if "\\" not in text:
        return text
    if "\\begin" in text:
        text = _CASE_WORDS.sub(" & ", text) if "cases" in text else text
        text = _OPEN_SYSTEM.sub("", text) if text.count("\\{") > text.count("\\}") else text
    if "\\over" in text:
        for _ in range(4):
            text, count = _OVER.subn(r"\\frac{\1}{\2}", text)
            if not count:
                break
        text = _OVER_ALL.sub(r"\\frac{\1}{\2}", text)
    if "=" in text:
        text = _VECTOR_HEAD.sub(r"\1", text)
    if "color" in text:
        text = _COLOUR.sub(" ", text)
    return _SIZE.sub(" ", text).replace("\\surd", "\\sqrt")


def standard_words(text: str) -> str:
    r"""`(mod 7)`, `101 base 2`, `triangle ABC` and `US$` as LaTeX has them."""
    if "mod" in text:
        text = _MODULO.sub(lambda m: rf"\pmod{{{m[1] or m[2]}}}", text)
    if "C_" in text:
        text = _CHOSEN.sub(lambda m: rf"\binom{{{m[1].strip('{}')}}}{{{m[2].strip('{}')}}}", text)
    if "\\circ" in text:
        text = _COMPOSED.sub(r"\1(\2(\3))", text)
    if "dots" in text or "..." in text:
        text = _PERIOD.sub(lambda m: rf"{m[1]}.{m[2] or ''}\overline{{{m[3] or m[5]}}}", text)
    if "than" in text:
        text = _COMPARED.sub(_comparison, text)
    if "q." in text or "`" in text:
        text = text.replace("sq. ", "sq ").strip("`")
    if "base" in text:
        text = _BASE.sub(r"\1_{\2}", text)
    if "_" in text:
        text = _LETTERED.sub(r"\\text{\1 base \2}", text)
    if "ngle" in text or "\\Delta" in text:
        text = _FIGURE.sub(lambda m: rf"\{m[1] or 'triangle'} ", text)
    return _CURRENCY.sub("", text) if "US" in text else text


def _comparison(match: re.Match[str]) -> str:
    """`x is less than` as `x <`."""
    sign = "<" if match[2] in ("less", "smaller") else ">"
    return f"{match[1]} {sign}{'=' if match[3] else ''}"


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
