"""What makes a value no answer: words right before it, in its sentence, or right behind it."""

from __future__ import annotations

import re

from acemath.grade.extract.values import outside

_LONG = 1000  # characters at the end of a sentence that are looked at
_NEAR = 80  # characters before or behind a value that are looked at


def phrases(text: str, backwards: bool = False) -> str:
    r"""A pattern of the phrases between the commas of a text in small letters; `backwards` for a text that is read from its end.

    In a phrase `/` parts words that may stand in one place, `*` stands for any letters, and a word in brackets may be left out.
    """
    return "(?:" + "|".join(_phrase(phrase.split(), -1 if backwards else 1) for phrase in text.split(",")) + ")"


def _phrase(words: list[str], step: int) -> str:
    parts = []
    for word in words:
        forms = "|".join(form[::step] for form in word.strip("()").split("/")).replace("*", r"\w*")
        parts.append(rf"(?:(?:{forms})\s+)?" if word[0] == "(" else rf"(?:{forms})\s+")
    return "".join(parts[::step]).removesuffix(r"\s+")


# Right before a value these deny it, change it, leave it open or give it to another speaker: `not 7`, `twice 7`, `may be 7`, `some
# say 7`. "m cannot be 2" answers a question for what is excluded.
_DENIES = phrases(
    "not, never, either/neither, nor, ni, nicht, n'est pas, no es, rul* out, anything but, answer/it cannot/can't, "
    "isn't/aren't/wasn't/weren't, twice/thrice/double/triple/half, negative/opposite/reciprocal/inverse of/to, may/might/could be, "
    "wrong/refus* to say, student/students/friend/friends/classmate/people/some*/other/others say/answer/claim/think/guess/says/answers/claims/thinks/guesses, "
    "hoped/hoping for, unless, suppose, would have been, answer/it were, backup (*)",
    backwards=True,
)
# In prose a value behind these is not the answer. A box behind them is: `defined for all x except \boxed{1}`.
_APART = phrases("differs/differ from, other/rather than, instead of, one of, except, unlike, between, among", backwards=True)
# The last value of a sentence is a bound behind these. A sentence that begins with them answers for one: `At least 6 are left.`
_BOUNDS = "(?-i:" + phrases("at most/least, more/less/fewer/greater than", backwards=True) + ")"
_SIGNS = r"是不|[是为]?能可|=!\s*[a-z]{2}|(?:tonl|gen|qen|en)\\"
# Between such words and the value, read from the value: marks, `3,`, `x=`, and words.
_BACK_TO = (
    r"[\s(\[{\\$\"':*]*(?:(?:,\d+|=\w|\b"
    + phrases("is/it/that/the/answer/value/of/be/exactly/either, equal to", backwards=True)
    + r"\b)[\s(\[{\\$\"':*]*)*"
)


def _before(*kinds: str) -> re.Pattern[str]:
    return re.compile(rf"{_BACK_TO}(?:(?<![a-z])(?=\w)(?:{'|'.join(kinds)})\b|{_SIGNS})", re.IGNORECASE)


_BEFORE = {"box": _before(_DENIES), "statement": _before(_DENIES, _APART), "sentence": _before(_DENIES, _APART, _BOUNDS)}
# A question asserts nothing, nor does what calls a value wrong or tells several cases.
_DENIALS = phrases(
    "wrong/incorrect/mistaken/unless, not (the) (final) correct/right/answer, depend/depends/depending on the case, in one case, if the (*) answer, "
    "cannot/can't determine/find/compute/say/tell/answer/solve, unable/impossible to determine/find/compute/say/tell/answer/solve, "
    "i don't think/believe/know, i do not think/believe/know, i doubt"
)
_UNASSERTED = re.compile(
    rf"\?|可能|不是|(?<![a-z]){_DENIALS}(?![a-z])|^\W*(?:{phrases('choose between, we/you are/were given')}|(?:the\s+)?(?:options|candidates)(?:\s+are|:))"
)
_CLAUSE_END = re.compile(r"[,;(]|\b(?:because|since|but|and)\b")
_MARKS = " \n\t.,;:!)$*\"'\\]}-"
# Right behind a value these take it back: `7. Wait, that's not right.`
_WITHDRAWALS = phrases(
    "(that/that's/this/it/it's/which) is/was not (the) (final) right/correct/answer, that/that's/this/it/it's/which not (the) (final) right/correct/answer, "
    "(that/this/it/which) isn't/wasn't (the) right/correct/answer, (that/this/it/which) is/was wrong/incorrect/false, that/that's/this/it/it's/which wrong/incorrect/false, "
    "what a wrong, that/this/which leads to (a) contradict*, that/this/which is (a) contradict*, i take that/it back, i give up, scratch that, never mind"
)
_TAKES_BACK = re.compile(
    r"\?|(?:(?:wait|hmm+|oh|actually|well|but|however|sorry|no)\b[\s,.!–—-]*)*"
    rf"(?:\bno\s*(?:[.!,]|$)|is\s+this\s+(?:right|correct)\?\s*no\b|{_WITHDRAWALS})"
)


def left_open(before: str, where: str = "statement") -> bool:
    """Whether the words right before a value deny it, change it, leave it open or give it to another speaker.

    The value stands in a "box", in a "statement" such as "the answer is …", or is the last of a "sentence".
    """
    return _BEFORE[where].match(before[: -_NEAR - 1 : -1]) is not None


def taken_back(text: str, at: int = 0) -> bool:
    """Whether a text goes on at an index with words that take back the value before it, or ask for it."""
    return _TAKES_BACK.match(text[at : at + _NEAR].lstrip(_MARKS).lower()) is not None


def asserts(sentence: str, beside: bool = False) -> bool:
    """Whether a sentence says something of its value, not asks it or denies it; `beside`: in its first clause at least."""
    said = outside(sentence)[-_LONG:].lower()
    return not _UNASSERTED.search(_CLAUSE_END.split(said, maxsplit=1)[0] if beside else said)
