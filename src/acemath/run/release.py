"""A finished run's policy or reward model as a folder to give away: weights, tokenizer, facts, and a card with its numbers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import explained, read_json, write_bytes, write_json
from acemath.recipe.roles import Policy
from acemath.recipe.sources import Source, column_value
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.evaluation import TABLES
from acemath.run.finetuning import bases_of
from acemath.run.result_rows import GREEDY, result_rows
from acemath.run.run import opened
from acemath.train.checkpoints import FACTS
from acemath.train.provenance import public

CARD = "README.md"
USE = """## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
chat = {chat}
inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
found = model.generate(**inputs, max_new_tokens={tokens})
print(tokenizer.decode(found[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```"""


def release(folder: Path, kind: str, out: Path, policy: str | None = None) -> dict[str, Any]:
    """Write the model of a finished run into `out`, whole or not at all. `kind` is "policy" or "reward-model".

    `policy` is one of `bench.policies`, by default the headline. `out` is new, empty, or an earlier release, which is
    replaced. UserError for any other folder, for a run without numbers, and for a policy that it did not train.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir()) and not (out / FACTS).exists()):
        raise UserError(f"{str(out)!r} is not empty and no earlier release; name a new folder")
    run, runner = opened(folder, Display(quiet=True))
    stage = "reward" if kind == "reward-model" else f"sft-{_trained(run, policy)}"
    runner.check_current([stage, "tables"])
    model = folder / stage / "model"
    if kind == "reward-model" and not read_json(model / FACTS)["bench"]:
        raise UserError(f"the reward model of {folder} has no numbers in its card; end the run: acemath run … --out {folder}")
    facts, card = _without_places(read_json(model / FACTS), (model / CARD).read_text())
    if kind == "policy":
        name = policy or run.recipe.bench.headline
        parts = [card.rstrip(), _stages(run, stage), _data_sets(run, kind), _writers(run, kind), _numbers(run, name), _use(run.recipe.bench.policies[name])]
    else:
        parts = [card.rstrip(), _data_sets(run, kind), _writers(run, kind)]
    card = "\n\n".join(filter(None, parts)) + "\n"
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        with explained(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(model, temporary)
        write_bytes(temporary / CARD, card.encode())
        write_json(temporary / FACTS, facts)
        with explained(out):
            shutil.rmtree(out, ignore_errors=True)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"out": str(out), "model": stage, "files": sorted(file.name for file in out.iterdir()), "megabytes": round(size / 1e6, 1)}


def _without_places(facts: dict[str, Any], card: str) -> tuple[dict[str, Any], str]:
    """Facts and a card that name no path of this machine, as those of earlier versions do."""
    named = {key: value for key in ("base", "origin") if "/" in (value := str(facts.get(key) or ""))}
    for value in sorted(named.values(), key=len, reverse=True):
        card = card.replace(value, public(value))
    return facts | {key: public(value) for key, value in named.items()}, re.sub(r'^base_model: "\./.*\n', "", card, count=1, flags=re.M)


def _stages(run: Run, stage: str) -> str:
    """The section of a card with the data of all stages of fine-tuning that led to the policy; "" if it was one."""
    bases, names = bases_of(run.recipe), [stage.removeprefix("sft-")]
    while (base := bases[names[0]]) in bases:
        names.insert(0, base)
    if len(names) == 1:
        return ""
    lines = ["## Stages\n", "The data and settings above are those of the last stage. All stages in order:\n"]
    lines += ["| stage | conversations | sources | licences |", "|---|---|---|---|"]
    for name in names:
        facts = read_json(run.folder / f"sft-{name}" / "model" / FACTS)
        sources, licences = (", ".join(f"{key} {count:,}" for key, count in facts[kind].items()) for kind in ("sources", "licences"))
        lines.append(f"| {name} | {facts['conversations']:,} | {sources} | {licences} |")
    return "\n".join(lines)


def _data_sets(run: Run, kind: str) -> str:
    """The section of a card that says which data sets the names of its sources stand for."""
    recipe = run.recipe
    ready = {name: stage.data for name, stage in recipe.sft.stages.items()} if kind == "policy" else {"reward": recipe.reward.data}
    sources = {source.known or name: source for name, source in ready.items() if source is not None}
    if kind == "policy" or recipe.reward.data is None:
        sources |= {column_value(name, source): source for name, source in recipe.problems.seeds.items()}
    return "\n".join(["## Data sets\n", *(f"- {name}: {_origin(source)}" for name, source in sources.items())])


def _origin(source: Source) -> str:
    """Where a source's rows come from, for people elsewhere."""
    if source.worksheets is not None:
        return "worksheets, which acemath makes"
    if source.file is not None:
        return f"the file {public(source.file)}"
    return f"{public(str(source.hub))} ({', '.join(filter(None, (source.config, source.split, source.revision)))})"


def _writers(run: Run, kind: str) -> str:
    """The section of a card with the models that wrote or judged its data in this run; "" if all data existed already."""
    recipe, roles = run.recipe, run.recipe.roles
    named = {name: role.model for name, role in roles.named().items() if (name == "labeller") == (kind == "reward-model")}
    if kind == "reward-model" and recipe.reward.data is None:
        named |= {f"candidates.{name}": policy.model for name, policy in recipe.reward.candidates.policies.items()}
        named |= {"ranker": roles.ranker.model} if roles.ranker is not None else {}
    by: dict[str, list[str]] = {}
    for name, ref in named.items():
        by.setdefault(run.recipe.stage_of(ref) or public(recipe.model(ref).name), []).append(name)
    told = [f"- {model}: {', '.join(names)}" for model, names in by.items()]
    return "\n".join(["## Models that wrote the data\n", "Their terms apply too.\n", *told]) if told else ""


def _use(policy: Policy) -> str:
    """The section of a card with how the model is asked, in the chat in which it was measured."""
    assert policy.chat is not None  # the recipe fills it
    chat = json.dumps(policy.chat.messages("PROBLEM"), ensure_ascii=False)
    return USE.replace("{chat}", chat).replace("{tokens}", str(policy.max_new_tokens))


def _trained(run: Run, policy: str | None) -> str:
    """The stage of fine-tuning that made a policy. UserError if the run measures no such policy, or did not train it."""
    bench = run.recipe.bench
    name = policy or bench.headline
    if name not in bench.policies:
        raise UserError(f"policy {name!r} was not measured; the policies are {', '.join(bench.policies)}")
    stage = run.recipe.stage_of(bench.policies[name].model)
    if stage is None:
        raise UserError(f"policy {name!r} is {bench.policies[name].model!r}, which this run did not train; name another with --policy")
    return stage


def _numbers(run: Run, name: str) -> str:
    """The section of a card with what the run measured of a policy, and how."""
    policy, recipe = run.recipe.bench.policies[name], run.recipe
    tables = read_json(run.folder / TABLES)
    greedy = [row for row in result_rows(run.folder) if row.get("model") == name and row["selector"] == GREEDY]
    assert policy.chat is not None  # the recipe fills it
    told = [f"system prompt {policy.chat.system!r}"] if policy.chat.system else []
    told += [f"after the problem {policy.chat.instruction!r}"] if policy.chat.instruction else []
    lines = [
        "## Numbers\n",
        f"Percent of problems, with 95 % intervals over problems, measured by acemath's grader. {'; '.join(told) or 'The problem alone'}; at "
        f"most {policy.max_new_tokens:,} new tokens; samples at temperature {policy.temperature:g} and top-p {policy.top_p:g}, {policy.each} "
        f"each, seed {recipe.seed if recipe.bench.seed is None else recipe.bench.seed}.\n",
        "| measure | benchmark | percent | 95 % interval | problems |",
        "|---|---|---|---|---|",
        *_lines(greedy),
    ]
    if name == recipe.bench.headline:
        lines += _lines([{"measure": measure, "benchmark": "average", **row} for measure, row in tables["headline"].items()])
        lines.append("\nrm@k takes the response that the run's own reward model ranks first.")
    return "\n".join(lines)


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield (
            f"| {row['measure']} | {row['benchmark']} | {row['value']:.2f} | {row['low']:.2f} to {row['high']:.2f} | {row['problems']:,} |"
        )
