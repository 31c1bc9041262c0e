"""Settings from a command line: options of their own for the usual ones, --set for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import BaseModel, ValidationError

from acemath.errors import UserError
from acemath.files.columns import OURS, RESPONSE_COLUMNS, parse_columns
from acemath.recipe.load import first_fault, lay_over

S = TypeVar("S", bound=BaseModel)
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="OURS=THEIRS",
        help="Columns that have other names than the usual ones, say prompt=Frage,answer=extra.key.",
    ),
]
Change = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Another setting, named as in a recipe; the value is YAML."
    ),
]
LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
Epochs = Annotated[float, typer.Option(help="How often each row is trained on.")]
Seed = Annotated[int, typer.Option(help="The seed of every random choice.")]


def columns_of(text: str | None) -> dict[str, str]:
    """{ours: theirs} of --columns, for problems and responses alike. UserError where it names no column of ours."""
    return parse_columns(text, (*OURS, *RESPONSE_COLUMNS))


def changes(pairs: Sequence[str]) -> dict[str, Any]:
    """{key: value} of texts `key=value`. UserError where one has no key or no sign."""
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--set {pair!r} is not a setting; write it as key.of.setting=value")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                f"--set {pair!r}: {value!r} is not valid YAML; put quotes around a text"
            ) from error
    return found


def settings_of(kind: type[S], given: Mapping[str, Any], pairs: Sequence[str]) -> S:
    """Settings of this kind from a command's options with --set laid over them. UserError where they are wrong."""
    data = dict(given)
    lay_over(data, changes(pairs), "this command")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UserError(first_fault(error)) from error
