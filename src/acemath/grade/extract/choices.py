"""Multiple choice: which letter a response picks, and what a reference such as `(C) 12` asks for."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.base.text import clean_latex
from acemath.grade.conventions import Conventions
from acemath.grade.extract.boxes import last_boxes, unboxed
from acemath.grade.extract.responses import TAIL, Extraction, _visible

_LETTER = re.compile(r"^\(?\s*([A-J])\s*[).:]?$")
_LABELLED = re.compile(r"^(?:\(([A-J])\)|([A-J])[).:])\s*(\S.*)$", re.DOTALL)
_NAMED = re.compile(r"^([A-J])[ \t]+([A-Z][a-z]\S.*)$", re.DOTALL)
_MORE = re.compile(r"(?:and|or|,|;|&)\s*\(?[A-J]\b|\(?[A-J]\)")
_WRAPPED = re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox|bf|rm)\s*\{\s*([^{}]*?)\s*\}")
_STATED = re.compile(
    r"(?:answers?|choice|option|choose|select|pick|r[ée]ponse|答案|选)\b(?:\s+(?:choice|option))?"
    r"(?:\s+(?:is|are|was|must\s+be|should\s+be|would\s+be|est|for\s+sure|therefore|indeed)|[是为选:：=]|\s)*"
    r"[\s:*(\[{$\\]*(?:text\w*\{|mathrm\{|boxed\{)*\(?\s*([A-J])(?![A-Za-z'’])",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^[\s*(\[]*([A-J])(?:[).:*\]]|\s*$|(?=[^\x00-\x7f]))")
_ALONE = re.compile(
    r"(?<![A-Za-z0-9'’\\])(?:\(([A-J])\)|([B-HJ]|A(?!\s+[a-z])|I(?!\s+[a-z'’]))(?![A-Za-z0-9'’]))"
)


_SMALL = re.compile(r"^\(\s*([a-j])\s*\)$")


class Choice(NamedTuple):
    """A letter, and the text that stands beside it ("" where there is none)."""

    letter: str
    text: str


def as_choice(answer: str) -> Choice | None:
    """The choice that an answer names, None where it is something else."""
    if len(answer) > 400:
        return None
    plain = _WRAPPED.sub(r"\1", answer).strip(" \n\t$*.\\{}")
    plain += "}" * (plain.count("{") - plain.count("}"))  # those that close a group inside
    match = _LETTER.match(plain)
    if match:
        return Choice(match.group(1), "")
    match = _LABELLED.match(plain)
    if match and not _MORE.match(match.group(3)):
        return Choice(match.group(1) or match.group(2), match.group(3).strip())
    match = _NAMED.match(plain)
    return Choice(match.group(1), match.group(2).strip()) if match else None


def same_letter(one: str, other: str) -> bool:
    """Whether two bare choices, `C)` and `C`, are one; a small letter counts in brackets alone, `(b)`."""
    left, right = as_choice(one), as_choice(other)
    if left is not None and right is not None and not (left.text or right.text):
        return left.letter == right.letter
    for small, large in ((one, other), (other, one)):
        match, choice = _SMALL.match(small), as_choice(large)
        if match and choice is not None:
            return match[1].upper() == choice.letter
    return False


_VERDICT = re.compile(r"[\s*\\{}$]*(?:\\?text\s*\{)?(yes|no|true|false)(?![A-Za-z])[\s*}.]*", re.IGNORECASE)
_OPENING = re.compile(
    r"[\s*#]*(?:answer\s*:?[\s*]*)?(yes|no|true|false)\b[*]*\s*(?:[.,;:!–—-]|$)", re.IGNORECASE
)


def is_verdict(reference: str) -> bool:
    """Whether a reference is yes, no, true or false."""
    return len(reference) < 40 and _VERDICT.fullmatch(reference) is not None


def extract_verdict(text: str, conventions: Conventions) -> Extraction | None:
    """The yes or no with which a response begins: `No. The series diverges.`"""
    body, open_thought = _visible(text, conventions)
    match = None if open_thought else _OPENING.match(body)
    return None if match is None else Extraction(match[1], "verdict-first")


def extract_choice(text: str, conventions: Conventions) -> Extraction | None:
    """The letter that a response picks, None where it names no letter.

    A box wins; then "the answer is C"; then a letter at the very start; then the last letter that stands
    alone. The article "A" and the pronoun "I" do not count.
    """
    body, open_thought = _visible(text, conventions)
    if "boxed" in body:
        boxes = last_boxes(body, join=False)
        if boxes:
            content = unboxed(boxes[-1].content)
            chosen = as_choice(clean_latex(content)) or as_choice(content)
            return Extraction(chosen.letter, "boxed") if chosen else None
    if open_thought:
        return None
    tail = body[-TAIL:]
    stated = [m for m in _STATED.finditer(tail) if m.group(1).isupper()]
    if stated:
        return Extraction(stated[-1].group(1).upper(), "choice-stated")
    first = _FIRST.match(body)
    if first:
        return Extraction(first.group(1), "choice-first")
    alone = _ALONE.findall(tail)
    if alone:
        return Extraction(alone[-1][0] or alone[-1][1], "choice-last")
    return None
