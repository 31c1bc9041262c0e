"""What the files of a reward model say before it is loaded: the shape of its head, and the chat of its training.

A reward model's head gives one number for the state of the last token. It is one linear layer called score, or as in
Qwen2.5-Math-RM two with a ReLU between them. Other heads belong to other kinds of judges, or are unknown: transformers
would fail in the middle of loading them, or make up a new head, so the files are read first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.engine import PAPER_CHAT, ChatFormat
from acemath.models.hub import model_file

Shapes = dict[str, tuple[int, ...] | None]
CHAT = "acemath_chat"  # a key in config.json, which survives copies, uploads, and saving by transformers
INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
LINEAR = "score.weight"
LAYERS = ("score.0.weight", "score.2.weight")
VALUE = "v_head.summary.weight"  # TRL's value head, in Skywork-o1-Open-PRM
OUTPUT = ("lm_head.weight", "model.embed_tokens.weight")  # of a language model; the second where both layers are one
# The usual names of heads. A policy's "lm_head" does not match.
_HEAD = re.compile(
    r"^(score|classifier|classification_head|v_head|value_head|reward_head|regression_layer)\."
)
QWEN_CHAT = ChatFormat(system="Please reason step by step, and put your final answer within \\boxed{}.")
# Classes of Qwen2 with a head of two layers and a ReLU between them.
QWEN_CLASSES = frozenset(["Qwen2ForRewardModel", "Qwen2ForProcessRewardModel"])
# The chats of released reward models, from their model cards, by what their names hold.
_CARDS = (
    ("qwen2.5-math-rm", QWEN_CHAT),
    ("qwen2.5-math-prm", QWEN_CHAT),
    ("qwen2.5-math-7b-prm800k", QWEN_CHAT),
    ("skywork-reward", ChatFormat()),
)
_ONLY = "use a model whose head has one output: a linear layer called score, or two (score.0, score.2) with a ReLU between"

Kind = Literal["none", "linear", "layers", "process", "value", "classes", "other"]


def head_kind(path: str | Path, fetch: bool = True) -> Kind | None:
    """Which head a model's files hold; None if they cannot be read.

    "linear" and "layers" are heads of reward models, "process" and "value" those of process reward models. A head whose
    shape is not on this machine counts as one with one output. `fetch` as in `check_head`.
    """
    shapes = _head_shapes(path, fetch)
    if shapes is None:
        return None
    return _kind(shapes)


def _kind(shapes: Shapes) -> Kind:
    weights = _weights(shapes)
    outputs = (shapes[weights[-1]] or (1,))[0] if weights else 0
    if not shapes:
        return "none"
    if weights == [LINEAR]:
        return "linear" if outputs == 1 else "classes"
    if weights == list(LAYERS):
        return "layers" if outputs == 1 else "process" if outputs == 2 else "classes"
    return "value" if weights == [VALUE] and outputs == 1 else "other"


def _weights(shapes: Shapes) -> list[str]:
    """The names of the layers of a head; norms have one dimension."""
    return [name for name in sorted(shapes) if name.endswith("weight") and len(shapes[name] or (1, 1)) > 1]


def check_head(path: str | Path, fetch: bool = True) -> None:
    """UserError for a model without a head that gives one number for a response. Only the headers of its files are read.

    With `fetch`, the files of a hub model are downloaded, as loading would do. Without it, only files that are on this
    machine are checked. A folder without safetensors is not checked, because it cannot be loaded.
    """
    shapes = _head_shapes(path, fetch)
    check_architecture(path, fetch)
    if shapes is None or (kind := _kind(shapes)) in ("linear", "layers"):
        return
    if kind == "none":
        raise UserError(
            f"{str(path)!r} is not a reward model: its weights have no score head; train one with acemath rm train, or "
            "describe the judge in a YAML file, if it is another kind"
        )
    if kind in ("process", "value"):
        raise UserError(
            f"{str(path)!r} is a process reward model ({', '.join(_weights(shapes))}{_outputs(shapes)}), which judges steps: "
            "give a judge's YAML file with `kind: process` and this model"
        )
    raise UserError(f"{str(path)!r} cannot be scored with: its head has {_what(shapes)}; {_ONLY}")


def check_base(path: str | Path, fetch: bool = True) -> None:
    """UserError if a model to train from has a head that training could not keep. `fetch` as in `check_head`."""
    shapes = _head_shapes(path, fetch)
    if shapes and _kind(shapes) != "linear":
        raise UserError(
            f"{str(path)!r} cannot be trained from: its head has {_what(shapes)}, and training keeps only one linear layer with "
            "one output, called score; start from a policy, or from such a model"
        )


def check_architecture(path: str | Path, fetch: bool = True) -> None:
    """UserError for an architecture that only code in the model's repository knows (InternLM2-reward), which never runs."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    config = _config(path, fetch)
    kind = config.get("model_type")
    if kind is not None and kind not in CONFIG_MAPPING_NAMES and "auto_map" in config:
        raise UserError(
            f"{str(path)!r} has the architecture {kind!r}, which is Python code in its repository, and acemath runs no such "
            "code; serve it with vLLM or SGLang (--trust-remote-code), and give a judge's YAML file with `kind: classify` and "
            "the server's address"
        )


def _what(shapes: Shapes) -> str:
    """What is unusual in a head."""
    weights = _weights(shapes)
    if _outputs(shapes):
        return f"{(shapes[weights[-1]] or (0,))[0]} outputs (a classifier or a process reward model)"
    return (
        f"{len(weights)} layers ({', '.join(weights)})"
        if len(weights) > 1
        else f"another name ({', '.join(weights or shapes)})"
    )


def _outputs(shapes: Shapes) -> str:
    weights = _weights(shapes)
    count = (shapes[weights[-1]] or (1,))[0] if weights else 1
    return f", {count} outputs" if count > 1 else ""


def head_tensors(path: str | Path) -> dict[str, Any]:
    """The weights of a model's head by name, as torch tensors."""
    found: dict[str, Any] = {}
    with _readable(path):
        for name, file in _head_files(path, fetch=True).items():
            at = model_file(path, file, fetch=True)
            if at is not None:
                with safe_open(at, "pt") as opened:
                    found[name] = opened.get_tensor(name)
    return found


def output_rows(path: str | Path, ids: Sequence[int]) -> Any:
    """The rows [N, H] of a language model's output layer that belong to these tokens, as a torch tensor.

    Where the files hold no such layer, it is that of the input. UserError if they hold neither.
    """
    with _readable(path):
        names = _names(path, fetch=True) or {}
        name = next((name for name in OUTPUT if name in names), None)
        if name is None or (file := model_file(path, names[name], fetch=True)) is None:
            raise UserError(f"{str(path)!r} has no weights called {' or '.join(OUTPUT)}; use the engine transformers")
        with safe_open(file, "pt") as opened:
            return opened.get_slice(name)[list(ids)]


def _head_shapes(path: str | Path, fetch: bool) -> Shapes | None:
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
        files = _head_files(path, fetch)
        found: Shapes = {}
        for name, file in files.items():
            at = model_file(path, file, fetch)
            found[name] = None if at is None else _shape(at, name)
        return found if files or _names(path, fetch) is not None else None


def _head_files(path: str | Path, fetch: bool) -> dict[str, str]:
    """The files of the head's weights, by the names of the weights."""
    return {name: file for name, file in (_names(path, fetch) or {}).items() if _HEAD.match(name)}


def _names(path: str | Path, fetch: bool) -> dict[str, str] | None:
    """The file of each weight of a model, by its name; None if there is no file of weights."""
    whole = model_file(path, WEIGHTS, fetch=False)
    index = model_file(path, INDEX, fetch) if whole is None else None
    if index is not None:
        return dict(json.loads(index.read_text())["weight_map"])
    whole = whole or model_file(path, WEIGHTS, fetch)
    if whole is None:
        return None
    with safe_open(whole, "numpy") as opened:
        return dict.fromkeys(opened.keys(), WEIGHTS)


def _shape(file: Path, name: str) -> tuple[int, ...]:
    with safe_open(file, "numpy") as opened:
        return tuple(opened.get_slice(name).get_shape())


def _config(path: str | Path, fetch: bool) -> dict[str, Any]:
    """A model's config.json; empty if there is none."""
    with _readable(path):
        file = model_file(path, "config.json", fetch)
        return {} if file is None else dict(json.loads(file.read_text()).items())


def remembered_chat(path: str | Path) -> ChatFormat | None:
    """The chat that a reward model was trained with, from its config.json; None if it does not say.

    UserError if the entry is not a chat.
    """
    said = _config(path, fetch=True).get(CHAT)
    if said is None:
        return None
    try:
        return ChatFormat.model_validate(said)
    except ValidationError as error:
        raise UserError(
            f"{str(path)!r}: {CHAT} in config.json is {said!r}, which is no chat; a chat has the keys system and instruction"
        ) from error


def card_chat(path: str | Path) -> ChatFormat | None:
    """The chat that the card of a released model shows, by the model's own name; None for other models.

    The folder of a hub model holds its name some levels up, as models--owner--name.
    """
    parts = Path(path).parts
    names = " ".join([*parts[-1:], *(part for part in parts if part.startswith("models--"))]).lower()
    return next((chat for part, chat in _CARDS if part in names), None)


def layers_notice(path: str | Path) -> str:
    """A notice for a head of two layers whose class is not known to have a ReLU between them; "" otherwise."""
    classes = _config(path, fetch=True).get("architectures") or ("unknown",)
    if QWEN_CLASSES.intersection(classes):
        return ""
    return (
        f"{str(path)!r} ({', '.join(classes)}) has a head of two layers, which is read with a ReLU between them, as in "
        "Qwen2.5-Math-RM; with another function there its scores would be wrong"
    )


def chat_for(path: str | Path, asked: ChatFormat | None) -> tuple[ChatFormat, str]:
    """The chat to score with, and a notice if it is not the chat that the model was trained with ("" otherwise).

    `asked` comes first, then the chat that the model was trained with, then that of its card, then that of the card of
    its kind: Qwen's for a class of Qwen's, else the paper's.
    """
    remembered = remembered_chat(path)
    if asked is None and remembered is None and (card := card_chat(path)) is not None:
        return card, ""
    if asked is None and remembered is None:
        qwen = QWEN_CLASSES.intersection(_config(path, fetch=True).get("architectures") or ())
        chat, whose = (QWEN_CHAT, "Qwen2.5-Math-RM's") if qwen else (PAPER_CHAT, "the paper's")
        return chat, (
            f"reward model {str(path)!r} does not say which chat it was trained with; scoring with "
            f"{whose} ({_said(chat)})" + ("" if qwen else ", as for AceMath's released models")
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
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the files of model {str(path)!r} cannot be read ({why}); copy or download it again"
        ) from error


def config_with(config: Any, chat: ChatFormat) -> Any:
    """The configuration of a model with the chat as an entry, which is saved with it."""
    setattr(config, CHAT, chat.model_dump())
    return config
