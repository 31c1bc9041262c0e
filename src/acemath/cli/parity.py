"""`acemath parity`: a reward model's scores in each engine that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from acemath.cli.options import Columns, Json, MaxLength, SharePrefix, reward_chat_option
from acemath.cli.output import show
from acemath.cli.reading import read_names, read_problems, read_prompts_with_responses
from acemath.errors import require
from acemath.models.engine import ChatFormat
from acemath.notices import quiet_transformers
from acemath.records import Problem
from acemath.run.display import Display


def command(
    model: Annotated[str, typer.Argument(help="A reward model's folder or name; with --policy, a policy's.")],
    responses: Annotated[
        Path, typer.Argument(help="Responses with their problems, in any known form; with --policy, problems.")
    ],
    problems: Annotated[Path | None, typer.Option(help="The problems, where rows only name them.")] = None,
    policy: Annotated[
        bool, typer.Option("--policy", help="Compare the greedy texts of a policy in transformers and in vLLM.")
    ] = False,
    system: Annotated[ChatFormat | None, reward_chat_option("--system")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Problems to compare.")] = 20,
    max_length: MaxLength = 4096,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="The most tokens of a response (--policy).")] = 256,
    bf16: Annotated[bool, typer.Option("--bf16", help="In bfloat16, as models are served.")] = False,
    share_prefix: SharePrefix = True,
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Compare a reward model's scores in plain transformers, with shared prompts, and in vLLM where it is installed.

    Example: acemath parity reward-model samples.jsonl --problems problems.jsonl
    """
    if policy:
        _texts(model, read_problems(responses, columns)[:limit], system, max_new_tokens, bf16, as_json)
        return
    with Display().during("parity"):
        items = read_prompts_with_responses(responses, read_names(problems, columns), limit, columns)
        quiet_transformers()
        from acemath.models.score.parity import check_parity

        found = asdict(check_parity(model, items, system, max_length, bf16, share_prefix))
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


def _texts(
    model: str, problems: Sequence[Problem], chat: ChatFormat | None, max_new_tokens: int, bf16: bool, as_json: bool
) -> None:
    """Compare the greedy texts of a policy in both engines, and show where they part."""
    require("parity of texts", "vllm")
    with Display().during("parity"):
        quiet_transformers()
        from acemath.models.generate.parity import check_texts

        found = check_texts(model, problems, chat, max_new_tokens, bf16)
    rows = [(p.problem_id, str(p.tokens), p.transformers, p.vllm, "-" if p.gap is None else f"{p.gap:.1e}") for p in found.partings]
    show(asdict(found), as_json, ("problem", "equal tokens", "then transformers", "then vLLM", "gap of their logits"), rows)
    if not as_json:
        typer.echo(
            f"{found.same} of {found.n} greedy texts are equal ({100 * found.share:.1f} %), {found.tokens:,} tokens; "
            f"{found.refused} prompts were too long"
        )
