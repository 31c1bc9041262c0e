"""Equality of two answer trees: numbers, expressions, tuples, sets, intervals, matrices, equations, words.

Every comparison answers yes, no, or None for "cannot tell", and is symmetric: `same(a, b)` and `same(b, a)`
take the same steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from acemath.grade.evaluate import Undefined, approximate, exact
from acemath.grade.matrices import folded
from acemath.grade.nodes import STRUCTURES, Node, is_decimal, kinds, number, symbols
from acemath.grade.policy import Policy
from acemath.grade.probe import same_value
from acemath.grade.regions import is_variable, region, same_region
from acemath.grade.relations import (
    approximate_value, equal_sides, head_and_value, is_equation, rename_arguments, same_equation, same_inequality,
    same_name, solves,
)  # fmt: skip
from acemath.grade.units import Unit, parse_unit

Result = bool | None
MAX_ITEMS = 200
_NOISE_DIGITS = 13
_CONSTANT_NAMES = frozenset("C c K k C_1 c_1 C_{1}".split())


def same(a: Node, b: Node, policy: Policy) -> Result:
    """Whether two answers are equal under a policy; None where the tiers of this process cannot tell."""
    if a == b or canonical(a) == canonical(b):
        return True
    a, b = folded(_opened(a)), folded(_opened(b))
    if a == b:
        return True
    for rule in _RULES:
        result = rule(a, b, policy)
        if result is not _SKIP:
            return result  # type: ignore[return-value]
    return _expressions(a, b, policy)


_SKIP = object()
_Rule = Callable[[Node, Node, Policy], object]


def canonical(node: Node) -> object:
    """The tree with the terms of sums and products in a fixed order: equal keys mean equal trees."""
    children = [canonical(a) for a in node.args]
    if node.kind in ("add", "mul"):
        flat: list[object] = []
        for child, argument in zip(children, node.args, strict=True):
            flat.extend(child[1] if argument.kind == node.kind else [child])  # type: ignore[index]
        return (node.kind, sorted(flat, key=repr))
    if node.kind == "num":
        return ("num", [], str(node.value[0]))
    return (node.kind, children, str(node.value))


def _opened(node: Node) -> Node:
    """Without what does not change the answer: one-element lists, a tuple in brackets."""
    while node.kind in ("list",) and len(node.args) == 1:
        node = node.args[0]
    return node


def _texts(a: Node, b: Node, policy: Policy) -> object:
    if "text" not in (a.kind, b.kind):
        return _SKIP
    if a.kind == b.kind == "text":
        return _plain(a.value) == _plain(b.value)
    words, other = (a, b) if a.kind == "text" else (b, a)
    if other.kind == "quantity":
        return same(words, other.args[0], policy)
    if is_equation(other):
        return same(words, other.args[-1], policy)
    if other.kind == "sym" or other.kind == "const":
        return str(other.value).lower() == _plain(words.value) and len(str(other.value)) > 1
    return False


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _symbols(a: Node, b: Node, policy: Policy) -> object:
    """Two single letters: choices, points, variables."""
    names = [n.value for n in (a, b) if n.kind in ("sym", "const")]
    if len(names) != 2:
        return _SKIP
    if policy.ignore_case:
        return names[0].lower() == names[1].lower()
    return bool(names[0] == names[1])


def _quantities(a: Node, b: Node, policy: Policy) -> object:
    if "quantity" not in (a.kind, b.kind):
        return _SKIP
    if a.kind == b.kind:
        return _two_amounts(a, b, policy)
    amount, bare = (a, b) if a.kind == "quantity" else (b, a)
    if policy.units == "required" and parse_unit(amount.value) is not None:
        return False
    if bare.kind == "deg" and (parse_unit(amount.value) or Unit((), Fraction(1))).dims == (("deg", 1),):
        bare = bare.args[0]
    return same(amount.args[0], bare, policy)


def _two_amounts(a: Node, b: Node, policy: Policy) -> Result:
    if policy.units == "ignored" or _plain(a.value) == _plain(b.value):
        return same(a.args[0], b.args[0], policy)
    one, other = parse_unit(a.value), parse_unit(b.value)
    if one is None or other is None:
        if _plain(a.value) in ("am", "pm") and _plain(b.value) in ("am", "pm"):
            return False
        return same(a.args[0], b.args[0], policy)
    if one.dims != other.dims:
        return False
    left = Node("mul", (number(one.size), a.args[0])) if one.size != 1 else a.args[0]
    right = Node("mul", (number(other.size), b.args[0])) if other.size != 1 else b.args[0]
    return same(left, right, policy)


def _marked(a: Node, b: Node, policy: Policy) -> object:
    """Percent and degree signs on one side only."""
    for kind, scale in (("pct", Fraction(1, 100)), ("deg", None)):
        if (a.kind == kind) == (b.kind == kind):
            continue
        marked, bare = (a, b) if a.kind == kind else (b, a)
        if bare.kind in STRUCTURES:
            continue
        if kind == "pct" and policy.percent != "exact" and same(marked.args[0], bare, policy) is True:
            return True
        if scale is None and _mentions_no_angle(bare) and same(marked.args[0], bare, policy) is True:
            return True
    return _SKIP


def _mentions_no_angle(node: Node) -> bool:
    return not any(n.kind == "deg" or n.kind == "const" and n.value == "pi" for n in node.walk())


def _based(a: Node, b: Node, policy: Policy) -> object:
    """Numbers with a base: digits and base must be the same; the base may be left out on one side."""
    if "based" not in (a.kind, b.kind):
        return _SKIP
    if a.kind == b.kind:
        return a.value == b.value
    based, bare = (a, b) if a.kind == "based" else (b, a)
    return bare.kind == "num" and bare.value[2] == based.value[1] and policy.units != "required"


def _equations(a: Node, b: Node, policy: Policy) -> object:
    if not (is_equation(a) or is_equation(b)):
        return _SKIP
    if is_equation(a) and is_equation(b):
        return _two_equations(a, b, policy)
    equation, other = (a, b) if is_equation(a) else (b, a)
    if other.kind == "rel":
        return equal_sides(a, b)
    named = head_and_value(equation)
    tried: list[Node] = [] if named is None else [named[1]]
    rounded = approximate_value(equation)
    if rounded is not None:
        tried += [rounded, *(equation.args[:1] if len(equation.args) == 2 else ())]
    elif named is None and len(set(equation.args)) > 1 and not symbols(equation):
        tried.append(equation.args[-1])
    elif named is None and not symbols(equation.args[-1]) and len(equation.args) > 2:
        tried.append(equation.args[-1])
    return any(same(value, other, policy) is True for value in tried)


def _two_equations(a: Node, b: Node, policy: Policy) -> Result:
    one, other = head_and_value(a), head_and_value(b)
    if one is not None and other is not None:
        left, right = rename_arguments(*one), rename_arguments(*other)
        if (same_name(one[0], other[0]) or not _letters(one[0], other[0])) and same(
            left, right, policy
        ) is True:
            return True
    if one is None and other is None and not symbols(a) and not symbols(b):
        return same(a.args[-1], b.args[-1], policy)
    if not (kinds(a) | kinds(b)) & {"tuple", "set", "union", "text", "matrix", "list", "quantity"}:
        if len(a.args) == len(b.args) == 2:
            return same_equation(a, b)
    return equal_sides(a, b)


def _letters(a: Node, b: Node) -> bool:
    return a.kind == b.kind == "sym"


def _regions(a: Node, b: Node, policy: Policy) -> object:
    """Intervals, inequalities, set-builders and unions as sets of real numbers."""
    if not (_is_region(a) or _is_region(b)) or is_equation(a) or is_equation(b):
        return _SKIP
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
        return _all_same(a.args, b.args, policy) or _matched(a.args, b.args, policy)
    if a.kind == "rel" and a.value == ("in",) and is_variable(a.args[0]):
        return same(a.args[1], b, policy)
    if b.kind == "rel" and b.value == ("in",) and is_variable(b.args[0]):
        return same(a, b.args[1], policy)
    return _SKIP


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


def _collections(a: Node, b: Node, policy: Policy) -> object:
    """Lists, sets and tuples against each other."""
    left, right = _items(a), _items(b)
    if left is None and right is None:
        return _SKIP
    if left is None or right is None:
        return _one_collection(a, b, policy)
    if len(left) > MAX_ITEMS or len(right) > MAX_ITEMS:
        return None
    ordered_pair = {a.kind, b.kind}
    if "tuple" in ordered_pair:
        if ordered_pair == {"tuple"}:
            return _brackets_fit(a, b) and _all_same(left, right, policy)
        if "set" in ordered_pair and not policy.tuple_as_set:
            return False
        if "set" in ordered_pair:
            return _matched(left, right, policy)
        return _all_same(left, right, policy) or _same_assignments(a, b, policy)
    if policy.ordered_lists and ordered_pair == {"list"}:
        return _all_same(left, right, policy)
    return _matched(left, right, policy) or _same_assignments(a, b, policy)


def _brackets_fit(a: Node, b: Node) -> bool:
    return (
        a.value == b.value
        or len(a.args) > 2
        or bool(symbols(a) | symbols(b))
        and {a.value, b.value} <= {"()", "[]"}
    )


def _items(node: Node) -> tuple[Node, ...] | None:
    """What a list, set or tuple holds, `±` and nested lists spread out; None for anything else."""
    if node.kind in ("list", "set"):
        return tuple(i for a in node.args for i in (_items(a) if a.kind == "list" else _signed(a)) or (a,))
    if node.kind == "tuple":
        return node.args
    spread = _signed(node)
    return spread if len(spread) > 1 else None


def _signed(node: Node) -> tuple[Node, ...]:
    """The two values of an expression with ±."""
    if not any(n.kind == "pm" for n in node.walk()) or node.kind in ("tuple", "set", "list"):
        return (node,)
    return _with_sign(node, 1), _with_sign(node, -1)


def _with_sign(node: Node, sign: int) -> Node:
    if node.kind == "pm":
        inner = _with_sign(node.args[0], sign)
        return inner if sign * node.value > 0 else Node("neg", (inner,))
    return Node(node.kind, tuple(_with_sign(a, sign) for a in node.args), node.value) if node.args else node


def _one_collection(a: Node, b: Node, policy: Policy) -> Result:
    """A collection against a single value: equal only where it holds that one value."""
    many, one = (a, b) if _items(a) is not None else (b, a)
    items = _items(many) or ()
    if one.kind == "matrix" and many.kind == "tuple":
        return 1 in (one.value, len(one.args) // one.value) and _all_same(one.args, items, policy)
    if many.kind == "list" and policy.decimal_comma and _decimal_comma(many, one, policy):
        return True
    if many.kind == "list" and policy.multiple == "any":
        return any(same(item, one, policy) is True for item in items)
    if one.kind == "rel":
        named = head_and_value(one)
        return named is not None and same(many, named[1], policy)
    if many.kind == "tuple" or len(items) != 1:
        distinct = _distinct(items, policy)
        return many.kind != "tuple" and len(distinct) == 1 and same(distinct[0], one, policy)
    return same(items[0], one, policy)


def _decimal_comma(many: Node, one: Node, policy: Policy) -> bool:
    if len(many.args) != 2 or many.value != ",":
        return False
    whole, part = many.args
    if part.kind == "quantity":
        part = part.args[0]
    sign, plain = (-1, whole.args[0]) if whole.kind == "neg" else (1, whole)
    if not (plain.kind == part.kind == "num") or plain.value[1] >= 0 or part.value[1] >= 0:
        return False
    text = f"{plain.value[2]}.{part.value[2]}"
    value = Node("num", (), (sign * Fraction(text), len(part.value[2]), text))
    return one.kind in ("num", "neg", "div", "quantity") and same(value, one, policy) is True


def _all_same(left: Sequence[Node], right: Sequence[Node], policy: Policy) -> bool:
    return len(left) == len(right) and all(
        same(x, y, policy) is True for x, y in zip(left, right, strict=True)
    )


def _matched(left: Sequence[Node], right: Sequence[Node], policy: Policy) -> bool:
    """Whether the items can be paired off in any order; repeated items count once."""
    first, second = _distinct(left, policy), list(_distinct(right, policy))
    if len(first) != len(second):
        return False
    for item in first:
        for index, other in enumerate(second):
            if same(item, other, policy) is True:
                del second[index]
                break
        else:
            return False
    return True


def _distinct(items: Sequence[Node], policy: Policy) -> list[Node]:
    kept: list[Node] = []
    seen: set[str] = set()
    for item in items:
        key = repr(canonical(item))
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _same_assignments(a: Node, b: Node, policy: Policy) -> bool:
    """`p = 5, q = 2; p = 7, q = 2` against `(5, 2), (7, 2)`; `x = 1, y = 2` against `(1, 2)` or `1, 2`."""
    left, right = _assigned(a), _assigned(b)
    if left is None and right is None:
        return False
    one, other = (left or _items(a) or (a,)), (right or _items(b) or (b,))
    if _matched(one, other, policy):
        return True
    if left is not None and right is not None:
        return False
    return (
        len(one) == 1
        and one[0].kind == "tuple"
        and _all_same(one[0].args, other, policy)
        or (len(other) == 1 and other[0].kind == "tuple" and _all_same(one, other[0].args, policy))
    )


def _assigned(node: Node) -> tuple[Node, ...] | None:
    """A list of `name = value` as tuples of values, one tuple each time the names begin again."""
    if node.kind != "list":
        return None
    flat = [i for a in node.args for i in (a.args if a.kind == "list" else (a,))]
    groups: list[list[Node]] = []
    names: list[set[str]] = []
    for item in flat:
        named = head_and_value(item) if item.kind == "rel" else None
        if named is None:
            return None
        key = repr(named[0])
        if not groups or key in names[-1]:
            groups.append([])
            names.append(set())
        groups[-1].append(named[1])
        names[-1].add(key)
    if any(len(g) != len(groups[0]) for g in groups) or len(groups[0]) < 2:
        return tuple(v for g in groups for v in g) if len(groups[0]) < 2 else None
    return tuple(Node("tuple", tuple(g), "()") for g in groups)


def _matrices(a: Node, b: Node, policy: Policy) -> object:
    if a.kind == b.kind == "matrix":
        return a.value == b.value and _all_same(a.args, b.args, policy)
    return _SKIP


def _ratios(a: Node, b: Node, policy: Policy) -> object:
    if "ratio" not in (a.kind, b.kind):
        return _SKIP
    if a.kind != b.kind or len(a.args) != len(b.args):
        return _SKIP if len(a.args) == len(b.args) == 2 or min(len(a.args), len(b.args)) < 2 else False
    if _is_time(a) and _is_time(b):
        return _all_same(a.args, b.args, policy)
    scale = Node("div", (a.args[0], b.args[0]))
    return all(same_value(x, Node("mul", (scale, y))) is True for x, y in zip(a.args, b.args, strict=True))


def _is_time(node: Node) -> bool:
    return all(p.kind == "num" and p.value[1] < 0 for p in node.args) and len(node.args[-1].value[2]) == 2


_RULES: tuple[_Rule, ...] = (
    _texts, _symbols, _quantities, _marked, _based, _equations, _regions, _collections, _matrices, _ratios,
)  # fmt: skip


def _expressions(a: Node, b: Node, policy: Policy) -> Result:
    """Two expressions by value."""
    if a.kind in STRUCTURES or b.kind in STRUCTURES:
        return False
    result = same_value(a, b)
    if result is True:
        return True
    if not symbols(a) and not symbols(b):
        if _rounded(a, b, policy) or _rounded(b, a, policy) or _within(a, b, policy):
            return True
    elif result is False and _same_up_to_constant(a, b):
        return True
    return result


def _within(a: Node, b: Node, policy: Policy) -> bool:
    """Whether two constants agree within the policy's tolerances, percent spellings included."""
    scales = (1.0, 100.0, 0.01) if policy.percent == "any" else (1.0,)
    if not policy.rel_tol and not policy.abs_tol and len(scales) == 1:
        return False
    try:
        x, y = approximate(a, {}), approximate(b, {})
    except Undefined:
        return False
    tolerance = max(policy.rel_tol, 1e-12)
    return any(abs(x * s - y) <= max(policy.abs_tol, tolerance * max(abs(x * s), abs(y))) for s in scales)


def _rounded(decimal: Node, value: Node, policy: Policy) -> bool:
    """Whether a decimal is the other value, rounded or cut to as many digits as the policy asks for."""
    sign, plain = (-1, decimal.args[0]) if decimal.kind == "neg" else (1, decimal)
    if plain.kind != "num" or plain.value[1] <= 0 or not policy.digits:
        return False
    digits = plain.value[2].replace(".", "").lstrip("0")
    if len(digits) < policy.digits:
        return False
    if len(digits) >= _NOISE_DIGITS and _noise(plain, value, sign):
        return True
    if value.kind in ("num", "neg") and not is_decimal(value):
        return False
    try:
        other = approximate(value, {})
    except Undefined:
        return False
    if isinstance(other, complex):
        return False
    places = plain.value[1]
    finer = value.args[0] if value.kind == "neg" else value
    if finer.kind == "num" and finer.value[1] <= places:
        return False
    return abs(other - sign * float(plain.value[0])) < 1.0001 * 10.0**-places


def _noise(plain: Node, value: Node, sign: int) -> bool:
    """Whether a decimal differs from the value by what binary floating point leaves behind: 499.99999999999994."""
    try:
        other = approximate(value, {})
    except Undefined:
        return False
    written = sign * float(plain.value[0])
    return not isinstance(other, complex) and abs(other - written) <= 1e-12 * abs(written)


def _same_up_to_constant(a: Node, b: Node) -> bool:
    """Antiderivatives whose constants have different names."""
    one, other = symbols(a) - symbols(b), symbols(b) - symbols(a)
    if len(one) != 1 or len(other) != 1 or not (one | other) <= _CONSTANT_NAMES:
        return False
    from acemath.grade.nodes import substitute

    name, renamed = next(iter(one)), next(iter(other))
    return same_value(substitute(a, {name: Node("sym", (), renamed)}), b) is True


def has_value(node: Node) -> bool:
    """Whether an expression without symbols has a value that this process can find."""
    return exact(node) is not None or not symbols(node)
