"""Tables in the forms of the paper's Tables 3 and 6: lines, order, bold, the paper's lines, each writer."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from acemath.benchmarks.forms import as_html, as_json, as_markdown, table_3, table_6
from acemath.benchmarks.published import published
from acemath.errors import UserError

SEVEN = ("college_math", "gsm8k", "math", "minerva_math", "gaokao2023en", "olympiadbench", "mmlu_stem")


def row(selector: str, measure: str, benchmark: str, value: float, **more: Any) -> dict[str, Any]:
    found = {"selector": selector, "measure": measure, "benchmark": benchmark, "value": value}
    return {**found, "low": value - 2, "high": value + 2, "problems": 10, **more}


def greedy(model: str, benchmark: str, value: float) -> dict[str, Any]:
    return row("greedy", "greedy", benchmark, value, model=model, judge="", k=1)


def picks() -> list[dict[str, Any]]:
    """The rows of two selectors, their controls, and another k."""
    return [
        row("random", "pass@1", "math500", 50), row("majority", "maj@8", "math500", 60),
        row("reward model", "rm@8", "math500", 70, judge="nvidia/AceMath-7B-RM"), row("oracle", "pass@8", "math500", 90),
        row("reward model", "rm@4", "math500", 65, judge="nvidia/AceMath-7B-RM"),
    ]  # fmt: skip


def test_table_3_has_the_papers_columns_and_lines() -> None:
    """Benchmarks in the paper's order, the average last; the paper's lines and averages only where they compare."""
    rows = [greedy(m, b, v) for m, v in (("mine", 60.0), ("<other>|", 61.5)) for b in ("average", *SEVEN, "own-set")]
    rows.append(row("majority", "maj@8", "math", 77, model="mine"))
    sheet = table_3(rows, paper=True)
    assert sheet.benchmarks[:3] == ("gsm8k", "math", "minerva_math") and sheet.benchmarks[-2:] == ("own-set", "average")
    printed = {line.name: line for line in sheet.lines if line.source}
    assert printed["AceMath-72B-Instruct"].cells["minerva_math"].value == 56.99
    assert "average" not in printed["AceMath-72B-Instruct"].cells, "own-set makes it another average"
    whole = table_3([r for r in rows if r["benchmark"] != "own-set"], paper=True)
    assert {line.name: line for line in whole.lines}["GPT-4o (2024-08-06)"].cells["average"].value == 67.43
    assert "gsm8k has 10 problems, but GSM8K has 1,319: a subset has other numbers" in sheet.notes
    text = as_markdown(sheet)
    assert "| model | GSM8K | MATH |" in text and r"\<other\>\|" in text and "**61.50** (59.5 to 63.5)" in text
    assert "**60.00**" not in text and "**56.99**" not in text and "AceMath-72B-Instruct (Table 3)" in text


def test_table_6_has_the_selectors_of_one_k() -> None:
    """The judge's name stands for its selector; the oracle is never the best; rm@4 is another table."""
    sheet = table_6(picks(), 8)
    assert [line.name for line in sheet.lines] == ["random", "majority", "nvidia/AceMath-7B-RM", "oracle"]
    assert sheet.best("math500") == 70
    with_paper = table_6(picks(), 8, paper=True)
    assert sum(line.source == "Table 6" for line in with_paper.lines) == 10
    assert any("rm@8 of AceMath-7B-RM on math500: 70.00" in note and "OUTSIDE" in note for note in with_paper.notes)
    assert [line.name for line in table_6(picks(), 4).lines] == ["random", "nvidia/AceMath-7B-RM"]
    named = table_6([{**r, "model": "policy"} for r in picks()], 8)
    assert named.lines[-1].name == "policy: oracle" and named.best("math500") == 70


def test_json_and_html_hold_the_same_numbers() -> None:
    """The HTML is well formed, its text inert; JSON keeps what the others round."""
    rows = [greedy("<script>alert(1)</script>", "gsm8k", 61.123), greedy("b", "gsm8k", 60)]
    sheet = table_3(rows)
    value = json.loads(as_json(sheet))
    assert value["lines"][0]["cells"]["gsm8k"] == {"value": 61.123, "low": 59.123, "high": 63.123, "problems": 10}
    page = as_html(sheet)
    assert "<script" not in page and "<b>61.12</b><small>59.1 to 63.1</small>" in page
    body = page[page.index("<table") : page.index("</table>") + len("</table>")]
    table = ElementTree.fromstring(body)
    assert [len(tr) for tr in table.iter("tr")] == [2, 2, 2]


def test_undefined_and_double_numbers() -> None:
    """nan leaves a cell empty; two numbers for one cell are an error, as is a form without a row."""
    rows = [greedy("a", "gsm8k", 60), greedy("a", "math", float("nan"))]
    assert set(table_3(rows).lines[0].cells) == {"gsm8k"} and "| a | 60.00 (58.0 to 62.0) |  |" in as_markdown(table_3(rows))
    with pytest.raises(UserError, match="two numbers on gsm8k"):
        table_3([greedy("a", "gsm8k", 60), greedy("a", "gsm8k", 61)])
    with pytest.raises(UserError, match="no number for the form of Table 6"):
        table_6(rows, 8)


def test_every_benchmark_of_the_tables_is_a_column() -> None:
    """Of Table 3 all eight, of Table 6 with MATH500."""
    for table, form, names in (("Table 3", table_3, SEVEN), ("Table 6", table_6, ("math500", *SEVEN))):
        rows = [greedy("a", b, 1) if form is table_3 else row("majority", "maj@8", b, 1) for b in names]
        columns = {p.benchmark for p in published() if p.table == table} - {"average"}
        assert columns <= set(form(rows).benchmarks)
