"""Options that several commands share, and settings made from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer
import yaml

from acemath.errors import UserError, require
from acemath.files.columns import CHAT_COLUMNS, OURS, RESPONSE_COLUMNS, parse_columns
from acemath.files.settings import MOST_SEED, read_yaml

if TYPE_CHECKING:
    from pydantic import BaseModel

    from acemath.models.engine import ChatFormat

S = TypeVar("S", bound="BaseModel")


def _writable(path: Path | None, endings: Sequence[str]) -> Path | None:
    """The file of an option. UserError if it cannot be written, so that the command fails before its work."""
    if path is None:
        return None
    why = ""
    if not path.name.endswith(tuple(endings)):
        why = f"the name must end in {' or '.join(endings)}; rename it"
    elif path.is_dir():
        why = "it is a folder; name a file"
    elif not path.parent.is_dir():
        why = f"there is no folder {str(path.parent)!r}; make it first"
    elif not os.access(path.parent, os.W_OK):
        why = f"no permission to write in {str(path.parent)!r}; name a file in another folder"
    if why:
        raise UserError(f"cannot write {str(path)!r}: {why}")
    return path


def _rows_file(path: Path | None) -> Path | None:
    """The file of rows of --out. UserError if it cannot be written, or if a package that writes it is missing."""
    if path is not None and path.suffix == ".parquet":
        require(f"writing {str(path)!r}", "pyarrow")
    return _writable(path, (".parquet", ".jsonl", ".jsonl.gz"))


def html_file(path: Path | None) -> Path | None:
    """The HTML file of an option. UserError if it cannot be written."""
    return _writable(path, [".html"])


def json_lines(path: Path | None) -> Path | None:
    """The JSONL file of an option. UserError if it cannot be written."""
    return _writable(path, [".jsonl"])


def folder(path: Path | None) -> Path | None:
    """The folder of an option, which may exist. UserError if it is a file."""
    if path is not None and path.exists() and not path.is_dir():
        raise UserError(f"cannot write the folder {str(path)!r}: it is a file; name another folder")
    return path


class Setting(NamedTuple):
    """One setting of --set; `dict(settings)` is {key: value}."""

    key: str
    value: Any


def _setting(text: str) -> Setting:
    """The setting key=value. UserError if the key or the equals sign is missing, or the value is not YAML."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UserError(f"--set {text!r} is not a setting; write it as key.of.setting=value")
    try:
        return Setting(key, read_yaml(value))
    except yaml.YAMLError as error:
        raise UserError(f"--set {text!r}: {value!r} is not valid YAML; put quotes around a text") from error


def settings_of(kind: type[S], given: Mapping[str, Any], changes: Mapping[str, Any]) -> S:
    """Settings of this kind: those `given` by options, with those of --set laid over them.

    UserError if a key or a value is wrong.
    """
    from pydantic import ValidationError

    from acemath.recipe.load import first_fault, lay_over

    data = dict(given)
    lay_over(data, changes, "this command")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UserError(first_fault(error)) from error


def _system_chat(text: str) -> ChatFormat:
    """The chat with this system prompt and nothing after the problem."""
    from acemath.models.engine import ChatFormat

    return ChatFormat(system=text)


def set_option(help: str) -> Any:
    """--set, which may be given several times."""
    return typer.Option("--set", metavar="KEY=VALUE", parser=_setting, help=help)


def _columns_option(known: Sequence[str]) -> Any:
    """--columns, which a command receives as {our name: the file's name}; `known` are our names."""
    return typer.Option(
        "--columns",
        metavar="OURS=THEIRS",
        parser=lambda text: parse_columns(text, known),
        help="Names of columns that differ from the usual ones, for example prompt=Frage,answer=extra.key.",
    )


def dropped_option(what: str) -> Any:
    """--dropped, the file of dropped rows."""
    return typer.Option(
        "--dropped",
        callback=json_lines,
        help=f"Write each dropped {what}, with the reason, to this JSONL file.",
    )


def reward_chat_option(name: str) -> Any:
    """The system prompt of a reward model, which a command receives as a chat."""
    return typer.Option(
        name,
        metavar="TEXT",
        parser=_system_chat,
        help="System prompt of the reward model. [default: that of its training, or the paper's]",
    )


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        callback=_rows_file,
        help="The file to write (.parquet, .jsonl or .jsonl.gz).",
    ),
]
Problems = Annotated[Path, typer.Option(help="The problems that the responses answer.")]
DroppedPrompts = Annotated[Path | None, dropped_option("prompt")]
DroppedResponses = Annotated[Path | None, dropped_option("response")]
Columns = Annotated[dict[str, str] | None, _columns_option((*OURS, *RESPONSE_COLUMNS))]
ChatColumns = Annotated[dict[str, str] | None, _columns_option(CHAT_COLUMNS)]
Changes = Annotated[
    list[Setting] | None, set_option("Another setting, named as in a recipe; the value is YAML.")
]
Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="The seed of every random choice.")]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Processes to use. [default: 1, or one for each core from 50,000 prompts on]"),
]
Prompts = Annotated[Path, typer.Argument(help="A file of prompts: JSONL, JSONL.gz, JSON, CSV or Parquet.")]
Against = Annotated[
    list[str],
    typer.Option(
        "--against",
        "--benchmark",
        help="Benchmarks: names (acemath benchmarks), with commas between them, or a file; give the option again for more.",
    ),
]
System = Annotated[str, typer.Option(help="System prompt of the conversation.")]
Instruction = Annotated[str, typer.Option(help="Text after each problem.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="The most tokens that a response may have.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Temperature of sampling; 0 is greedy.")]
Cache = Annotated[
    Path,
    typer.Option("--cache", callback=folder, help="The folder that keeps every score, so that no response is judged twice."),
]
REWARDS = Path("rewards.cache")  # the default of --cache
Data = Annotated[
    Path | None,
    typer.Option(help="The folder of the benchmarks' files. [default: that of ACEMATH_DATA, else the hub is read]"),
]
Pick = Annotated[int, typer.Option("-k", min=1, help="How many responses to pick from.")]
MaxLength = Annotated[
    int, typer.Option(min=16, help="The most tokens that a problem with its response may have.")
]
SharePrefix = Annotated[
    bool,
    typer.Option(help="Read each prompt once for all of its responses; some models do not support it."),
]
