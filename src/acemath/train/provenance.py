"""Where a trained model comes from, for its card: the first base, and a licence no freer than those of base and data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from acemath.curate.licences import UNKNOWN as UNKNOWN_LICENCES
from acemath.curate.licences import combined, non_commercial
from acemath.models.builtin import WEIGHTS
from acemath.models.hub import model_file
from acemath.train.checkpoints import FACTS, read

UNKNOWN = "not stated"
BUILT_IN = WEIGHTS.relative_to(WEIGHTS.parents[3]).as_posix()  # the end of the path of nano's folder, on every machine
_SNAPSHOT = re.compile(r"/models--([^/]+)--([^/]+)/snapshots/[^/]+$")


def _facts(model: str | Path) -> dict[str, Any] | None:
    """The facts that acemath wrote beside a model that it trained; None for other models."""
    file = model_file(model, FACTS, fetch=False)
    facts = read(file) if file is not None else None
    if isinstance(facts, dict) and "licences" in facts and str(facts.get("base")) != str(model):
        return facts
    return None


def origin(model: str | Path) -> str:
    """The model at the start of a chain of trainings; the model itself if acemath did not train it. As `public` names it."""
    facts = _facts(model)
    if facts is not None:
        return public(facts["origin"]) if facts.get("origin") else origin(str(facts.get("base")))
    return public(model)


def public(model: str | Path) -> str:
    """The name of a model for people elsewhere: of a snapshot in the hub's cache its repository's, of another folder its last part
    after "./". A path of this machine tells strangers nothing that they need.
    """
    text = str(model) if isinstance(model, str) else model.as_posix()
    if text == "nano" or text.rstrip("/").endswith(BUILT_IN):
        return "nano"
    if snapshot := _SNAPSHOT.search(text):
        return f"{snapshot[1]}/{snapshot[2]}"
    is_folder = text.startswith(("/", ".", "~")) or text.count("/") > 1 or Path(text).is_dir()
    return f"./{Path(text).expanduser().absolute().name}" if is_folder else text


def stated_licences(model: str | Path) -> list[str]:
    """The licences that a model states; ["not stated"] if it states none.

    A model that acemath trained has those of its base and its data (`training.json`). Others state them in their card
    (README.md, in the folder or on the hub).
    """
    facts = _facts(model)
    if facts is not None:
        base = facts.get("base_licences") or stated_licences(str(facts.get("base") or model))
        return list({name.lower(): name for name in sorted({*base, *facts["licences"]}, reverse=True)}.values())[::-1]
    card = model_file(model, "README.md", fetch=True)
    return [UNKNOWN] if card is None else _front_licences(card.read_text(errors="replace"))


def _front_licences(card: str) -> list[str]:
    """The licences in a card's front matter."""
    parts = card.split("---", 2) if card.startswith("---") else []
    try:
        front = yaml.safe_load(parts[1]) if len(parts) == 3 else None
    except yaml.YAMLError:
        front = None
    facts = front if isinstance(front, dict) else {}
    stated = facts.get("license")
    if stated == "other":  # then license_name has its name
        stated = facts.get("license_name")
    names = [str(name) for name in (stated if isinstance(stated, list) else [stated]) if name]
    return names or [UNKNOWN]


def front(kind: str, first: str, licences: Iterable[str], tags: str) -> str:
    """The front matter of a card, which the hub reads. `kind` is the hub's name of the task, `first` the `origin`.

    The hub knows no folders, so the base is left out if it is one.
    """
    licence, name = combined(licences)
    named = f"license_name: {name}\n" if name else ""
    based = "" if first.startswith("./") else f"base_model: {json.dumps(first)}\n"
    return f"---\nlibrary_name: transformers\npipeline_tag: {kind}\nlicense: {licence}\n{named}{based}tags: [{tags}]\n---"


def base_words(base: str, first: str) -> str:
    """The base, and the model that it was made from if that is another one."""
    return f"`{base}`" + (f", which was made from `{first}`" if first != base else "")


def licence_section(base: Iterable[str], data: Iterable[str], is_first: bool = True) -> str:
    """The licences of base and data, which of them are unknown, and which forbid commercial use.

    Those of a base that is not the first of its chain are also those of its own data.
    """
    base, data = list(base), list(data)
    called = "Base" if is_first else "Base, with the data that it was trained on before"
    lines = [f"## Licence\n\n{called}: {', '.join(base)}. Data: {', '.join(data)}."]
    unknown = [
        words
        for words, names in (("the base", base), ("some of the data", data))
        if any(name.lower() in UNKNOWN_LICENCES for name in names)
    ]
    if unknown:
        lines.append(
            f"No licence is claimed for this model, because that of {' and of '.join(unknown)} is not known."
        )
    if forbidding := non_commercial({name.lower(): name for name in (*base, *data)}.values()):
        lines.append(f"**Commercial use is forbidden by {', '.join(forbidding)}.**")
    return "\n\n".join(lines)
