"""Responses of a model in this process are kept in whole pieces, and asked for again only where something else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from acemath.models.engine import Sampling, collect
from acemath.models.generate import kept
from acemath.models.generate.kept import FILE, KeptEngine
from acemath.records import Problem, Response

PROBLEMS = [Problem(f"p{n}", f"{n} + 1?", "") for n in range(7)]
TWO = Sampling(n=2, temperature=1.0)


class Counting:
    """Answers with the prompt, counts what it is asked, and is stopped at one problem."""

    name = "counting"

    def __init__(self, stop: str = "") -> None:
        self.asked: list[str] = []
        self.stop = stop

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        for problem in problems:
            self.asked.append(problem.id)
            if problem.id == self.stop:
                raise KeyboardInterrupt
            for sample in range(sampling.n):
                yield Response(problem.id, sample, f"{problem.prompt} \u20ac", self.name, "stop", 3, meta={"seed": sampling.seed})


def ask(engine: Counting, folder: Path, model: str = "m", sampling: Sampling = TWO, problems: Sequence[Problem] = PROBLEMS) -> list[Response]:
    one = KeptEngine(engine, {"model": model}, folder)
    try:
        return collect(one, problems, sampling, lambda *_: None)
    finally:
        one.close()


def test_a_stopped_command_asks_for_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of two problems; the one that was stopped is asked for as a whole, also where a kill tore its line."""
    monkeypatch.setattr(kept, "AT_ONCE", 4)
    whole = ask(Counting(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        ask(Counting(stop="p3"), tmp_path / "killed")
    with (tmp_path / "killed" / FILE).open("a") as file:
        file.write('{"key": "torn')
    rest = Counting()
    assert ask(rest, tmp_path / "killed") == whole and rest.asked == [f"p{n}" for n in range(2, 7)]
    again = Counting()
    assert ask(again, tmp_path / "killed") == whole and not again.asked


def test_what_differs_is_asked_for(tmp_path: Path) -> None:
    """Another model, sampling or text of a problem."""
    ask(Counting(), tmp_path)
    other = [Problem("p0", "9 + 1?", ""), *PROBLEMS[1:]]
    for change in ({"model": "n"}, {"sampling": TWO.model_copy(update={"seed": 1})}, {"problems": other}):
        engine = Counting()
        found = ask(engine, tmp_path, **change)  # type: ignore[arg-type]
        assert len(engine.asked) == 7 and len(found) == 14
