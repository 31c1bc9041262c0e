"""A finished run's policy or reward model as a folder to give away: weights, tokenizer, facts, and a card with its numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import explained, read_json, write_bytes
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.evaluation import TABLES
from acemath.run.result_rows import GREEDY, result_rows
from acemath.run.run import opened
from acemath.train.checkpoints import FACTS

CARD = "README.md"


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
    card = (model / CARD).read_text()
    if kind == "policy":
        card = f"{card.rstrip()}\n\n{_numbers(run, policy or run.recipe.bench.headline)}\n"
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        with explained(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(model, temporary)
        write_bytes(temporary / CARD, card.encode())
        with explained(out):
            shutil.rmtree(out, ignore_errors=True)
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"out": str(out), "model": stage, "files": sorted(file.name for file in out.iterdir()), "megabytes": round(size / 1e6, 1)}


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
