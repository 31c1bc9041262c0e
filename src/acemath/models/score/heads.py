"""What the files of a reward model say before it is loaded: the shape of its head, and the chat of its training.

acemath cannot score with a head of two outputs or two layers (Qwen2.5-Math-RM, process reward models, classifiers).
transformers would fail in the middle of loading it, or make up a new head, so the files are read first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.models.hub import model_file

CHAT = "acemath_chat"  # a key in config.json, which survives copies, uploads, and saving by transformers
INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
# The usual names of heads. A policy's "lm_head" does not match.
_HEAD = re.compile(
    r"^(score|classifier|classification_head|v_head|value_head|reward_head|regression_layer)\."
)


def check_head(path: str | Path, fetch: bool = True) -> None:
    """UserError for a model without a head that acemath can score with. Only the headers of its files are read.

    With `fetch`, the files of a hub model are downloaded, as loading would do. Without it, only files that are on this
    machine are checked. A folder without safetensors is not checked, because it cannot be loaded.
    """
    shapes = _head_shapes(path, fetch)
    if shapes is None:
        return
    if not shapes:
        raise UserError(
            f"{str(path)!r} is not a reward model: its weights have no score head; train one with acemath rm train"
        )
    _check_shapes(path, shapes)


def check_base(path: str | Path, fetch: bool = True) -> None:
    """UserError if a model to train from has a head that acemath cannot score with. `fetch` as in `check_head`."""
    shapes = _head_shapes(path, fetch)
    if shapes:
        _check_shapes(path, shapes)


def _check_shapes(path: str | Path, shapes: dict[str, tuple[int, ...] | None]) -> None:
    weights = sorted(name for name in shapes if name.endswith("weight"))
    layers = sum(len(shapes[name] or (1, 1)) > 1 for name in weights)  # norms have one dimension
    only = "use a model whose head is one linear layer with one output, called score"
    if layers > 1 or any(name != "score.weight" for name in weights):
        what = f"{layers} layers" if layers > 1 else "another name"
        raise UserError(
            f"{str(path)!r} cannot be scored with: its head has {what} ({', '.join(weights)}); {only}"
        )
    shape = shapes.get("score.weight")
    if shape is not None and shape[0] != 1:
        raise UserError(
            f"{str(path)!r} cannot be scored with: its head has {shape[0]} outputs (a classifier or a process reward "
            f"model); {only}"
        )


def _head_shapes(path: str | Path, fetch: bool) -> dict[str, tuple[int, ...] | None] | None:
    """The shapes of the head's weights by name; a shape is None if its file is not on this machine.

    None if the names cannot be read. UserError for a folder that does not exist.
    """
    source = resolve(path)
    if not Path(source).is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise UserError(
            f"cannot load model {source!r}: there is no such folder; give an existing one, or a hub name such as owner/model"
        )
    if model_file(path, "config.json", fetch) is None:
        return None  # no model, or the hub cannot be reached: loading reports it
    with _readable(path):
        whole = model_file(path, WEIGHTS, fetch=False)
        index = model_file(path, INDEX, fetch) if whole is None else None
        if index is not None:
            files = dict(json.loads(index.read_text())["weight_map"])
        else:
            whole = whole or model_file(path, WEIGHTS, fetch)
            if whole is None:
                return None
            with safe_open(whole, "numpy") as opened:
                files = dict.fromkeys(opened.keys(), WEIGHTS)
        found: dict[str, tuple[int, ...] | None] = {}
        for name, file in files.items():
            if _HEAD.match(name):
                at = model_file(path, file, fetch)
                found[name] = None if at is None else _shape(at, name)
        return found


def _shape(file: Path, name: str) -> tuple[int, ...]:
    with safe_open(file, "numpy") as opened:
        return tuple(opened.get_slice(name).get_shape())


def remembered_chat(path: str | Path) -> ChatFormat | None:
    """The chat that a reward model was trained with, from its config.json; None if it does not say.

    UserError if the entry is not a chat.
    """
    with _readable(path):
        file = model_file(path, "config.json", fetch=True)
        said = None if file is None else json.loads(file.read_text()).get(CHAT)
    if said is None:
        return None
    try:
        return ChatFormat.model_validate(said)
    except ValidationError as error:
        raise UserError(
            f"{str(path)!r}: {CHAT} in config.json is {said!r}, which is no chat; a chat has the keys system and instruction"
        ) from error


def chat_for(path: str | Path, asked: ChatFormat | None) -> tuple[ChatFormat, str]:
    """The chat to score with, and a notice if it is not the chat that the model was trained with ("" otherwise).

    `asked` comes first, then the chat that the model was trained with, then the paper's.
    """
    remembered = remembered_chat(path)
    if asked is None and remembered is None:
        return PAPER_CHAT, (
            f"reward model {str(path)!r} does not say which chat it was trained with; scoring with the paper's "
            f"({_said(PAPER_CHAT)}), as for AceMath's released models"
        )
    if asked is None or asked == remembered:
        assert remembered is not None
        return remembered, ""
    if remembered is None:
        return asked, ""
    return asked, (
        f"reward model {str(path)!r} was trained with {_said(remembered)}; scoring with {_said(asked)}, as you asked: "
        "its rewards may be worse"
    )


def _said(chat: ChatFormat) -> str:
    words = [f"system prompt {chat.system!r}" if chat.system else "no system prompt"]
    return " and ".join(words + ([f"instruction {chat.instruction!r}"] if chat.instruction else []))


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the files of reward model {str(path)!r} cannot be read ({why}); copy or download it again"
        ) from error


def config_with(config: Any, chat: ChatFormat) -> Any:
    """The configuration of a model with the chat as an entry, which is saved with it."""
    setattr(config, CHAT, chat.model_dump())
    return config
