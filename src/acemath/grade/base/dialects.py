r"""Other dialects in standard LaTeX: `frac{1}{2}`, `{1 \over 2}`, colours and sizes, intervals such as `]0, 1[`."""

from __future__ import annotations

import re
from collections.abc import Callable

Replacement = str | Callable[[re.Match[str]], str]
Rules = tuple[tuple[str, re.Pattern[str], Replacement], ...]


def rules(*rows: tuple[str, str, Replacement]) -> Rules:
    """Rules as (mark, pattern, replacement): a pattern is tried only where its mark occurs in the text, which saves time."""
    return tuple((mark, re.compile(pattern), replacement) for mark, pattern, replacement in rows)


def replaced(text: str, rules: Rules) -> str:
    """The text after each rule in turn."""
    for mark, pattern, replacement in rules:
        if mark in text:
            text = pattern.sub(replacement, text)
    return text


_BARE_COMMAND = re.compile(r"(?<![\\A-Za-z])((?:[dtc]?frac|text|textbf|mathrm|mathbf|binom|boxed)\s*\{)")
_GROUP = r"(?:[^{}]|\{[^{}]*\})"
_OVER = re.compile(rf"\{{({_GROUP}+?)\\over(?![A-Za-z])({_GROUP}+?)\}}")
_OVER_ALL = re.compile(r"^([^{}]{1,80}?)\\over(?![A-Za-z])([^{}]{1,80})$")
_OPEN_SYSTEM = re.compile(r"\\\{\s*(?=\\begin\s*\{(?:array|aligned|matrix|gathered|align\*?)\})")
_CASE_WORDS = re.compile(r",?\s*&\s*\\text\s*\{\s*,?\s*(?:if|for|when)\s*\}|,?\s*&\s*(?:if|for|when)\s+")
_COMMANDS = rules(
    # the head of a vector function, `\vec{r}(t) = …`
    ("=", r"\\(?:vec|mathbf|boldsymbol|bm)\s*\{\s*([A-Za-z])\s*\}(?=\s*\(\s*[a-z]\s*\)\s*=)", r"\1"),
    ("color", r"\\(?:color|textcolor|colorbox)\s*\{[^{}]{0,40}\}", " "),
    (
        "\\",
        r"\\(?:tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge)(?![A-Za-z])",
        " ",
    ),
    ("\\surd", r"\\surd", r"\\sqrt"),
)


def standard_commands(text: str) -> str:
    r"""Standard LaTeX for commands that lost their backslash, for `\over`, and without colours and sizes."""
    text = _BARE_COMMAND.sub(r"\\\1", text)
    if "\\begin" in text:
        text = _CASE_WORDS.sub(" & ", text) if "cases" in text else text
        text = _OPEN_SYSTEM.sub("", text) if text.count("\\{") > text.count("\\}") else text
    if "\\over" in text:
        for _ in range(4):
            text, count = _OVER.subn(r"\\frac{\1}{\2}", text)
            if not count:
                break
        text = _OVER_ALL.sub(r"\\frac{\1}{\2}", text)
    return replaced(text, _COMMANDS)


def _comparison(match: re.Match[str]) -> str:
    sign = "<" if match[2] in ("less", "smaller") else ">"
    return f"{match[1]} {sign}{'=' if match[3] else ''}"


_WORDS = rules(
    # `(mod 7)`
    (
        "mod",
        r"\(\s*(?:\\(?:text|mathrm|operatorname)\s*\{\s*mod\s*\}|mod(?![A-Za-z]))\s*([^()]{1,40})\)"
        r"|(?<![A-Za-z\\])(?:\\(?:text|mathrm|operatorname)\s*\{\s*mod\s*\}|mod(?=\s))\s*(\w{1,12})$",
        lambda m: rf"\pmod{{{m[1] or m[2]}}}",
    ),
    (
        "congruent",
        r"(?:(?<![A-Za-z\\])([a-zA-Z])\s+(?:is|must\s+be)\s+)?congruent\s+to\s+(.{1,40}?)\s+(?:modulo|mod)\s+(\w{1,12})",
        lambda m: rf"{m[1] or 'n'} \equiv {m[2]} \pmod{{{m[3]}}}",
    ),
    # `C_5^2` is a binomial coefficient
    (
        "C_",
        r"(?<![A-Za-z\\])C_(\{\w{1,6}\}|[A-Za-z3-9])\s*\^(\{\w{1,6}\}|\w)(?![\w^])",
        lambda m: rf"\binom{{{m[1].strip('{}')}}}{{{m[2].strip('{}')}}}",
    ),
    # `(f \circ g)(x)`
    ("\\circ", r"\(\s*([A-Za-z])\s*\\circ\s*([A-Za-z])\s*\)\s*\(\s*([a-z])\s*\)", r"\1(\2(\3))"),
    # `0.1666…` with a period that is written several times
    (
        ".",
        r"(?<![\d.])(\d{1,9})\.(?:(\d{0,6}?)(\d{1,2}?)\3{2,}|()(\d{3,6})\5+)\s*(?:\\[lc]?dots[cb]?|\.\.\.)",
        lambda m: rf"{m[1]}.{m[2] or ''}\overline{{{m[3] or m[5]}}}",
    ),
    # `x is less than 3`
    (
        "than",
        r"(?<![A-Za-z\\])([a-zA-Z])\s+(?:is|must\s+be)\s+(?:strictly\s+)?(less|smaller|greater|larger)\s+than"
        r"(\s+or\s+equal\s+to)?(?=\s)",
        _comparison,
    ),
    ("sq. ", r"sq\. ", "sq "),
    ("`", r"^`+|`+\Z", ""),
    # `101 base 2`
    (
        "base",
        r"(?<![\w.])([0-9A-F]{1,40})\s*(?:\\text\s*\{)?\s*\(?(?:in\s+)?base[\s-]+(\d{1,2}|[a-z]{3,5})\)?\s*\}?$",
        r"\1_{\2}",
    ),
    # `1A_{16}`: letters among the digits
    (
        "_",
        r"(?<![A-Za-z0-9\\])(?:\\text\s*\{\s*)?(?=[A-Z0-9]*[0-9])(?=[A-Z0-9]*[A-Z])([A-Z0-9]{2,20})\s*\}?"
        r"\s*_\s*\{?\s*(1[1-9]|2\d|3[0-6])\s*\}?",
        r"\\text{\1 base \2}",
    ),
    ("ngle", r"(?<![\\A-Za-z])(angle|triangle)\s+(?=[A-Z]{1,4}(?![A-Za-z]))", r"\\\1 "),
    ("\\Delta", r"\\Delta\s*(?=[A-Z]{3}(?![A-Za-z]))", r"\\triangle "),
    ("US", r"(?<![A-Za-z])US\s*(?=\\?\$)", ""),
)


def standard_words(text: str) -> str:
    r"""`(mod 7)`, `101 base 2`, `triangle ABC` and `US$` as LaTeX has them."""
    return replaced(text, _WORDS)


_BRACKET = re.compile(r"[\[\]]")
_BETWEEN = re.compile(r"[^\[\](),;]{1,60}[,;][^\[\](),;]{1,60}")
_JOIN = re.compile(r"\s*\\cup\s*")


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
