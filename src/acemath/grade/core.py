"""Verdicts: the tiers in order, from equal text to worker processes."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from typing import Any

from acemath.grade.base.guards import TooHard, check_text
from acemath.grade.base.nodes import kinds, symbols
from acemath.grade.base.text import clean_latex
from acemath.grade.cache import VerdictCache
from acemath.grade.compare.answers import same
from acemath.grade.compare.contrasts import contradict
from acemath.grade.compare.naming import (
    letters_apart,
    same_solutions,
    with_constants_renamed,
    with_parameters_renamed,
)
from acemath.grade.compare.wording import same_word
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.choices import as_choice, extract_choice, extract_verdict, is_verdict, same_letter
from acemath.grade.extract.responses import Extraction, _last_value, extract, said_at_the_end
from acemath.grade.read.reader import read
from acemath.grade.references import needed_reference, reference_answer, reference_of
from acemath.records import FINISHED, Status, Verdict

_INTEGER = re.compile(r"-?[0-9]{1,400}")
_DECIMAL = re.compile(
    r"([-+]?)[ ]?\\?\$?[ ]?([1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]{1,400})?(\.[0-9]{0,400})?(?<=[0-9.])\.?[ ]?(\\?%)?\$?"
)
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(-?[0-9]{1,18})\}\{([0-9]{1,18})\}")
_SENTENCE_WORD = re.compile(r"(?<!\S)[A-Za-z][a-z']+(?=[\s.,;:!?]|$)")
# A number behind these words is a bound, not a value; several numbers beside "and" may belong to several things.
_BOUND_WORDS = re.compile(
    r"\b(?:least|most|less\s+than|more\s+than|greater|fewer|cannot|not|between|except|under)\b", re.I
)
_JOINING_WORDS = re.compile(r"\b(?:or|and|if|over)\b", re.I)
_ANY_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_WORDS_ONLY = re.compile(
    r"[\s$]*(?:\\text\w*\s*\{)?[A-Za-z][A-Za-z' -]{2,40}\}?[\s$.]*"
)  # `Monday`, `\text{no solution}`
CACHE = VerdictCache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CACHE.after_fork)


def grade(
    response_text: str | None, reference: Any, conventions: str | Conventions = STRICT, finish_reason: str = "stop"
) -> Verdict:
    """The verdict on a whole response: its final answer is extracted, then compared with the reference.

    The reference may be a bare answer, an answer in `$…$` or `\\boxed{…}`, a number, a list, or a whole worked solution
    (`references.reference_of`). A response that is None says nothing. A response that was cut or refused by its `finish_reason` has no answer, whatever number
    it happens to end in. UserError where there is no reference.
    """
    chosen, wanted = as_conventions(conventions), needed_reference(reference)
    if not is_complete(finish_reason):
        return unfinished(finish_reason)
    found = extract_for(response_text or "", wanted, chosen)
    return grade_answer(found.answer, wanted, chosen, found.rule)


def is_complete(finish_reason: str) -> bool:
    """Whether a model came to its own end, by its finish reason in any engine's words; an unknown reason says no."""
    return FINISHED.get(finish_reason.strip().lower()) == "stop"


def unfinished(finish_reason: str) -> Verdict:
    """The verdict on a response that was cut or refused: no answer."""
    cut = FINISHED.get(finish_reason.strip().lower()) == "length"
    why = "was cut at the token limit" if cut else f"is not complete ({finish_reason})"
    return Verdict(None, "no_answer", f"the response {why}", "", "unfinished")


def extract_for(response_text: str, reference: str, conventions: Conventions) -> Extraction:
    """The final answer of a response, a choice letter first where the reference asks for one."""
    if (
        len(reference) < 400
        and reference.strip("$ \n(")[:1] in "ABCDEFGHIJ\\A"
        and as_choice(reference) is not None
    ):
        picked = extract_choice(response_text, conventions)
        if picked is not None:
            return picked
    found = extract(response_text, conventions)
    if found.rule in ("nothing", "last-number", "last-formula") and is_verdict(reference):
        return extract_verdict(response_text, conventions) or found
    if found.answer is None and found.rule == "nothing" and _WORDS_ONLY.fullmatch(reference):
        return said_at_the_end(response_text, conventions)
    return found


def equal(a: Any, b: Any, conventions: str | Conventions = STRICT) -> Verdict:
    """Whether two bare answers are equal; the verdict is the same with a and b exchanged.

    Each may be a text, a number or a list, as references may. Where one of them is None or blank there is no answer.
    """
    left, right = reference_of(a), reference_of(b)
    if left is None or right is None:
        return Verdict(left, "no_answer", "there is nothing to compare: None or blank", "", "given")
    return grade_answer(left, right, conventions, "given")


def grade_answer(
    answer: str | None, reference: str, conventions: str | Conventions = STRICT, rule: str = "given", cache: bool = True
) -> Verdict:
    """The verdict on an extracted answer, None where none was found.

    Statuses: correct, wrong, no_answer, timeout (a worker overran), unparsable (a limit was exceeded).
    """
    if answer is None or not answer.strip():
        return Verdict(None, "no_answer", "no answer was found in the response", "", rule)
    chosen = as_conventions(conventions)
    key = (answer, reference, chosen)
    known = CACHE.get(key) if cache else None
    if known is None:
        known = _decide(answer.strip(), reference, chosen)
        if cache:
            CACHE.put(key, known)
    status, reason, tier = known
    return Verdict(answer, status, reason, tier, rule)


Decision = tuple[Status, str, str]


def _decide(answer: str, reference: str, conventions: Conventions) -> Decision:
    problem = check_text(answer)
    if problem is not None:
        return "unparsable", f"the answer was not read: {problem}", "guard"
    if answer == reference:
        return "correct", "same text", "exact"
    quick = _numeric(answer, reference, conventions)
    if quick is not None:
        return quick
    stated = reference_answer(answer), reference_answer(reference)
    if "boxed" in answer or "boxed" in reference or answer == stated[0] or reference == stated[1]:
        answer, reference = stated  # of two long sentences the last values alone would say nothing
    problem = check_text(reference)
    if problem is not None:
        return "unparsable", f"the reference was not read: {problem}", "guard"
    return _structural(answer, reference, conventions)


def fast_number(text: str) -> tuple[Fraction, bool, bool] | None:
    """A plain number as (value, whether it has a percent sign, whether it has a decimal point)."""
    if _INTEGER.fullmatch(text):
        return Fraction(int(text)), False, False
    match = _DECIMAL.fullmatch(text)
    if match is not None and (match.group(2) or len(match.group(3) or "") > 1):
        sign, whole, part, percent = match.groups()
        plain = (whole or "0").replace(",", "") + (part if part and len(part) > 1 else "")
        value = Fraction(plain)
        return (-value if sign == "-" else value), percent is not None, "." in plain
    match = _FRACTION.fullmatch(text)
    if match is not None and match.group(3).strip("0"):
        value = Fraction(int(match.group(2)), int(match.group(3)))
        return (-value if match.group(1) else value), False, False
    return None


def _numeric(answer: str, reference: str, conventions: Conventions) -> Decision | None:
    """Two plain numbers; None where one of them is something else or where rounding has to be looked at."""
    left, right = fast_number(answer), fast_number(reference)
    if left is None or right is None:
        return None
    if left[1] != right[1] and ("$" in answer or "$" in reference):
        return None  # money is no percentage
    if left[0] == right[0] and (left[1] == right[1] or conventions.percent != "exact"):
        return "correct", "same number", "numeric"
    if (
        left[1]
        or right[1]
        or left[2]
        or right[2]
        or conventions.rel_tol
        or conventions.abs_tol
        or conventions.percent == "any"
    ):
        return None
    return "wrong", f"{_short(answer)} is not {_short(reference)}", "numeric"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _structural(answer: str, reference: str, conventions: Conventions, stated: bool = False) -> Decision:
    """The verdict by structure; `stated` says that one of the two was taken out of a sentence already."""
    left, right = clean_latex(answer), clean_latex(reference)
    if not left:
        return "no_answer", "the answer is empty", ""
    if not right:
        return "wrong", "the reference is empty", "structure"
    chosen = _choices(answer, reference)
    if chosen is not None:
        return chosen
    if same_letter(left, right):
        return "correct", "same choice", "choice"
    if left.replace(" ", "") == right.replace(" ", "") or same_word(left, right):
        return "correct", "same text after normalisation", "exact"
    for labelled, other, swapped in ((reference, answer, False), (answer, reference, True)):
        choice = as_choice(labelled)
        if choice is not None and choice.text and choice.text != labelled and as_choice(other) is None:
            return _structural(*((choice.text, other) if swapped else (other, choice.text)), conventions)
    if contradict(left, right):
        return "wrong", "the words contradict each other", "structure"
    try:
        result = _trees(left, right, conventions)
    except (TooHard, RecursionError) as error:
        return "unparsable", f"the comparison was not made: {error}", "guard"
    if result is True:
        return "correct", "equal in structure and value", "structure"
    for text, other in () if stated else ((answer, reference), (reference, answer)):
        value = sentence_value(text)
        if value is not None:
            return _structural(value, other, conventions, True)
    if result is False or not conventions.symbolic or not _worth_workers(left, right):
        return "wrong", f"{_short(left)} is not {_short(right)}", "structure"
    return _symbolic(left, right, conventions)


def _choices(answer: str, reference: str) -> Decision | None:
    """Two choices of which at least one has its text beside it: the letters decide."""
    one, other = as_choice(answer), as_choice(reference)
    if one is None or other is None or not (one.text or other.text):
        return None
    if one.letter == other.letter:
        return "correct", "same choice", "choice"
    return "wrong", f"choice {one.letter} is not {other.letter}", "choice"


def _worth_workers(left: str, right: str) -> bool:
    """Whether a worker may see more than this process did: sums, integrals, limits and plain expressions."""
    trees = read(left), read(right)
    found = kinds(trees[0]) | kinds(trees[1])
    if "big" not in found and symbols(trees[0]) != symbols(trees[1]):
        return False
    return not found & _NOT_SYMBOLIC and not any("..." in symbols(t) for t in trees)


_NOT_SYMBOLIC = frozenset(
    ("text", "apply", "tuple", "set", "list", "matrix", "builder", "union", "named", "mod", "based")
)


def sentence_value(answer: str) -> str | None:
    """The value in an answer that is a whole sentence (`The total is $15.`); None where it is none."""
    words = len(_SENTENCE_WORD.findall(answer))
    if words < 2 or _BOUND_WORDS.search(answer):
        return None
    if "=" in answer:
        answer = answer.rsplit("=", 1)[1]
    elif words < 3 or _JOINING_WORDS.search(answer) and len(_ANY_NUMBER.findall(answer)) > 1:
        return None
    found = _last_value(answer)
    return None if found is None or found.answer == answer else found.answer


def _trees(left: str, right: str, conventions: Conventions) -> bool | None:
    a, b = read(left), read(right)
    result = same(a, b, conventions)
    if result is True:
        return True
    for text, own, other in ((left, a, b), (right, b, a)):
        if "," in text and own.kind in ("num", "list") and other.kind in ("list", "set"):
            split = read(text, False)
            if split != own and same(split, other, conventions) is True:
                return True
    apart = letters_apart(a, b)
    if apart is not None and same(*apart, conventions) is True:
        return True
    return (
        with_constants_renamed(a, b, conventions, same)
        or same_solutions(a, b)
        or with_parameters_renamed(a, b, conventions, same)
        or result
    )


def _symbolic(left: str, right: str, conventions: Conventions) -> Decision:
    from acemath.grade.workers import shared_pool

    outcome = shared_pool().same(left, right, conventions.timeout)
    if outcome == "timeout":
        return "timeout", f"the symbolic comparison took more than {conventions.timeout:g} s", "symbolic"
    if outcome == "equal":
        return "correct", "equal after symbolic simplification", "symbolic"
    if outcome == "different":
        return "wrong", f"{_short(left)} is not {_short(right)}", "symbolic"
    return "wrong", f"no way was found to see {_short(left)} as {_short(right)}", "symbolic"
