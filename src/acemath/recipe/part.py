"""The short forms of a recipe's values, the names in it that become folders, and the words for a fault."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from acemath.errors import UserError

LONGEST = 80  # characters of a name; with three bytes each, and a stage's word before it, the most that file systems take


def _of_a_folder(name: str) -> str:
    if not name.isprintable() or not 0 < len(name) <= LONGEST or set("/\\") & set(name) or name.startswith("."):
        raise ValueError(
            f"{name[:LONGEST]!r} would name a folder; give a name of 1 to {LONGEST} characters on one line, without / and \\, and no dot first"
        )
    return name


FolderName = Annotated[str, AfterValidator(_of_a_folder)]


def fault_of(error: ValidationError) -> str:
    """The first fault of a validation inside another one: its key, and the rule."""
    fault = error.errors()[0]
    says = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return ": ".join([*map(str, fault["loc"]), says])


def expanded(value: Any) -> Any:
    """The long form of a value: a model's name becomes a role with this model, a list of names becomes a group.

    A list may also hold `name: {settings}`. UserError for a list that holds a name twice.
    """
    if isinstance(value, str):
        return {"model": value}
    if isinstance(value, list | tuple) and all(isinstance(one, str | dict) for one in value):
        pairs = [pair for one in value for pair in ({one: {}} if isinstance(one, str) else one).items()]
        if len(found := dict(pairs)) < len(pairs):
            twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
            raise UserError(f"the list {list(map(str, value))} names {twice!r} twice; leave one out, or give it a name of its own")
        return found
    return value
