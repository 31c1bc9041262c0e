"""Lists, sets and tuples against each other: order, repeated items, ±, and lists of `name = value`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from acemath.grade.base.nodes import SKIP, Node, canonical, symbols
from acemath.grade.compare.relations import head_and_value
from acemath.grade.compare.spread import signed, spread
from acemath.grade.conventions import Conventions

Same = Callable[[Node, Node, Conventions], bool | None]
MAX_ITEMS = 200


def collections(a: Node, b: Node, conventions: Conventions, same: Same) -> object:
    """Lists, sets and tuples against each other."""
    left, right = _items(a), _items(b)
    if left is None and right is None:
        return SKIP
    if left is None or right is None:
        return _one_collection(a, b, conventions, same)
    if len(left) > MAX_ITEMS or len(right) > MAX_ITEMS:
        return None
    ordered_pair = {a.kind, b.kind}
    if "tuple" in ordered_pair:
        if ordered_pair == {"tuple"}:
            return _brackets_fit(a, b) and all_same(left, right, conventions, same)
        if any(n.kind == "tuple" and n.value not in ("()", "[]") for n in (a, b)):
            return False  # a half-open interval is no list
        if "set" in ordered_pair and not conventions.tuple_as_set:
            return False
        if "set" in ordered_pair:
            return matched(left, right, conventions, same)
        return all_same(left, right, conventions, same) or _same_assignments(a, b, conventions, same)
    things = _counted(a), _counted(b)
    if None not in things and set(things[0] or ()) == set(things[1] or ()):
        return all(
            same((things[0] or {})[name], value, conventions) is True for name, value in (things[1] or {}).items()
        )
    if conventions.ordered_lists and ordered_pair == {"list"}:
        return all_same(left, right, conventions, same)
    return matched(left, right, conventions, same) or _same_assignments(a, b, conventions, same)


def _counted(node: Node) -> dict[str, Node] | None:
    """`5 apples and 3 oranges` by the names of the things; None where some have no name or two have the same."""
    if node.kind != "list" or any(i.kind != "quantity" for i in node.args):
        return None
    found = {str(i.value): i for i in node.args}
    return found if len(found) == len(node.args) else None


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
        return tuple(
            i for a in map(spread, node.args) for i in (_items(a) if a.kind == "list" else signed(a)) or (a,)
        )
    if node.kind == "tuple":
        return node.args
    values = signed(node)
    return values if len(values) > 1 else None


def _one_collection(a: Node, b: Node, conventions: Conventions, same: Same) -> bool | None:
    """A collection against a single value: equal only where it holds that one value."""
    many, one = (a, b) if _items(a) is not None else (b, a)
    items = _items(many) or ()
    if not items and one == Node("sym", (), "phi"):
        return many.kind == "set"
    if one.kind == "sym" and len(one.value) == len(items) > 1 and one.value.isupper():
        return sorted(one.value) == sorted(str(i.value) for i in items)  # the choices AC and A, C
    if one.kind == "matrix" and many.kind == "tuple":
        return 1 in (one.value, len(one.args) // one.value) and all_same(one.args, items, conventions, same)
    if many.kind == "list" and conventions.decimal_comma and _decimal_comma(many, one, conventions, same):
        return True
    if many.kind == "list" and conventions.multiple == "any":
        return any(same(item, one, conventions) is True for item in items)
    if one.kind == "rel":
        named = head_and_value(one)
        return named is not None and same(many, named[1], conventions)
    if many.kind == "tuple" or not items:
        return False
    if len(items) > 1 and not all(_repeats(items[0], item, conventions, same) for item in items[1:]):
        return False
    return same(items[0], one, conventions)


def _repeats(first: Node, item: Node, conventions: Conventions, same: Same) -> bool:
    """Whether an item says the first one again in another form; 12 apples and 12 pears are two items."""
    if first.kind != item.kind and "quantity" in (first.kind, item.kind):
        return False
    if first.kind == "quantity" and first.value != item.value:
        return False
    return same(first, item, conventions) is True


def _decimal_comma(many: Node, one: Node, conventions: Conventions, same: Same) -> bool:
    if len(many.args) != 2 or many.value != ",":
        return False
    whole, part = many.args
    if part.kind == "quantity":
        part = part.args[0]
    sign, plain = (-1, whole.args[0]) if whole.kind == "neg" else (1, whole)
    if not (plain.kind == part.kind == "num") or plain.value[1] >= 0 or part.value[1] >= 0:
        return False
    if not part.value[2].strip("0"):
        return False  # `-3,0` is two numbers: nobody writes a whole number with a decimal comma
    text = f"{plain.value[2]}.{part.value[2]}"
    value = Node("num", (), (sign * Fraction(text), len(part.value[2]), text))
    return one.kind in ("num", "neg", "div", "quantity") and same(value, one, conventions) is True


def all_same(left: Sequence[Node], right: Sequence[Node], conventions: Conventions, same: Same) -> bool:
    """Whether two sequences have equal items in the same places."""
    return len(left) == len(right) and all(
        same(x, y, conventions) is True for x, y in zip(left, right, strict=True)
    )


def matched(left: Sequence[Node], right: Sequence[Node], conventions: Conventions, same: Same) -> bool:
    """Whether the items can be paired off in any order; a list with repetitions may say each item once."""
    if len(left) == len(right):
        first, second = list(left), list(right)
    else:
        first, second = _distinct(left), _distinct(right)
    if len(first) != len(second):
        return False
    for item in first:
        for index, other in enumerate(second):
            if same(item, other, conventions) is True:
                del second[index]
                break
        else:
            return False
    return True


def _distinct(items: Sequence[Node]) -> list[Node]:
    kept: list[Node] = []
    seen: set[str] = set()
    for item in items:
        key = repr(canonical(item))
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _same_assignments(a: Node, b: Node, conventions: Conventions, same: Same) -> bool:
    """`p = 5, q = 2; p = 7, q = 2` against `(5, 2), (7, 2)`; `x = 1, y = 2` against `(1, 2)` or `1, 2`."""
    left, right = _assigned(a), _assigned(b)
    if left is None and right is None:
        return False
    if left is not None and right is not None:
        return _same_groups(left, right, conventions, same) or _same_roots(left, right, conventions, same)
    one = _tuples(left) if left is not None else _items(a) or (a,)
    other = _tuples(right) if right is not None else _items(b) or (b,)
    if matched(one, other, conventions, same):
        return True
    return (
        len(one) == 1
        and one[0].kind == "tuple"
        and all_same(one[0].args, other, conventions, same)
        or (len(other) == 1 and other[0].kind == "tuple" and all_same(one, other[0].args, conventions, same))
    )


Groups = list[dict[str, Node]]
_COORDINATES = frozenset(repr(Node("sym", (), name)) for name in "xyz")


def _same_groups(left: Groups, right: Groups, conventions: Conventions, same: Same) -> bool:
    """Whether two lists of assignments give the same names the same values, group by group in any order."""
    names = sorted(left[0])
    if names != sorted(right[0]):
        return False
    one = [Node("tuple", tuple(group[n] for n in names), "()") for group in left]
    other = [Node("tuple", tuple(group[n] for n in names), "()") for group in right]
    return matched(one, other, conventions, same)


def _same_roots(left: Groups, right: Groups, conventions: Conventions, same: Same) -> bool:
    """`x_1 = 2, x_2 = -5` against `x = 2 or x = -5`: numbered names of one unknown beside the unknown itself."""
    for numbered, plain in ((left, right), (right, left)):
        names = [n for group in plain for n in group]
        if len(numbered) == 1 and len(set(names)) == 1 and len(names) == len(numbered[0]):
            stem = names[0].removesuffix("')")
            if all(re.fullmatch(re.escape(stem) + r"_\w'\)", n) for n in numbered[0]):
                return matched(
                    tuple(numbered[0].values()), tuple(v for g in plain for v in g.values()), conventions, same
                )
    return False


def _tuples(groups: Groups) -> tuple[Node, ...]:
    """Each group's values as a tuple, x before y before z, other names as written; single values as they are."""
    if len(groups[0]) == 1:
        return tuple(value for group in groups for value in group.values())
    if groups[0].keys() <= _COORDINATES:
        groups = [dict(sorted(group.items())) for group in groups]
    return tuple(Node("tuple", tuple(group.values()), "()") for group in groups)


def _assigned(node: Node) -> Groups | None:
    """A list of `name = value` in groups, a new one each time the names begin again."""
    if node.kind != "list":
        return None
    groups: Groups = []
    for item in (i for a in node.args for i in (a.args if a.kind == "list" else (a,))):
        named = head_and_value(item) if item.kind == "rel" else None
        if named is None:
            return None
        key = repr(named[0])
        if not groups or key in groups[-1]:
            groups.append({})
        groups[-1][key] = named[1]
    return None if any(g.keys() != groups[0].keys() for g in groups) else groups
