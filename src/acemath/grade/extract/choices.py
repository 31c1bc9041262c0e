"""Answers by what the reference is: the letter of a choice, yes or no, words, or anything else."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.base.text import clean_latex
from acemath.grade.conventions import Conventions
from acemath.grade.extract.boxes import last_boxes, unboxed
from acemath.grade.extract.responses import TAIL, extract, said_at_the_end, visible
from acemath.grade.extract.sentences import Extraction

_LETTER = re.compile(r"^\(?\s*([A-J])\s*[).:]?$")
_SMALL = re.compile(r"^\(\s*([a-j])\s*\)$")
_LABELLED = re.compile(r"^(?:\(([A-J])\)|([A-J])[).:])\s*(\S.*)$", re.DOTALL)
_NAMED = re.compile(r"^([A-J])[ \t]+([A-Z][a-z]\S.*)$", re.DOTALL)
_MORE = re.compile(r"(?:and|or|,|;|&)\s*\(?[A-J]\b|\(?[A-J]\)")
_LABELS = re.compile(r"[,;]\s*[A-Z]:")  # `A: 3, B: 4` labels values
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
# `Monday`, `\text{no solution}`
_WORDS_ONLY = re.compile(r"[\s$]*(?:\\text\w*\s*\{)?[A-Za-z][A-Za-z' -]{2,40}\}?[\s$.]*")
_VERDICT = re.compile(r"[\s*\\{}$]*(?:\\?text\s*\{)?(yes|no|true|false)(?![A-Za-z])[\s*}.]*", re.IGNORECASE)
_OPENING = re.compile(
    r"[\s*#]*(?:answer\s*:?[\s*]*)?(yes|no|true|false)\b[*]*\s*(?:[.,;:!–—-]|$)", re.IGNORECASE
)


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
    if match := _LETTER.match(plain):
        return Choice(match[1], "")
    if (match := _LABELLED.match(plain)) and not _MORE.match(match[3]) and not _LABELS.search(match[3]):
        return Choice(match[1] or match[2], match[3].strip())
    match = _NAMED.match(plain)
    return Choice(match[1], match[2].strip()) if match else None


def same_letter(one: str, other: str) -> bool:
    """Whether two bare choices, `C)` and `C`, are one; a small letter counts only in brackets, `(b)`."""
    left, right = as_choice(one), as_choice(other)
    if left is not None and right is not None and not (left.text or right.text):
        return left.letter == right.letter
    return any(
        choice is not None
        and (match := _SMALL.match(small)) is not None
        and match[1].upper() == choice.letter
        for small, choice in ((one, right), (other, left))
    )


def is_verdict(reference: str) -> bool:
    """Whether a reference is yes, no, true or false."""
    return len(reference) < 40 and _VERDICT.fullmatch(reference) is not None


def extract_verdict(text: str, conventions: Conventions) -> Extraction | None:
    """The yes or no with which a response begins: `No. The series diverges.`"""
    body, open_thought = visible(text, conventions)
    match = None if open_thought else _OPENING.match(body)
    return None if match is None else Extraction(match[1], "verdict-first")


def extract_choice(text: str, conventions: Conventions) -> Extraction | None:
    """The letter that a response picks, None where it names no letter.

    A box wins; then "the answer is C"; then a letter at the very start; then the last letter that stands
    alone. The article "A" and the pronoun "I" do not count.
    """
    body, open_thought = visible(text, conventions)
    boxes = last_boxes(body, join=False) if "boxed" in body else []
    if boxes:
        content = unboxed(boxes[-1].content)
        chosen = as_choice(clean_latex(content)) or as_choice(content)
        return Extraction(chosen.letter, "boxed") if chosen else None
    if open_thought:
        return None
    tail = body[-TAIL:]
    stated = [letter for letter in _STATED.findall(tail) if letter.isupper()]
    if stated:
        return Extraction(stated[-1], "choice-stated")
    if first := _FIRST.match(body):
        return Extraction(first[1], "choice-first")
    alone = _ALONE.findall(tail)
    return Extraction("".join(alone[-1]), "choice-last") if alone else None


def extract_for(text: str, reference: str, conventions: Conventions) -> Extraction:
    """The final answer of a response: a letter or a verdict where the reference is one, else as `extract` finds it."""
    lettered = len(reference) < 400 and reference.strip("$ \n(")[:1] in "ABCDEFGHIJ\\A"
    picked = extract_choice(text, conventions) if lettered and as_choice(reference) is not None else None
    if picked is not None:
        return picked
    found = extract(text, conventions)
    if found.rule in ("nothing", "last-number", "last-formula") and is_verdict(reference):
        return extract_verdict(text, conventions) or found
    if found.rule == "nothing" and _WORDS_ONLY.fullmatch(reference):
        return said_at_the_end(text, conventions)
    return found
