"""Stages that make the training sets of fine-tuning (paper, section 3.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from acemath.curate.blend import Picker, blend_facts, conversation, shortfalls, shuffled
from acemath.recipe.sources import column_value
from acemath.records import Chat, Problem, Response, by_id
from acemath.run.context import Run
from acemath.run.ready_data import ready_blend
from acemath.run.stage import Everything, Facts, Part, Reduction, Stage

PROMPT_COLUMNS = ("id", "source", "subject", "level", "meta")
RESPONSE_COLUMNS = ("problem_id", "sample", "model")


def blends(run: Run, prompts: str) -> list[Stage]:
    """One training set for each stage of fine-tuning: a blend of pools, or data that exist already."""
    found: list[Stage] = []
    for name, stage in run.recipe.sft.stages.items():
        found += [_blend(run, prompts, name)] if stage.data is None else ready_blend(run, name, stage.data)
    return found


def _blend(run: Run, prompts: str, name: str) -> Reduction:
    sft, seed = run.recipe.sft, run.recipe.seed
    mine = sft.stages[name]
    seeds = run.recipe.problems.seeds
    declared = {
        pool: own.model_copy(update={"sources": tuple(column_value(name, seeds[name]) for name in own.sources)})
        for pool in mine.blend
        if (own := sft.pools.get(pool)) is not None
    }
    earlier = tuple(dict.fromkeys(stage for pool in declared.values() for stage in pool.unused_by))
    chat = sft.chat

    def work(all: Everything) -> None:
        picker = Picker(mine.blend, mine.counts, mine.shares, declared, seed, mine.each)
        for part in all.parts():
            _offer(picker, part, prompts, earlier, bool(run.recipe.roles.checkers))
            all.progress(part.number + 1, 2 * all.count, "choosing")
        picked, at = picker.picked(), 0
        added = {pool: int((picked == place).sum()) for place, pool in enumerate(mine.blend)}
        for pool, (wanted, found) in shortfalls(added, mine.blend, declared).items():
            run.display.warn(f"blend {name}: pool {pool} was to add {wanted:,} prompts and had {found:,}")
        for part in all.parts():
            rows = part.rows("responses", Response)
            chats = list(_chats(part, prompts, rows, picked[at : at + len(rows)]))
            part.write(shuffled(chats, seed), Chat, facts=blend_facts(chats))
            at += len(rows)
            all.progress(all.count + part.number + 1, 2 * all.count, "writing")

    def _chats(part: Part, prompts: str, rows: list[Response], pools: NDArray[np.int16]) -> Iterator[Chat]:
        problems = by_id(part.rows(prompts, Problem))
        for row, pool in zip(rows, pools.tolist(), strict=True):
            if pool >= 0:
                yield conversation(problems[row.problem_id], row, chat, mine.blend[pool])

    def summary(facts: Facts) -> str:
        return f"{facts['conversations']:,} conversations"

    settings = {
        "blend": mine.blend,
        "counts": mine.counts,
        "shares": mine.shares,
        "each": mine.each,
        "pools": {pool: narrowed.model_dump() for pool, narrowed in declared.items()},
        "chat": chat.model_dump(),
        "seed": seed,
    }
    checked = ("cross-check",) if run.recipe.roles.checkers else ()
    inputs = (prompts, "responses", *checked, *(f"blend-{stage}" for stage in earlier))
    return Reduction(f"blend-{name}", settings, inputs, work=work, summary=summary)


def _offer(picker: Picker, part: Part, prompts: str, earlier: tuple[str, ...], cross_checked: bool) -> None:
    """Offer the responses of one partition to the picker. It needs no texts, so none are read."""
    problems = {
        row["id"]: Problem(row["id"], "", "", row["source"], "", row["subject"], row["level"], json.loads(row["meta"]))
        for batch in part.batches(prompts, PROMPT_COLUMNS)
        for row in batch.to_pylist()
    }
    checked = _ids(part, "cross-check") if cross_checked else set()
    used = {stage: _ids(part, f"blend-{stage}") for stage in earlier}
    for batch in part.batches("responses", RESPONSE_COLUMNS):
        for row in batch.to_pylist():
            key = row["problem_id"]
            taken = [stage for stage, ids in used.items() if key in ids]
            picker.offer(problems[key], f"{row['sample']} {row['model']}", key, key in checked, taken)


def _ids(part: Part, name: str) -> set[str]:
    return {key for batch in part.batches(name, ("problem_id",)) for key in batch.column(0).to_pylist()}
