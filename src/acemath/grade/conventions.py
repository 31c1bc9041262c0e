"""What counts as equal by convention: the object that holds the conventions, and its presets.

`x = 1/2` and `x = 0.5` are equal for everyone. Whether `50 %` answers a question whose
reference is `50`, or whether `2, 3` may come as `3, 2`, is a convention of the benchmark: such rules are
fields of `Conventions`, and nothing else in the grader decides them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from acemath.errors import UserError

Percent = Literal["exact", "sign", "fraction", "any"]
Units = Literal["required", "optional", "ignored", "dropped"]
Multiple = Literal["all", "any"]


@dataclass(frozen=True, slots=True)
class Conventions:
    """Conventions of equality. Hashable, so that it can be part of a cache key.

    name: what they are called in verdict caches and reports.
    rel_tol, abs_tol: a decimal this close to a value counts as equal; 0 asks for exact values.
    exact_within: whether the tolerance also holds between two exact values, such as 2007 and 2006.
    digits: a decimal that is the other value rounded (or cut) to at least this many significant digits
        counts as that value; 0 switches the rule off.
    percent: "exact": 50 % = 0.5 only; "sign": a value with a percent sign also equals the bare number
        50; "fraction": a value below 1 also equals its percentage without a sign, 0.5 and 50; "any": x, x/100
        and 100 x are always equal.
    ordered_lists: whether `1, 2` differs from `2, 1` (tuples in parentheses are always ordered, sets never).
    tuple_as_set: whether `(1, 2)` may also answer `\\{1, 2\\}`.
    units: "optional": a unit may be missing on one side, two known units are converted, and must fit;
        "required": both sides carry one or none does; "ignored": they may be missing and need not fit; "dropped": only
        the numbers count, nothing is converted.
    multiple: "all": each of several reference answers must be given; "any": one of them is enough.
    ignore_case: whether words and single-letter symbols are compared without case.
    decimal_comma: whether `1,22` may be read as 1.22 where a thousands separator is impossible.
    think_tags: whether an answer counts that stands only inside `<think> … </think>`.
    join_boxes: whether neighbouring boxes (`\\boxed{1} and \\boxed{2}`) make one list.
    skip_empty: whether an empty or torn last box or answer tag is passed over; otherwise there is no answer.
    symbolic: whether pairs that cheap tiers cannot decide go to a worker process.
    timeout: seconds that a worker has for one pair.
    """

    name: str = "strict"
    rel_tol: float = 0.0
    abs_tol: float = 0.0
    exact_within: bool = False
    digits: int = 6
    percent: Percent = "sign"
    ordered_lists: bool = False
    tuple_as_set: bool = False
    units: Units = "optional"
    multiple: Multiple = "all"
    ignore_case: bool = False
    decimal_comma: bool = True
    think_tags: bool = False
    join_boxes: bool = True
    skip_empty: bool = False
    symbolic: bool = True
    timeout: float = 3.0

    def __post_init__(self) -> None:
        for name, rule in (("percent", Percent), ("units", Units), ("multiple", Multiple)):
            value, known = getattr(self, name), get_args(rule)
            if value not in known:
                raise UserError(f"{name}={value!r} is not a {name} rule; use one of: {', '.join(known)}")
        for name in ("rel_tol", "abs_tol", "digits"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name}={getattr(self, name)!r} is below 0; use 0 or a positive number")
        if not self.timeout > 0:
            raise UserError(f"timeout={self.timeout!r} is not positive; give seconds above 0")

    @property
    def exact_numbers(self) -> bool:
        """Whether two different exact numbers always differ: no tolerance, no other spelling of a percentage."""
        tolerant = self.exact_within and (self.rel_tol or self.abs_tol)
        return not (tolerant or self.percent in ("fraction", "any"))

    def but(self, **changes: object) -> Conventions:
        """These conventions with some fields changed; an unknown field raises `UserError`."""
        known = {f.name for f in fields(self)}
        for name in changes:
            if name not in known:
                raise UserError(
                    f"{name!r} is not a field of the conventions; known: {', '.join(sorted(known))}"
                )
        if "name" not in changes:
            listed = ",".join(f"{name}={value}" for name, value in sorted(changes.items()))
            changes = {**changes, "name": f"{self.name}+{listed}"}
        return replace(self, **changes)  # type: ignore[arg-type]


STRICT = Conventions()
LENIENT = Conventions(
    name="lenient",
    rel_tol=1e-3,
    digits=3,
    percent="fraction",
    tuple_as_set=True,
    units="ignored",
    ignore_case=True,
    think_tags=True,
    skip_empty=True,
)
# Qwen2.5-Math's published harness (paper, section 3.4): relative tolerance 1e-4 everywhere, a percentage in
# any of three spellings, lists in order, units stripped, and only the last box.
QWEN = Conventions(
    name="qwen2.5-math",
    rel_tol=1e-4,
    exact_within=True,
    digits=0,
    percent="any",
    ordered_lists=True,
    units="dropped",
    ignore_case=True,
    decimal_comma=False,
    think_tags=True,
    join_boxes=False,
)
PRESETS: dict[str, Conventions] = {p.name: p for p in (STRICT, LENIENT, QWEN)}


def as_conventions(conventions: str | Conventions) -> Conventions:
    """The conventions of that name, or the ones given. Raises `UserError` for an unknown name."""
    if isinstance(conventions, Conventions):
        return conventions
    found = PRESETS.get(conventions)
    if found is None:
        raise UserError(f"no conventions are called {conventions!r}; use one of: {', '.join(PRESETS)}")
    return found
