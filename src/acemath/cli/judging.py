"""Commands that judge: grade, score and rewardbench on files, eval with models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import AVERAGE, over_benchmarks, reward_bench
from acemath.errors import UserError
from acemath.files.atomic import write_json_lines
from acemath.files.columns import (
    KNOWN_COLUMNS,
    PROBLEM_NAMES,
    first_value,
    id_text,
    may_hold_reference,
    meta_of,
    names_of,
)
from acemath.files.identity import PROMPT_KEY, Names
from acemath.files.rows import placed_records, write_rows
from acemath.grade import grade_many
from acemath.models.engine import ChatFormat, Engine, Sampling
from acemath.notices import say
from acemath.records import Response, Verdict, content_key
from acemath.run.asking import cost_of
from acemath.run.run import quiet_transformers

if TYPE_CHECKING:
    from acemath.grade.records import Row as GradingRow
    from acemath.models.score.score import RewardModel


def rewardbench(files: list[Path], k: int, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The table of selectors on the responses of some files, with notes on rows that were left out.

    UserError where no problem of a benchmark has k responses.
    """
    records, notes = stored_records(files, columns)
    return {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)], "notes": notes}


COLUMNS = ("measure", "benchmark", "percent", "95 % interval", "problems")  # of `table`


def table(result: Mapping[str, Any]) -> list[tuple[str, str, float, str, str]]:
    """The result of `rewardbench` or `evaluate` as rows of a printed table, greedy pass@1 first if it was measured."""
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
    chat: ChatFormat | None,
    out: Path,
    share_prefix: bool = True,
    engine: str = "transformers",
    max_length: int = 4096,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Rewards for the responses of a file, written beside them. `chat` as in `RewardModel`."""
    from acemath.cli.data import read_answered

    asked, rows = read_answered(responses, problems, columns)
    prompts = {p.id: p.prompt for p in asked}
    judge = _judge(model, chat, max_length=max_length, share_prefix=share_prefix, engine=engine)
    scored = _rewarded(rows, prompts, judge)
    write_rows(out, scored, Response)
    values = [r.reward for r in scored if r.reward is not None]
    return {
        "n": len(scored),
        "empty": sum(not r.text.strip() for r in scored),
        "mean": sum(values) / len(values),
        "low": min(values),
        "high": max(values),
        "system": judge.chat.system,
        "out": str(out),
    }


def _judge(model: str, chat: ChatFormat | None, **options: Any) -> RewardModel:
    """A reward model with these options of its class, loaded without transformers' own bars and notes."""
    from acemath.models.score.score import RewardModel

    quiet_transformers()
    return RewardModel(model, chat, **options)


def _rewarded(
    responses: Sequence[Response], prompts: Mapping[str, str], judge: RewardModel
) -> list[Response]:
    """The responses with their rewards; `prompts` by problem id."""
    rewards = judge.score_responses(prompts, responses)
    return [replace(r, reward=value) for r, value in zip(responses, rewards, strict=True)]


def check_numbers(n: int, k: int, reward: str | None) -> None:
    """UserError for k above n > 1, and for a reward model without samples to rank."""
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

    A file is one benchmark, unless its problems say in their meta which benchmark they belong to. Problems without a
    reference answer are left out and counted. UserError, before anything is asked of the policy, if no problem has an
    answer, and as `check_numbers` has it.
    """
    from acemath.cli.data import read_benchmarks
    from acemath.cli.engines import write
    from acemath.run.asking import graded
    from acemath.run.evaluation import records_of, with_answers

    check_numbers(n, k, reward)
    rows, unanswered = with_answers(read_benchmarks(problems, columns))
    judge = _judge(reward, reward_chat) if reward else None
    by_id = {p.id: p for p in rows}
    responses = graded(write(engine, rows, Sampling(max_new_tokens=max_new_tokens), "greedy"), rows)
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
        samples = graded(write(engine, rows, sampling, "samples"), rows)
        found["samples_unfinished"] = _unfinished(samples, "sampled", max_new_tokens)
        if judge is not None:
            samples = _rewarded(samples, {p.id: p.prompt for p in rows}, judge)
        records = records_of(by_id, samples)
        found |= cost_of(engine) | {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)]}
    return found


def _unfinished(responses: Sequence[Response], which: str, limit: int) -> dict[str, int]:
    """How many responses were cut or refused, by the finish reason; said too, because they count as not right."""
    counts = Counter(r.finish_reason for r in responses if not r.complete)
    if counts:
        cut = counts.get("length", 0)
        say(
            f"{counts.total():,} of {len(responses):,} {which} responses have no end ({cut:,} cut at --max-new-tokens {limit}, "
            f"{counts.total() - cut:,} refused); they count as not right"
        )
    return dict(counts)


_CARRIED = ("source", "model", "finish_reason", "tokens", "reward")  # of a response, beside its text


def grade_file(
    path: Path,
    policy: str,
    problems: Path | None = None,
    out: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Verdicts for a file in any known form, and how many agree with its labels.

    `problems` gives the references where the rows only name their problem (problem_id, qid or idx). Rows that are marked
    uncertain, and rows without a reference, are counted apart and not graded. With `out`, each response is written with
    its verdict, in the fields of `Response`, so that `rm groups` and `rewardbench` read the file.
    """
    left_out: Counter[str] = Counter()
    rows = list(_gradable(path, problems, columns or {}, left_out))
    if not rows:
        why = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items()) or "it is empty"
        raise UserError(f"{path} holds no row to grade ({why}); give a file of responses with their references")
    verdicts = grade_many([(r.response, r.reference, r.finish_reason) for _, r in rows], policy)
    if out is not None:
        write_json_lines(out, [_graded_row(origin, r, v) for (origin, r), v in zip(rows, verdicts, strict=True)])
    result: dict[str, Any] = {
        "n": len(rows),
        "correct": sum(v.correct for v in verdicts),
        "by_status": dict(Counter(v.status for v in verdicts)),
    }
    labelled = [
        v.correct == r.expected for v, (_, r) in zip(verdicts, rows, strict=True) if r.expected is not None
    ]
    if labelled:
        result |= {"agree": sum(labelled), "labelled": len(labelled)}
    return result | left_out | ({} if out is None else {"out": str(out)})


def _gradable(
    path: Path, problems: Path | None, columns: Mapping[str, str], left_out: Counter[str]
) -> Iterator[tuple[dict[str, Any], GradingRow]]:
    """The gradable rows of a file, each with the fields of its record to keep; `left_out` counts the others by reason."""
    from acemath.cli.data import read_problems
    from acemath.grade.records import rows_of

    asked = Names(read_problems(problems, columns)) if problems is not None else None
    naming = (columns["problem_id"],) if "problem_id" in columns else PROBLEM_NAMES
    # With a file of problems, columns of answers are that file's.
    mine = {k: v for k, v in columns.items() if asked is None or k not in ("answer", "solution", "choices")}
    samples: Counter[str] = Counter()
    for number, (place, record) in enumerate(placed_records(path)):
        if record.get("uncertain"):
            left_out["uncertain"] += 1
            continue
        name = first_value(record, naming)
        if asked is not None:
            if name is None:
                raise UserError(
                    f"{place}: names no problem of {problems} in {', '.join(naming)}; it has {sorted(record)}; name the "
                    "column with --columns problem_id=…"
                )
            problem = asked.find(id_text(name), meta_of(record.get("meta")), place, problems)
            if not problem.answer:
                left_out["no_reference"] += 1
                continue
            mine_alone = {k: v for k, v in record.items() if k.lower() not in KNOWN_COLUMNS["choices"]}
            name, record = problem.id, {**mine_alone, "reference": problem.answer}
        try:
            found = list(rows_of(record, mine))
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        if not found and any(may_hold_reference(column) for column in record):
            left_out["no_reference"] += 1
        elif not found:
            raise UserError(
                f"{place}: no response and reference among {sorted(record)}; name them with "
                "--columns response=…,answer=…, or give the problems that they answer with --problems"
            )
        known = _kept(record, columns)
        key = id_text(name if name is not None else known["meta"].get(PROMPT_KEY, f"row {number}"))
        for row in found:
            sample = samples[key] if len(found) > 1 else record.get("sample", samples[key])
            samples[key] += 1
            scored = {} if row.reward is None else {"reward": row.reward}
            yield {"problem_id": key, "sample": sample, **known, **scored}, row


def _kept(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The fields that stay beside a verdict. The prompt's key stays too: by it equal ids of two data sets are told apart."""
    kept = {key: record[key] for key in _CARRIED if record.get(key) is not None}
    prompt = first_value(record, names_of("prompt", columns))
    key = {PROMPT_KEY: content_key(prompt)} if isinstance(prompt, str) else {}
    return {**kept, "meta": {**key, **meta_of(record.get("meta"))}}


def _graded_row(origin: Mapping[str, Any], row: GradingRow, verdict: Verdict) -> dict[str, Any]:
    found = {"text": row.response, "reference": row.reference, "status": verdict.status, "extracted": verdict.answer}
    return {**origin, **found, "reason": verdict.reason, "tier": verdict.tier, "rule": verdict.rule}
