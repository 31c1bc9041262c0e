"""Files of models on the hub. They are fetched only if they are not on this machine and the hub can be reached."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.notices import say

CONNECT_SECONDS = 5.0  # for the first contact
# The files of a repository that a model may need.
FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "README.md"]
BLOCK, BLOCKS = 4096, 256  # bytes, and blocks of a file of weights that are read to tell it from another
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def ask_hub(model: str | Path) -> None:
    """Before loading `model`: if it is not a folder and the hub cannot be reached, work offline from now on.

    Otherwise the hub's client would retry for half a minute at each file, with a message at each try.
    """
    from huggingface_hub import constants

    if not Path(resolve(model)).exists() and not constants.HF_HUB_OFFLINE and not _answers():
        say(f"the hub ({constants.ENDPOINT}) cannot be reached; only models on this machine can be used")
        constants.HF_HUB_OFFLINE = True


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


def content_of(model: str | Path) -> str:
    """A hash of a model's files in a folder, or the commit of a hub model on this machine; "" if it is not here.

    Of weights only evenly spaced blocks are read: a training changes all of them.
    """
    folder = Path(resolve(model))
    if not folder.is_dir():
        config = model_file(model, "config.json", fetch=False)
        return "" if config is None else config.parent.name
    found = hashlib.sha256()
    for file in sorted(f for pattern in ("*.safetensors", "*.json", "*.jinja") for f in folder.glob(pattern)):
        size = file.stat().st_size
        found.update(f"{file.name} {size} ".encode())
        step = max(BLOCK, size // BLOCKS) if file.suffix == ".safetensors" else BLOCK
        with file.open("rb") as opened:
            for at in range(0, size, step):
                opened.seek(at)
                found.update(opened.read(BLOCK))
    return found.hexdigest()[:16]
