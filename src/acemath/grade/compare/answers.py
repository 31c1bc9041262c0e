"""Equality of two answer trees: numbers, expressions, tuples, sets, intervals, matrices, equations, words.

Every comparison answers yes, no, or None for "cannot tell", and is symmetric: `same(a, b)` and `same(b, a)`
take the same steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from acemath.grade.base.nodes import SKIP, STRUCTURES, Node, canonical, kinds, number, symbols
from acemath.grade.compare.expressions import same_expression
from acemath.grade.compare.families import congruence, progression, same_congruence
from acemath.grade.compare.forms import standard_form
from acemath.grade.compare.lists import all_same, collections, matched
from acemath.grade.compare.matrices import folded, vectors, with_identity
from acemath.grade.compare.regions import region, same_region
from acemath.grade.compare.relations import (
    approximate_value,
    equal_sides,
    exact_side,
    head_and_value,
    is_equation,
    is_name,
    rename_arguments,
    same_equation,
    same_inequality,
    same_name,
    solves,
)  # fmt: skip
from acemath.grade.compare.wording import essence, quadrant_sign, same_wording
from acemath.grade.conventions import Conventions
from acemath.grade.read.units import parse_unit
from acemath.grade.values.evaluate import exact
from acemath.grade.values.probe import same_value

Result = bool | None


def same(a: Node, b: Node, conventions: Conventions) -> Result:
    """Whether two answers are equal under the conventions; None where the tiers of this process cannot tell."""
    if a == b or canonical(a) == canonical(b):
        return True
    a, b = with_identity(standard_form(a), standard_form(b))
    a, b = vectors(folded(a), folded(b))
    if a == b:
        return True
    for rule in _RULES:
        result = rule(a, b, conventions)
        if result is not SKIP:
            return result  # type: ignore[return-value]
    return same_expression(a, b, conventions)


_Rule = Callable[[Node, Node, Conventions], object]


_CLOCK = frozenset(("am", "pm", "noon", "midnight"))


def _texts(a: Node, b: Node, conventions: Conventions) -> object:
    if "text" not in (a.kind, b.kind):
        return SKIP
    if a.kind == b.kind == "text":
        return _plain(a.value) == _plain(b.value) != "" or same_wording(a.value, b.value)
    words, other = (a, b) if a.kind == "text" else (b, a)
    if other.kind == "list" and all(part.kind == "text" for part in other.args):
        return same_wording(words.value, ", ".join(part.value for part in other.args))
    if other.kind == "list" and all(part.kind == "sym" and len(part.value) == 1 for part in other.args):
        return sorted(words.value.upper()) == sorted(
            part.value for part in other.args
        )  # ADFGH and A, D, F, G, H
    if other.kind == "quantity":
        return same(words, other.args[0], conventions)
    if is_equation(other):
        return same(words, other.args[-1], conventions)
    if other.kind == "sym" or other.kind == "const":
        name = str(other.value).lower()
        if _INITIALS.get(name) == words.value:
            return True
        return name == _plain(words.value) and len(name) > 1 or quadrant_sign(name) == essence(words.value)
    return False


_INITIALS = {"t": "yes", "f": "no", "y": "yes", "n": "no"}  # how true, false, yes and no are shortened


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _symbols(a: Node, b: Node, conventions: Conventions) -> object:
    """Two single letters: choices, points, variables."""
    names = [n.value for n in (a, b) if n.kind in ("sym", "const")]
    if len(names) != 2:
        return SKIP
    if conventions.ignore_case:
        return names[0].lower() == names[1].lower()
    return bool(names[0] == names[1])


def _quantities(a: Node, b: Node, conventions: Conventions) -> object:
    if "quantity" not in (a.kind, b.kind):
        return SKIP
    if a.kind == b.kind:
        return _two_amounts(a, b, conventions)
    amount, bare = (a, b) if a.kind == "quantity" else (b, a)
    if conventions.units == "required" and parse_unit(amount.value) is not None:
        return False
    if _plain(amount.value) in ("am", "pm") and bare.kind == "ratio":
        moment = _moment(amount)
        return moment is not None and moment == _moment(bare) or same(amount.args[0], bare, conventions)
    unit = parse_unit(amount.value)
    if (
        unit is not None
        and conventions.units != "ignored"
        and (bare.kind == "pct" or bare.kind == "deg" and unit.dims not in _ANGLES)
    ):
        return False
    if bare.kind == "deg" and unit is not None and unit.dims in _DEGREES:
        bare = bare.args[0]
    return same(amount.args[0], bare, conventions)


_DEGREES = ((("deg", 1),), (("k", 1),), (("f", 1),))  # 20 °C is written without its C
_ANGLES = (*_DEGREES, (("rad", 1),))


def _two_amounts(a: Node, b: Node, conventions: Conventions) -> Result:
    if {_plain(a.value), _plain(b.value)} <= {"am", "pm"} and _moment(a) is not None:
        return _moment(a) == _moment(b)
    if conventions.units == "ignored" or _plain(a.value) == _plain(b.value):
        return same(a.args[0], b.args[0], conventions)
    one, other = parse_unit(a.value), parse_unit(b.value)
    if one is None or other is None:
        if _plain(a.value) in _CLOCK and _plain(b.value) in _CLOCK:
            return False
        return same(a.args[0], b.args[0], conventions)
    if one.dims != other.dims:
        return False
    left = Node("mul", (number(one.size), a.args[0])) if one.size != 1 else a.args[0]
    right = Node("mul", (number(other.size), b.args[0])) if other.size != 1 else b.args[0]
    return same(left, right, conventions)


def _moment(node: Node) -> tuple[int, int] | None:
    """A time of day as hour and minute, from `5:30 PM`, `5 PM` or `17:30`."""
    half = _plain(node.value) if node.kind == "quantity" else ""
    time = node.args[0] if node.kind == "quantity" else node
    parts = [exact(part) for part in (time.args if time.kind == "ratio" else (time,))]
    whole = [int(part) for part in parts if part is not None and part.denominator == 1]
    if len(whole) != len(parts) or not 1 <= len(whole) <= 2:
        return None
    hour, minute = (*whole, 0)[:2]
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return (hour, minute) if hour < 24 and minute < 60 else None


def _marked(a: Node, b: Node, conventions: Conventions) -> object:
    """Percent and degree signs on one side only."""
    for kind, scale in (("pct", Fraction(1, 100)), ("deg", None)):
        if (a.kind == kind) == (b.kind == kind):
            continue
        marked, bare = (a, b) if a.kind == kind else (b, a)
        if bare.kind in ("pct", "deg", "based"):
            return False  # 40 % is no angle of 40°
        if bare.kind in STRUCTURES:
            continue
        if kind == "pct" and conventions.percent != "exact" and same(marked.args[0], bare, conventions) is True:
            return True
        if scale is None and _mentions_no_angle(bare) and same(marked.args[0], bare, conventions) is True:
            return True
    return SKIP


def _mentions_no_angle(node: Node) -> bool:
    return not any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


def _based(a: Node, b: Node, conventions: Conventions) -> object:
    """Numbers with a base: digits and base must be the same; the base may be left out on one side."""
    if "based" not in (a.kind, b.kind):
        return SKIP
    if a.kind == b.kind:
        return a.value == b.value
    based, bare = (a, b) if a.kind == "based" else (b, a)
    return bare.kind == "num" and bare.value[2] == based.value[1] and conventions.units != "required"


def _congruences(a: Node, b: Node, conventions: Conventions) -> object:
    one, other = congruence(a), congruence(b)
    if one is not None and other is None:
        other = progression(b, one[1])
    elif other is not None and one is None:
        one = progression(a, other[1])
    return SKIP if one is None or other is None else same_congruence(one, other)


def _equations(a: Node, b: Node, conventions: Conventions) -> object:
    if not (is_equation(a) or is_equation(b)):
        return SKIP
    if is_equation(a) and is_equation(b):
        return _two_equations(a, b, conventions)
    equation, other = (a, b) if is_equation(a) else (b, a)
    if other.kind == "rel":
        return equal_sides(a, b)
    named = head_and_value(equation)
    tried: list[Node] = [] if named is None else [named[1]]
    rounded = approximate_value(equation)
    if rounded is not None:
        tried += [rounded, *(equation.args[:1] if len(equation.args) == 2 else ())]
    elif (
        named is None
        and len(set(equation.args)) > 1
        and not symbols(equation)
        or named is None
        and not symbols(equation.args[-1])
        and len(equation.args) > 2
    ):
        tried.append(equation.args[-1])
    return any(same(value, other, conventions) is True for value in tried)


def _two_equations(a: Node, b: Node, conventions: Conventions) -> Result:
    one, other = head_and_value(a), head_and_value(b)
    if one is not None and other is not None:
        left, right = one[1], other[1]
        if one[0].kind == other[0].kind:
            left, right = rename_arguments(*one), rename_arguments(*other)
        named = same_name(one[0], other[0]) or not (
            _letters(one[0], other[0]) or one[0].kind == other[0].kind == "text"
        )
        if named and same(left, right, conventions) is True:
            return True
    if one is None and other is None and not symbols(a) and not symbols(b):
        return same(exact_side(a), exact_side(b), conventions)
    structured = (kinds(a) | kinds(b)) & {"tuple", "set", "union", "text", "matrix", "list", "quantity"}
    if not structured and len(a.args) == len(b.args) == 2:
        return same_equation(a, b)
    return equal_sides(a, b)


def _letters(a: Node, b: Node) -> bool:
    return a.kind == b.kind and a.kind in ("sym", "func", "abs")


def _regions(a: Node, b: Node, conventions: Conventions) -> object:
    """Intervals, inequalities, set-builders and unions as sets of real numbers."""
    if not (_is_region(a) or _is_region(b)) or is_equation(a) or is_equation(b):
        return SKIP
    left, right = region(a), region(b)
    if left is not None and right is not None:
        if a.kind == b.kind == "rel" and _heads_differ(a, b):
            return False
        return same_region(left, right)
    for known, relation in ((left, b), (right, a)):
        if known is not None and relation.kind == "rel" and solves(relation, known):
            return True
    if a.kind == b.kind == "rel":
        return same_inequality(a, b) or equal_sides(a, b)
    if a.kind == b.kind and a.kind in ("union", "inter", "minus", "builder"):
        return all_same(a.args, b.args, conventions, same) or matched(a.args, b.args, conventions, same)
    if a.kind == "rel" and a.value == ("in",) and is_name(a.args[0]):
        return same(a.args[1], b, conventions)
    if b.kind == "rel" and b.value == ("in",) and is_name(b.args[0]):
        return same(a, b.args[1], conventions)
    return SKIP


def _is_region(node: Node) -> bool:
    if node.kind == "list":
        return node.value in ("or", "and", ",") and any(
            a.kind in ("rel", "union") and not is_equation(a) or a.kind == "tuple" and a.value != "()"
            for a in node.args
        )
    return node.kind in ("rel", "union", "inter", "minus", "builder", "named")


def _heads_differ(a: Node, b: Node) -> bool:
    one, other = symbols(a), symbols(b)
    return bool(one and other and one != other and "?" not in one | other)


def _collections(a: Node, b: Node, conventions: Conventions) -> object:
    if a.kind == b.kind == "list" and len(a.args) == len(b.args) and _verdicts(a) and _verdicts(b):
        return all_same(a.args, b.args, conventions, same)  # answers to several questions, in their order
    return collections(a, b, conventions, same)


def _verdicts(node: Node) -> bool:
    return all(part.kind == "text" and part.value in ("yes", "no") for part in node.args)


def _matrices(a: Node, b: Node, conventions: Conventions) -> object:
    if a.kind == b.kind == "matrix":
        return a.value == b.value and all_same(a.args, b.args, conventions, same)
    return SKIP


def _ratios(a: Node, b: Node, conventions: Conventions) -> object:
    if "ratio" not in (a.kind, b.kind):
        return SKIP
    if a.kind != b.kind or len(a.args) != len(b.args):
        return SKIP if len(a.args) == len(b.args) == 2 or min(len(a.args), len(b.args)) < 2 else False
    if _is_time(a) and _is_time(b):
        return all_same(a.args, b.args, conventions, same)
    scale = Node("div", (a.args[0], b.args[0]))
    return all(same_value(x, Node("mul", (scale, y))) is True for x, y in zip(a.args, b.args, strict=True))


def _is_time(node: Node) -> bool:
    return all(p.kind == "num" and p.value[1] < 0 for p in node.args) and len(node.args[-1].value[2]) == 2


_RULES: tuple[_Rule, ...] = (
    _texts, _symbols, _quantities, _marked, _based, _congruences, _equations, _regions, _collections, _matrices, _ratios,
)  # fmt: skip
