"""The reference of all keys of a recipe and of a judge's file, made from their classes: type, default and one sentence each."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from acemath.models.score.settings import KINDS
from acemath.models.spec import ENGINES
from acemath.recipe.schema import Recipe

REQUIRED = "required"
_WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", Any: "any value"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name, its type, its default, and its sentence."""

    name: str
    type: str
    default: str
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one class, and the places of the class in a recipe ("" for the top)."""

    kind: type[BaseModel]
    places: tuple[str, ...]
    keys: tuple[Key, ...]


def sections(whole: type[BaseModel] = Recipe) -> list[Section]:
    """The keys of a recipe, class by class, in the order of the schema."""
    places: dict[type[BaseModel], list[str]] = {}
    _visit(whole, "", places)
    return [Section(kind, tuple(where), tuple(_keys(kind))) for kind, where in places.items()]


def reference() -> str:
    """All keys as a page of Markdown: those of a recipe, and those of each kind of judge."""
    lines = [
        "# Every key of a recipe",
        "",
        "Written by `acemath recipe keys > docs/keys.md`. In `--set`, a key is its place and its name, for example",
        "`--set reward.train.epochs=1`; NAME stands for a name of your own. The parts and how they work together:",
        "[recipes.md](recipes.md).",
    ]
    for section in sections():
        title = ", ".join(f"`{place}`" for place in section.places if place) or "The recipe"
        lines += _table(title, section)
    lines += ["", "# Every key of a judge's file", "", "What judges are: [rewardbench.md](rewardbench.md)."]
    for name, kind in KINDS.items():
        lines += _table(f"`kind: {name}`", sections(kind)[0])
    return "\n".join(lines) + "\n"


def _table(title: str, section: Section) -> list[str]:
    """The lines of a section."""
    head = ["", f"## {title}", "", _about(section.kind), "", "| key | type | default | what it says |", "|---|---|---|---|"]
    return head + [f"| `{key.name}` | {key.type} | {key.default} | {key.says} |" for key in section.keys]


def _visit(kind: type[BaseModel], place: str, places: dict[type[BaseModel], list[str]]) -> None:
    found = places.setdefault(kind, [])
    if place in found:
        return
    found.append(place)
    for name, field in kind.model_fields.items():
        for part, below in _parts(field.annotation):
            engine = next((f" ({key})" for key, one in ENGINES.items() if one is part), "")
            _visit(part, f"{place}.{name}{below}{engine}".lstrip("."), places)


def _parts(annotation: Any, below: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The classes of settings in a field, each with the path to it: "" or ".NAME"."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, below
        return
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        keys = get_args(arguments[0]) if get_origin(arguments[0]) is Literal else ()
        yield from _parts(arguments[1], f"{below}.{'|'.join(keys) if keys else 'NAME'}")
    elif get_origin(annotation) is Annotated:
        yield from _parts(arguments[0], below)
    elif get_origin(annotation) in (Union, UnionType):
        for argument in arguments:
            yield from _parts(argument, below)


def _keys(kind: type[BaseModel]) -> Iterator[Key]:
    said = sentences(kind)
    for name, field in kind.model_fields.items():
        parts = list(_parts(field.annotation))
        says = said.get(name) or (_about(parts[0][0]) if parts else "")
        yield Key(name, _type(field.annotation, field.metadata), _default(field), says)


def _about(kind: type[BaseModel]) -> str:
    """The first paragraph of a class's docstring."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


@cache
def sentences(kind: type[BaseModel]) -> dict[str, str]:
    """The docstring under each field, in the source of a class and its base classes."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not issubclass(one, BaseModel) or one is BaseModel:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = " ".join(str(text.value.value).split())  # type: ignore[attr-defined]
    return found


def _type(annotation: Any, metadata: Any = ()) -> str:
    """A type in words, with the bounds of its values."""
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return _type(arguments[0], arguments[1].metadata if isinstance(arguments[1], FieldInfo) else ())
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, UnionType):
        kinds = [one for one in arguments if one is not NoneType]
        text = "settings" if all(list(_parts(one)) for one in kinds) else " or ".join(map(_type, kinds))
        return f"{text}{_bounds(metadata)}" + (" or null" if NoneType in arguments else "")
    if origin is tuple:
        kinds = [one for one in arguments if one is not Ellipsis]
        return (
            f"list of {_type(kinds[0])}"
            if Ellipsis in arguments
            else f"list of {len(kinds)}: {_type(kinds[0])}"
        )
    if origin is dict:
        return f"group of {_type(arguments[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "settings"
    return _WORDS[annotation] + _bounds(metadata)


def _bounds(metadata: Any) -> str:
    bounds = [
        f"{sign} {getattr(one, name):.10g}"
        for one in metadata
        for name, sign in _BOUNDS.items()
        if getattr(one, name, None) is not None
    ]
    return f" {', '.join(bounds)}" if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return "" if text == '""' else f"`{text}`"
