"""A small run of five stages for the tests, also in processes of its own: `python small_run.py FOLDER`.

Beside the run's folder lie `ids.json` (the problems) and `settings.json`; `log.txt` gets a line for each piece of work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from acemath.records import Dropped, Problem, Response, content_key
from acemath.run.partitions import Partitions, open_run
from acemath.run.runner import Runner
from acemath.run.stage import Copies, Everything, Making, MapStage, Part, Reduction, Stage, Training, whole

PARTS = 16


def stages_of(folder: Path) -> list[Stage]:
    """problems → answer → keep (each text once) → model → score."""
    ids = json.loads((folder.parent / "ids.json").read_text())
    settings = json.loads((folder.parent / "settings.json").read_text())

    def log(line: str) -> None:
        with (folder.parent / "log.txt").open("a") as file:
            file.write(line + "\n")

    def problems(everything: Everything) -> None:
        log("problems")
        split = Partitions(everything.count)
        for part in everything.parts():
            mine = sorted(i for i in ids if split.partition_of(i) == part.number)
            part.write(
                [Problem(i, f"What is {i}?", "1") for i in mine], Problem, facts={"problems": len(mine)}
            )

    @contextmanager
    def gpus() -> Iterator[str]:
        """The GPUs that a replica may use."""
        yield os.environ.get("CUDA_VISIBLE_DEVICES", "")

    def answer(part: Part) -> None:
        log(f"answer {part.number} {part.tool or ''}".strip())
        dropped: list[Dropped] = []
        facts: dict[str, dict[str, int]] = {"counts": {"kept": 0}}

        def rows() -> Iterator[Response]:
            for problem in part.rows("problems", Problem):
                time.sleep(settings["slow"])
                if problem.id.endswith("3"):
                    dropped.append(Dropped(problem.id, "answer", "ends with 3", problem.prompt))
                else:
                    facts["counts"]["kept"] += 1
                    text = content_key(problem.id, settings["answer"]["style"])[
                        : settings["answer"]["digits"]
                    ]
                    yield Response(problem.id, 0, text, "m")

        part.write(rows(), Response, dropped, facts)

    def keep(everything: Everything) -> None:
        log("keep")
        first: dict[str, str] = {}
        for batch in everything.batches("answer", ["problem_id", "text"]):
            for i, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                first[text] = min(i, first.get(text, i), key=content_key)
        for part in everything.parts():
            time.sleep(settings["slow"])
            rows = [r for r in part.rows("answer", Response) if first[r.text] == r.problem_id]
            part.write(rows, Response, facts={"kept": len(rows)})

    def model(making: Making) -> dict:
        log("model")
        for step in range(4):
            time.sleep(settings["slow"])
            (making.work / f"{step}.txt").write_text("x")
        texts = [t for b in making.store("keep").batches(["text"]) for t in b.column(0).to_pylist()]
        (making.out / "weights.txt").write_text(content_key(*texts))
        return {"steps": 4}

    def score(part: Part) -> None:
        log(f"score {part.number}")
        weights = (part.store("model").model / "weights.txt").read_text()
        rows = part.rows("keep", Response)
        part.write([replace(r, reward=int(content_key(weights, r.text), 16) / 2**64) for r in rows], Response)

    return [
        Reduction("problems", {"ids": content_key(*sorted(ids))}, (), problems),
        MapStage("answer", {"answer": settings["answer"]}, ("problems",), answer, tool=gpus, copies=Copies(2, 2)),
        Reduction("keep", {}, ("answer",), keep, summary=lambda facts: f"{facts['kept']} kept"),
        Training("model", {"rate": settings["rate"]}, ("keep",), model),
        MapStage("score", {}, ("keep", whole("model")), score),
    ]


def begin(home: Path, ids: list[str], **settings: object) -> Path:
    """Write the files that the run reads; the run's folder."""
    (home / "ids.json").write_text(json.dumps(ids))
    value = {"answer": {"style": "plain", "digits": 5}, "rate": 0.1, "slow": 0.0, **settings}
    (home / "settings.json").write_text(json.dumps(value))
    return home / "run"


def make(folder: Path) -> Runner:
    """Make what is not up to date."""
    open_run(folder, lambda: {"training": 1, "benchmarks": 1}, {"training": PARTS})
    runner = Runner(folder, stages_of(folder))
    runner.make_all()
    return runner


if __name__ == "__main__":
    make(Path(sys.argv[1]))
