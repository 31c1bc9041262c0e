"""The card of a reward model: data, training, licence, held-out figures and rm@k.

The facts are in `training.json` beside the weights. The card (README.md, as the hub shows it) is written from them.
rm@k on benchmarks is measured later: it is added to the facts, and the card is written again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import write_json
from acemath.models.engine import ChatFormat
from acemath.records import Group, fingerprint
from acemath.train.checkpoints import FACTS
from acemath.train.provenance import UNKNOWN, base_words, front, licence_section, origin
from acemath.train.reward.settings import RewardSettings
from acemath.train.reward.state import RewardResult

USE = """```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype="bfloat16")
chat = {chat}
text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
reward = model(**inputs).logits[0][0].item()
```
The reward is the logit at the last token; higher is better. Compare only rewards of the same problem. In vLLM:
`LLM(folder, runner="pooling", convert="classify")` and `classify(..., PoolingParams(use_activation=False))`."""


def write_card(
    folder: Path,
    base: str,
    base_licences: Sequence[str],
    groups: Iterable[Group],
    settings: RewardSettings,
    chat: ChatFormat,
    result: RewardResult,
    identity: Mapping[str, Any] | None = None,
    first: str | None = None,
) -> None:
    """Write the facts of a training and the card into the reward model's folder.

    `base` is the base's name for people elsewhere (`public`). `base_licences` are the licences of the base and of its data (`stated_licences`). `first` is the model at the start
    of the chain of trainings, by default the base's `origin`. `identity` (`train.identity_of`) is what the weights
    depend on, so that the same training is not done again.
    """
    facts = {
        "kind": "reward",
        "identity": fingerprint(identity) if identity is not None else None,
        "base": base,
        "origin": first or origin(base),
        "base_licences": sorted({name.lower() for name in base_licences}) or [UNKNOWN],
        **_counts(groups),
        "settings": settings.model_dump(exclude={"save_every", "report_to"}),
        "chat": chat.model_dump(),
        "result": result.record(),
        "curve": result.curve,
        "best_step": result.best_step,
        "held_out": {
            "pair accuracy": result.best_accuracy,
            "listwise loss": result.best_loss,
            "rm@k": result.best_rm,
        },
        "cut": result.cut,
        "bench": [],
    }
    write_json(folder / FACTS, facts)
    _render(folder, facts)


def add_bench(folder: Path, rows: Sequence[Mapping[str, Any]], k: int) -> None:
    """Add the results of selectors on benchmarks (rm@k and its controls) to a model's facts, and rewrite its card.

    Rows have the fields of `acemath.benchmarks.tables.BenchRow`. UserError if the folder has no `training.json`.
    """
    try:
        facts = json.loads((folder / FACTS).read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} has no {FACTS}; it is written by acemath rm train and acemath run"
        ) from error
    facts["bench"] = [{**row, "k": k} for row in rows]
    write_json(folder / FACTS, facts)
    _render(folder, facts)


def _counts(groups: Iterable[Group]) -> dict[str, Any]:
    """The numbers of groups, responses and right ones, and of groups by source, licence and style, in one pass."""
    totals = Counter[str](groups=0, responses=0, right=0)
    keys = {"sources": "source", "licences": "license", "styles": "style"}
    tallies = {name: Counter[str]() for name in keys}
    for group in groups:
        totals.update(groups=1, responses=len(group.responses), right=sum(group.labels))
        for name, key in keys.items():
            tallies[name][str(group.meta.get(key) or UNKNOWN)] += 1
    return {**totals, **{name: dict(tally.most_common()) for name, tally in tallies.items()}}


def _render(folder: Path, facts: Mapping[str, Any]) -> None:
    parts = [
        front(
            "text-classification",
            _first(facts),
            [*_base_licences(facts), *facts["licences"]],
            "reward-model, math, acemath",
        ),
        _what(facts),
        licence_section(_base_licences(facts), facts["licences"], facts["base"] == _first(facts)),
        _data(facts),
        _training(facts),
        _bench(facts),
        _use(facts),
    ]
    (folder / "README.md").write_text("\n\n".join(part for part in parts if part) + "\n")


def _base_licences(facts: Mapping[str, Any]) -> list[str]:
    return list(facts.get("base_licences", [UNKNOWN]))


def _first(facts: Mapping[str, Any]) -> str:
    return str(facts.get("origin") or facts["base"])  # models of earlier versions do not say it


def _what(facts: Mapping[str, Any]) -> str:
    return (
        "# Reward model for math\n\n"
        f"An outcome reward model, trained from {base_words(facts['base'], _first(facts))}. It reads a problem with one response and "
        "scores the response. Made with acemath after the AceMath paper (arXiv 2412.15084, section 4)."
    )


def _data(facts: Mapping[str, Any]) -> str:
    lines = [
        "## Data",
        f"{facts['groups']:,} problems with {facts['responses']:,} responses, {facts['right']:,} of them right by their "
        f"labels. {facts['cut']:,} responses were longer than max_length and were read without their middle.",
        *(_tally(name, facts[name]) for name in ("sources", "licences", "styles")),
    ]
    return "\n\n".join(lines)


def _tally(name: str, counts: Mapping[str, int]) -> str:
    return f"{name.capitalize()} (problems): " + ", ".join(f"{key} {n:,}" for key, n in counts.items()) + "."


def _training(facts: Mapping[str, Any]) -> str:
    settings, held_out = facts["settings"], facts["held_out"]
    extra = "".join(f", {name} {settings[name]:g}" for name in ("centring", "margin") if settings[name])
    measured = [f"{name} {value:.4f}" for name, value in held_out.items() if value is not None]
    result = facts.get("result", {})  # models of earlier versions do not have it
    size = f"{result.get('held_out_groups', 0):,} held-out groups ({result.get('held_out_pairs', 0):,} pairs)"
    found = (
        f"At step {facts['best_step']}, whose weights were kept, over {size}: {', '.join(measured)}."
        if measured and result.get("held_out_groups")
        else ""
    )
    warnings = "".join(f"\n\n**Warning: {warning}.**" for warning in result.get("warnings", ()))
    return (
        f"## Training\n\nLoss: {settings['loss']}{extra}. {settings['epochs']:g} {'epoch' if settings['epochs'] == 1 else 'epochs'}, {settings['batch_groups']} groups a "
        f"step, AdamW, learning rate {settings['learning_rate']:g} with a cosine, at most {settings['max_length']} tokens"
        f"{', LoRA of rank ' + str(settings['lora']['rank']) if settings['lora'] else ''}. {found}{warnings}"
    ).strip()


def _bench(facts: Mapping[str, Any]) -> str:
    rows = facts["bench"]
    if not rows:
        return ""
    lines = [
        f"## rm@{rows[0]['k']}\n",
        f"Percent of problems answered correctly if a selector picks one of {rows[0]['k']} responses, the exact mean over all "
        "draws, with 95 % intervals.\n",
        "| measure | benchmark | percent | 95 % interval | problems |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['measure']} | {r['benchmark']} | {r['value']:.2f} | {r['low']:.2f} to {r['high']:.2f} | {r['problems']} |"
        for r in rows
    ]
    return "\n".join(lines)


def _use(facts: Mapping[str, Any]) -> str:
    chat = ChatFormat.model_validate(facts["chat"]).messages("PROBLEM", "RESPONSE")
    return "## Use\n\n" + USE.replace("{chat}", json.dumps(chat))
