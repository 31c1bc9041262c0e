"""What a policy was trained on and how, beside its weights: facts for programs, and a card for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.files.atomic import write_bytes, write_json
from acemath.records import fingerprint
from acemath.train.checkpoints import FACTS
from acemath.train.provenance import (
    UNKNOWN,
    base_words,
    front,
    licence_section,
    origin,
    public,
    stated_licences,
)
from acemath.train.sft.result import SftResult
from acemath.train.sft.settings import SftSettings

NOT_KEPT = ("seconds", "tokens_per_second", "mfu")  # they differ each time the same model is trained


def write_card(
    folder: Path,
    base: str,
    sources: Mapping[str, int],
    licences: Mapping[str, int],
    settings: SftSettings,
    seed: int,
    identity: Mapping[str, Any],
    result: SftResult,
    called: str | None = None,
) -> None:
    """Write `training.json` and the card, README.md, into a policy's folder.

    `sources` and `licences` count conversations. `called` is the base's name in both, by default its `public` one.
    """
    facts = {
        "kind": "sft",
        "identity": fingerprint(identity),
        "base": called or public(base),
        "origin": origin(base),
        "base_licences": stated_licences(base),
        "sources": _named(sources),
        "licences": _named(licences),
        "settings": settings.model_dump(),
        "seed": seed,
        **{name: value for name, value in asdict(result).items() if name not in NOT_KEPT},
    }
    write_json(folder / FACTS, facts)
    write_bytes(folder / "README.md", _card(facts, result).encode())


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter({name or UNKNOWN: count for name, count in counts.items()}).most_common())


def _card(facts: Mapping[str, Any], result: SftResult) -> str:
    settings = facts["settings"]
    losses = f"{result.validation_before:.4f} before, {result.validation_after:.4f} after" if (
        result.validation_before is not None and result.validation_after is not None
    ) else "not measured"  # fmt: skip
    steps = [row for row in result.curve if "loss" in row]
    return "\n".join(
        [
            front(
                "text-generation",
                facts["origin"],
                [*facts["base_licences"], *facts["licences"]],
                "math, acemath",
            ),
            "\n# Policy for math\n",
            f"Fine-tuned with acemath from {base_words(facts['base'], facts['origin'])}. Loss on responses alone.\n",
            f"- Data: {result.summary}.",
            f"- Sources (conversations): {_tally(facts['sources'])}.",
            f"- Licences as the data state them (conversations): {_tally(facts['licences'])}.",
            f"- Training: {settings['epochs']:g} {'epoch' if settings['epochs'] == 1 else 'epochs'}, {settings['global_batch']} rows a step, learning rate "
            f"{settings['learning_rate']:g}, {settings['schedule']}, at most {settings['max_length']} tokens, seed "
            f"{facts['seed']}; all settings and the curve are in `{FACTS}`.",
            f"- Training loss at the end: {steps[-1]['loss']:.4f}."
            if steps
            else "- Training loss: not logged.",
            f"- Validation loss: {losses}.",
            f"- A response ends with any of the tokens {list(result.stop_ids)}.",
            "",
            licence_section(facts["base_licences"], facts["licences"], facts["base"] == facts["origin"]),
            "",
        ]
    )


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
