"""The model card of a reward model: what it was trained on and how, its licence, its loss, its rm@k.

The facts lie in `training.json` beside the weights, the card (README.md, as the hub shows it) is written from
them: measures that come later, such as rm@k on benchmarks, are added to the facts and the card is made anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from acemath.curate.licences import UNKNOWN as UNKNOWN_LICENCES
from acemath.curate.licences import combined, non_commercial
from acemath.engines.base import ChatFormat
from acemath.errors import UserError
from acemath.records import Group
from acemath.reward.heads import model_file
from acemath.reward.settings import RewardSettings
from acemath.reward.state import RewardResult
from acemath.sft.checkpoints import FACTS, read
from acemath.store import fingerprint, write_json

UNKNOWN = "not stated"

USE = """```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype="bfloat16")
chat = {chat}
text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
reward = model(**inputs).logits[0][0].item()
```
The reward is the logit at the last token; higher is better, and only rewards of one problem compare. In vLLM:
`LLM(folder, runner="pooling", convert="classify")` and `classify(..., PoolingParams(use_activation=False))`."""


def stated_licences(model: str | Path) -> list[str]:
    """The licences that a model is under, as far as it says: ["not stated"] where nothing does.

    A model that acemath trained is under its base's and its data's (`training.json`); of others the card tells
    (README.md, of a folder or the hub).
    """
    file = model_file(model, FACTS, fetch=False)
    facts = read(file) if file is not None else None
    if isinstance(facts, dict) and "licences" in facts and str(facts.get("base")) != str(model):
        base = facts.get("base_licences") or stated_licences(str(facts.get("base") or model))
        return sorted({*base, *facts["licences"]})
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
    said = facts.get("license")
    if said == "other":  # then its name stands beside it
        said = facts.get("license_name")
    names = [str(name) for name in (said if isinstance(said, list) else [said]) if name]
    return names or [UNKNOWN]


def write_card(
    folder: Path,
    base: str,
    base_licences: Sequence[str],
    groups: Sequence[Group],
    settings: RewardSettings,
    chat: ChatFormat,
    result: RewardResult,
    identity: Mapping[str, Any] | None = None,
) -> None:
    """Write the facts of a training, and the card, into the reward model's folder.

    `base_licences` are those that the base is under (`stated_licences`), with those of what it learned itself.
    `identity` says what the weights depend on (acemath.reward.train), so that the same training is not done again.
    """
    right = sum(sum(group.labels) for group in groups)
    facts = {
        "kind": "reward",
        "identity": fingerprint(identity) if identity is not None else None,
        "base": base,
        "base_licences": sorted({name.lower() for name in base_licences}) or [UNKNOWN],
        "groups": len(groups),
        "responses": sum(len(group.responses) for group in groups),
        "right": right,
        "sources": _count(groups, "source"),
        "licences": _count(groups, "license"),
        "styles": _count(groups, "style"),
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
    """Add the table of selectors on benchmarks (rm@k beside its controls) to a model's facts, and renew its card.

    Rows as `acemath.bench.tables.BenchRow` has them. UserError where the folder holds no facts of a training.
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


def _count(groups: Sequence[Group], key: str) -> dict[str, int]:
    return dict(Counter(str(group.meta.get(key) or UNKNOWN) for group in groups).most_common())


def _render(folder: Path, facts: Mapping[str, Any]) -> None:
    parts = [
        _front(facts),
        _what(facts),
        _licence(facts),
        _data(facts),
        _training(facts),
        _bench(facts),
        _use(facts),
    ]
    (folder / "README.md").write_text("\n\n".join(part for part in parts if part) + "\n")


def _front(facts: Mapping[str, Any]) -> str:
    """What the hub reads. The licence is never a better one than the base's or the data's."""
    licence, name = combined([*_base_licences(facts), *facts["licences"]])
    named = f"license_name: {name}\n" if name else ""
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: text-classification\nlicense: {licence}\n{named}"
        f"base_model: {json.dumps(facts['base'])}\ntags: [reward-model, math, acemath]\n---"
    )


def _base_licences(facts: Mapping[str, Any]) -> list[str]:
    return list(facts.get("base_licences", [UNKNOWN]))


def _licence(facts: Mapping[str, Any]) -> str:
    """The parts' licences, and which of them is unknown."""
    base, data = _base_licences(facts), facts["licences"]
    lines = [f"## Licence\n\nBase: {', '.join(base)}. Data: {', '.join(data)}."]
    unknown = [
        words
        for words, names in (("the base", base), ("some of the data", data))
        if any(name.lower() in UNKNOWN_LICENCES for name in names)
    ]
    if unknown:
        lines.append(
            f"No licence is claimed for this model, because that of {' and of '.join(unknown)} is not known."
        )
    if forbidding := non_commercial([*base, *data]):
        lines.append(f"**Commercial use is forbidden by {', '.join(forbidding)}.**")
    return "\n\n".join(lines)


def _what(facts: Mapping[str, Any]) -> str:
    return (
        "# Reward model for math\n\n"
        f"An outcome reward model on `{facts['base']}`: it reads a problem with one response and says how good the "
        "response is. Made with acemath after the AceMath paper (arXiv 2412.15084, section 4)."
    )


def _data(facts: Mapping[str, Any]) -> str:
    lines = [
        "## Data",
        f"{facts['groups']:,} problems with {facts['responses']:,} responses, {facts['right']:,} of them right by the "
        f"grader. {facts['cut']:,} responses were longer than max_length and read without their middle.",
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
    over = f"{result.get('held_out_groups', 0):,} held-out groups ({result.get('held_out_pairs', 0):,} pairs)"
    found = (
        f"Over {over} at step {facts['best_step']}, the one kept: {', '.join(measured)}."
        if measured and result.get("held_out_groups")
        else ""
    )
    doubts = "".join(f"\n\n**Warning: {warning}.**" for warning in result.get("warnings", ()))
    return (
        f"## Training\n\nLoss: {settings['loss']}{extra}. {settings['epochs']:g} epochs, {settings['batch_groups']} groups a "
        f"step, AdamW, learning rate {settings['learning_rate']:g} with a cosine, at most {settings['max_length']} tokens"
        f"{', LoRA of rank ' + str(settings['lora']['rank']) if settings['lora'] else ''}. {found}{doubts}"
    ).strip()


def _bench(facts: Mapping[str, Any]) -> str:
    rows = facts["bench"]
    if not rows:
        return ""
    lines = [
        f"## rm@{rows[0]['k']}",
        f"Percent of problems answered right when a selector picks one of {rows[0]['k']} responses, exact over all draws, "
        "with 95 % intervals.\n",
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
