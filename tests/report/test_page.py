"""The report in a real browser: no console error, the tables' numbers, no network, no sideways scroll on a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.published import beside
from acemath.benchmarks.tables import measure
from acemath.curate.funnel import step_of
from acemath.demo.worksheets.sheets import SPLIT_NOTES
from acemath.records import Dropped, Response
from acemath.report.data import Item, ReportData
from acemath.report.page import COLOURS, render
from acemath.report.svg import COLOURS as SVG_COLOURS

EVIL = "<script>window.evil = 1</script> & \\boxed{\\frac{3}{4}} \\boxed{<b>}"


def _estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 2, "high": value + 2, "problems": 140}


def _data() -> ReportData:
    selectors = ("random", "majority", "reward model before training", "reward model", "oracle")
    rows = [
        {
            "selector": s,
            "measure": measure(s, 8),
            "benchmark": b,
            "value": 50.0 + i,
            "low": 48.0,
            "high": 53.0,
            "problems": 140,
        }
        for i, s in enumerate(selectors)
        for b in ("algebra", "average")
    ]
    policy = {
        "n": 16,
        "ks": [1, 8, 16],
        "greedy": _estimate(61.25),
        "curves": {s: [_estimate(50 + i + j) for j in range(3)] for i, s in enumerate(selectors)},
    }
    head: dict[str, Any] = {
        "pass@1": _estimate(57.5),
        "maj@8": _estimate(66.25),
        "rm@8 before training": _estimate(70.5),
        "rm@8": _estimate(71.75),
        "pass@8": _estimate(84.5),
    }
    differences = {
        "pass@1": _estimate(14.25),
        "maj@8": _estimate(5.5),
        "rm@8 before training": _estimate(1.25),
    }
    levels = [
        {
            "level": level,
            "problems": 9,
            "pass@1": 60.0,
            "maj@8": 63.0,
            "rm@8 before training": 69.0,
            "rm@8": 70.0,
            "pass@8": 88.0,
        }
        for level in (1, 2, 3)
    ]
    candidates = [
        Response(
            "p",
            i,
            EVIL,
            "math",
            status="correct" if i else "wrong",
            extracted="3/4",
            reason="equal",
            reward=0.5 - i,
        )
        for i in range(3)
    ]
    return ReportData(
        "test", "140 problems", [SPLIT_NOTES["test"]], "math", 8, 7,
        {"headline": head, "differences": differences, "policies": {"math": policy}, "rewardbench": {"k": 8, "policies": ["math"], "rows": rows}, "levels": levels},
        [step_of("filter prompts", ["a"] * 9, [Dropped("x", "filter-prompts", "too-long", EVIL)]).record()],
        {"check <b>": {"answers": 9, "agree": 0.875, "no_answer": 0.0}},
        {"math": {"conversations": 9, "pools": {"math": 9}, "sources": {"a": 9}}}, {"math": [(1, 2.0), (2, 1.0)]}, [(1, 0.7), (2, 0.6)], [(0, 0.803), (2, 0.806)], "40 groups, 320 pairs", [0.5, 1.0], [-1.0, -0.2],
        [Item("algebra", EVIL + " " + "x" * 300, "\\frac{3}{4}", outcome, candidates) for outcome in ("both right", "majority alone")],
        [["sft-math", "done", "3.1"]], {"seed": "0"}, "name: test\n",
    )  # fmt: skip


def test_the_page_needs_no_network_and_escapes_model_text() -> None:
    """No address is loaded, model text is text, formulas are MathML, and what is no formula stays readable."""
    page = render(_data())
    assert not re.search(r'(?:src|href)="(?!#|data:)', page) and "@import" not in page and "url(" not in page
    assert page.count("<script>") == 1 and "&lt;script&gt;window.evil" in page


def test_the_headline_says_what_was_chosen_where_and_what_training_added() -> None:
    """The split's note, every difference with its interval, and pair accuracy before the first step."""
    page = render(_data())
    assert (
        "nothing was trained or chosen on its problems" in page and "chosen on the validation split" in page
    )
    rows = {"rm@8 before training": ("+1.2", "-0.8 to +3.2"), "maj@8": ("+5.5", "+3.5 to +7.5")}
    for other, (points, interval) in rows.items():
        assert f"<td>{other}</td><td>{points}</td><td>{interval}</td>" in page
    assert "The gain is not significant" in page
    assert "80.3 % before training, 80.6 % at best, at step 2" in page and "40 groups, 320 pairs" in page


def test_without_the_start_nothing_is_said_of_it() -> None:
    """A run that does not rank before training shows no such bar."""
    data = _data()
    tables = dict(data.tables)
    for part in ("headline", "differences"):
        tables[part] = {k: v for k, v in tables[part].items() if "before" not in k}
    page = render(replace(data, tables=tables, pair_accuracy=[(2, 0.8)]))
    shown = page.split('id="headline"')[1].split('id="curves"')[0]
    assert "rm@8 minus" in shown and "<td>maj@8</td>" in shown and "before training" not in shown


def test_a_measure_has_one_name_and_one_colour() -> None:
    """Bars, curves and the RewardBench table call the same number the same; no two measures share a colour."""
    page = render(_data())
    bench = page.split('id="rewardbench"')[1].split("</table>")[0]
    names = ("pass@1", "maj@8", "rm@8 before training", "rm@8", "pass@8")
    assert all(f"<td>{name}</td>" in bench for name in names)
    assert not [name for name in ("oracle", "random", "majority") if f"<td>{name}</td>" in bench]
    assert len(set(COLOURS.values())) == len(COLOURS) <= SVG_COLOURS
    for colour in range(SVG_COLOURS):
        assert f".bar.c{colour}," in page and f".line.c{colour} " in page


@pytest.mark.browser
def test_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """Desktop and phone: opens without an error, shows the headline's numbers, filters problems."""
    path = tmp_path / "report.html"
    path.write_text(render(_data()))
    browser.set_window_size(1280, 900)
    browser.get(path.as_uri())
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    shown = browser.find_element("css selector", "#headline + figure").get_attribute("textContent")
    assert all(number in shown for number in ("61.2", "57.5", "66.2", "70.5", "71.8", "84.5"))
    assert browser.execute_script("return window.evil") is None
    browser.execute_script(
        "const s = document.getElementById('by-outcome'); s.value = 'both right'; s.dispatchEvent(new Event('change'))"
    )
    visible = browser.execute_script(
        "return [...document.querySelectorAll('#problems details')].filter((d) => !d.hidden).length"
    )
    assert visible == 1
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth <= 390")


def test_the_papers_numbers_stand_beside_the_runs() -> None:
    """Only where there are some, with the setting; a number outside the interval says so."""
    row = {"selector": "greedy", "measure": "greedy", "low": 80.0, "high": 84.0, "problems": 500, "model": "acemath-7b-instruct"}
    found = beside([{**row, "benchmark": "math", "value": 82.0}, {**row, "benchmark": "gsm8k", "value": 82.0}])
    page = render(replace(_data(), published=found))
    assert "Beside the paper" in page and "<td>82.0 (80.0 to 84.0)</td><td>83.1</td><td>500 / 5,000</td><td>inside</td>" in page
    assert "<td>93.7</td><td>500 / 1,319</td><td>outside the interval</td>" in page and "Table 3: greedy, 0 shots" in page
    assert "Beside the paper" not in render(_data())
