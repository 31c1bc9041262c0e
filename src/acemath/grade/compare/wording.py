"""One wording for phrases that say the same: `The function is even`, `even function`, `even`.

Only what carries no meaning of its own goes: a preposition in front, a subject before "is", a general noun
behind. Negations and all other words stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FRONT = frozenset("on in at during it only always both an a the".split())
_ADJECTIVES = frozenset(
    "even odd positive negative prime composite rational irrational natural real whole nonzero".split()
)
_BEHIND = re.compile(
    r"(?:functions?|numbers?|sequence|series|triangles?|quadrilateral|angles?|lines?|curve|matrix|graph|equation|"
    r"only|integers?|values?|day|points?|month|colou?r|season|side|team|student)"
)
_COPULA = re.compile(r"^[^=<>]{1,60}?\b(?:is|are|was|were|will\s+be|must\s+be)\s+(?=\S)")
_VERB_SUBJECT = re.compile(
    r"^(?:the\s+|an?\s+|this\s+)?(?:given\s+|improper\s+)?(?:series|sequence|integral|sum|limit|it)\s+(?=(?:con|di)verges?\b)"
)
_REASON = re.compile(r"(?<=verges) by .*$|(?<=verge) by .*$")
_WINS = re.compile(r"\s+(?:(?:always |will )?wins?|has (?:a |the )?winning strategy|is (?:the )?winner)$")
_QUADRANT = re.compile(r"^(?:(?:the )?(\w+) quadrant|quadrant (\w+))$")
_PLACES = {
    "first": ("1", "1st", "i", "one", "first"), "second": ("2", "2nd", "ii", "two", "second"),
    "third": ("3", "3rd", "iii", "three", "third"), "fourth": ("4", "4th", "iv", "four", "fourth"),
}  # fmt: skip
_PLACE = {word: name for name, words in _PLACES.items() for word in words}
_AMERICAN = {"grey": "gray", "colour": "color", "centre": "center", "metre": "meter", "litre": "liter"}
_BRITISH = re.compile("|".join(_AMERICAN))
_AS_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SUBJECT = re.compile(
    r"^([a-z]+) (?:is|was|has|had|won|came) (?:the |first\b|most\b|(?:tall|old|young|fast)est\b)(?!not\b)"
)


class _Phrase(NamedTuple):
    subject: str  # what stands before "is"
    core: str
    noun: str  # general nouns behind


def _read(words: str) -> _Phrase:
    plain = _BRITISH.sub(lambda m: _AMERICAN[m[0]], words.lower().strip(" .!"))
    quadrant = _QUADRANT.match(plain)
    if quadrant and (quadrant[1] or quadrant[2]) in _PLACE:
        return _Phrase("", f"quadrant {_PLACE[quadrant[1] or quadrant[2]]}", "")
    plain = _WINS.sub("", _REASON.sub("", _VERB_SUBJECT.sub("", plain)))
    copula = _COPULA.match(plain)
    subject = copula[0] if copula else ""
    parts, nouns = plain[len(subject) :].split(), []
    while len(parts) > 1 and parts[0] in _FRONT:
        parts.pop(0)
    while len(parts) > 1 and _BEHIND.fullmatch(parts[-1]):
        nouns.append(parts.pop())
    return _Phrase(subject, re.sub(r"[\W_]+", "", "".join(parts)), " ".join(nouns))


def essence(words: str) -> str:
    """The words of a phrase that carry its meaning, joined; a phrase of general words alone stays whole."""
    return _read(words).core


def same_word(a: str, b: str) -> bool:
    r"""`\text{red}` and `red`: one word, on one side as text, on the other as letters without a mark."""
    if "\\text" not in a and "\\text" not in b:
        return False
    one, other = (_AS_TEXT.sub(r"\1", t).strip().lower() for t in (a, b))
    return one == other and len(one) > 2 and one.isalpha()


def same_wording(a: str, b: str) -> bool:
    """Whether two phrases say the same, lists of words (`Jerry and Tom`) in any order.

    What was taken off may be missing on one side; it may not differ: a right angle is no right triangle, "A is
    true" is not "B is true".
    """
    if _kind_of_number(a) == _kind_of_number(b) != () or _names_subject(a, b) or _names_subject(b, a):
        return True
    one, other = _read(a), _read(b)
    if one.core == other.core != "":
        rests = ((one.subject, other.subject), (one.noun, other.noun))
        return all(x == y or not x or not y for x, y in rests)
    left, right = (sorted(essence(p) for p in re.split(r"\s*,\s*|\s+and\s+", t.lower())) for t in (a, b))
    return len(left) > 1 and left == right


def _names_subject(name: str, sentence: str) -> bool:
    """`Lisa` and `Lisa is the tallest`: who it is stands first, what was asked behind."""
    match = _SUBJECT.match(sentence.lower())
    return match is not None and len(name) > 2 and match[1] == name.lower().strip(" .")


def _kind_of_number(words: str) -> tuple[str, ...]:
    """`all odd positive integers` as its adjectives and its noun; empty for anything else."""
    plain = re.sub(r"^(?:(?:all|every|any|the|set of) )+", "", words.lower().strip(" ."))
    *adjectives, noun = plain.split() or [""]
    noun = {"numbers": "number", "integers": "integer", "primes": "prime", "reals": "real"}.get(noun, noun)
    if noun == "number" and adjectives[-1:] == ["prime"]:
        noun = adjectives.pop()
    if noun not in ("number", "integer", "prime", "real") or not set(adjectives) <= _ADJECTIVES:
        return ()
    if noun == "integer" and {"even", "odd"} & set(adjectives):
        noun = "number"
    return (*sorted(adjectives), noun)


def quadrant_sign(letter: str) -> str:
    """What a lone Roman numeral stands for beside a quadrant; "" for other letters."""
    name = _PLACE.get(letter.lower(), "")
    return f"quadrant {name}" if name else ""
