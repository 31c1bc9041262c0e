"""Logs in inspect_ai's `.eval` format, version 2, so that its viewer opens the responses of a run or an evaluation.

A log is a zip file: `header.json` (what was measured, and the result), `summaries.json` (a line a sample, for the list),
and `samples/ID_epoch_N.json`. A sample is a response; its epoch is its number from 1. The scorer "grader" says whether the
answer is right (C), wrong (I) or absent (N), and each judge is a scorer with its reward. There is a log for each stage of
responses and each benchmark.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from acemath.errors import UserError
from acemath.files.atomic import explained
from acemath.records import (
    BENCHMARK,
    LENGTH,
    REFUSED,
    STOP,
    Problem,
    Response,
    by_id,
    content_key,
    whole_text,
)
from acemath.run.store import MANIFEST, StageStore

GRADER, REWARD = "grader", "reward model"
PROBLEMS, CANDIDATES = "problems", "candidates"  # stages of AceMath-RewardBench's folder
STOPS = {STOP: "stop", LENGTH: "max_tokens", REFUSED: "content_filter"}  # our finish reasons in inspect's words
VALUES = {"correct": "C", "no_answer": "N"}  # of a status; every other one is "I"
SHORT = 1000  # characters of a text in a summary
DAY = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same rows give the same bytes


@dataclass(frozen=True)
class Answers:
    """A stage of responses, with the stage of their problems and those of their rewards by judge."""

    responses: StageStore
    problems: StageStore
    rewards: Mapping[str, StageStore]


def write_logs(folder: Path, out: Path) -> list[Path]:
    """Write the logs of a run's or an evaluation's folder into `out`, which is new or empty; returns their paths.

    UserError if no stage of responses is finished, and for a folder that is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} is not empty; name a new folder for the logs: --out")
    stages = answers_of(folder)
    temporary = out.with_name(f".{out.name}.tmp")
    with explained(temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    try:
        with explained(out):
            names = sorted(path.name for stage in stages for path in _write_stage(stage, folder.name, temporary))
            if out.exists():
                out.rmdir()
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [out / name for name in names]


def answers_of(folder: Path) -> list[Answers]:
    """The finished stages of benchmark responses in a folder. UserError if there is none."""
    manifests = {path.parent.name: StageStore(path.parent, 0) for path in sorted(folder.glob(f"*/{MANIFEST}"))}
    stores = {name: StageStore(folder / name, _parts(store)) for name, store in manifests.items() if store.finished}
    found = []
    for name, store in stores.items():
        if name != CANDIDATES and not name.startswith(("greedy-", "samples-")):
            continue
        given = [i for i in (*store.manifest["inputs"], PROBLEMS) if i in stores and _has_prompts(stores[i])]
        if not given:
            raise UserError(f"{store.folder}: no stage holds its problems; run the command that made it again")
        scored = [other for other in stores if other.startswith("scores-") and name in stores[other].manifest["inputs"]]
        found.append(Answers(store, stores[given[0]], {_judge(other, name): stores[other] for other in scored}))
    if not found:
        raise UserError(f"{str(folder)!r} holds no finished responses to benchmarks; run acemath run or acemath eval first")
    return found


def _parts(store: StageStore) -> int:
    return sum(name.startswith("part-") for name in store.manifest.get("files", ()))


def _has_prompts(store: StageStore) -> bool:
    import pyarrow.parquet as pq

    path = store.part(0)
    return path.exists() and "prompt" in pq.read_schema(path).names


def _judge(scores: str, responses: str) -> str:
    """The name of the judge of a stage of rewards, which bears the policy's name too."""
    policy = responses.partition("-")[2]  # with the seed, if it has one
    name = scores.removeprefix("scores-")
    return REWARD if name == policy else name.removesuffix(f"@{policy}")


def _write_stage(stage: Answers, run: str, out: Path) -> Iterator[Path]:
    """The logs of one stage, one for each benchmark, read one partition at a time."""
    with ExitStack() as stack:
        logs: dict[str, _Log] = {}
        for number in range(stage.responses.count):
            problems = by_id(stage.problems.rows(Problem, number))
            rewards = {
                judge: {(r.problem_id, r.model, r.sample): r.reward for r in store.rows(Response, number)}
                for judge, store in stage.rewards.items()
            }
            for row in stage.responses.rows(Response, number):
                problem = problems[row.problem_id]
                benchmark = str(problem.meta.get(BENCHMARK) or problem.subject)
                if benchmark not in logs:
                    logs[benchmark] = stack.enter_context(_Log(stage.responses, run, benchmark, out))
                given = {judge: table.get((row.problem_id, row.model, row.sample)) for judge, table in rewards.items()}
                logs[benchmark].add(problem, row, given)
        for log in logs.values():
            log.finish()
            yield log.path


class _Log:
    """One log while it is written. Summaries wait in a file of their own, because a zip file takes one member at a time."""

    def __init__(self, store: StageStore, run: str, benchmark: str, out: Path) -> None:
        made = datetime.fromtimestamp((store.folder / MANIFEST).stat().st_mtime, UTC).replace(microsecond=0)
        self.made, self.benchmark, self.run, self.stage = made.isoformat(), benchmark, run, store.name
        self.manifest = store.manifest
        self.key = content_key(run, store.name, benchmark, str(self.manifest["output"]))
        task = re.sub(r"[^\w.]|_", "-", f"{benchmark} {store.name}")  # inspect splits a file's name at underscores
        self.path = out / f"{self.made.replace(':', '-')}_{task}_{self.key}.eval"
        self.values: dict[str, dict[str, list[float]]] = {}  # by scorer and problem
        self.ids: dict[str, None] = {}
        self.tokens: dict[str, int] = {}  # by model
        self.samples, self.epochs = 0, 0

    def __enter__(self) -> _Log:
        self.zip = ZipFile(self.path, "w", ZIP_DEFLATED)
        self.summaries: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.zip.close()
        self.summaries.close()

    def add(self, problem: Problem, row: Response, rewards: Mapping[str, float | None]) -> None:
        """One response."""
        scores = _scores(row, rewards)
        for name, score in scores.items():
            number = score["value"] if name != GRADER else float(score["value"] == "C")
            self.values.setdefault(name, {}).setdefault(problem.id, []).append(number)
        sample = _sample(problem, row, scores)
        self._member(f"samples/{problem.id}_epoch_{row.sample + 1}.json", sample)
        self.summaries.write(("," if self.samples else "[") + _json(_summary(sample)))
        self.ids[problem.id] = None
        self.samples += 1
        self.tokens[row.model] = self.tokens.get(row.model, 0) + row.tokens
        self.epochs = max(self.epochs, row.sample + 1)

    def finish(self) -> None:
        """Write what stands for the whole log."""
        self.summaries.write("]")
        self.summaries.seek(0)
        with self.zip.open(_member("summaries.json"), "w", force_zip64=True) as member:
            while text := self.summaries.read(1 << 20):
                member.write(text.encode())
        self._member("header.json", self._header())

    def _member(self, name: str, value: Any) -> None:
        self.zip.writestr(_member(name), _json(value))

    def _header(self) -> dict[str, Any]:
        settings = self.manifest.get("settings", {})
        sampling = settings.get("sampling", {})
        config = {"temperature": sampling.get("temperature"), "top_p": sampling.get("top_p"), "max_tokens": sampling.get("max_new_tokens"), "seed": sampling.get("seed")}  # fmt: skip
        config = {key: value for key, value in config.items() if value is not None}
        scorers = [{"name": name, "options": {}, "metrics": [], "metadata": {}} for name in self.values]
        ids = list(self.ids)
        spec = {
            "eval_id": self.key, "run_id": content_key(self.run), "created": self.made, "task": self.benchmark,
            "task_id": content_key(self.stage, self.benchmark), "task_version": 0, "task_display_name": self.benchmark,
            "task_attribs": {}, "task_args": {}, "task_args_passed": {},
            "dataset": {"name": self.benchmark, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": ", ".join(self.tokens), "model_generate_config": config, "model_args": {}, "config": {"epochs": self.epochs},
            "packages": dict(self.manifest.get("versions", {})), "scorers": scorers,
            "metadata": {"run": self.run, "stage": self.stage, "settings": settings, "inputs": self.manifest["inputs"]},
        }  # fmt: skip
        results = {
            "total_samples": self.samples, "completed_samples": self.samples,
            "scores": [_result(name, values, self.epochs) for name, values in self.values.items()],
        }  # fmt: skip
        return {
            "version": 2, "status": "success", "eval": spec,
            "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": config},
            "results": results,
            "stats": {"started_at": self.made, "completed_at": self.made, "model_usage": _usage(self.tokens)},
        }  # fmt: skip


def _member(name: str) -> ZipInfo:
    info = ZipInfo(name, DAY)
    info.compress_type = ZIP_DEFLATED
    return info


def _json(value: Any) -> str:
    return json.dumps(whole_text(value), ensure_ascii=False, allow_nan=False)


def _scores(row: Response, rewards: Mapping[str, float | None]) -> dict[str, dict[str, Any]]:
    """The scores by scorer. A response that was not graded, or that a judge gave no reward, has none."""
    found: dict[str, dict[str, Any]] = {}
    if row.status is not None:
        found[GRADER] = {
            "value": VALUES.get(row.status, "I"), "answer": row.extracted, "explanation": row.reason,
            "metadata": {"status": row.status},
        }  # fmt: skip
    given = {REWARD: row.reward, **rewards}
    return found | {name: {"value": value} for name, value in given.items() if value is not None and isfinite(value)}


def _sample(problem: Problem, row: Response, scores: Mapping[str, Any]) -> dict[str, Any]:
    key = content_key(problem.id, row.model, str(row.sample))
    answer = {"id": f"{key}a", "role": "assistant", "content": row.text, "source": "generate", "model": row.model}
    return {
        "id": problem.id, "epoch": row.sample + 1, "input": problem.prompt, "target": problem.answer, "uuid": key,
        "messages": [{"id": f"{key}q", "role": "user", "content": problem.prompt, "source": "input"}, answer],
        "output": {
            "model": row.model,
            "choices": [{"message": answer, "stop_reason": STOPS.get(row.finish_reason, "unknown")}],
            "completion": row.text,
            "usage": _usage({row.model: row.tokens})[row.model],
        },
        "scores": scores,
        "metadata": {"subject": problem.subject, "level": problem.level, "source": problem.source, "finish_reason": row.finish_reason},
        "store": {}, "events": [], "attachments": {},
        "model_usage": _usage({row.model: row.tokens}),
    }  # fmt: skip


def _usage(tokens: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Generated tokens by model; those of prompts are not stored."""
    return {model: {"input_tokens": 0, "output_tokens": n, "total_tokens": n} for model, n in tokens.items()}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a sample in the list: short texts, no messages."""
    kept = {name: sample[name] for name in ("id", "epoch", "target", "uuid", "metadata", "model_usage")}
    scores = {
        name: {key: value[:SHORT] if isinstance(value, str) else value for key, value in score.items()}
        for name, score in sample["scores"].items()
    }
    return {**kept, "input": sample["input"][:SHORT], "scores": scores, "completed": True, "message_count": len(sample["messages"])}


def _result(name: str, values: Mapping[str, list[float]], epochs: int) -> dict[str, Any]:
    """The mean over problems of their means over responses, with its standard error."""
    means = [mean(numbers) for numbers in values.values()]
    error = stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0
    label = "accuracy" if name == GRADER else "mean"
    numbers = ((label, mean(means)), ("stderr", error))
    metrics: dict[str, Any] = {key: {"name": key, "value": value, "params": {}} for key, value in numbers}
    found: dict[str, Any] = {"name": name, "scorer": name, "params": {}, "metrics": metrics}
    return found | ({"reducer": "mean"} if epochs > 1 else {})
