"""Lists, sets and tuples against each other: order, repeated items, ±, and lists of `name = value`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from acemath.grade.base.nodes import SKIP, Node, canonical, symbol, symbols
from acemath.grade.compare.names import head_and_value, is_equation, same_name
from acemath.grade.compare.spread import signed
from acemath.grade.conventions import Conventions
from acemath.grade.values.evaluate import exact

Same = Callable[[Node, Node], bool | None]
_MOST_ITEMS = 200


def collections(a: Node, b: Node, conventions: Conventions, same: Same) -> object:
    """Lists, sets and tuples against each other."""
    left, right = _items(a), _items(b)
    if left is None and right is None:
        return SKIP
    if left is None or right is None:
        many, one, items = (b, a, right or ()) if left is None else (a, b, left)
        return _one_collection(many, items, one, conventions, same)
    if len(left) > _MOST_ITEMS or len(right) > _MOST_ITEMS:
        return None
    kinds = {a.kind, b.kind}
    if kinds == {"tuple"}:
        # A pair may be an interval, whose ends are open or closed; `[x = 1, y = 2]` is none.
        fitting = a.value == b.value or len(left) > 2 or all(map(is_equation, left)) or all(map(is_equation, right))
        return fitting and all_same(left, right, same)
    if "tuple" in kinds:
        if any(n.kind == "tuple" and n.value not in ("()", "[]") for n in (a, b)):
            return False  # a half-open interval is no list
        if "set" in kinds:
            return conventions.tuple_as_set and matched(left, right, same)
        return all_same(left, right, same) or _same_assignments(a, b, same)
    mine, others = _assigned(a), _assigned(b)
    if mine and others and len(mine) == len(others) == 1 and mine[0].keys() == others[0].keys():
        return all(same(value, others[0][name]) is True for name, value in mine[0].items())  # by name, whatever the order
    for groups, items in ((mine, right), (others, left)) if kinds == {"list"} and (mine is None) != (others is None) else ():
        if groups and len(groups) == 1 and len({_NUMBERED.sub("", name) for name in groups[0]}) > 1 and not any(map(is_equation, items)):
            values = list(groups[0].values()), [groups[0][name] for name in sorted(groups[0])]
            return any(all_same(said, items, same) for said in values)  # `a = 3, b = 4` is not `4, 3`
    if conventions.ordered_lists and kinds == {"list"}:
        return all_same(left, right, same)
    said = {item.kind for item in (*left, *right)}  # of a set, alternatives, equations and points what is said again says nothing new
    once = "set" in kinds or "or" in (a.value, b.value) or said <= {"rel", "tuple"}
    return (once or len(left) == len(right)) and matched(left, right, same) or _same_assignments(a, b, same)


def _items(node: Node) -> tuple[Node, ...] | None:
    """What a list, set or tuple holds, `±` and nested lists spread out; None for anything else."""
    if node.kind in ("list", "set"):
        return tuple(i for a in node.args for i in (_items(a) if a.kind == "list" else signed(a)) or (a,))
    if node.kind == "tuple":
        return node.args
    values = signed(node)
    return values if len(values) > 1 else None


def _one_collection(
    many: Node, items: tuple[Node, ...], one: Node, conventions: Conventions, same: Same
) -> bool | None:
    """A collection with its items against a single value: equal only where it holds that one value."""
    run = one.kind == "text" or one.kind == "sym" and one.value.isupper()
    if run and len(one.value) == len(items) > 1:
        return sorted(one.value.upper()) == sorted(str(i.value) for i in items)  # the choices AC and A, C
    if one.kind == "matrix" and many.kind == "tuple":
        return 1 in (one.value, len(one.args) // one.value) and all_same(one.args, items, same)
    if many.kind == "list" and conventions.multiple == "any":
        return any(same(item, one) is True for item in items)
    named = [n for n in map(head_and_value, items) if n is not None]
    stated = bool(items) and len(named) == len(items)  # `u = v = 7`
    things = stated and many.value != "=" and len({_NUMBERED.sub("", repr(name)) for name, _ in named}) > 1
    if one.kind == "rel":
        said = head_and_value(one)
        if said is None or stated and said[0].kind == "sym" and (things or not any(same_name(said[0], h) for h, _ in named)):
            return False
        return same(many, said[1])
    if things or many.kind == "tuple" or not items:  # equal values of different things are several
        return False
    if _steps(items):
        return same(items[-1], one)
    if stated:
        items = tuple(value for _, value in named)
    return same(items[0], one) is True and all(_repeats(items[0], item, same) for item in items[1:])


def _steps(items: Sequence[Node]) -> bool:
    """Whether each item is a true calculation that uses the result of the one before: the last says the answer."""
    for item, following in zip(items, (*items[1:], None), strict=True):
        values = [exact(side) for side in item.args] if is_equation(item) else []
        if len(values) < 2 or len(set(values)) > 1 or len(set(item.args)) < 2 or values[0] is None:
            return False
        if following is not None and all(exact(n) != values[0] for s in following.args[:1] for n in s.walk()):
            return False
    return len(items) > 1


def _repeats(first: Node, item: Node, same: Same) -> bool:
    """Whether an item says the first one again in another form; 12 apples and 12 pears are two items."""
    amounts = "quantity" in (first.kind, item.kind)
    return not (amounts and (first.kind, first.value) != (item.kind, item.value)) and same(first, item) is True


def all_same(left: Sequence[Node], right: Sequence[Node], same: Same) -> bool:
    """Whether two sequences have equal items in the same places."""
    return len(left) == len(right) and all(same(x, y) is True for x, y in zip(left, right, strict=True))


def matched(left: Sequence[Node], right: Sequence[Node], same: Same) -> bool:
    """Whether the items can be paired off in any order; a list with repetitions may say each item once."""
    if len(left) != len(right):
        left, right = _distinct(left), _distinct(right)
    rest = list(right)
    if len(left) != len(rest):
        return False
    for item in left:
        at = next((i for i, other in enumerate(rest) if same(item, other) is True), None)
        if at is None:
            return False
        del rest[at]
    return True


def _distinct(items: Sequence[Node]) -> list[Node]:
    found: dict[str, Node] = {}
    for item in items:
        found.setdefault(repr(canonical(item)), item)
    return list(found.values())


def _same_assignments(a: Node, b: Node, same: Same) -> bool:
    """`p = 5, q = 2; p = 7, q = 2` against `(5, 2), (7, 2)`; `x = 1, y = 2` against `(1, 2)` or `1, 2`."""
    one, other = _assigned(a), _assigned(b)
    if one and other:
        names, same_names = list(one[0]), one[0].keys() == other[0].keys()
        return same_names and matched(_tuples(one, names), _tuples(other, names), same) or _same_roots(one, other, same)
    groups, plain = (one, b) if one else (other, a)
    if not groups:
        return False
    names = sorted(groups[0]) if groups[0].keys() <= _COORDINATES else list(groups[0])
    values, items = _tuples(groups, names), _items(plain) or (plain,)
    if any(is_equation(item) and symbols(item.args[0]) for item in items):
        return False  # of other things
    point = values[0].args if len(values) == 1 and len(names) > 1 else ()
    return matched(values, items, same) or all_same(point, items, same)


Groups = list[dict[str, Node]]
_COORDINATES = frozenset(repr(symbol(name)) for name in "xyz")
_NUMBERED = re.compile(r"_\d(?='\)$)")


def _same_roots(left: Groups, right: Groups, same: Same) -> bool:
    """`x_1 = 2, x_2 = -5` against `x = 2 or x = -5`: numbered names of one unknown beside the unknown itself."""
    names = {name for group in (*left, *right) for name in group}
    if len({_NUMBERED.sub("", name) for name in names}) > 1 or len(left[0]) == len(right[0]):
        return False
    return matched([v for g in left for v in g.values()], [v for g in right for v in g.values()], same)


def _tuples(groups: Groups, names: list[str]) -> list[Node]:
    """The values of each group as a tuple in the order of the names; single values as they are."""
    rows = [tuple(group[name] for name in names) for group in groups]
    return [row[0] if len(row) == 1 else Node("tuple", row, "()") for row in rows]


def _assigned(node: Node) -> Groups | None:
    """A list of `name = value`, or of amounts by their units, in groups: a new one each time the names begin again."""
    if node.kind != "list":
        return None
    groups: Groups = []
    for item in (i for a in node.args for i in (a.args if a.kind == "list" else (a,))):
        named = (item.value, item) if item.kind == "quantity" else head_and_value(item)
        if named is None:
            return None
        key = repr(named[0])
        if not groups or key in groups[-1]:
            groups.append({})
        groups[-1][key] = named[1]
    return None if any(g.keys() != groups[0].keys() for g in groups) else groups
