"""Files of models on the hub: asked for only where they are not on this machine and the hub can be reached."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.notices import say

PATIENCE = 5.0  # seconds for the first contact
FILES = [
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
    "*.tiktoken",
    "*.py",
    "README.md",
]  # of a repository
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def ask_hub(model: str | Path) -> None:
    """Before a model is loaded: turn the hub off for this process where `model` is no folder and the hub does not answer.

    Otherwise the hub's client tries again for half a minute at each file, and says so at each try.
    """
    from huggingface_hub import constants

    if not Path(resolve(model)).exists() and not constants.HF_HUB_OFFLINE and not _answers():
        say(f"the hub ({constants.ENDPOINT}) cannot be reached; only models on this machine can be used")
        constants.HF_HUB_OFFLINE = True


def at_revision(model: str, revision: str | None) -> str:
    """A model's folder or hub name; with a `revision` the folder of a hub model's files as they are there.

    UserError where a folder is given a revision, and where the hub has no such model or revision.
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
        return True  # the way leads through another machine
    place = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection(
            (place.hostname or "", place.port or (80 if place.scheme == "http" else 443)), PATIENCE
        ):
            return True
    except OSError:
        return False


def model_file(path: str | Path, name: str, fetch: bool) -> Path | None:
    """A file of a model's folder, or of a hub model, downloaded only with `fetch`; None where it is not there."""
    source = resolve(path)
    if Path(source).is_dir():
        file = Path(source) / name
        return file if file.is_file() else None
    if fetch:
        ask_hub(path)
    from transformers.utils.hub import cached_file

    for local in (True, False) if fetch else (True,):  # the network is asked only where the file is not here
        try:
            found = cached_file(
                source,
                name,
                local_files_only=local,
                _raise_exceptions_for_gated_repo=False,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
            )
        except (OSError, ValueError):  # no hub name: loading says so
            return None
        if found is not None:
            return Path(found)
    return None
