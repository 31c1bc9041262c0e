"""Evolution by a language model: only whole replies become questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from acemath.curate.evolve import evolution_prompt, evolve_with
from acemath.curate.settings import Method
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


@pytest.mark.parametrize(
    ("method", "asks"),
    [
        ("in-breadth", ("brand-new", "rarer", "about the same length and difficulty")),
        ("in-depth", ("brand-new", "more complex")),
        ("add-constraints", ("Rewrite", "more complex", "adding conditions")),
    ],
)
def test_templates_ask_for_what_the_papers_ask(method: Method, asks: tuple[str, ...]) -> None:
    """Appendix C: what is new in each, a question that people understand and that has a solution, the given one last."""
    said = evolution_prompt("What is {x} + 2?", method)
    assert all(words in said for words in (*asks, "make sense to people", "have a solution"))
    assert said.endswith("# Given question\nWhat is {x} + 2?\n\n# New question\n")


def test_cut_and_refused_replies_are_dropped_rows() -> None:
    """With the reason and the reply; the complete one becomes a question whose id begins with its parent's."""
    seeds = [Problem(f"s:{reason}", f"A seed that is {reason}?", source="s") for reason in (STOP, LENGTH, REFUSED)]
    born, dropped = evolve_with(Writer(), seeds, ["in-depth"], Sampling())
    assert [p.id for p in born] == ["s:stop-in-depth"] and born[0].answer == ""
    assert {(d.id, d.reason) for d in dropped} == {("s:length", "cut-off"), ("s:refused", "refused")}
    assert any("not this one" in d.detail for d in dropped)


class Sayer:
    """Writes the same reply to every request."""

    name = "sayer"

    def __init__(self, text: str, reason: str = STOP) -> None:
        self.text, self.reason = text, reason

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """One reply to each request."""
        for problem in problems:
            yield Response(problem.id, 0, self.text, self.name, self.reason)


@pytest.mark.parametrize(
    ("text", "reason", "why"),
    [
        ("I'm sorry, but I can't create that.", STOP, "refused"),
        ("I cannot help with this question.", STOP, "refused"),
        ("As an AI, I do not write questions.", STOP, "refused"),
        ("How many sheep", "content_filter", "incomplete"),
        ("I cannot remember my number of three digits, whose sum is 26. How many are there?", STOP, None),
        ("Sorry paid 3 dollars. What is left of 10?", STOP, None),
    ],
)
def test_refusals_in_words_are_no_questions(text: str, reason: str, why: str | None) -> None:
    """A question may begin alike."""
    born, dropped = evolve_with(Sayer(text, reason), [Problem("s:1", "What is 2 + 2?")], ["in-breadth"], Sampling())
    assert [d.reason for d in dropped] == ([why] if why else []) and [p.prompt for p in born] == ([] if why else [text])


@pytest.mark.parametrize("heading", ["# New question\n", "New question: ", "#Created MATH Question#: ", "## New Question ##\n\n"])
def test_a_repeated_heading_is_no_part_of_the_question(heading: str) -> None:
    """The template's own heading, and the paper's."""
    seed = [Problem("s:1", "What is 2 + 2?")]
    assert evolve_with(Sayer(f"{heading}New questions are ten; how many of 4?"), seed, ["in-depth"], Sampling())[0][0].prompt == (
        "New questions are ten; how many of 4?"
    )
