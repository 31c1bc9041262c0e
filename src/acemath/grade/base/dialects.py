r"""Other dialects in standard LaTeX: `frac{1}{2}`, `{1 \over 2}`, colours and sizes, intervals such as `]0, 1[`."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable

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


def any_in(marks: Iterable[str], text: str) -> bool:
    """Whether a text holds one of the marks; `any` with a generator takes several times as long."""
    for mark in marks:  # noqa: SIM110
        if mark in text:
            return True
    return False


_CONTROLS = {"\x07": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
_RARE_CONTROLS = "\x07\b\t\v\f\r"  # a long text holds line breaks anyway
# White space stands for itself unless the rest of a command follows it.
_EATEN = re.compile(
    r"[\x07\b\v\f\t\r\n](?:(?<=[\x07\b\v\f])(?=[A-Za-z]{2})"
    r"|(?<=\t)(?=(?:imes|heta|au|frac|riangle)(?![a-z])|ext\w*\{|o\s|an\s*[({^\\]|an\s+[a-z]\b)"
    r"|(?<=\r)(?=(?:ho|ight|ightarrow|angle|vert|floor|ceil)(?![a-z]))|(?<=\n)(?=(?:eq|abla|otin)(?![a-z])))"
)
_MARKUP = rules(
    ("<su", r"<su([pb])>(.{0,80}?)</su[pb]>", lambda m: f"{'^' if m[1] == 'p' else '_'}{{{m[2]}}}"),
    ("</", r"</?[A-Za-z][^<>]{0,40}>", " "),
    ("&", r"&(?:[A-Za-z]{2,8}|#x?[0-9A-Fa-f]{2,5});", lambda m: html.unescape(m.group())),
    # several circled numbers are a list
    ("", r"[①-⑳](?:[\s,、，和]*[①-⑳])+", lambda m: ", ".join(c for c in m.group() if "①" <= c <= "⑳")),
)


def restored(text: str) -> str:
    r"""A text whose `\f`, `\t`, `\b` and the like became control characters, with its commands; other text as it is."""
    if text.isprintable() or len(text) > 400 and not any_in(_RARE_CONTROLS, text):
        return text
    return _EATEN.sub(lambda m: _CONTROLS[m.group()], text)


def from_html(text: str) -> str:
    """HTML's powers, tags and named signs, roots and circled numbers as plain text has them."""
    return text if text.isascii() and "<" not in text and "&" not in text else replaced(text, _MARKUP)


_BARE_COMMAND = re.compile(r"(?<![\\A-Za-z])((?:[dtc]?frac|text|textbf|mathrm|mathbf|binom|boxed)\s*\{)")
_GROUP = r"(?:[^{}]|\{[^{}]*\})"
_OVER = re.compile(rf"\{{({_GROUP}+?)\\over(?![A-Za-z])({_GROUP}+?)\}}")
_OPEN_SYSTEM = re.compile(r"\\\{\s*(?=\\begin\s*\{(?:array|aligned|matrix|gathered|align\*?)\})")
_CASE_WORDS = re.compile(r",?\s*&\s*(?:(?:\\text\s*\{\s*,?\s*(?:if|for|when)\s*\}|(?:if|for|when)\s+)(?:\s*&)?)?")
_CASE_ELSE = re.compile(r",?\s*&\s*(?:\\text\s*\{\s*)?(?:otherwise|else)\s*\}?")
_COMMANDS = rules(
    # the head of a vector function, `\vec{r}(t) = …`
    ("=", r"\\(?:vec|mathbf|boldsymbol|bm)\s*\{\s*([A-Za-z])\s*\}(?=\s*\(\s*[a-z]\s*\)\s*=)", r"\1"),
    ("\\surd", r"\\surd", r"\\sqrt"),
    ("\\", r"\\(?:[lr]?[vV]ert(?![A-Za-z])|\|)", "|"),
)


def standard_commands(text: str) -> str:
    r"""Standard LaTeX for commands that lost their backslash, for `\over`, and without colours and sizes."""
    text = _BARE_COMMAND.sub(r"\\\1", text)
    if "\\begin" in text:
        text = _CASE_ELSE.sub(r" & \\mathbb{R}", _CASE_WORDS.sub(" & ", text))
        text = _OPEN_SYSTEM.sub("", text) if text.count("\\{") > text.count("\\}") else text
    if re.search(r"\\over(?![A-Za-z])", text):
        text = f"{{{text}}}"
        for _ in range(4):
            text, count = _OVER.subn(r"\\frac{\1}{\2}", text)
            if not count:
                break
    return replaced(text, _COMMANDS)


_BOUNDS = {
    "greater than or equal to": r"\ge", "less than or equal to": r"\le", "at least": r"\ge", "no less than": r"\ge",
    "at most": r"\le", "no more than": r"\le", "more than": r"\gt", "greater than": r"\gt", "larger than": r"\gt", "less than": r"\lt",
    "fewer than": r"\lt", "smaller than": r"\lt",
}  # fmt: skip
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_SELECTED = (  # binomial coefficients: `5C2`, `C(5, 2)`, `C_5^2`
    r"(?<![\w^_}])(\d{1,3})C(\d{1,3})(?!\w)",
    r"(?<![\w\\])C\(\s*(\w{1,6})\s*,\s*(\w{1,6})\s*\)",
    r"(?<![A-Za-z\\])C_\{?((?<=\{)\w{1,6}|[A-Za-z3-9])\}?\s*\^\{?((?<=\{)\w{1,6}|\w)\}?(?![\w^])",
)
_PAIR = r"[^\[\](),;]{1,60}[,;][^\[\](),;]{1,60}"
_WORDS = rules(
    ("clock", r"\s*o['’]?\s?clock", ""),
    ("in the ", r"\s+in the (?:morning|(afternoon|evening))$", lambda m: " pm" if m[1] else " am"),
    ("circ", r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))", r"\\degree "),
    ("prime", r"\^\s*(?:\{\s*((?:\\prime\s*)+)\}|\\prime(?![A-Za-z]))", lambda m: "'" * (m[1] or "p").count("p")),
    ("degree", r"(\d+)\s*\\degree\s*(\d+)\s*'(?:\s*(\d+(?:\.\d+)?)(?:\s*'\s*'|\s*\"))?", r"(\1 + \2/60 + 0\3/3600)\\degree "),
    ("infinity", r"(?:(negative|minus)\s+)?(?<![A-Za-z\\])infinity(?![A-Za-z])", lambda m: ("-" if m[1] else "") + r"\infty"),
    ("oo", r"(?<=[(\[,])(\s*[-+]?)oo(?=\s*[,)\]])", r"\1\\infty"),
    # `]0, 1]` and `[0, 1[`
    ("]", rf"(?<![\w\])}}])\]({_PAIR})([\[\]])", lambda m: f"({m[1]}{')' if m[2] == '[' else ']'}"),
    ("[", rf"\[({_PAIR})\[", r"[\1)"),
    ("¢", "¢", r"\\text{ cents}"),
    (",", r"(?i)(?<=[)\]}])\s*(?:u|cup|union)\s*(?=[(\[{\\])", r" \\cup "),
    ("const", r"\+\s*(?:\\(?:text|mathrm)\s*\{\s*)?const(?:ant)?\.?\s*\}?$", "+ C"),
    (" over ", r"^\s*(-?\d+) over (\d+)\s*$", r"\\frac{\1}{\2}"),
    ("np.", r"\bnp\.(?=[a-z])", ""),
    ("choose", r"(?<=[\w)])\s+choose\s+(?=[\w(])", r" \\choose "),
    *(("C", selected, r"\\binom{\1}{\2}") for selected in _SELECTED),
    ("log", r"(?<![A-Za-z])\\?log(\d{1,2})(?=\()", r"\\log_{\1}"),
    ("<", r"(?:^|(?<==))\s*<([^<>=]{1,80},[^<>=]{1,80})>", r" \\langle \1\\rangle "),
    ("\\not", r"\\not\s*(?:=|\\(in)(?![A-Za-z]))", lambda m: r"\notin " if m[1] else r"\ne "),
    ("", r'^("|`+)([^"`]*)\1$', r"\2"),
    # `0.1\dot{2}\dot{3}`, `0.1(23)`
    (
        "\\dot",
        r"(\d\.\d*)\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?",
        lambda m: rf"{m[1]}\overline{{{m[2]}{m[3] or ''}{m[4] or ''}}}",
    ),
    (".", r"^(-?\d{1,9}\.\d{0,9})\((\d{1,9})\)$", r"\1\\overline{\2}"),
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
    # `0.1666…` with a period that is written several times
    (
        ".",
        r"(?<![\d.])(\d{1,9})\.(?:(\d{0,6}?)(\d{1,2}?)\3{2,}|()(\d{3,6})\5+)\s*(?:\\[lc]?dots[cb]?|\.\.\.)",
        lambda m: rf"{m[1]}.{m[2] or ''}\overline{{{m[3] or m[5]}}}",
    ),
    # `x is less than 3`, `7 or more`
    (
        " ",
        rf"(?:(?<![A-Za-z\\])([a-zA-Z])\s+(?:is|must\s+be)\s+)?(?<![A-Za-z])(?:strictly\s+)?(?i:({'|'.join(_BOUNDS)}))(?=\s)",
        lambda m: f"{m[1] or ''} {_BOUNDS[m[2].lower()]} ",
    ),
    (
        " or ",
        r"^(.{1,40}?)(?:\s+|\s*\\text\s*\{\s*)or\s+(more|greater|above|less|fewer|below)\s*\}?$",
        lambda m: rf"\{'ge' if m[2] in ('more', 'greater', 'above') else 'le'} {m[1]}",
    ),
    (
        "between",
        r"(?:(?<![A-Za-z\\])([a-z])\s+is\s+)?between\s+(\S{1,20})\s+and\s+([^\s}]{1,20})(?=\s*\}?$)",
        lambda m: f"{m[2]} < {m[1]} < {m[3]}" if m[1] else f"({m[2]}, {m[3]})",
    ),
    # odds and chances
    (
        "",
        rf"(?:^|(?<=\{{)){_NUMBER}(?:\s+|\s*\\text\s*\{{\s*)(to|in|out of)(?:\s*\}}\s*|\s+){_NUMBER}(?=\}}?$)",
        lambda m: f"{m[1]}{':' if m[2] == 'to' else '/'}{m[3]}",
    ),
    (
        "nteger",
        r"(?:all |every )?(?:the )?(?:positive )?integers (?:from |between )?(\d{1,6}) (?:to|through) (\d{1,6})(?: inclusive)?",
        lambda m: rf"\{{{m[1]}, {int(m[1]) + 1}, \ldots, {m[2]}\}}",
    ),
    # mixed numbers
    ("/", r"(?<![\w.,/^_{}])(\d{1,9})\s+(\d{1,9})/(\d{1,9})(?![\d./^])", r"\1\\frac{\2}{\3}"),
    # `101 base 2`
    (
        "base",
        r"(?<![\w.])([0-9A-F]{1,40})\s*(?:\\text\s*\{)?\s*\(?(?:in\s+)?base[\s-]+(\d{1,2}|[a-z]{3,5})\)?\s*\}?$",
        r"\1_{\2}",
    ),
    ("ngle", r"(?<![\\A-Za-z])(angle|triangle)\s+(?=[A-Z]{1,4}(?![A-Za-z]))", r"\\\1 "),
    ("\\Delta", r"\\Delta\s*(?=[A-Z]{3}(?![A-Za-z]))", r"\\triangle "),
    ("US", r"(?<![A-Za-z])US\s*(?=\\?\$)", ""),
)


def standard_words(text: str) -> str:
    r"""`(mod 7)`, `101 base 2`, `triangle ABC` and `US$` as LaTeX has them."""
    return replaced(text, _WORDS)
