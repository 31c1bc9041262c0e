"""Reading a recipe: its file, the recipes that it extends, and the changes of --set."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from acemath.errors import UserError
from acemath.files.settings import read_yaml
from acemath.recipe.part import expanded
from acemath.recipe.schema import Recipe

BUILT_IN = ("laptop", "acemath-0.5b", "acemath-1.5b", "acemath-7b", "acemath-7b-released", "acemath-72b")
EXTENDS = "extends"
DEPTH = 8  # recipes that extend one another at most


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that ships with acemath."""
    path = Path(name)
    built_in = resources.files("acemath") / "recipes" / f"{name}.yaml"
    if str(name) in BUILT_IN and not path.is_file():  # a run's folder may have its recipe's name
        return Path(str(built_in))
    if path.is_dir():
        raise UserError(
            f"recipe {str(name)!r} is a folder; name a recipe's file, or one of {', '.join(BUILT_IN)}"
        )
    if path.exists():
        return path
    raise UserError(
        f"recipe {str(name)!r} is neither a file nor one of the built-in recipes ({', '.join(BUILT_IN)}); correct the path or the name"
    )


def overlays() -> list[str]:
    """The names of the overlays that ship with acemath."""
    return sorted(path.name.removesuffix(".yaml") for path in (resources.files("acemath") / "recipes" / "overlays").iterdir())


def find_overlay(name: str) -> Path:
    """The file of an overlay, which is a part of a recipe: a path, or the name of one that ships with acemath."""
    path = Path(str(resources.files("acemath") / "recipes" / "overlays" / f"{name}.yaml")) if name in overlays() else Path(name)
    if not path.is_file():
        raise UserError(f"overlay {name!r} is neither a file nor one of {', '.join(overlays())}; correct the name")
    return path


def load_recipe(name: str | Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe with overlays (`RECIPE+OVERLAY+…`) and `changes` (dotted key: value) laid over its file.

    Each overlay adds its name to the recipe's, and so to that of the run's folder. UserError if it is not valid.
    """
    first, *more = [name] if Path(name).is_file() else str(name).split("+")
    path = find_recipe(first)
    data = _whole(path)
    for overlay in [find_overlay(str(one)) for one in more]:
        data = _over(data, {**_read(overlay), "name": f"{data.get('name', path.stem)}+{overlay.stem}"})
    lay_over(data, changes or {}, str(path))
    if old := _old_key(data):
        raise UserError(
            f"{path}: {old} is of an older acemath; describe models under models: and name them under roles: "
            "(docs/recipes.md, section Older recipes)"
        )
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{path}: {first_fault(error)}") from error


def _whole(path: Path, depth: int = 0) -> dict[str, Any]:
    """A recipe's data, laid over that of the recipe that it extends."""
    data = _read(path)
    above = data.pop(EXTENDS, None)
    if above is None:
        return data
    if not isinstance(above, str):
        raise UserError(f"{path}: extends is {above!r}; it names one recipe, by its file or its name")
    if depth == DEPTH:
        raise UserError(
            f"{path}: more than {DEPTH} recipes extend one another, or they go in a circle; correct {EXTENDS}"
        )
    beside = path.parent / above
    return _over(_whole(beside if beside.is_file() else find_recipe(above), depth + 1), data)


def _over(below: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings laid over others. A null removes the key."""
    found = dict(below)
    for key, value in data.items():
        before = expanded(found.get(key)) if isinstance(value, Mapping) else None
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _over(before, value) if isinstance(before, dict) else value
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a recipe: a recipe is YAML text in UTF-8; give another file"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(
            f"{path}: not valid YAML ({' '.join(str(error).split())}); correct the file"
        ) from error
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: a recipe maps keys to values, this is {type(data).__name__}; give another file"
        )
    return data


def _old_key(data: Mapping[str, Any]) -> str | None:
    """A key that recipes had before models and roles, None in a recipe of today."""
    reward = data.get("reward")
    if "teachers" in data:
        return "'teachers'"
    return "'reward.rank_by'" if isinstance(reward, Mapping) and "rank_by" in reward else None


def lay_over(data: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Put changes (dotted key: value) into nested settings. UserError if a key leads through a value that is no group."""
    for key, value in changes.items():
        at = data
        *parents, last = key.split(".")
        for parent in parents:
            at[parent] = expanded({} if at.get(parent) is None else at[parent])
            at = at[parent]
            if not isinstance(at, dict):
                raise UserError(f"{key}: {parent!r} is not a group of settings in {where}; correct the key")
        at[last] = deepcopy(value)  # a later change may go into it


def first_fault(error: ValidationError, whole: str = "recipe") -> str:
    """The first fault of a validation in one line."""
    fault = error.errors()[0]
    place = fault["loc"]
    if place[:1] == ("models",):
        place = (*place[:2], *place[3:])  # without the engine, which is no key
    where = ".".join(str(part) for part in place) or whole
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where!r}; remove it or correct its name (acemath recipe keys lists all)"
    value = "" if isinstance(fault.get("input"), dict) else f" (it is {fault.get('input')!r})"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{value}"
