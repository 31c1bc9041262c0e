"""One wording for phrases that say the same: `The function is even`, `even function`, `even`.

Only what carries no meaning of its own goes: a preposition in front, a subject before "is", a general noun
behind. Negations and all other words stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FRONT = frozenset(("on", "in", "at", "during", "it", "only", "always", "both", "an", "a", "the"))
_BEHIND = re.compile(
    r"(?:functions?|numbers?|sequence|series|triangles?|quadrilateral|angles?|lines?|curve|matrix|graph|equation|"
    r"integers?|values?|day|month|colou?r|season|side|team|student)"
)
_COPULA = re.compile(r"^[^=<>]{1,60}?\b(?:is|are|was|were)\s+(?=\S)")
_QUADRANT = re.compile(r"^(?:(?:the )?(\w+) quadrant|quadrant (\w+))$")
_PLACES = {
    "first": ("1", "1st", "i", "one", "first"), "second": ("2", "2nd", "ii", "two", "second"),
    "third": ("3", "3rd", "iii", "three", "third"), "fourth": ("4", "4th", "iv", "four", "fourth"),
}  # fmt: skip
_PLACE = {word: name for name, words in _PLACES.items() for word in words}


class _Phrase(NamedTuple):
    subject: str  # what stands before "is"
    core: str
    noun: str  # general nouns behind


def _read(words: str) -> _Phrase:
    plain = words.lower().strip(" .!")
    quadrant = _QUADRANT.match(plain)
    if quadrant and (quadrant[1] or quadrant[2]) in _PLACE:
        return _Phrase("", f"quadrant {_PLACE[quadrant[1] or quadrant[2]]}", "")
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


def same_wording(a: str, b: str) -> bool:
    """Whether two phrases say the same, lists of words (`Jerry and Tom`) in any order.

    What was taken off may be missing on one side; it may not differ: a right angle is no right triangle, "A is
    true" is not "B is true".
    """
    one, other = _read(a), _read(b)
    if one.core == other.core != "":
        rests = ((one.subject, other.subject), (one.noun, other.noun))
        return all(x == y or not x or not y for x, y in rests)
    left, right = (sorted(essence(p) for p in re.split(r"\s*,\s*|\s+and\s+", t.lower())) for t in (a, b))
    return len(left) > 1 and left == right


def quadrant_sign(letter: str) -> str:
    """What a lone Roman numeral stands for beside a quadrant; "" for other letters."""
    name = _PLACE.get(letter.lower(), "")
    return f"quadrant {name}" if name else ""
