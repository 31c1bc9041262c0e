"""Forms of questions: multiple choice, true or false, several parts, and answers too long to compare.

The paper keeps all of these (section 3.2). They suit training on verified answers badly: a guess is often right, or one
answer is not the whole.
"""

from __future__ import annotations

import re

Reason = str | None

# "(A)", "A)" and "\textbf{(A)}", but not the argument of P(A) or f(A); "A." and "A:" only at the start of a line.
_OPTION = re.compile(r"(?<![A-Za-z0-9_(\\])\(?\b([A-E])\)(?=[\s~$}\\:.,]|\w)|^\s*([A-E])[.:]\s", re.MULTILINE)
_TRUE_FALSE = re.compile(
    r"\b(?:true|right|correct)\s+or\s+(?:false|wrong|incorrect|not)\b|\byes\s+or\s+no\b"
    r"|\b(?:whether|(?:determine|decide|tell|say|state|check)\s+if)\s+(?:the|this|that|each|it)\b[^.?!]*\b(?:is|are)\s+(?:true|correct|valid)\b"
    r"|\b(?:is|are)\s+(?:this|these|the\s+(?:following\s+)?)\s*(?:statements?|claims?)\s+(?:true|correct|valid)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(r"^(?:is|are|was|were|does|do|did|can|could|will|would|has|have)\b", re.IGNORECASE)
_ASKS_MORE = re.compile(
    r"\b(?:what|which|how|who|when|where|why|find|compute|determine|calculate|evaluate)\b", re.I
)
_SENTENCES = re.compile(r"(?<=[.?])\s+")  # not after "!", which may be a factorial
_PART_MARKS = (
    re.compile(r"(?<![\w\\^_(])\(?([a-d])\)(?=\s|\\|\$)"),
    re.compile(r"(?<![\w\\^_(])\((i{1,3}|iv)\)(?=\s|\\|\$)"),
    re.compile(r"(?:^|\n)\s*\(?([1-4])[.)]\s"),
    re.compile(r"\bpart\s+(?:\()?([a-d1-4])\b", re.IGNORECASE),
)
_FIRST_PARTS = (("a", "b"), ("i", "ii"), ("1", "2"), ("A", "B"))
_ASK = re.compile(
    r"\?|\b(?:find|compute|determine|calculate|prove|show|evaluate|what|how|give|write|solve|express)\b", re.I
)
_DECIDES = frozenset(("true", "false", "yes", "no"))


def multiple_choice(text: str, answer: str = "") -> Reason:
    """Lists choices A, B and C, in this order."""
    found = [one or other for one, other in _OPTION.findall(text)]
    for letter in "ABC":
        if letter not in found:
            return None
        found = found[found.index(letter) + 1 :]
    return "multiple-choice"


def true_false(text: str, answer: str = "") -> Reason:
    """Has the answer true or false, or yes or no."""
    if answer.strip(" .$").lower().removeprefix("\\text{").removesuffix("}") in _DECIDES:
        return "true-false"
    if _TRUE_FALSE.search(text):
        return "true-false"
    last = _SENTENCES.split(text.strip())[-1]
    asks = last.endswith("?") and _YES_NO.match(last) and not _ASKS_MORE.search(last)
    return "true-false" if asks and not re.search(r"\bor\b", last) else None


def multi_part(text: str, answer: str = "") -> Reason:
    """Asks for several labelled things: (a) and (b), (i) and (ii), 1. and 2."""
    for marks in _PART_MARKS:
        found = list(marks.finditer(text))
        names = [match[1].lower() for match in found]
        for first, second in _FIRST_PARTS:
            if first not in names or second not in names[names.index(first) :]:
                continue
            at = names.index(first)
            after = names.index(second, at)
            parts = (text[found[at].end() : found[after].start()], text[found[after].end() :])
            if all(_ASK.search(part) for part in parts):  # conditions and choices may also be labelled
                return "multi-part"
    return None


def long_answer(answer: str, characters: int) -> Reason:
    """A reference answer of more than `characters`, which can hardly be compared correctly."""
    return "long-answer" if len(answer) > characters else None
