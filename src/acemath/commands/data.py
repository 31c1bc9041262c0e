"""Commands on prompts and responses: curate, decontaminate, synthesize, sample."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acemath.curate.decontaminate import Decontaminator
from acemath.curate.dedup import dedup
from acemath.curate.filters import filter_problems
from acemath.curate.settings import CurateSettings
from acemath.engines.base import ChatFormat, Engine, Sampling
from acemath.engines.worksheets import WorksheetTeacher
from acemath.errors import UserError
from acemath.pipeline.sampling import graded
from acemath.records import Problem, Response, content_key
from acemath.store import Dropped, read_records, write_bytes, write_rows


def read_problems(path: Path) -> list[Problem]:
    """Problems of a file in our form or with a prompt under a usual name (prompt, problem, question)."""
    rows = []
    for number, record in enumerate(read_records(path), 1):
        prompt = next(
            (record[k] for k in ("prompt", "problem", "question") if isinstance(record.get(k), str)), None
        )
        if prompt is None:
            raise UserError(
                f"{path}, record {number}: no prompt; name its column prompt, problem or question"
            )
        answer = next(
            (
                str(record[k])
                for k in ("answer", "expected_answer", "gt", "gold")
                if record.get(k) is not None
            ),
            "",
        )
        answer = answer.rsplit("####", 1)[-1].strip() if "####" in answer else answer
        identity = str(record.get("id") or content_key(prompt))
        meta = record.get("meta")
        if isinstance(meta, str):
            meta = json.loads(meta)
        rows.append(
            Problem(
                identity,
                prompt,
                answer,
                str(record.get("source") or ""),
                str(record.get("license") or ""),
                str(record.get("subject") or "math"),
                0,
                meta or {},
            )
        )
    return rows


def curate(prompts: Path, benchmarks: Sequence[Path], out: Path) -> dict[str, Any]:
    """Filter, deduplicate and decontaminate the prompts of a file."""
    settings = CurateSettings()
    rows = read_problems(prompts)
    kept, dropped = filter_problems(rows, settings.filters)
    kept, more = dedup(kept)
    dropped += more
    index = Decontaminator([p for path in benchmarks for p in read_problems(path)], settings.decontaminate)
    clean = []
    for row in kept:
        hit = index.check(row, math=row.subject not in ("code", "general"))
        if hit:
            dropped.append(
                Dropped(
                    row.id,
                    "decontaminate",
                    "leak",
                    row.prompt,
                    row.source,
                    f"{hit.benchmark_id}: {hit.shared}",
                )
            )
        else:
            clean.append(row)
    write_rows(out, clean, Problem)
    return {
        "n": len(rows),
        "kept": len(clean),
        "dropped": dict(Counter(f"{d.step}: {d.reason}" for d in dropped)),
        "out": str(out),
    }


def decontaminate(prompts: Path, benchmarks: Sequence[Path], hits_to: Path | None) -> dict[str, Any]:
    """Find the prompts of a file that leak a benchmark; the hits go into a JSONL file when asked."""
    rows = read_problems(prompts)
    index = Decontaminator(
        [p for path in benchmarks for p in read_problems(path)], CurateSettings().decontaminate
    )
    started = time.perf_counter()
    hits = [
        (row, hit) for row in rows if (hit := index.check(row, math=row.subject not in ("code", "general")))
    ]
    seconds = time.perf_counter() - started
    if hits_to is not None:
        lines = [
            {"prompt": r.prompt, "benchmark_id": h.benchmark_id, "shared": h.shared, "lcs": h.lcs}
            for r, h in hits
        ]
        write_bytes(hits_to, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    return {
        "n": len(rows),
        "hits": len(hits),
        "seconds": round(seconds, 3),
        "us_per_prompt": round(1e6 * seconds / max(1, len(rows)), 1),
    }


def engine_of(kind: str, model: str, url: str, chat: ChatFormat, skill: float = 0.97) -> Engine:
    """An engine from a command's options."""
    if kind == "worksheets":
        return WorksheetTeacher(f"worksheets-{skill}", skill)
    if kind == "endpoint":
        from acemath.engines.endpoint import EndpointEngine

        return EndpointEngine(url, model, chat)
    if kind == "vllm":
        from acemath.engines.vllm import VllmEngine

        return VllmEngine(model, chat)
    if kind == "transformers":
        from acemath.engines.local import TransformersEngine
        from acemath.nano.home import resolve
        from acemath.pipeline.run import quiet_transformers

        quiet_transformers()
        return TransformersEngine(resolve(model), chat, model)
    raise UserError(f"engine {kind!r} does not exist; use worksheets, transformers, vllm or endpoint")


def sample(rows: Sequence[Problem], engine: Engine, sampling: Sampling, out: Path) -> dict[str, Any]:
    """Responses to problems, graded where all of them have answers."""
    responses = list(engine.generate(rows, sampling))
    if all(p.answer for p in rows):
        responses = graded(responses, rows)
    write_rows(out, responses, Response)
    found: dict[str, Any] = {
        "n": len(responses),
        "problems": len(rows),
        "tokens": sum(r.tokens for r in responses),
        "out": str(out),
    }
    if responses and responses[0].status is not None:
        found["accuracy"] = round(100 * sum(r.correct for r in responses) / len(responses), 2)
    return found
