"""Commands that judge: rewardbench and score on files, eval and solve with models."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.bench.stored import stored_records
from acemath.bench.tables import AVERAGE, over_benchmarks, reward_bench
from acemath.engines.base import ChatFormat, Engine, Sampling
from acemath.errors import UserError
from acemath.grade import grade_many
from acemath.pipeline.responses import cost_of
from acemath.pipeline.run import quiet_transformers
from acemath.records import Response
from acemath.store import read_records, write_rows

if TYPE_CHECKING:
    from acemath.reward.score import RewardModel


def rewardbench(files: list[Path], k: int) -> dict[str, Any]:
    """The table of selectors on the responses of some files, with notes on rows that were left out.

    UserError where no problem of a benchmark has k responses.
    """
    records, notes = stored_records(files)
    return {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)], "notes": notes}


COLUMNS = ("measure", "benchmark", "percent", "95 % interval", "problems")  # of `table`


def table(result: Mapping[str, Any]) -> list[tuple[str, str, float, str, str]]:
    """What `rewardbench` and `evaluate` found, as rows for people, greedy pass@1 first where it was measured."""
    rows = list(result.get("rows", ()))
    if (greedy := result.get("greedy")) is not None:
        percent = {key: 100 * greedy[key] for key in ("value", "low", "high")}
        first = {"measure": "greedy", "benchmark": AVERAGE, **percent}
        rows = [{**greedy, **first}, *rows]
    return [
        (
            r["measure"],
            r["benchmark"],
            r["value"],
            f"{r['low']:.2f} … {r['high']:.2f}",
            f"{r['problems']}" + (f" ({r['undefined']} have fewer responses)" if r["undefined"] else ""),
        )
        for r in rows
    ]


def score(
    responses: Path,
    problems: Path,
    model: str,
    chat: ChatFormat,
    out: Path,
    share_prefix: bool = True,
    engine: str = "transformers",
    max_length: int = 4096,
) -> dict[str, Any]:
    """Rewards for the responses of a file, written beside them."""
    from acemath.commands.data import read_problems
    from acemath.store import read_rows

    if engine not in ("transformers", "vllm"):
        raise UserError(f"engine {engine!r} does not score; use transformers or vllm")
    prompts = {p.id: p.prompt for p in read_problems(problems)}
    rows = read_rows(responses, Response)
    missing = next((r.problem_id for r in rows if r.problem_id not in prompts), None)
    if missing is not None:
        raise UserError(
            f"{responses} answers problem {missing!r}, which is not in {problems}; give the file of its problems"
        )
    if not rows:
        raise UserError(f"{responses} holds no response to score; acemath sample writes some")
    judge = _judge(model, chat, max_length=max_length, share_prefix=share_prefix, engine=engine)
    scored = _rewarded(rows, prompts, judge)
    write_rows(out, scored, Response)
    values = [r.reward or 0.0 for r in scored]
    return {
        "n": len(scored),
        "mean": sum(values) / len(values),
        "low": min(values),
        "high": max(values),
        "out": str(out),
    }


def _judge(model: str, chat: ChatFormat, **options: Any) -> RewardModel:
    """A reward model with these options of its class, loaded without transformers' own bars and notes."""
    from acemath.reward.score import RewardModel

    quiet_transformers()
    return RewardModel(model, chat, **options)


def _rewarded(
    responses: Sequence[Response], prompts: Mapping[str, str], judge: RewardModel
) -> list[Response]:
    """Responses with their rewards, problem by problem; `prompts` by problem id."""
    by_problem: dict[str, list[Response]] = defaultdict(list)
    for response in responses:
        by_problem[response.problem_id].append(response)
    rewards = judge.score_many([(prompts[key], [r.text for r in rows]) for key, rows in by_problem.items()])
    return [
        replace(r, reward=v)
        for rows, values in zip(by_problem.values(), rewards, strict=True)
        for r, v in zip(rows, values, strict=True)
    ]


def evaluate(
    problems: Sequence[Path],
    engine: Engine,
    n: int,
    k: int,
    reward: str | None,
    reward_chat: ChatFormat,
    max_new_tokens: int,
) -> dict[str, Any]:
    """Greedy pass@1 of a policy, and with n > 1 the table of selectors over n samples.

    A file is one benchmark, unless its problems say in their meta which benchmark they belong to. UserError,
    before anything is asked of the policy, on no problem, a problem without an answer, k above n > 1, and a
    reward model without samples to rank.
    """
    from acemath.commands.data import read_benchmarks
    from acemath.commands.engines import write
    from acemath.pipeline.evaluation import records_of
    from acemath.pipeline.sampling import graded

    if n > 1 and k > n:
        raise UserError(f"k is {k}, but each problem gets n = {n} samples; give -k {n} or less, or -n {k}")
    if reward and n == 1:
        raise UserError(f"the reward model {reward!r} has one greedy response to choose from; give -n {k}")
    rows = read_benchmarks(problems)
    if not rows:
        raise UserError(
            f"{', '.join(map(str, problems))} holds no problem; evaluation needs some, each with its answer"
        )
    unanswered = next((p.id for p in rows if not p.answer), None)
    if unanswered is not None:
        raise UserError(f"problem {unanswered!r} has no answer; evaluation needs one for each")
    judge = _judge(reward, reward_chat) if reward else None
    by_id = {p.id: p for p in rows}
    greedy = records_of(
        by_id, graded(write(engine, rows, Sampling(max_new_tokens=max_new_tokens), "greedy"), rows)
    )
    right = over_benchmarks(greedy, [float(r.correct[0]) for r in greedy])
    found: dict[str, Any] = {"n": len(rows), "greedy": asdict(right)}
    if n > 1:
        sampling = Sampling(n=n, temperature=1.0, max_new_tokens=max_new_tokens)
        samples = graded(write(engine, rows, sampling, "samples"), rows)
        if judge is not None:
            samples = _rewarded(samples, {p.id: p.prompt for p in rows}, judge)
        records = records_of(by_id, samples)
        found |= cost_of(engine) | {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)]}
    return found


def _references(problems: Path) -> dict[str, str]:
    """Reference answers of a file of problems, by id and by row number from 0, as outputs name them."""
    from acemath.commands.data import read_problems

    found: dict[str, str] = {}
    for number, problem in enumerate(read_problems(problems)):
        found[str(number)] = found[problem.id] = problem.answer
    return found


def grade_file(path: Path, policy: str, problems: Path | None = None) -> dict[str, Any]:
    """Verdicts for a file in any known form, and how many agree with its labels.

    `problems` gives the references where the rows only name their problem (qid, idx or problem_id). Rows that
    are marked uncertain are counted apart and not graded.
    """
    from acemath.grade.records import rows_of

    references = _references(problems) if problems is not None else {}
    rows, uncertain = [], 0
    for number, record in enumerate(read_records(path), 1):
        if record.get("uncertain"):
            uncertain += 1
            continue
        key = next((str(record[k]) for k in ("problem_id", "qid", "idx") if record.get(k) is not None), "")
        found = list(rows_of({**record, "reference": references[key]} if key in references else record))
        if not found:
            raise UserError(
                f"{path}, record {number}: no response and reference among {sorted(record)}; name them response and "
                "reference, or give the problems that they answer with --problems"
            )
        rows += found
    verdicts = grade_many([(r.response, r.reference) for r in rows], policy)
    result: dict[str, Any] = {
        "n": len(rows),
        "correct": sum(v.correct for v in verdicts),
        "by_status": dict(Counter(v.status for v in verdicts)),
    }
    labelled = [
        v.correct == r.expected for v, r in zip(verdicts, rows, strict=True) if r.expected is not None
    ]
    if labelled:
        result |= {"agree": sum(labelled), "labelled": len(labelled)}
    return result | ({"uncertain": uncertain} if uncertain else {})
