"""Answers by what the reference is: the letter of a choice, yes or no, words, or anything else."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.base.text import clean_latex
from acemath.grade.conventions import Conventions
from acemath.grade.extract.responses import extract, marked, plain_tail, said_at_the_end, visible
from acemath.grade.extract.sentences import Extraction

_LETTER = re.compile(r"^\(?\s*([A-J])\s*[).:]?$")
_SMALL = re.compile(r"^\(\s*([a-j])\s*\)$")
_LABELLED = re.compile(r"^(?:\(([A-J])\)|([A-J])[).:])\s*(\S.*)$", re.DOTALL)
_NAMED = re.compile(r"^([A-J])[ \t]+([A-Z][a-z]\S.*)$", re.DOTALL)
_INTRODUCED = re.compile(
    r"^(?:(?:the|my)\s+)?(?:(?:final|correct|right|best)\s+)?(?:answer|option|choice)(?:\s+(?:choice|option))?\s*(?:is\b|:)?\s*(?=[A-J(])",
    re.IGNORECASE,
)
# Another letter in the text beside a letter: `B) or C)`, `12 or (C) 14`; `A: 3, B: 4` labels values.
_MORE = re.compile(
    r"^(?:and\b|or\b|nor\b|[,;&/|+\s-])*\(?[A-J](?:[).:\]]|\s*$|\s*(?:[,;/&]|\b(?:and|or)\b|\(?[A-J]\b))"
    r"|^(?:and|or)\s|(?<![A-Za-z\\])\([A-J]\)|\b(?:and|or)\s+[A-J](?:[).:]|\s*$)|[,;]\s*[A-Z]:"
)
_WRAPPED = re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox|bf|rm)\s*\{\s*([^{}]*?)\s*\}")
_MARKS = re.compile(r"[$*{}\\]+|\\[()\[\]]")
_CLAUSE_END = re.compile(
    r"[;!?\n]+(?!\s*(?:or|nor|and|also|maybe|perhaps|possibly)\b)"
    r"|(?:\.(?=\s|$)|,)(?!\s*(?:or|nor|and|also|maybe|perhaps|possibly)\b)(?!\s*\(?[A-J]\b(?!\s+(?:is|are|was)\b))"
    r"|(?:\s|,)(?=(?:so|therefore|thus|hence|but|because|since|however|which|whereas|while)\s)"
    r"|\sand\s(?=(?:(?:option|choice)\s+)?\(?[A-J]\)?\s+[a-z])|。",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?<![A-Za-z0-9'’\\^_])(?:\(([A-J])\)|([B-HJ]|A(?!\s+[a-z])|I(?!\s+[a-z'’]))(?![A-Za-z0-9'’^_]|\())"
)
_NEGATED = re.compile(
    r"\b(?:not|never|neither|nor|cannot|wrong|incorrect|false|eliminat\w*|rul(?:e|es|ed|ing)\s+(?:\S+\s+)?out|exclud\w*|"
    r"discard\w*|reject\w*|except|impossible|unlikely|invalid|other\s+than|instead\s+of|rather\s+than|doubt\w*|none|"
    r"without|unless|might|maybe|perhaps|possibly|could|may)\b(?!\s+(?:statement|one|option|equation|answer)\b)|n['’]t\b",
    re.IGNORECASE,
)
# What follows a label is the choice's own text, `(D) none of the above`, unless it says something of the choice, `(D) is wrong`.
_LABEL = r"(?:\([A-J]\)[.:]?|(?<![A-Za-z])[A-J][).:])\s"
_OWN_TEXT = re.compile(
    rf"((?:\b(?:is|be)|:)\s*{_LABEL}).*|({_LABEL})\s*"
    r"(?!(?:is|are|was|were|can|cannot|could|may|might|must|should|would|will|does|do|did|has|seems|looks|\w+n['’]t)\b)\S.*",
    re.DOTALL,
)
_NAME = r"(?:(?:option|choice|letter|answer)\s+)?\(?([A-J])(?![A-Za-z0-9'’^_])"
_ASSERTED = (
    re.compile(
        r"(?:\b(?:answers?|choose|select|pick|guess|r[ée]ponse|go(?:ing)?\s+with|opt\s+for|(?:option|choice)(?=\s*(?:is\b|:)))|答案|选)"
        r"(?:\s+(?:choice|option))?(?:\s+(?:is|are|was|must\s+be|should\s+be|would\s+be|est|for\s+sure|therefore|indeed)\b"
        r"|[是为选:：=]|\s)*" + _NAME, re.IGNORECASE,
    ),
    re.compile(
        _NAME + r"[).:]*\s+(?:is|must\s+be|would\s+be|seems)\s+(?:the\s+)?(?:only\s+|most\s+|best\s+)*(?:correct|right|true|best|"
        r"answer|valid|one|solution|choice|option)\b|" + _NAME + r"[).:]*\s+(?:fits|works|matches|holds)\b"
    ),
    re.compile(
        r"(?:\b(?:so|thus|hence|therefore|must\s+be|it['’]?s|is|be)|→|=>)\s*[:,]?\s*" + _NAME + r"(?:[).:\s]*$|\)\s*\S|[.:]\s)",
        re.IGNORECASE,
    ),
)  # fmt: skip
_JUST = re.compile(r"(?:(?:option|choice)\s+)?\(?([A-J])(?:[).:\]\s]*$|\)\s*\S)", re.IGNORECASE)
_LIST_WORDS = re.compile(r"\\?text\w*|(?<![A-Za-z])(?:[A-J]|and|or|n?either|nor|not|both|any|all|of)(?![A-Za-z])|[^A-Za-z\\]", re.I)
_MARKED = ("answer-tag", "json", "boxed", "boxes", "final-answer", "hashes")
# `Monday`, `\text{no solution}`
_BOUND = re.compile(r"[<>]|\\(?:l|g)(?:e|eq|t)\b|\\infty|\\equiv")
_BOUND_SAID = re.compile(
    r"(?:all\s+(?:real\s+)?numbers\s+)?(?:greater|less|at\s+(?:least|most)|more|between|congruent)\b.*$"
)
_WORDS_ONLY = re.compile(r"[\s$]*(?:\\text\w*\s*\{)?[A-Za-z][A-Za-z' -]{2,40}\}?[\s$.]*")
_VERDICT = re.compile(r"[\s*\\{}$]*(?:\\?text\s*\{)?(yes|no|true|false)(?![A-Za-z])[\s*}.]*", re.IGNORECASE)
_OPENING = re.compile(r"[\s#]*(?:answer\s*:?\s*)?(yes|no|true|false)\b\s*(?:[.,;:!–—-]|$)", re.IGNORECASE)
_SAYS_AGAIN = re.compile(r"[,.;:!?/–—\s-]*(?:(?:and|or|but|maybe|perhaps|also)\s+)*(?:yes|no|true|false)\s*(?:[.,;:!?–—-]|$)", re.I)


class Choice(NamedTuple):
    """A letter, and the text that stands beside it ("" where there is none)."""

    letter: str
    text: str


def as_choice(answer: str) -> Choice | None:
    """The choice that an answer names, None where it is something else."""
    if len(answer) > 400:
        return None
    plain = _INTRODUCED.sub("", _WRAPPED.sub(r"\1", answer).strip(" \n\t$*.\\{}"))
    plain += "}" * (plain.count("{") - plain.count("}"))  # those that close a group inside
    if match := _LETTER.match(plain):
        return Choice(match[1], "")
    if match := _LABELLED.match(plain):
        letter, text = match[1] or match[2], match[3].strip()
    elif match := _NAMED.match(plain):
        letter, text = match[1], match[2].strip()
    else:
        return None
    return None if _MORE.search(text) else Choice(letter, text)


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
    """The yes or no with which a response begins: `No. The series diverges.`; `Yes, no.` says nothing."""
    body = visible(text, conventions)
    match = _OPENING.match(plain_tail(body[:200]))
    if match is None or _SAYS_AGAIN.match(body.strip("* #\n"), match.end() - 1):
        return None
    return Extraction(match[1], "verdict-first")


def extract_choice(text: str, conventions: Conventions) -> Extraction | None:
    """The letter that a response picks, None where it names no letter, several, or what the letter is not.

    A tag, a record or a box wins if it holds a letter; then the last clause that says which letter it is; then the one
    letter that is a clause by itself. The article "A" and the pronoun "I" do not count.
    """
    body = visible(text, conventions)
    found = marked(body, conventions)
    if found is not None:
        content = found.answer or ""
        chosen = as_choice(clean_latex(content)) or as_choice(content)
        if chosen is not None:
            return Extraction(chosen.letter, found.rule)
        if not content or found.rule in ("answer-tag", "json") or not re.sub(_LIST_WORDS, "", content):
            return None
    letter = picked_letter(plain_tail(body))
    if letter is None:
        return None
    return Extraction(letter, "choice-stated")


def picked_letter(tail: str) -> str | None:
    """The letter that a text asserts last, or the only one that it names by itself."""
    clauses = [c.strip() for c in _CLAUSE_END.split(_MARKS.sub("", _WRAPPED.sub(r"\1", tail))) if c and c.strip()]
    named = set()
    for clause in reversed(clauses):
        letters = {"".join(pair) for pair in _ALONE.findall(clause)}
        if not letters or _NEGATED.search(_OWN_TEXT.sub(r"\1\2", clause)):
            continue
        asserted = [m for pattern in _ASSERTED for m in pattern.finditer(clause)]
        if len(letters) > 1:
            return None
        if any(group in letters for match in asserted for group in match.groups()):
            return letters.pop()
        if (just := _JUST.match(clause)) and not _NEGATED.search(clause):
            named.add(just[1])
    return named.pop() if len(named) == 1 else None


def extract_for(text: str, reference: str, conventions: Conventions) -> Extraction:
    """The final answer of a response: a letter or a verdict where the reference is one, else as `extract` finds it."""
    lettered = len(reference) < 400 and reference.strip("$ \n(")[:1] in "ABCDEFGHIJ\\A"
    choice = as_choice(reference) if lettered else None
    picked = extract_choice(text, conventions) if choice is not None else None
    if picked is not None:
        return picked
    found = extract(text, conventions)
    if choice is not None and found.rule not in _MARKED and (not choice.text or as_choice(found.answer or "")):
        return Extraction(None, "nothing")  # what names no letter clearly is no choice by another rule either
    if found.rule in ("nothing", "last-number", "last-formula") and is_verdict(reference):
        return extract_verdict(text, conventions) or found
    if found.rule not in ("nothing", "last-number", "last-formula"):
        return found
    said = said_at_the_end(text, conventions) if _WORDS_ONLY.fullmatch(reference) or _BOUND.search(reference) else found
    words = _WRAPPED.sub(r"\1", reference).strip("$ .").lower()
    if said.answer and (found.rule == "nothing" or words and words in said.answer.lower()):
        return said
    if said.answer and _BOUND.search(reference) and (bound := _BOUND_SAID.search(said.answer)):
        return Extraction(bound[0], "last-sentence")
    return found
