"""Whether a record fits a kind of row: its columns are there, and each value has the column's type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import is_missing
from acemath.records import Row, column_types


def checker(kind: type[Row]) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    """A function that returns a record's known columns. It raises UserError if one does not fit the kind's schema.

    Arrow itself would silently cut 3.7 to 3 and a string into a list of letters.
    """
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    types = column_types(kind)

    def check(place: str, record: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: record[name] for name in types if record.get(name) is not None}
        missing = [name for name in types if name in needed and name not in known]
        if missing:
            raise UserError(
                f"{place}: not a {kind.__name__}, it has no {' and no '.join(missing)}; its columns are {list(types)}"
            )
        for name, value in list(known.items()):
            if name != "meta" and not _fits(value, types[name]):
                known[name] = _number(value, types[name])
                if known[name] is None and name not in needed:
                    del known[name]
                elif not _fits(known[name], types[name]):
                    raise UserError(
                        f"{place}: {name} is {short(value)}, not of the type {types[name]}; correct or remove it"
                    )
            if name == "meta" and not isinstance(value, str | Mapping):
                raise UserError(f"{place}: meta is {short(value)}; it is an object, or one as JSON text")
        return known

    return check


def _fits(value: Any, kind: str) -> bool:
    """Whether a value has the type that `column_types` gives."""
    if kind == "string":
        return isinstance(value, str)
    if kind.startswith("int"):
        limit = 2 ** (int(kind.removeprefix("int")) - 1)
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    if kind == "float64":
        return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023)
    if kind == "message":
        return isinstance(value, Mapping) and all(_fits(value.get(n), "string") for n in ("role", "content"))
    item_kind = kind.removeprefix("list<").removesuffix(">")
    return isinstance(value, list) and all(_fits(item, item_kind) for item in value)


def _number(value: Any, kind: str) -> Any:
    """A value for a column of numbers as tables write it: 3.0 for 3, text in CSV, None for an empty cell. Others are unchanged."""
    if kind == "string" or kind.startswith("list") or isinstance(value, bool | Mapping | list):
        return value
    if is_missing(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value
    return int(value if isinstance(value, int) else number) if kind.startswith("int") and number.is_integer() else number


def short(value: Any) -> str:
    """A value for a message, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
