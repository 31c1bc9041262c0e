"""Verdicts: the tiers in order, from equal text to worker processes."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from acemath.grade.base.dialects import restored
from acemath.grade.base.guards import TooHard, problem_of
from acemath.grade.base.nodes import kinds, symbols
from acemath.grade.base.text import clean_latex
from acemath.grade.cache import CACHE, Decision
from acemath.grade.compare.answers import Comparison
from acemath.grade.compare.contrasts import contradict
from acemath.grade.compare.families import declared, same_families
from acemath.grade.compare.renaming import letters_apart, same_renamed, same_solutions
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.choices import as_choice, extract_for, same_letter
from acemath.grade.extract.sentences import sentence_value
from acemath.grade.read.plain_numbers import plain_number
from acemath.grade.read.reader import read
from acemath.grade.references import needed_reference, reference_answer, reference_of
from acemath.records import FINISHED, Verdict

_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SPACES = re.compile(r" +(?!\d)|(?<!\d) +")  # `1 3/4` is not `13/4`
_DECIMAL_COMMA = re.compile(r"^(-?\d{1,15}),\s?(\d*[1-9]\d*)(?![\d,.])")  # `-3,0` is two numbers
_THOUSANDS = re.compile(r"\d[, ]\d{3}(?!\d)")
_ARROW = re.compile(r"arrow|\\vec")
# What sympy has no counterpart for.
_NOT_SYMBOLIC = frozenset("text apply tuple set list matrix builder union named mod based".split())


def grade(
    response_text: str | None,
    reference: Any,
    conventions: str | Conventions = STRICT,
    finish_reason: str = "stop",
) -> Verdict:
    """The verdict on a whole response: its final answer is extracted, then compared with the reference.

    The reference may be a bare answer, an answer in `$…$` or `\\boxed{…}`, a number, a list, or a whole worked solution
    (`references.reference_of`). None as a response says nothing. A response that was cut or refused by its
    `finish_reason` has no answer, whatever number it happens to end in. UserError where there is no reference.
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


def equal(a: Any, b: Any, conventions: str | Conventions = STRICT) -> Verdict:
    """Whether two bare answers are equal; the verdict is the same with a and b exchanged.

    Each may be a text, a number or a list, as references may. Where one of them is None or blank there is no answer.
    """
    left, right = reference_of(a), reference_of(b)
    if left is None or right is None:
        return Verdict(left, "no_answer", "there is nothing to compare: None or blank", "", "given")
    return grade_answer(left, right, conventions, "given")


def grade_answer(
    answer: str | None,
    reference: str,
    conventions: str | Conventions = STRICT,
    rule: str = "given",
    cache: bool = True,
) -> Verdict:
    """The verdict on an extracted answer, None where none was found.

    Statuses: correct, wrong, no_answer, timeout (a worker overran), unparsable (a limit was exceeded).
    """
    if answer is None or not answer.strip():
        return Verdict(None, "no_answer", "no answer was found in the response", "", rule)
    chosen = as_conventions(conventions)
    answer = restored(answer)
    key = (answer, reference, chosen)
    known = CACHE.get(key) if cache else None
    if known is None:
        known = _decide(answer.strip(), reference, chosen)
        if cache:
            CACHE.put(key, known)
    status, reason, tier = known
    return Verdict(answer, status, reason, tier, rule)


def _decide(answer: str, reference: str, conventions: Conventions) -> Decision:
    problem = problem_of(answer)
    if problem is not None:
        return "unparsable", f"the answer was not read: {problem}", "guard"
    if answer == reference:
        return "correct", "same text", "exact"
    quick = _numeric(answer, reference, conventions)
    if quick is not None:
        return quick
    stated = reference_answer(answer), reference_answer(reference)
    if answer == stated[0] or reference == stated[1]:
        answer, reference = stated  # of two long sentences the last values alone would say nothing
    problem = problem_of(reference)
    if problem is not None:
        return "unparsable", f"the reference was not read: {problem}", "guard"
    return _structural(answer, reference, conventions)


def _numeric(answer: str, reference: str, conventions: Conventions) -> Decision | None:
    """Two plain numbers; None where one of them is something else or where rounding has to be looked at."""
    left, right = plain_number(answer), plain_number(reference)
    if left is None or right is None:
        return None
    if left.percent != right.percent and ("$" in answer or "$" in reference):
        return None  # money is no percentage
    if left.value == right.value and (left.percent == right.percent or conventions.percent != "exact"):
        return "correct", "same number", "numeric"
    if left.percent or right.percent or not conventions.exact_numbers:
        return None
    if left.decimal or right.decimal:
        # Rounding moves a decimal by less than 1, or by 1e-12 of its size.
        one, other = Fraction(left.value), Fraction(right.value)
        gap, size = abs(one - other), max(abs(one), abs(other))
        if gap <= max(1, conventions.abs_tol) or gap / size <= max(conventions.rel_tol, 1e-12):
            return None
    return _wrong(answer, reference, "numeric")


def _wrong(left: str, right: str, tier: str) -> Decision:
    return "wrong", f"{_short(left)} is not {_short(right)}", tier


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _structural(answer: str, reference: str, conventions: Conventions, stated: bool = False) -> Decision:
    """The verdict by structure. `stated`: one of the two was taken out of a sentence already."""
    left, right = clean_latex(answer), clean_latex(reference)
    if not left:
        return "no_answer", "the answer is empty", ""
    if not right:
        return "wrong", "the reference is empty", "structure"
    one, other = as_choice(answer), as_choice(reference)
    if one is not None and other is not None and (one.text or other.text):
        if one.letter == other.letter:
            return "correct", "same choice", "choice"
        return "wrong", f"choice {one.letter} is not {other.letter}", "choice"
    if same_letter(left, right):
        return "correct", "same choice", "choice"
    if _bare(left) == _bare(right):
        return "correct", "same text after normalisation", "exact"
    if one is None and other is not None and other.text not in ("", reference):
        return _structural(answer, other.text, conventions)
    if other is None and one is not None and one.text not in ("", answer):
        return _structural(one.text, reference, conventions)
    if contradict(left, right):
        return "wrong", "the words contradict each other", "structure"
    try:
        result = _same_trees(left, right, conventions)
    except (TooHard, RecursionError) as error:
        return "unparsable", f"the comparison was not made: {error}", "guard"
    if result is True:
        return "correct", "equal in structure and value", "structure"
    values = sentence_value(answer), sentence_value(reference)
    sentence = read(right if values[0] is None else left)
    sides = sentence.args if sentence.kind == "rel" else (sentence,)
    # neither `3 in the afternoon` is a sentence with a 3 nor `5 cm = 6 cm` one with 6 cm
    amount = all(side.kind == "quantity" for side in sides) and not symbols(sentence)
    if not (stated or amount) and values.count(None) == 1:  # of two sentences the last values alone would say nothing
        return _structural(values[0] or answer, values[1] or reference, conventions, True)
    if result is False or not conventions.symbolic or not _worth_workers(left, right):
        return _wrong(left, right, "structure")
    return _symbolic(left, right, conventions)


def _bare(clean: str) -> str:
    return _SPACES.sub("", _TEXT.sub(r"\1", clean))


def _worth_workers(left: str, right: str) -> bool:
    """Whether sympy may see more than this process did: in sums, integrals, limits and plain expressions."""
    trees = read(left), read(right)
    found = kinds(trees[0]) | kinds(trees[1])
    if "big" not in found and symbols(trees[0]) != symbols(trees[1]):
        return False
    return not found & _NOT_SYMBOLIC


def _same_trees(left: str, right: str, conventions: Conventions) -> bool | None:
    a, b = read(left), read(right)
    same = Comparison(conventions).same
    integers = declared(left), declared(right)
    if all(integers) and set(integers[0].values()) != set(integers[1].values()):  # 3k + 1 over Z and over N
        return same_families(a, b, *integers, conventions.ordered_lists)
    result = same(a, b)
    if result is True:
        return True
    for text, own, other in ((left, a, b), (right, b, a)):
        if "," not in text or own.kind not in ("num", "list"):
            continue
        if other.kind in ("list", "set"):
            said = read(text, False) if _THOUSANDS.search(text) else own  # `1,234` is two numbers
        else:
            said = read(_DECIMAL_COMMA.sub(r"\1.\2", text)) if conventions.decimal_comma and own.kind == "list" else own
        if said != own and same(said, other) is True:
            return True
    apart = letters_apart(a, b, not _ARROW.search(left + right))
    return (
        apart is not None
        and same(*apart) is True
        or same_renamed(a, b, same)
        or same_solutions(a, b)
        or same_families(a, b, *integers, conventions.ordered_lists)
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
        return _wrong(left, right, "symbolic")
    return "wrong", f"no way was found to see {_short(left)} as {_short(right)}", "symbolic"
