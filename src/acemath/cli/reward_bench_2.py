"""`acemath reward-bench-2`: a judge on RewardBench 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.reward_bench_2 import HUB, SPLIT, Item, items_from, measured
from acemath.cli.options import REWARDS, Cache, Json, json_lines
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.errors import UserError
from acemath.files.atomic import write_json_lines
from acemath.files.rows import placed_records
from acemath.notices import say
from acemath.recipe.sources import Source
from acemath.run.display import Display
from acemath.run.source_rows import records_of

JOURNAL = Path("reward-bench-2.journal")  # the folder that keeps a server's replies


def command(
    judge: Annotated[
        str | None,
        typer.Argument(
            metavar="[JUDGE]",
            help="A reward model's folder or name, or a judge's YAML file. Left out, the scores stored in --data count.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A copy of the data set, or prompts with scores. [default: the hub's data set]")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch of the hub's data set.")] = None,
    cache: Cache = REWARDS,
    out: Annotated[
        Path | None, typer.Option(callback=json_lines, help="Write the prompts' scores to this JSONL file, which --data reads.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a judge on RewardBench 2: best of four in five subsets, and the score of its Ties subset.

    Example: acemath reward-bench-2 reward-model --data rewardbench2.jsonl --out scores.jsonl

    The same table again: acemath reward-bench-2 --data scores.jsonl
    """
    with Display().during("reward-bench-2") as display:
        found = reward_bench_2(judge, data, revision, cache, out, display)
    for note in found["notes"]:
        say(note)
    show(found, as_json, MEASURES, named_rows(found["rows"]))


def named_rows(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float, str, str]]:
    """Rows for people; the selector stands before the measure."""
    return measure_rows([{**row, "measure": f"{row['selector']}: {row['measure']}"} for row in rows])


def reward_bench_2(
    judge: str | None, data: Path | None, revision: str | None, cache: Path, out: Path | None, display: Display
) -> dict[str, Any]:
    """A judge's rows on RewardBench 2, its controls, and notes. UserError if there is neither a judge nor scores."""
    if data is not None and revision is not None:
        raise UserError(f"--revision is for the hub's data set, and --data names {str(data)!r}; leave one out")
    source = Source(hub=HUB, split=SPLIT, revision=revision)
    items = items_from(placed_records(data) if data is not None else records_of("reward-bench-2", source))
    scores, more = _scores(judge, items, data, cache, display)
    if out is not None:
        write_json_lines(out, [_record(item, values) for item, values in zip(items, scores, strict=True)])
    return {**measured(items, scores, more["judge"]), **more, "prompts": len(items)}


def _scores(
    judge: str | None, items: Sequence[Item], data: Path | None, cache: Path, display: Display
) -> tuple[Sequence[Sequence[float]], dict[str, Any]]:
    """The scores of all responses, with who gave them and how many responses it was asked about."""
    if judge is None:
        if not all(item.scores for item in items):
            raise UserError("a prompt has no scores; name a judge: acemath reward-bench-2 JUDGE, or give scored prompts: --data")
        return [item.scores for item in items], {"judge": data.name.split(".")[0] if data is not None else HUB}
    if not all(item.prompt and item.responses for item in items):
        raise UserError("a prompt has no texts to judge; give the data set itself, or leave the judge out to use its scores")
    from acemath.models.score.judge import judge_settings
    from acemath.run.rewardbench import Candidate
    from acemath.run.score_cache import cached_judge

    made = Candidate("", judge_settings(judge))
    with cached_judge(made.settings, JOURNAL, cache) as asked:
        flat = iter(asked.scores([(item.prompt, text) for item in items for text in item.responses], display.progress))
    return [[next(flat) for _ in item.responses] for item in items], {"judge": made.model, "asked": asked.asked}


def _record(item: Item, scores: Sequence[float]) -> dict[str, Any]:
    """A scored prompt, as --data reads it again: its texts stay, so that length controls can be made."""
    right, wrong = item.responses[: item.right], item.responses[item.right :]
    values = [None if score != score else score for score in scores]  # noqa: PLR0124 (nan is no JSON)
    texts = {"prompt": item.prompt, "chosen": right, "rejected": wrong} if item.responses else {}
    return {"id": item.id, "subset": item.subset, **texts, "num_correct": item.right, "scores": values}
