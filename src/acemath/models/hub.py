"""Files of models on the hub. They are fetched only if they are not on this machine and the hub can be reached."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from acemath.errors import UserError
from acemath.files.atomic import read_json
from acemath.models.builtin import resolve
from acemath.models.spec import Model, TransformersModel, VllmModel
from acemath.notices import say

CONNECT_SECONDS = 5.0  # for the first contact
# The files of a repository that a model may need.
FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "README.md"]
WHOLE = 2**28  # bytes of a file of weights up to which all of it is read to tell it from another
BLOCK, BLOCKS = 4096, 16  # of a larger one: bytes of a block, and blocks of each tensor
AGAIN = "it, copy or download the model again,"  # how a damaged file of a model is mended
FACTS = "training.json"  # what a model was trained on; numbers are added to it later, and it does not change the model
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)  # no header, as in a pointer of Git LFS
_EMBEDDING = re.compile(r"(|.*\.)(?:embed_tokens|wte|tok_embeddings|word_embeddings)\.weight")  # of a language model: [tokens, width]
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def ask_hub(model: str | Path) -> None:
    """Before loading `model`: if it is not a folder and the hub cannot be reached, work offline from now on.

    Otherwise the hub's client would retry for half a minute at each file, with a message at each try.
    """
    from huggingface_hub import constants

    if not Path(resolve(model)).exists() and not constants.HF_HUB_OFFLINE and not _answers():
        say(f"the hub ({constants.ENDPOINT}) cannot be reached; only models on this machine can be used")
        constants.HF_HUB_OFFLINE = True


def reachable() -> bool:
    """Whether the hub may be asked and can be."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and _answers()


def at_revision(model: str, revision: str | None) -> str:
    """The folder or hub name of a model. With a `revision`, the folder of a hub model's files at that revision.

    UserError for a folder with a revision, and if the hub has no such model or revision.
    """
    if revision is None:
        return resolve(model)
    if Path(resolve(model)).exists():
        raise UserError(
            f"model {model!r} is a folder, which has no revision {revision!r}; leave revision out"
        )
    from huggingface_hub import snapshot_download

    ask_hub(model)
    try:
        return str(snapshot_download(model, revision=revision, allow_patterns=FILES))
    except (OSError, ValueError) as error:
        raise UserError(
            f"revision {revision!r} of model {model!r} cannot be loaded ({str(error).strip().splitlines()[0]}); "
            "check the name, the revision and the network"
        ) from error


@cache
def _answers() -> bool:
    from huggingface_hub import constants

    if any(os.environ.get(name) for name in PROXIES):
        return True  # a proxy stands between, so a direct connection says nothing
    place = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection(
            (place.hostname or "", place.port or (80 if place.scheme == "http" else 443)), CONNECT_SECONDS
        ):
            return True
    except OSError:
        return False


def model_file(path: str | Path, name: str, fetch: bool) -> Path | None:
    """A file of a model's folder or of a hub model, downloaded only with `fetch`; None if there is none."""
    source = resolve(path)
    if Path(source).is_dir():
        file = Path(source) / name
        return file if file.is_file() else None
    if fetch:
        ask_hub(path)
    from transformers.utils.hub import cached_file

    for local in (True, False) if fetch else (True,):  # use the network only for files that are not here
        try:
            found = cached_file(
                source,
                name,
                local_files_only=local,
                _raise_exceptions_for_gated_repo=False,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
            )
        except (OSError, ValueError):  # not a hub name: loading reports it
            return None
        if found is not None:
            return Path(found)
    return None


def model_identity(model: Model) -> dict[str, Any]:
    """The settings of a model that its responses depend on; of a model in a folder also the content of the folder.

    A hub model counts by its name and revision, so that nothing is asked of the hub.
    """
    found = model.identity()
    if isinstance(model, TransformersModel | VllmModel) and Path(resolve(model.id)).is_dir():
        found["content"] = content_of(model.id)
    return found


def content_of(model: str | Path) -> str:
    """A hash of a model's files in a folder, or the commit of a hub model; "" if there is no such model, or no network.

    A hub model's config.json is fetched if it is not here: before and after the first load the commit must be the same.
    Of large weight files only evenly spaced blocks of every tensor are read: training a tensor changes all of it. In one
    process a folder is read again only if the time or size of a file has changed.
    """
    folder = Path(resolve(model))
    if not folder.is_dir():
        config = model_file(model, "config.json", fetch=True)
        return "" if config is None else config.parent.name
    files = {file for pattern in ("*.safetensors", "*.json", "*.jinja") for file in folder.glob(pattern)}
    return _content(tuple((file, *_stamp(file)) for file in sorted(files) if file.name != FACTS))


def weight_count(folder: Path) -> int:
    """The number of weights in a model's folder; 0 if a file is damaged or may not be read, which `check_weights` names."""
    found = 0
    for file in folder.glob("*.safetensors"):
        try:
            with file.open("rb") as opened:
                found += sum(prod(tensor["shape"]) for tensor in _header(opened).values())
        except (OSError, *_DAMAGED):
            return 0
    return found


def check_weights(folder: Path) -> None:
    """UserError for a file of weights in a model's folder that was cut short, and for one that the index names and nobody has."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with file.open("rb") as opened:
                end = max(end for _, end in _tensors(opened))
        except _DAMAGED:
            end = -1
        if end != file.stat().st_size:
            raise UserError(f"{file} is no whole file of safetensors; copy or download it again")
    index = folder / "model.safetensors.index.json"
    named = read_json(index, AGAIN).get("weight_map") if index.is_file() else {}
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise UserError(f"{index} has no weight_map from tensors to files; copy or download the model again")
    if missing := sorted({name for name in named.values() if not (folder / name).is_file()}):
        raise UserError(f"{folder} lacks {', '.join(missing)}, which its index names; copy or download the model again")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} holds no weights (*.safetensors); convert others, or copy the model again")


def check_fitting(folder: Path) -> None:
    """UserError if the weights in a model's folder are not of the size that its config.json states.

    transformers would drop layers beyond its number of layers without a word.
    """
    config = read_json(folder / "config.json", AGAIN)
    stated = config.get("text_config") or config
    shapes: dict[str, list[int]] = {}
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            shapes |= {name: tensor["shape"] for name, tensor in _header(opened).items()}
    for name, found in [(name, found) for name in shapes if (found := _EMBEDDING.fullmatch(name))]:
        layers = {int(layer[1]) for other in shapes if (layer := re.match(rf"{re.escape(found[1])}(?:layers|h)\.(\d+)\.", other))}
        wanted = (stated.get("vocab_size"), stated.get("hidden_size"), stated.get("num_hidden_layers"))
        more = stated.get("num_nextn_predict_layers") or 0  # DeepSeek's further layers, which no one here uses
        says = (*shapes[name], len(layers))
        if any(w is not None and w != s and not (at == 2 and w < s <= w + more) for at, (w, s) in enumerate(zip(wanted, says, strict=True))):
            raise UserError(
                f"{folder}: its weights are of another model than its config.json: (tokens, width, layers) are {says}, and it states {wanted}; "
                "copy all files of one model"
            )


def _stamp(file: Path) -> tuple[int, int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@lru_cache(maxsize=256)
def _content(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    """A hash of some files; each stands with its size in bytes and its stamps."""
    found = hashlib.sha256()
    for file, size, _, _ in files:
        found.update(f"{file.name} {size} ".encode())
        with file.open("rb") as opened:
            large = file.suffix == ".safetensors" and size > WHOLE
            for start, end in _tensors(opened) if large else [(0, size)]:
                for at in range(start, end, max(BLOCK, (end - start) // BLOCKS) if large else BLOCK):
                    opened.seek(at)
                    found.update(opened.read(min(BLOCK, end - at)))
    return found.hexdigest()[:16]


def _tensors(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Where the header of a safetensors file and each of its tensors begins and ends."""
    header = _header(file)
    begin = file.tell()
    yield 0, begin
    for _, tensor in sorted(header.items()):
        start, end = tensor["data_offsets"]
        yield begin + start, begin + end


def _header(file: BinaryIO) -> dict[str, Any]:
    """The tensors of a safetensors file, whose data begin where this stops to read."""
    header = dict(json.loads(file.read(int.from_bytes(file.read(8), "little"))))
    header.pop("__metadata__", None)
    return header
