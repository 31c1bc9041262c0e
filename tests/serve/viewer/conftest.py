"""Small runs as the stages write them, with a hostile text among their responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from acemath.records import Problem, Response
from acemath.run.parts import write_part
from acemath.serve.viewer.api import Viewer
from acemath.serve.viewer.server import Server

EVIL = "<img src=x onerror='window.evil=1'><script>window.evil = 2</script><a href='javascript:window.evil=3'>x</a> $\\text{<b>}$"
# By problem: (answer, right, reward) of each response. p1: the judge misses; p2: a tie; p3: the majority misses.
POOL = {
    "p0": [("1/2", True, 2.0), ("0.5", True, 1.0), ("3", False, 0.0), ("1/2", True, -1.0)],
    "p1": [("7", True, 0.5), ("7", True, 0.4), ("8", False, 3.0), (None, False, -2.0)],
    "p2": [("4", True, 1.0), ("5", False, 1.0), ("5", False, 0.0), ("4", True, 0.0)],
    "p3": [("9", False, 0.1), ("9", False, 0.2), ("9", False, 0.3), ("6", True, 4.0)],
}
REFERENCE = {"p0": "\\frac{1}{2}", "p1": "7", "p2": "4", "p3": "6"}
Rows = Sequence[tuple[str | None, bool, float | None]]


def problems() -> list[Problem]:
    """Four problems of two benchmarks."""
    return [
        Problem(key, f"Problem {key}: find $x_{{{number}}}$ in the garden.", answer, "test", "MIT", "algebra", 1 + number,
                {"benchmark": "alpha" if number < 2 else "beta"})
        for number, (key, answer) in enumerate(REFERENCE.items())
    ]  # fmt: skip


def responses(pool: dict[str, Rows], model: str = "m") -> list[Response]:
    """The pool as responses; those without an answer were cut."""
    return [
        Response(
            key, sample, f"{EVIL} number {sample} of {key}, so \\boxed{{{answer}}}.", model, "stop" if answer else "length", 10 + sample,
            "correct" if right else "wrong" if answer else "no_answer", answer, "same number" if right else f"{answer} is no match", reward,
        )
        for key, rows in pool.items()
        for sample, (answer, right, reward) in enumerate(rows)
    ]  # fmt: skip


def write_run(folder: Path, stages: dict[str, list[Response]], parts: int = 1) -> Path:
    """A run's folder with the problems and these stages, divided into parts."""
    (folder / "bench-problems").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 2, "partitions": {"benchmarks": parts}}))
    write_part(folder / "bench-problems" / "part-00000.parquet", problems(), Problem, "key")
    for name, rows in stages.items():
        (folder / name).mkdir()
        names = list(dict.fromkeys(row.problem_id for row in rows))
        for part in range(parts):
            mine = [row for row in rows if names.index(row.problem_id) * parts // len(names) == part]
            write_part(folder / name / f"part-{part:05}.parquet", mine, Response, "key")
        (folder / name / "manifest.json").write_text(json.dumps({"output": "key"}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run: scored samples, the samples themselves, and greedy responses."""
    scored = responses(POOL)
    greedy = responses({key: [(row[0], row[1], None) for row in rows[:1]] for key, rows in POOL.items()})
    stages = {"scores-m": scored, "samples-m": [replace(r, reward=None) for r in scored], "greedy-m": greedy}
    return write_run(tmp_path / "one", stages, parts=2)


@pytest.fixture
def served() -> Iterator[Callable[..., Server]]:
    """Serve folders or files until the test ends."""
    servers = []

    def serve(*paths: Path) -> Server:
        server = Server(Viewer(paths))
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
