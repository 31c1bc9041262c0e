"""Commands that judge: rewardbench and score on files, eval and solve with models."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acemath.bench.tables import Record, reward_bench
from acemath.engines.base import ChatFormat, Engine, Sampling
from acemath.errors import UserError
from acemath.grade import classes, grade_many
from acemath.pipeline.responses import cost_of
from acemath.pipeline.run import quiet_transformers
from acemath.records import Response
from acemath.store import read_records, write_rows

if TYPE_CHECKING:
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
) -> dict[str, Any]:
    """Rewards for the responses of a file, written beside them. `chat` as in `RewardModel`."""
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
    problems: Path,
    engine: Engine,
    n: int,
    k: int,
    reward: str | None,
    reward_chat: ChatFormat | None,
    max_new_tokens: int,
) -> dict[str, Any]:
    """Greedy pass@1 of a policy, and with n > 1 the table of selectors over n samples."""
    from acemath.commands.data import read_problems
    from acemath.commands.engines import write
    from acemath.metrics import estimate
    from acemath.pipeline.evaluation import records_of
    from acemath.pipeline.sampling import graded

    rows = read_problems(problems)
    unanswered = next((p.id for p in rows if not p.answer), None)
    if unanswered is not None:
        raise UserError(f"{problems}: problem {unanswered!r} has no answer; evaluation needs one for each")
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
