"""`acemath eval`: measures of a policy on benchmarks, alone and with a reward model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from acemath.benchmarks.tables import AVERAGE, over_benchmarks, reward_bench
from acemath.cli import engines
from acemath.cli.options import Columns, Instruction, Json, MaxNewTokens, System, reward_chat_option
from acemath.cli.output import MEASURES, measure_rows, show
from acemath.cli.reading import read_benchmarks
from acemath.cli.score import judge_of, rewarded
from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Engine, Sampling
from acemath.notices import say
from acemath.records import Response
from acemath.run.display import Display
from acemath.run.responses import cost_of, graded


def command(
    problems: Annotated[
        list[Path], typer.Argument(help="Problems with answers; each file is one benchmark.")
    ],
    model: Annotated[str, typer.Option(help="A policy's folder or name.")],
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Samples of each problem; 1 is the greedy response alone.")
    ] = 1,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, help="How many responses to pick from. [default: 8, or -n if that is less]"
        ),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="A reward model's folder or name.")] = None,
    system: System = "",
    instruction: Instruction = "",
    reward_system: Annotated[ChatFormat | None, reward_chat_option("--reward-system")] = None,
    max_new_tokens: MaxNewTokens = 2048,
    engine: engines.EngineName = "transformers",
    url: engines.Url = None,
    api_key_env: engines.KeyEnv = None,
    price_in: engines.PriceIn = None,
    price_out: engines.PriceOut = None,
    budget: engines.Budget = None,
    changes: engines.ModelChanges = None,
    journal: Annotated[
        Path, typer.Option(help="The folder that keeps an endpoint's responses as they arrive.")
    ] = Path("eval.journal"),
    columns: Columns = None,
    as_json: Json = False,
) -> None:
    """Measure a policy: greedy pass@1, and with samples maj@k, rm@k and pass@k.

    Example: acemath eval problems.jsonl --model policy -n 8 --reward reward-model --max-new-tokens 120
    """
    k = min(8, n) if k is None else k
    _check_numbers(n, k, reward)
    policy = engines.model_of(
        engine, model, changes, url=url, api_key_env=api_key_env, price_in=price_in, price_out=price_out,
        budget_usd=budget,
    )  # fmt: skip
    with Display().during("eval"):
        if reward is not None:
            from acemath.models.score.heads import check_head

            check_head(reward)  # before the policy is loaded
        with engines.engine_of(policy, ChatFormat(system=system, instruction=instruction), journal) as made:
            found = evaluate(problems, made, n, k, reward, reward_system, max_new_tokens, columns)
    percent = {key: 100 * found["greedy"][key] for key in ("value", "low", "high")}
    greedy = {**found["greedy"], "measure": "greedy", "benchmark": AVERAGE, **percent}
    show(found, as_json, MEASURES, measure_rows([greedy, *found.get("rows", ())]))


def _check_numbers(n: int, k: int, reward: str | None) -> None:
    """UserError for k above n, and for a reward model without samples to rank."""
    if n > 1 and k > n:
        raise UserError(f"k is {k}, but each problem gets n = {n} samples; give -k {n} or less, or -n {k}")
    if reward and n == 1:
        raise UserError(f"the reward model {reward!r} has one greedy response to choose from; give -n 8")


def evaluate(
    problems: Sequence[Path],
    engine: Engine,
    n: int,
    k: int,
    reward: str | None,
    reward_chat: ChatFormat | None,
    max_new_tokens: int,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Greedy pass@1 of a policy, and with n > 1 the table of selectors over n samples.

    A file is one benchmark, unless the meta of its problems names one. Problems without a reference answer are left out
    and counted. UserError, before the policy is loaded, if no problem has one.
    """
    from acemath.run.evaluation import records_of, with_answers

    rows, unanswered = with_answers(read_benchmarks(problems, columns))
    judge = judge_of(reward, Path("judge.journal"), chat=reward_chat) if reward else None
    by_id = {p.id: p for p in rows}
    responses = graded(engines.write(engine, rows, Sampling(max_new_tokens=max_new_tokens), "greedy"), rows)
    greedy = records_of(by_id, responses)
    right = over_benchmarks(greedy, [float(r.correct[0]) for r in greedy])
    found: dict[str, Any] = {
        "n": len(rows),
        "greedy": asdict(right),
        "greedy_unfinished": _unfinished(responses, "greedy", max_new_tokens),
    }
    if unanswered:
        found["no_reference"] = unanswered
    if n > 1:
        sampling = Sampling(n=n, temperature=1.0, max_new_tokens=max_new_tokens)
        samples = graded(engines.write(engine, rows, sampling, "samples"), rows)
        found["samples_unfinished"] = _unfinished(samples, "sampled", max_new_tokens)
        if judge is not None:
            samples = rewarded(samples, {p.id: p.prompt for p in rows}, judge)
        records = records_of(by_id, samples)
        found |= cost_of(engine) | {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)]}
    return found


def _unfinished(responses: Sequence[Response], which: str, limit: int) -> dict[str, int]:
    """How many responses were cut or refused, by finish reason. A notice says so, because they count as wrong."""
    counts = Counter(r.finish_reason for r in responses if not r.complete)
    if counts:
        cut = counts.get("length", 0)
        say(
            f"{counts.total():,} of {len(responses):,} {which} responses have no end ({cut:,} cut at --max-new-tokens {limit}, "
            f"{counts.total() - cut:,} refused); they count as wrong"
        )
    return dict(counts)
