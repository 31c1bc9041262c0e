"""From cleaned answer text to tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.base.guards import MAX_TOKENS, TooHard
from acemath.grade.read.units import TABLE, UNIT_WORDS, parse_unit
from acemath.grade.read.vocabulary import (
    DOTS,
    FUNCTIONS,
    GREEK,
    MONTHS,
    NUMBER_WORDS,
    RELATIONS,
    SCALE_WORDS,
    WRAPPERS,
)


class Token(NamedTuple):
    """One token: kind (num, word, letter, cmd, op, text, begin, end), its text, and whether a space stands before it."""

    kind: str
    text: str
    spaced: bool = False


_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<num>[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z.])|[0-9]+(?:\.[0-9]+|\.(?=\s*[-+*/^)]))?(?!\.[0-9])|\.[0-9]+|[0-9]+\.?)"
    r"|(?P<cmd>\\[A-Za-z]+|\\[{}|\\])"
    r"|(?P<letters>[^\W\d_]+)"
    r"|(?P<op><=|>=|!=|==|=<|=>|:=|\*\*|[-+*/^_=<>(){}\[\]|,;:!'&%?\"@#$`.\\])"
    r")"
)
_ARGUMENT = re.compile(r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_VECTORS = frozenset("mathbf hat vec widehat bm boldsymbol".split())
_TEXTS = frozenset("text mathrm operatorname textrm mathsf textbf mathbf textit".split())
_OPENING, _CLOSING = frozenset(("(", "[", "\\{", "\\langle")), frozenset((")", "]", "\\}", "\\rangle"))
_CONNECTIVES = frozenset(("and", "or", "und", "oder"))
# Short runs of letters that are words, not products of symbols.
_SHORT_WORDS = _CONNECTIVES.union(
    UNIT_WORDS,
    NUMBER_WORDS,
    SCALE_WORDS,
    MONTHS,
    "usd pct sq percent no yes odd even is of to at on the for all none not per dne pm am both any "
    "via by up pcs pts".split(),
)
# Nothing but words, one of them long: `an` and `be` are words there, not products.
_PROSE = re.compile(r"(?=.*[A-Za-z]{4})[A-Za-z]+[,.]?(?:[ -][A-Za-z']+[,.]?)+")
# A short word behind a number, which is counted: `12 men`, `3 red marbles`; `3 xyz` is a product.
_COUNTED = re.compile(r"(?!sin|tan|cos|log|mod)[b-df-hj-np-tv-z][aeiou][b-df-hj-np-tv-z](?=\s*(?:$|[,.;]|[a-z]{2}))")
# Between what a run of letters that could be a word is a product of symbols.
_LEFT, _RIGHT, _OPERATORS = frozenset("+-*/^=<>&({[|"), frozenset("+-*/^=<>&)}]|,!\\"), frozenset("+-*/^=<>")
_KNOWN = FUNCTIONS.union(GREEK, WRAPPERS, DOTS, RELATIONS, "pi infty pmod leqq geqq neqq lnot".split())
_GLUED = re.compile(  # `\\alphat`, `\\sint`, `3\\timesx`
    f"({'|'.join((FUNCTIONS | GREEK | frozenset('pi times cdot div pm leq geq neq'.split())) - {'re', 'im', 'arg'})})"
    "([A-Za-z]{1,2})"
)


def tokenize(text: str, thousands: bool = True) -> list[Token]:
    """The tokens of a cleaned answer. Raises `TooHard` beyond the limit; unknown characters become text tokens.

    With `thousands`, `1,234` outside brackets is one number; inside brackets it is always two.
    """
    tokens: list[Token] = []
    at, end, depth = 0, len(text), 0
    prose = _PROSE.fullmatch(text) is not None
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            if not text[at].isspace():
                tokens.append(Token("text", text[at]))
            at += 1
            continue
        spaced = text[at].isspace()
        at = match.end()
        kind = match.lastgroup or "op"
        value = match.group(kind)
        if value in _OPENING or value in _CLOSING:
            depth += 1 if value in _OPENING else -1
        if kind == "num" and "," in value and (depth > 0 or not thousands):
            value = value.split(",", 1)[0]
            at = match.start(kind) + len(value)
        after_number = bool(tokens) and tokens[-1].kind == "num"
        if kind == "letters" and spaced and after_number and len(value) == 3 and _COUNTED.match(text, match.start(kind)):
            tokens.append(Token("word", value, True))
        elif kind == "letters":
            factors = not prose and _is_product(value, text, match.start(kind), at)
            tokens.extend(_letters(value, spaced, after_number, factors))
        elif kind == "cmd":
            at = _command(value[1:], text, at, tokens, spaced)
        else:
            tokens.append(Token(kind, value.replace(",", "") if kind == "num" else value, spaced))
        if len(tokens) > MAX_TOKENS:
            raise TooHard(f"more than {MAX_TOKENS} tokens")
    return tokens


def _command(name: str, text: str, at: int, tokens: list[Token], spaced: bool) -> int:
    """Add the tokens of a command, with its argument where that is text; the position behind them."""
    match = _ARGUMENT.match(text, at)
    content = match[1].strip() if match is not None else ""
    if match is not None and name in ("begin", "end"):
        tokens.append(Token(name, content.rstrip("*")))
        columns = _ARGUMENT.match(text, match.end()) if (name, content) == ("begin", "array") else None
        return (columns or match).end()
    axis = content.strip(" \\").removesuffix("math")
    if name in _VECTORS and axis in ("i", "j", "k"):
        tokens.append(Token("letter", axis + "hat", spaced))
    elif match is not None and name in _TEXTS:
        _text_tokens(name, content, tokens)
    elif name not in _KNOWN and (glued := _GLUED.fullmatch(name)):
        tokens.append(Token("cmd", glued[1], spaced))
        tokens.extend(Token("letter", c) for c in glued[2])
        return at
    else:
        tokens.append(Token("word" if name == "USD" else "cmd", name, spaced))
        return at
    return at if match is None else match.end()


def _text_tokens(command: str, content: str, tokens: list[Token]) -> None:
    lower = content.lower().strip(" .,:")
    after_number = bool(tokens) and (tokens[-1].kind == "num" or tokens[-1].text == "pi")
    if after_number and re.search(r"[\\^]", content) and parse_unit(content) is not None:
        tokens.append(Token("word", content, True))
    elif lower in FUNCTIONS and not (lower in TABLE and (after_number or tokens and tokens[-1].text in ("/", "}"))):
        tokens.append(Token("cmd", lower))
    elif len(content) == 1 and content.isalpha():
        after_value = after_number or bool(tokens) and tokens[-1].text in (")", "}")
        tokens.append(Token("word" if after_value and lower in TABLE else "letter", content, True))
    elif re.search(r"[0-9$\\^]", content) or lower in _CONNECTIVES or command in ("mathbf", "textbf"):
        tokens.extend(tokenize(content.replace("$", " ")))
    else:
        for part in re.split(r"(\band\b|\bor\b|,|;|\(|\))", content):
            tokens.extend(_phrase(part.strip()))


def _phrase(part: str) -> list[Token]:
    if part in (",", ";", "(", ")"):
        return [Token("op", part)]
    if len(part) == 1 and part.isupper():
        return [Token("letter", part, True)]
    words = [w.strip(".,!") or w for w in part.split()]
    spelled = [w for word in words for w in word.split("-")]
    if all(w.lower() in NUMBER_WORDS or w.lower() in SCALE_WORDS for w in spelled):
        words = spelled
    both = bool(words) and words[0].lower() == "both"  # `both A`: the letter is a letter
    return [Token("letter" if both and len(w) == 1 and w.isupper() else "word", w, True) for w in words]


def _is_product(run: str, text: str, start: int, end: int) -> bool:
    """Whether a short run of letters stands where only factors can: the `at` of `u + at`, the `Ma` of `F = Ma`.

    A unit behind a value (`3 + 5 cm`, `5/kg`) is none, nor are a conjunction between two values and a name before one
    (`Al = 5`).
    """
    lower, title = run.lower(), len(run) < 4 and run.istitle()
    if not (title or len(run) == 2 and (run in _SHORT_WORDS or run in FUNCTIONS)) or not run.isascii():
        return False
    unit = lower in TABLE
    before, behind = text[:start].rstrip(), text[end:].lstrip()
    left, right = before[-1:], behind[:1]
    if left and (left in ")}" or left.isdigit()) and len(before) == start and not unit and lower != "or":
        return True  # `\frac12 at`, without the space
    if not unit and (left.isdigit() or left.isalpha() and not before[-2:-1].isalpha()):
        left = ""  # `k Ax + 1`
    if left and left not in _LEFT or right and (right not in _RIGHT or right in "|\\^-" and lower in FUNCTIONS):
        return False
    if unit and (left == "/" or left == "(" and before[:-1].rstrip()[-1:].isdigit()):
        return False
    if right == "-" and text[end].isspace() and not behind[1:2].isspace():
        return False  # `is -5`
    if title and right == "=" and left in ("", ",") and behind[1:].lstrip(" -$\\")[:1].isdigit():
        return False
    if right == "\\":
        return left in _OPERATORS or (unit or title) and behind == text[end:]
    if left in _OPERATORS or right in _OPERATORS:
        return True
    return left in ("(", "{", "[", "|") and (lower != "no" or before[-2:-1].isalpha())


def _letters(run: str, spaced: bool, after_number: bool, factors: bool) -> list[Token]:
    """A run of letters: a function, a word, or a product of one-letter symbols. `factors`: it is no word."""
    lower = run.lower()
    if len(run) == 1:
        return [Token("letter", run, spaced)]
    if after_number and lower in TABLE:
        return [Token("word", run, True)]
    if factors:
        return [Token("letter", c, spaced and i == 0) for i, c in enumerate(run)]
    if lower in FUNCTIONS and (run.islower() or run.istitle()):
        return [Token("cmd", lower, spaced)]
    if run in GREEK or run in ("pi", "Pi", "infty", "inf"):
        return [Token("cmd", run, spaced)]
    if lower == "equals":
        return [Token("op", "=")]
    if lower in _SHORT_WORDS and (run[1:].islower() or run.isupper() or lower in TABLE) or not run.isascii():
        return [Token("word", run, True)]
    if run.isupper() and len(run) <= 4:
        return [Token("letter", run, spaced)]
    for name in ("sin", "cos", "tan", "log", "ln", "or", "and"):  # `sinx`, `1orx` without a space
        if run.startswith(name) and len(run) == len(name) + 1:
            return [*_letters(name, spaced, False, False), Token("letter", run[-1])]
    if len(run) <= 3 and (run.startswith("or") or not run.istitle() and not run.isupper()):
        return [Token("letter", c, spaced and i == 0) for i, c in enumerate(run)]
    return [Token("word", run, True)]
