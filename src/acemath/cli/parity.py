"""The command that compares a reward model's scores in the engines that are installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.cli.output import Json, SharePrefix, show
from acemath.cli.settings import Columns, columns_of
from acemath.curate.columns import prompt_text
from acemath.errors import UserError
from acemath.files.columns import first_value, id_text, meta_of, names_of
from acemath.files.identity import Names
from acemath.files.rows import read_records
from acemath.models.engine import ChatFormat
from acemath.run.display import Display


def parity(
    model: Annotated[str, typer.Argument(help="A reward model's folder or name.")],
    responses: Annotated[Path, typer.Argument(help="Responses with their problems, in any known form.")],
    problems: Annotated[Path | None, typer.Option(help="The problems, where rows only name them.")] = None,
    system: Annotated[
        str | None,
        typer.Option(help="System prompt; by default the one that it was trained with, or the paper's."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Problems to compare.")] = 20,
    max_length: Annotated[int, typer.Option(min=16, help="Tokens of a problem with a response.")] = 4096,
    bf16: Annotated[bool, typer.Option("--bf16", help="In bfloat16, as models are served.")] = False,
    share_prefix: SharePrefix = True,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Compare a reward model's scores in plain transformers, with shared prompts, and in vLLM where it is installed.

    Example: acemath parity reward-model samples.jsonl --problems problems.jsonl
    """
    with Display().during("parity"):
        from acemath.run.run import quiet_transformers

        items = problems_with_responses(responses, problems, limit, columns_of(columns))
        quiet_transformers()
        from acemath.models.score.parity import check_parity

        chat = None if system is None else ChatFormat(system=system)
        found = asdict(check_parity(model, items, chat, max_length, bf16, share_prefix))
    rows = [
        (
            e["engine"],
            f"{e['max_abs_diff']:.2e}",
            "-" if e["rank_agreement"] is None else f"{e['rank_agreement']:.4f}",
        )
        for e in found["engines"]
    ]
    show(found, as_json, ("against one response at a time", "largest difference", "rank agreement"), rows)
    if not as_json:
        seen = found["seen"]
        typer.echo(f"{found['n']} responses to {found['problems']} problems, {found['tokens']} tokens")
        typer.echo(f"first response as the model reads it ({seen['prompt_tokens']} tokens are the prompt's):")
        typer.echo("|".join(seen["tokens"]))
        typer.echo(f"scored at its last token: {seen['scored']!r}")
    for alarm in found["alarms"]:
        typer.echo(f"alarm: {alarm}", err=True)


def _texts(record: Mapping[str, Any]) -> list[str]:
    """A record's responses, under any usual name, one or many."""
    for name in ("responses", "response", "text", "code"):
        value = record.get(name)
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return value
    return []


def problems_with_responses(
    path: Path, problems: Path | None, limit: int, columns: Mapping[str, str] | None = None
) -> list[tuple[str, list[str]]]:
    """The first `limit` problems of a file with all their responses, whatever known form it has.

    A row holds one response or several, and its problem's text (prompt, problem, question) or its name, then
    `problems` is the file that has the text. UserError naming a row that lacks either.
    """
    from acemath.cli.data import read_problems

    asked = Names(read_problems(problems, columns)) if problems is not None else None
    found: dict[str, list[str]] = {}
    for number, record in enumerate(read_records(path), 1):
        name = first_value(record, ("problem_id", "qid", "idx"))
        if asked is not None and name is not None:
            prompt: str | None = asked.find(id_text(name), meta_of(record.get("meta")), path, problems).prompt
        else:
            prompt = prompt_text(first_value(record, names_of("prompt", columns or {})))
        texts = _texts(record)
        if prompt is None or not texts:
            lacks = (
                "response; it is expected in the column response, responses, text or code"
                if prompt
                else "problem; name its file with --problems, or its column with --columns prompt=…"
            )
            raise UserError(f"{path}, record {number}: no {lacks}")
        if prompt in found or len(found) < limit:
            found.setdefault(prompt, []).extend(texts)
    return list(found.items())
