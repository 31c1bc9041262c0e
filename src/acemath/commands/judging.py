"""Commands that judge: rewardbench and score on files, eval and solve with models."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.bench.tables import Record, reward_bench
from acemath.columns import REFERENCE_COLUMNS, first_value, lowered
from acemath.engines.base import ChatFormat, Engine, Sampling
from acemath.errors import UserError
from acemath.grade import classes, grade_many
from acemath.identity import Names, shown
from acemath.pipeline.responses import cost_of
from acemath.pipeline.run import quiet_transformers
from acemath.records import Response, Verdict
from acemath.store import placed_records, read_records, write_json_lines, write_rows

if TYPE_CHECKING:
    from acemath.grade.records import Row as GradingRow
    from acemath.reward.score import RewardModel


def _qwen_record(record: Mapping[str, Any], benchmark: str) -> Record:
    """One record of the Qwen2.5-Math harness: its responses, labels and, where scored, rewards."""
    rewards = [float(v[0] if isinstance(v, list) else v) for v in record.get("pred_score") or []]
    right = tuple(bool(v) for v in record["score"])
    texts = record.get("code") or record.get("response") or record["pred"]
    return Record(
        benchmark, str(record.get("idx")), 0, tuple(classes([p or None for p in record["pred"]])), right,
        tuple(rewards) if len(rewards) == len(right) else (), tuple(len(t) for t in texts),
    )  # fmt: skip


def bench_records(path: Path) -> list[Record]:
    """A file of responses as records: the Qwen2.5-Math harness's form, or one labelled response a row.

    Rows of the second kind name their problem by problem_id, qid or problem, and carry label or status;
    reward is optional. UserError where a row has neither form.
    """
    found: list[Record] = []
    loose: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    name = path.name.split(".")[0]
    for number, record in enumerate(read_records(path), 1):
        if isinstance(record.get("score"), list) and isinstance(record.get("pred"), list):
            found.append(_qwen_record(record, name))
            continue
        key = next(
            (
                str(record[k])
                for k in ("problem_id", "qid", "math_test_idx", "problem")
                if record.get(k) is not None
            ),
            None,
        )
        if key is None or ("label" not in record and record.get("status") is None):
            raise UserError(
                f"{path}, record {number}: neither a record of the Qwen2.5-Math harness (pred, score: lists) nor a labelled "
                "response (problem_id or qid, and label or status); acemath sample writes the latter"
            )
        if not record.get("uncertain"):
            loose[key].append(record)
    return found + [_loose_record(key, rows, name) for key, rows in loose.items()]


def _loose_record(key: str, rows: list[Mapping[str, Any]], benchmark: str) -> Record:
    answers = [r.get("extracted") or r.get("pred") for r in rows]
    rewards = tuple(float(r["reward"]) for r in rows if r.get("reward") is not None)
    right = tuple(bool(r["label"]) if "label" in r else r["status"] == "correct" for r in rows)
    lengths = tuple(len(str(r.get("text") or r.get("response") or "")) for r in rows)
    labels = tuple(classes([str(a) if a is not None else None for a in answers]))
    return Record(benchmark, key, 0, labels, right, rewards if len(rewards) == len(rows) else (), lengths)


def rewardbench(files: list[Path], k: int) -> dict[str, Any]:
    """The table of selectors on the responses of some files, one benchmark a file."""
    records = [r for path in files for r in bench_records(path)]
    return {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)]}


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
    from acemath.commands.data import read_answered

    if engine not in ("transformers", "vllm"):
        raise UserError(f"engine {engine!r} does not score; use transformers or vllm")
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
    reward_chat: ChatFormat | None,
    max_new_tokens: int,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Greedy pass@1 of a policy, and with n > 1 the table of selectors over n samples."""
    from acemath.commands.data import read_benchmarks
    from acemath.commands.engines import write
    from acemath.metrics import estimate
    from acemath.pipeline.evaluation import records_of
    from acemath.pipeline.sampling import graded

    rows = read_benchmarks(problems, columns)
    unanswered = [p for p in rows if not p.answer]
    if unanswered:
        raise UserError(
            f"{len(unanswered):,} of {len(rows):,} problems have no reference answer, the first is {unanswered[0].id!r} "
            f"({shown(unanswered[0].prompt)}); evaluation needs one for each: name their column with --columns answer=…"
        )
    judge = _judge(reward, reward_chat) if reward and n > 1 else None
    greedy = graded(write(engine, rows, Sampling(max_new_tokens=max_new_tokens), "greedy"), rows)
    found: dict[str, Any] = {"n": len(rows), "greedy": asdict(estimate([float(r.correct) for r in greedy]))}
    if n > 1:
        sampling = Sampling(n=n, temperature=1.0, max_new_tokens=max_new_tokens)
        samples = graded(write(engine, rows, sampling, "samples"), rows)
        if judge is not None:
            samples = _rewarded(samples, {p.id: p.prompt for p in rows}, judge)
        records = records_of({p.id: p for p in rows}, samples)
        found |= cost_of(engine) | {"k": k, "rows": [asdict(row) for row in reward_bench(records, k)]}
    return found


_CARRIED = ("model", "finish_reason", "tokens", "reward")  # of a response, beside its text


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
        raise UserError(f"{path} holds no row to grade ({dict(left_out) or 'it is empty'})")
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
    """What there is to grade in a file, each beside the fields that it keeps; `left_out` counts the other rows."""
    from acemath.commands.data import read_problems
    from acemath.grade.records import rows_of

    asked = Names(read_problems(problems, columns)) if problems is not None else None
    naming = (columns["problem_id"],) if "problem_id" in columns else ("problem_id", "qid", "idx")
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
            problem = asked.find(str(name), place, problems)
            name, record = problem.id, {**record, "reference": problem.answer or None}
        try:
            found = list(rows_of(record, mine))
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        if not found and REFERENCE_COLUMNS & lowered(record).keys():
            left_out["no_reference"] += 1
        elif not found:
            raise UserError(
                f"{place}: no response and reference among {sorted(record)}; name them with "
                "--columns response=…,answer=…, or give the problems that they answer with --problems"
            )
        known = {key: record[key] for key in _CARRIED if record.get(key) is not None}
        key = str(number if name is None else name)
        for row in found:
            sample = samples[key] if len(found) > 1 else record.get("sample", samples[key])
            samples[key] += 1
            yield {"problem_id": key, "sample": sample, **known}, row


def _graded_row(origin: Mapping[str, Any], row: GradingRow, verdict: Verdict) -> dict[str, Any]:
    found = {"text": row.response, "reference": row.reference, "status": verdict.status, "extracted": verdict.answer}
    return {**origin, **found, "reason": verdict.reason, "tier": verdict.tier, "rule": verdict.rule}
