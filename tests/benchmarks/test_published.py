"""The paper's numbers as data: whole, consistent with themselves, and put beside own rows."""

from __future__ import annotations

import json
from statistics import mean
from typing import Any

import pytest

from acemath.benchmarks.published import Published, beside, published
from acemath.benchmarks.registry import BENCHMARKS
from acemath.benchmarks.tables import AVERAGE
from acemath.recipe.load import load_recipe

UNREGISTERED = {"humaneval", "mbpp", "rewardbench-math500", "rewardmath", AVERAGE}
SEVEN = ("gsm8k", "math500", "minerva_math", "gaokao2023en", "olympiadbench", "college_math", "mmlu_stem")


def number(table: str, name: str, benchmark: str) -> Published:
    (found,) = [p for p in published() if (p.table, p.name, p.benchmark) == (table, name, benchmark)]
    return found


def test_every_printed_average_is_the_mean_of_its_row() -> None:
    """A wrong digit in a cell would show. Table 3 and 10 print one average that their columns do not give; it has a note."""
    checked = 0
    for p in published():
        cells = [
            q.value
            for q in published()
            if (q.table, q.name, q.measure) == (p.table, p.name, p.measure) and q.benchmark in p.averaged
        ]
        if p.benchmark == AVERAGE and len(cells) == len(p.averaged):
            checked += 1
            close = 0.051 if p.table == "Figure 1" else 0.0101  # the figure prints one digit
            assert mean(cells) == pytest.approx(p.value, abs=close) or "the seven columns give" in p.note, p
    assert checked > 60


def test_known_cells() -> None:
    """One cell of each kind of table."""
    assert number("Table 3", "AceMath-72B-Instruct", "minerva_math").value == 56.99
    assert number("Table 6", "AceMath-72B-RM", "math500").value == 86.72
    assert number("Table 6", "oracle", AVERAGE).measure == "pass@8"
    assert number("Table 6", "majority", "gsm8k").measure == "maj@8"
    assert number("Table 9", "Qwen2.5-Math-72B-Instruct", "aime24").value == pytest.approx(30)
    assert number("Figure 1", "AceMath-7B-Instruct", AVERAGE).judge == "AceMath-72B-RM"
    assert number("Table 6", "AceMath-7B-RM", "mmlu_stem").problems == 3018
    assert number("Table 6", "AceMath-7B-RM", "gsm8k").source == "AceMath, arXiv 2412.15084 v2, Table 6"


def test_benchmarks_are_those_of_the_registry() -> None:
    """A name that is not there would never be compared."""
    assert {p.benchmark for p in published()} - set(BENCHMARKS) == UNREGISTERED


def row(benchmark: str, value: float, **more: Any) -> dict[str, Any]:
    """A row of a table of selectors, one point on either side of the value."""
    base = {"selector": "reward model", "measure": "rm@8", "problems": 500, "low": value - 1, "high": value + 1}
    return {**base, "benchmark": benchmark, "value": value, **more}


def test_own_numbers_beside_the_papers() -> None:
    """The judge's name may be a hub id; what lies outside the interval says so, and another size too."""
    inside, outside = beside([row("math500", 86.0), row("MMLU-STEM_test", 80.0)], judge="nvidia/AceMath-72B-RM")
    assert not inside.outside and inside.same_size and inside.paper.value == 86.72
    assert outside.outside and not outside.same_size
    assert "OUTSIDE the interval (here 500 problems, in the paper 3,018)" in outside.words()
    assert "Table 6 86.72: inside the interval" in inside.words()
    assert outside.record()["outside"] is True and outside.record()["paper"] == 87.01


def test_the_edge_of_the_interval_is_inside() -> None:
    """An interval holds its ends."""
    (found,) = beside([row("math500", 86.0, low=86.72, high=90.0)], judge="AceMath-72B-RM")
    assert not found.outside


def test_nothing_is_compared_with_another_model_measure_or_average() -> None:
    """A number of another thing beside one's own would mislead without a word."""
    assert not beside([row("math500", 86.0)], judge="my-rm")
    assert not beside([row("math500", 86.0, measure="rm@4")], judge="AceMath-72B-RM")
    assert not beside([row("math500", 86.0, model="my-policy")], judge="AceMath-72B-RM")
    undefined = float("nan")
    assert not beside([row("math500", undefined), {**row("gsm8k", 0.0), "value": None}], judge="AceMath-72B-RM")
    two = [row("math500", 86.0), row("gsm8k", 97.0), row(AVERAGE, 91.5)]
    assert {c.paper.benchmark for c in beside(two, judge="AceMath-72B-RM")} == {"math500", "gsm8k"}
    seven = [row(b, 70.0) for b in (*SEVEN, AVERAGE)]
    assert [c.paper.value for c in beside(seven, judge="AceMath-72B-RM") if c.paper.benchmark == AVERAGE] == [69.53]


def test_controls_and_policies() -> None:
    """maj@8 and pass@8 of pooled responses are Table 6's; a policy's greedy number is Table 3's, once."""
    picks = (("majority", "maj@8", 96.0), ("oracle", "pass@8", 98.0))
    controls = [row("gsm8k", value, selector=s, measure=m, problems=1319) for s, m, value in picks]
    assert [c.paper.value for c in beside(controls)] == [96.22, 98.86]
    assert not beside([{**r, "problems": 100} for r in controls]), "other responses to some problems are another thing"
    assert number("Table 6", "majority", AVERAGE).problems == 8987
    greedy = row("math", 83.0, selector="greedy", measure="greedy", judge="", model="Qwen/Qwen2.5-Math-7B-Instruct")
    assert [(c.paper.table, c.paper.value) for c in beside([greedy])] == [("Table 3", 83.6)]
    best = row("math", 88.0, model="AceMath-7B-Instruct", judge="nvidia/AceMath-72B-RM")
    assert [(c.paper.table, c.paper.value) for c in beside([best])] == [("Figure 1", 87.8)]


def test_disagreements_within_the_paper_are_said() -> None:
    """Each note belongs to a number that is there."""
    noted = [p for p in published() if p.note]
    assert len(noted) == 8
    odd = number("Table 3", "Qwen2.5-Math-7B-Instruct", AVERAGE)
    assert "62.9" in odd.note


@pytest.mark.parametrize("name", ["acemath-1.5b", "acemath-7b", "acemath-72b"])
def test_a_recipe_is_named_after_the_papers_model(name: str) -> None:
    """A run of it compares itself with that model: `run.reporting` adds -instruct and -rm."""
    assert load_recipe(name).name == name
    assert beside([row("math", 80.0, selector="greedy", measure="greedy", model=f"{name}-instruct")])


def test_the_command_shows_and_compares(command: Any, tmp_path: Any) -> None:
    """A table, a benchmark, own results; nothing found is one line."""
    done = command("published", "--table", "6", "--benchmark", "math500", "--json")
    assert len(json.loads(done.out)["rows"]) == 10
    assert json.loads(command("published", "--table", "figure-4", "--json").out)["rows"][0]["value"] == 72.6
    (tmp_path / "results.json").write_text(json.dumps({"rows": [row("math500", 80.0)]}))
    done = command("published", "results.json", "--judge", "nvidia/AceMath-72B-RM")
    assert done.code == 0 and "OUTSIDE the interval" in done.out and "86.72 (Table 6)" in done.out
    assert "prints no number" in command("published", "results.json").err
    failed = command("published", "--model", "nobody")
    assert failed.code == 2 and "the paper prints no number for nobody" in failed.err
