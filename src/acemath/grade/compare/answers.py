"""Equality of two answer trees: numbers, expressions, tuples, sets, intervals, matrices, equations, words.

Every comparison answers yes, no, or None for "cannot tell", and is symmetric: `same(a, b)` and `same(b, a)`
take the same steps.
"""

from __future__ import annotations

from fractions import Fraction

from acemath.grade.base.nodes import SKIP, STRUCTURES, Node, canonical, is_decimal, kinds, number, symbols
from acemath.grade.compare.expressions import same_expression
from acemath.grade.compare.families import congruence, is_angular
from acemath.grade.compare.forms import standard_form
from acemath.grade.compare.lists import all_same, collections, matched
from acemath.grade.compare.matrices import arithmetic
from acemath.grade.compare.names import (
    exact_side,
    head_and_value,
    is_equation,
    is_name,
    rename_arguments,
    same_name,
)
from acemath.grade.compare.regions import as_interval, same_cases, same_region
from acemath.grade.compare.relations import same_relation
from acemath.grade.compare.times import same_time
from acemath.grade.compare.wording import essence, place_of, plain, same_wording
from acemath.grade.conventions import Conventions
from acemath.grade.read.amounts import unit_product
from acemath.grade.read.units import conversion, parse_unit
from acemath.grade.values.evaluate import Undefined, approximate, exact
from acemath.grade.values.probe import same_value

Result = bool | None
_INITIALS = {"t": "yes", "f": "no", "y": "yes", "n": "no"}  # how true, false, yes and no are shortened
_RADIAN = (("rad", 1),)
_DEGREES = ((("deg", 1),), (("k", 1),), (("f", 1),))  # 20 °C is written without its C
_PLAIN = frozenset("num sym const add mul div neg pow fact func abs deg".split())  # of which the sides of a false chain are made
_UNSURE = frozenset("sin cos tan cot sec csc arcsin arccos arctan lg".split())  # of an angle in degrees, to some base


def _first(kind: str, a: Node, b: Node) -> tuple[Node, Node]:
    """Both trees, the one of this kind first."""
    return (a, b) if a.kind == kind else (b, a)


class Comparison:
    """Equality under some conventions. Each rule takes two trees and answers, or returns SKIP where it does not apply.

    Some are for trees of which one at least has a certain kind.
    """

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.units_ignored = conventions.units in ("ignored", "dropped")

    def same(self, a: Node, b: Node) -> Result:
        """Whether two answers are equal; None where this process cannot tell."""
        if a == b:
            return True
        if (time := same_time(a, b)) is not SKIP:
            return time  # type: ignore[return-value]
        if a.kind == b.kind and canonical(a) == canonical(b):
            return True
        a, b = arithmetic(standard_form(a), standard_form(b))
        if a == b:
            return True
        for kind, rule in (
            ("text", self._texts), ("", self._symbols), ("quantity", self._quantities), ("", self._marked), ("based", self._based),
            ("", self._congruences), ("", self._equations), ("", self._regions), ("", self._collections),
            ("matrix", self._matrices), ("ratio", self._ratios),
        ):  # fmt: skip
            result = rule(a, b) if kind in ("", a.kind, b.kind) else SKIP
            if result is not SKIP:
                return result  # type: ignore[return-value]
        return same_expression(a, b, self.conventions)

    def _texts(self, a: Node, b: Node) -> object:
        if a.kind == b.kind:
            return same_wording(a.value, b.value)
        words, other = _first("text", a, b)
        parts = other.args if other.kind == "list" else ()
        if other.kind == "list" and all(part.kind == "text" for part in parts):
            return same_wording(words.value, ", ".join(part.value for part in parts))
        if parts and all(part.kind == "sym" for part in parts):
            return SKIP  # letters of choices
        if is_equation(other):
            return self.same(words, other.args[-1])
        if other.kind not in ("sym", "const"):
            return False
        name = str(other.value).lower()
        if _INITIALS.get(name) == words.value:
            return True
        return (
            name == plain(words.value) and len(name) > 1 or place_of(str(other.value)) == essence(words.value) != ""
        )

    def _symbols(self, a: Node, b: Node) -> object:
        """Two single letters: choices, points, variables."""
        names = [str(n.value) for n in (a, b) if n.kind in ("sym", "const")]
        if len(names) != 2:
            return SKIP
        return names[0] == names[1] or self.conventions.ignore_case and names[0].lower() == names[1].lower()

    def _quantities(self, a: Node, b: Node) -> object:
        if a.kind == b.kind:
            return self._two_amounts(a, b)
        amount, bare = _first("quantity", a, b)
        if is_equation(bare):
            return SKIP  # its sides are compared
        unit = parse_unit(amount.value)
        if self.conventions.units == "required" and unit is not None:
            return False
        product = unit_product(amount)
        if product is not None and symbols(product) - symbols(amount.args[0]) <= symbols(bare):
            return self.same(product, bare)  # `2mg` beside `2 g m`: no milligrams
        if bare.kind in ("pct", "deg", "based") and amount.args[0].kind != bare.kind and not self.units_ignored:
            if bare.kind == "deg" and unit is not None and unit.dims == _RADIAN:
                return same_expression(amount.args[0], bare, self.conventions)
            if bare.kind != "deg" or unit is None or unit.dims not in _DEGREES:
                return False  # neither 40 cm nor 40 points are 40°
            bare = bare.args[0]
        return self.same(amount.args[0], bare)

    def _two_amounts(self, a: Node, b: Node) -> Result:
        factor = conversion(a.value, b.value)
        if factor is None and not self.units_ignored:
            return False
        if factor not in (None, 1) and self.conventions.units != "dropped":
            result = self.same(Node("mul", (number(factor), a.args[0])), b.args[0])
            if result is True or not self.units_ignored:
                return result
        return self.same(a.args[0], b.args[0])

    def _marked(self, a: Node, b: Node) -> object:
        """Percent and degree signs on one side only."""
        for kind in ("pct", "deg"):
            if (a.kind == kind) == (b.kind == kind):
                continue
            marked, bare = _first(kind, a, b)
            if bare.kind in ("pct", "deg", "based"):
                return False  # 40 % is no angle of 40°
            if bare.kind in STRUCTURES:
                continue
            may_miss = not is_angular(bare) if kind == "deg" else self.conventions.percent != "exact"
            if may_miss and self.same(marked.args[0], bare) is True:
                return True
        return SKIP

    def _based(self, a: Node, b: Node) -> object:
        """Numbers with a base: digits and base must be the same; the base may be left out on one side."""
        if a.kind == b.kind:
            return a.value == b.value
        based, bare = _first("based", a, b)
        return bare.kind == "num" and bare.value[2] == based.value[1] and self.conventions.units != "required"

    def _congruences(self, a: Node, b: Node) -> object:
        one, other = congruence(a), congruence(b)
        if one is None or other is None:
            return SKIP
        (head, residue), (its_head, its_residue) = one, other
        named = head is None or its_head is None or same_value(head, its_head) is True
        moduli = residue.args[1], its_residue.args[1]
        return named and same_value(*moduli) is True and same_value(residue, its_residue) is True

    def _equations(self, a: Node, b: Node) -> object:
        if not (is_equation(a) or is_equation(b)):
            return SKIP
        if is_equation(a) and is_equation(b):
            return self._two_equations(a, b)
        equation, other = (a, b) if is_equation(a) else (b, a)
        named, sides = head_and_value(equation), equation.args
        if self._is_false(equation):
            return False
        if other.kind == "rel" and not (named and named[0].kind == "text"):
            return same_relation(a, b)
        if other.kind == "list" and all(map(is_equation, other.args)):
            return SKIP
        if other.kind == "sym" and all(s.kind == "sym" and s.value.isupper() for s in sides):
            return False  # `B = C` is no choice
        tried = [] if named is None else [named[1]]
        if equation.value[-1] == "~":
            tried += sides[:1] if len(sides) == 2 else ()
            tried += () if _contradict(sides[-2], sides[-1], True) else sides[-1:]
        elif named is None and (_calculated(sides) or len(sides) > 2 and not symbols(sides[-1])):
            tried.append(sides[-1])
        return any(self.same(value, other) is True for value in tried)

    def _is_false(self, node: Node) -> bool:
        """Whether two neighbours in a chain of equations contradict each other: `5 = 6`, `{1, 3} = {1, 2}`, `y = x + 1 = x + 2`."""
        named, sides = is_name(node.args[0]), node.args
        return any(
            sign == "=" and (_contradict(one, other, False) or _comparable(one, other) and self.same(one, other) is False)
            for at, (one, other, sign) in enumerate(zip(sides, sides[1:], node.value, strict=False))
            if at and named or not symbols(one) | symbols(other)
        )

    def _two_equations(self, a: Node, b: Node) -> Result:
        one, other = head_and_value(a), head_and_value(b)
        if a.value[-1] == b.value[-1] == "~" and _contradict(a.args[-1], b.args[-1], True):
            return False
        if one is not None and other is not None:
            left, right = one[1], other[1]
            if one[0].kind == other[0].kind:
                left, right = rename_arguments(*one), rename_arguments(*other)
            if same_name(one[0], other[0]) and self.same(left, right) is True:
                return True
        for named, chain in ((one, b), (other, a)) if one is None or other is None else ():
            if named and chain.value[-1] == "~" and self.same(named[1], exact_side(chain)) is True:
                return True  # `d = \\sqrt 2` and `\\sqrt 2 \\approx 1.41`
        if one is None and other is None and not symbols(a) and not symbols(b):
            return not (self._is_false(a) or self._is_false(b)) and self.same(exact_side(a), exact_side(b))
        return same_relation(a, b)

    def _regions(self, a: Node, b: Node) -> object:
        """Intervals, inequalities, set-builders and unions as sets of real numbers."""
        if not (_is_region(a) or _is_region(b)) or is_equation(a) or is_equation(b):
            return SKIP
        relations = a.kind == b.kind == "rel"
        if relations and _heads_differ(a, b):
            return False
        one, other = as_interval(a), as_interval(b)
        if one and other and self.same(one[1], other[1]) is True:
            return True
        paired = matched if a.kind in ("union", "inter", "list") else all_same
        if a.kind == b.kind != "rel" and a.value == b.value and paired(a.args, b.args, self.same):
            return True
        found = same_region(a, b)
        if found is None and relations:
            return same_relation(a, b)
        for relation, beside in ((a, b), (b, a)) if found is None else ():
            if relation.kind == "rel" and relation.value == ("in",) and is_name(relation.args[0]):
                return self.same(relation.args[1], beside)
        return SKIP if found is None else found

    def _collections(self, a: Node, b: Node) -> object:
        if a.kind == b.kind == "list" and len(a.args) == len(b.args) and _verdicts(a) and _verdicts(b):
            return all_same(a.args, b.args, self.same)  # answers to several questions, in their order
        return collections(a, b, self.conventions, self.same)

    def _matrices(self, a: Node, b: Node) -> object:
        if a.kind == b.kind and a.value == b.value and all_same(a.args, b.args, self.same):
            return True
        found = same_cases(a, b)
        return a.kind != b.kind and SKIP if found is SKIP else found

    def _ratios(self, a: Node, b: Node) -> object:
        if a.kind != b.kind or len(a.args) != len(b.args):
            return SKIP if len(a.args) == len(b.args) == 2 or min(len(a.args), len(b.args)) < 2 else False
        scale = Node("div", (a.args[0], b.args[0]))
        return all(
            same_value(x, Node("mul", (scale, y))) is True for x, y in zip(a.args, b.args, strict=True)
        )


def _calculated(sides: tuple[Node, ...]) -> bool:
    """Whether a chain ends in a calculation, `3 + 4 = 7`; `7 = 7` and `x^2 = 9` are none."""
    last, before = sides[-1], sides[-2]
    return last != before and (not symbols(last) and not symbols(before) or same_value(before, last) is True)


def _real(side: Node) -> Fraction | None:
    """The value of a side that is a plain real number; None where it is none."""
    found = exact(side)
    if found is None and kinds(side) <= _PLAIN and _is_sure(side):
        try:
            value = approximate(side, {})
            found = None if isinstance(value, complex) else Fraction(value)
        except Undefined:
            pass
    return found


def _is_sure(*sides: Node) -> bool:
    """Whether functions have one value only: `\\sin 30` may be of degrees, `\\log 2` to any base."""
    return any(map(is_angular, sides)) or not any(n.value in _UNSURE for side in sides for n in side.walk() if n.kind == "func")


def _comparable(one: Node, other: Node) -> bool:
    """Whether two sides of an equation are exact values of one kind in the same letters, of which it can be told if they differ."""
    inner = kinds(one) | kinds(other)
    alike = inner <= _PLAIN or one.kind == other.kind in ("set", "tuple", "matrix") and inner - {one.kind} <= _PLAIN
    endless = any(n.value == "inf" for side in (one, other) for n in side.walk())
    return alike and _is_sure(one, other) and not (endless or any(map(is_decimal, (one, other)))) and symbols(one) == symbols(other)


def _contradict(one: Node, other: Node, rounded: bool) -> bool:
    """Whether two numbers, or amounts, of which one is or may be rounded are too far apart: `a = 3 ≈ 4`, `2.5 = 3.5`."""
    if one.kind == other.kind == "quantity":
        if one.value != other.value and None in (parse_unit(one.value), parse_unit(other.value)):
            return False  # `2 dozen = 24 eggs`
        factor = conversion(one.value, other.value)  # `1 mile = 1.6 km` is as exact as its last side
        rounded = rounded or one.value != other.value
        return factor is None or _contradict(Node("mul", (number(factor), one.args[0])), other.args[0], rounded)
    left, right = _real(one), _real(other)
    if left is None or right is None or "pct" in (one.kind, other.kind):
        return False
    sides = [side.value for side in (one, other) if side.kind == "num"]
    places = [decimals for _, decimals, _ in sides if decimals >= 0]
    if rounded or len(sides) == 1:  # `17,748 ≈ 17,700`, `100 * 1.06^5 = 134`
        places += [len(text.rstrip("0")) - len(text) if rounded else 0 for _, decimals, text in sides if decimals < 0]
    return bool(places) and abs(left - right) >= Fraction(10) ** -min(places)


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


def _verdicts(node: Node) -> bool:
    return all(part.kind == "text" and part.value in ("yes", "no") for part in node.args)
