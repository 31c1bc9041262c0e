"""One wording for phrases that say the same: `The function is even`, `even function`, `even`.

Only what carries no meaning of its own goes: a preposition in front, a subject before "is", a general noun
behind. Negations and all other words stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FRONT = frozenset("on in at during it only always both an a the all every any".split())
_ADJECTIVES = frozenset(
    "even odd positive negative prime composite rational irrational natural real whole nonzero".split()
)
_BEHIND = re.compile(
    r"(?:functions?|numbers?|sequence|series|triangles?|quadrilateral|angles?|lines?|curve|matrix|graph|equation|"
    r"only|integers?|values?|day|points?|month|colou?r|season|side|team|student|conditions?)"
)
_SUBJECT_OF = re.compile(
    r"^[^=<>]{1,60}?\b(?:is|are|was|were|will\s+be|must\s+be)\s+(?=\S)"
    r"|^(?:the )?(?:(?:given|improper) )?(?:series|sequence|integral|sum|limit|it) (?=(?:con|di)verges?\b)"
)
_REASON = re.compile(r"(verges?) by .*$")
_ORDINALS = (
    "first 1st i one", "second 2nd ii two", "third 3rd iii three", "fourth 4th iv four", "fifth 5th v five", "sixth 6th vi six",
    "seventh 7th vii seven", "eighth 8th viii eight", "ninth 9th ix nine", "tenth 10th x ten",
)  # fmt: skip
_PLACE = {word: str(n) for n, words in enumerate(_ORDINALS, 1) for word in (*words.split(), str(n))}
_AMERICAN = {"grey": "gray", "colour": "color", "centre": "center", "metre": "meter", "litre": "liter"}
_BRITISH = re.compile("|".join(_AMERICAN))
_SUBJECT = re.compile(r"^([a-z]{3,}) (?:is|was|has|had|won|wins|came|will win) ?(?:[a-z-]+ ?){0,6}$")
_DENIED = re.compile(r"\b(?:not|never|no|cannot|neither|nor|or|and|lost|los(?:es?|ing))\b")
_ARTICLE = re.compile(r"\b(?:a (?=[a-z]{4})|an |the )")
_HYPHEN = re.compile(r"(?<=[a-z]{2}) ?- ?(?=[a-z]{2})")
_PUNCTUATION = re.compile(r"(?<![0-9])[.,;:]|[.,;:](?![0-9])|[^\w\s.,;:<>=+*/^|&~%()-]|_")


def plain(words: str) -> str:
    """A phrase without punctuation; the signs that tell formulas apart stay, and so do spaces between numbers."""
    kept = _PUNCTUATION.sub(" ", _HYPHEN.sub("", words.lower())).split()
    return (" " if any(map(str.isdecimal, kept)) else "").join(kept)


class _Phrase(NamedTuple):
    subject: str  # what stands before "is"
    core: str
    noun: str  # general nouns behind


def _read(words: str) -> _Phrase:
    said = _BRITISH.sub(lambda m: _AMERICAN[m[0]], words.lower().strip(" .!"))
    if placed := _placed(said):
        return placed
    said = _REASON.sub(r"\1", said)
    before = _SUBJECT_OF.match(said)
    subject = before[0] if before else ""
    parts, nouns = _ARTICLE.sub("", said[len(subject) :]).split(), []
    while len(parts) > 1 and parts[0] in _FRONT:
        parts.pop(0)
    while len(parts) > 1 and _BEHIND.fullmatch(parts[-1]):
        nouns.append(parts.pop().removesuffix("s"))
    singular = sorted(part.removesuffix("s") for part in parts)
    if set(singular) <= _ADJECTIVES:  # `odd positive integers`: in any order, and odd numbers are integers
        parts = singular
        nouns = [n for n in nouns if n not in ("number", "integer") or not {"even", "odd", "prime"} & set(parts)]
    return _Phrase(subject, plain(" ".join(parts)), " ".join(nouns))


def _placed(words: str) -> _Phrase | None:
    """`second quadrant` and `Quadrant II`: a noun and its number, in either order."""
    parts = words.removeprefix("the ").split()
    if len(parts) != 2:
        return None
    for place, noun in (parts, parts[::-1]):
        if place in _PLACE and noun.isalpha() and noun not in _PLACE and noun not in _FRONT:
            return _Phrase("", _PLACE[place], noun)
    return None


def essence(words: str) -> str:
    """The words of a phrase that carry its meaning, joined; a phrase of general words alone stays whole."""
    return _read(words).core


def same_wording(a: str, b: str) -> bool:
    """Whether two phrases say the same, lists of words (`Jerry and Tom`) in any order.

    What was taken off may be missing on one side; it may not differ: a right angle is no right triangle, "A is
    true" is not "B is true".
    """
    if _names_subject(a, b) or _names_subject(b, a):
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
    return match is not None and match[1] == name.lower().strip(" .") and not _DENIED.search(sentence.lower())


def place_of(letters: str) -> str:
    """The number that a lone Roman numeral stands for; "" for other letters."""
    return _PLACE.get(letters.lower(), "") if letters.isupper() else ""
