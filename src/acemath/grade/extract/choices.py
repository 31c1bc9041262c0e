"""Answers by what the reference is: the letter of a choice, yes or no, words, or anything else."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from acemath.grade.base.text import clean_latex
from acemath.grade.conventions import Conventions
from acemath.grade.extract.doubts import asserts, left_open, phrases, taken_back
from acemath.grade.extract.responses import QUESTION, from_tail, marked, plain_tail, visible
from acemath.grade.extract.sentences import NOTHING, Extraction
from acemath.grade.extract.values import WORD, sentences

_LETTER = re.compile(r"^\(?\s*([A-J])\s*[).:]?$")
_SMALL = re.compile(r"^\(\s*([a-j])\s*\)$")
_LABELLED = re.compile(r"^(?:\(([A-J])\)|([A-J])(?:[).:]|[ \t]+(?=[A-Z][a-z])))\s*(\S.*)$", re.DOTALL)
_INTRODUCED = re.compile(
    rf"^{phrases('(the/my) (final/correct/right/best) answer/option/choice')}(?:\s+(?:choice|option))?\s*(?:is\b|:)?\s*(?=[A-J(])", re.I
)
# Another letter in the text beside a letter: `B) or C)`, `12 or (C) 14`; `A: 3, B: 4` labels values.
_MORE = re.compile(
    r"^(?:and\b|or\b|nor\b|[,;&/|+\s-])*\(?[A-J](?:[).:\]]|\s*$|\s*(?:[,;/&]|\b(?:and|or)\b|\(?[A-J]\b))"
    r"|^(?:and|or)\s|(?<![A-Za-z\\])\([A-J]\)|\b(?:and|or)\s+[A-J](?:[).:]|\s*$)|[,;]\s*[A-Z]:"
)
_WRAPPED = re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox|bf|rm)\s*\{\s*([^{}]*?)\s*\}")
_MARKS = re.compile(r"[$*{}\\]+|\\[()\[\]]")
# The clauses of a text end at signs and before words that begin another one, but not before one that continues: `B. Or C.`
_CLAUSE_END = re.compile(
    r"(?:[;!?\n]+|(?:\.(?=\s|$)|,)(?!\s*\(?[A-J]\b(?!\s+(?:is|are|was)\b)))"
    r"(?!\s*(?:or|nor|and|also|maybe|perhaps|possibly|alternatively|else)\b)"
    r"|(?:\s|,)(?=(?:so|therefore|thus|hence|but|because|since|however|which|whereas|while)\s)"
    r"|\sand\s(?=(?:(?:option|choice)\s+)?\(?[A-J]\)?\s+[a-z])|。|\s(?=(?:not|non)\s+\(?[A-J]\b)|(?=不是)", re.I
)
_ALONE = re.compile(
    r"(?<![A-Za-z0-9'’\\^_])(?:\(([A-J])\)|([B-HJ]|A(?!\s+[a-z])|I(?!\s+[a-z'’]))(?![A-Za-z0-9'’^_]|\())"
)
_NEGATIONS = phrases(
    "not/non/never/neither/nor/cannot/wrong/incorrect/false/eliminat*/exclud*/discard*/reject*/except/impossible/unlikely/invalid/doubt*, "
    "none/without/unless/if/whether/might/maybe/perhaps/possibly/could/may, rul* (*) out, other/rather than, instead of, 2nd/second/backup guess"
)
_NEGATED = re.compile(rf"不是|n['’]t\b|\b{_NEGATIONS}\b(?!\s+(?:statement|one|option|equation|answer)\b)")
# What follows a label is the choice's own text, `(D) none of the above`, unless it says something of the choice, `(D) is wrong`.
_LABEL = r"(?:\([A-J]\)[.:]?|(?<![A-Za-z])[A-J][).:])\s"
_OWN_TEXT = re.compile(
    rf"((?:\b(?:is|be)|:)\s*{_LABEL}).*|({_LABEL})\s*"
    r"(?!(?:is|are|was|were|can|cannot|could|may|might|must|should|would|will|does|do|did|has|seems|looks|\w+n['’]t)\b)\S.*",
    re.DOTALL,
)
_NAME = r"(?:(?:option|choice|letter|answer)\s+)?\(?([A-J])(?![A-Za-z0-9'’^_])"
# How a clause says which letter it is: `the answer is C`, `C is correct`, `so C`, or nothing but the letter.
_ASSERTED = re.compile(
    r"(?i:\b(?:answers?|choose|select|pick|guess|r[ée]ponse|go(?:ing)?\s+with|opt\s+for|corresponds?\s+to|matches|"
    r"agrees\s+with|(?:option|choice)(?=\s*(?:is\b|:)))|答案|选)"
    r"(?i:\s+(?:choice|option)|\b(?:is|are|was|(?:must|should|would)\s+be|est|for\s+sure|therefore|indeed)\b|[是为选:：=\s])*"
    + _NAME +
    "|" + _NAME + r"[).:]*\s+(?:(?:is|must\s+be|would\s+be|seems)\s+(?:the\s+)?(?:only\s+|most\s+|best\s+)*(?:correct|right|true|best|"
    r"answer|valid|one|solution|choice|option)(?!\s+(?:for|when|if|only)\b)|fits|works|matches|holds)\b"
    r"|(?:(?i:\b(?:so|thus|hence|therefore|must\s+be|it['’]?s|is|be))|→|=>)\s*[:,]?\s*" + _NAME + r"(?:[).:\s]*$|\)\s*\S|[.:]\s)"
)  # fmt: skip
_JUST = re.compile(r"(?:(?:option|choice)\s+)?\(?([A-J])(?:[).:\]\s]*$|\)\s*\S)", re.I)
_LIST_WORDS = re.compile(r"\\?text\w*|(?<![A-Za-z])(?:[A-J]|and|or|n?either|nor|not|both|any|all|of)(?![A-Za-z])|[^A-Za-z\\]", re.I)
_MARKED = ("answer-tag", "json", "boxed", "boxes", "final-answer", "hashes")
_BOUND = re.compile(r"[<>]|\\[lg](?:e|eq|t)\b|\\infty|\\equiv")
_BOUND_SAID = re.compile(r"(?:all\s+(?:real\s+)?numbers\s+)?\b(?:greater|less|at\s+(?:least|most)|more|between|congruent)\b.*$")
_WORDS_ONLY = re.compile(r"[A-Za-z][A-Za-z' -]{2,40}")  # `Monday`, `no solution`
_THEREFORE = re.compile(r"(?:(?:^|,?\s+)(?:so|thus|hence|therefore|then|consequently|finally)\b[\s,]*)+", re.I)
_REASON = re.compile(r"^(?:since|because|as)\b.*,\s*(?=[^,]*$)", re.I)
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|be|exists?|(?:con|di)verges?)\b", re.I)
_TRUTH = r"(?:yes|no|true|false)"
_VERDICT = re.compile(rf"[\s*]*(?:(?:but|so|and|or|thus|hence|therefore)\b[\s,]*)?({_TRUTH})\b\s*(?:[.,;:!–—-]|$)", re.I)
_SAYS_AGAIN = re.compile(rf"[,.;:!?/–—\s-]*(?:(?:and|or|but|maybe|perhaps|also)\s+)*{_TRUTH}\s*(?:[.,;:!?–—-]|$)", re.I)


class Choice(NamedTuple):
    """A letter, and the text that stands beside it ("" where there is none)."""

    letter: str
    text: str


@lru_cache(1024)
def as_choice(answer: str) -> Choice | None:
    """The choice that an answer names, None where it is something else."""
    if len(answer) > 400:
        return None
    plain = _INTRODUCED.sub("", _WRAPPED.sub(r"\1", answer).strip(" \n\t$*.\\{}"))
    plain += "}" * (plain.count("{") - plain.count("}"))  # those that close a group inside
    if match := _LETTER.match(plain):
        return Choice(match[1], "")
    match = _LABELLED.match(plain)
    if match is None or _MORE.search(match[3].strip()):
        return None
    return Choice(match[1] or match[2], match[3].strip())


def same_letter(one: str, other: str) -> bool:
    """Whether two bare choices, `C)` and `C`, are one; a small letter counts only in brackets, `(b)`."""
    left, right = (as_choice(_SMALL.sub(lambda m: m[1].upper(), text)) for text in (one, other))
    return left is not None and left == right and not left.text


def _choice(found: Extraction | None, body: str) -> Extraction | None:
    """The letter that a response picks, None where it names no letter, several, or what the letter is not.

    A tag, a record or a box wins if it holds a letter; then the last clause that says which letter it is; then the one
    letter that is a clause by itself. The article "A" and the pronoun "I" do not count.
    """
    if found is not None:
        content = found.answer or ""
        chosen = as_choice(clean_latex(content)) or as_choice(content)
        if chosen is not None:
            return Extraction(chosen.letter, found.rule)
        if not content or found.rule in ("answer-tag", "json") or not _LIST_WORDS.sub("", content):
            return None
    letter = picked_letter(plain_tail(body))
    return None if letter is None else Extraction(letter, "choice-stated")


def picked_letter(tail: str) -> str | None:
    """The letter that a text asserts last, or the only one that it names by itself; a question asserts none."""
    tail = QUESTION.sub(" ", tail)
    clauses = [c.strip() for c in _CLAUSE_END.split(_MARKS.sub("", _WRAPPED.sub(r"\1", tail))) if c and c.strip()]
    named = set()
    for clause in reversed(clauses):
        if taken_back(clause):
            return None
        letters = {"".join(pair) for pair in _ALONE.findall(clause)}
        if not letters or _NEGATED.search(_OWN_TEXT.sub(r"\1\2", clause).lower()):
            continue
        if len(letters) > 1:
            return None
        if any(letters.intersection(match.groups()) for match in _ASSERTED.finditer(clause)):
            return letters.pop()
        if (just := _JUST.match(clause)) and not _NEGATED.search(clause.lower()):
            named.add(just[1])
    return named.pop() if len(named) == 1 else None


def extract_for(text: str, reference: str, conventions: Conventions) -> Extraction:
    """The final answer of a response: a letter or a verdict where the reference is one, else as `extract` finds it."""
    body = visible(text, conventions)
    found = marked(body, conventions)
    choice = as_choice(reference)
    picked = _choice(found, body) if choice is not None else None
    if picked is not None:
        return picked
    tail = "" if found else plain_tail(body)
    found = found or from_tail(tail)
    if choice is not None and found.rule not in _MARKED and (not choice.text or as_choice(found.answer or "")):
        return NOTHING  # what names no letter clearly is no choice by another rule either
    if found.rule not in ("nothing", "last-number", "last-formula"):
        return found
    return _in_words(tail, reference, found) or found


def _in_words(tail: str, reference: str, found: Extraction) -> Extraction | None:
    """What a response says in words, where the reference is a yes or no, words or a bound; None where it says no such thing.

    `No. The series diverges.`; `…, so it will be Monday.`; `So x is at least 3.` `Yes, no.` says nothing.
    """
    words = _WRAPPED.sub(r"\1", reference).strip("$ .*{}").lower()
    bound, verdict = _BOUND.search(reference), re.fullmatch(_TRUTH, words)
    if not (bound or verdict or _WORDS_ONLY.fullmatch(words)):
        return None
    told = [sentence.strip() for sentence in sentences(QUESTION.sub(" ", tail)) if sentence.strip()]
    if verdict:
        verdicts = [said for sentence in told if (said := _VERDICT.match(sentence))]
        again = any(_SAYS_AGAIN.match(said.string, said.end(1)) for said in verdicts)
        if again or len({said[1].lower() for said in verdicts}) != 1:
            return None
        return Extraction(verdicts[0][1], "verdict")
    last = _REASON.sub("", _THEREFORE.split(told[-1])[-1]) if told else ""
    if not (_SAYS.search(last) and asserts(told[-1])) or left_open(last[: last.lower().find(words)]) or len(WORD.findall(last)) > 14:
        return None
    if bound and (limits := _BOUND_SAID.search(last)):
        last = limits[0]
    elif found.rule != "nothing" and words not in last.lower():
        return None
    return Extraction(last, "last-sentence")
