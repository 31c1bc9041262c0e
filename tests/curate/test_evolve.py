"""Evolution by a language model: only whole replies become questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acemath.curate.evolve import evolve_with
from acemath.models.engine import Sampling
from acemath.records import LENGTH, REFUSED, STOP, Problem, Response


class Writer:
    """Writes one complete question, one that is cut off, and one that is refused."""

    name = "writer"

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """A reply to each request, with the finish reason that its seed names."""
        for problem in problems:
            reason = next(r for r in (STOP, LENGTH, REFUSED) if r in problem.prompt)
            meta = {REFUSED: "not this one"} if reason == REFUSED else {}
            text = "" if reason == REFUSED else "How many sheep does"
            yield Response(problem.id, 0, text, "writer", reason, meta=meta)


def test_cut_and_refused_replies_are_dropped_rows() -> None:
    """With the reason and the reply; the complete one becomes a question whose id begins with its parent's."""
    seeds = [Problem(f"s:{reason}", f"A seed that is {reason}?", source="s") for reason in (STOP, LENGTH, REFUSED)]
    born, dropped = evolve_with(Writer(), seeds, ["in-depth"], Sampling())
    assert [p.id for p in born] == ["s:stop-in-depth"] and born[0].answer == ""
    assert {(d.id, d.reason) for d in dropped} == {("s:length", "cut-off"), ("s:refused", "refused")}
    assert any("not this one" in d.detail for d in dropped)
