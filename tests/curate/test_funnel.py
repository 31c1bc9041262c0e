"""The funnel's steps."""

from __future__ import annotations

import json

from acemath.curate.filters import filter_problems
from acemath.curate.funnel import step_of
from acemath.curate.settings import FilterSettings
from acemath.records import Problem


def test_a_step_counts_rows_by_source_and_drops_by_reason_with_examples() -> None:
    """Rows in are rows kept plus rows dropped; three examples per reason, the same for any order of rows."""
    rows = [Problem(f"ok{i}", "What is 1+1?", source="a") for i in range(4)]
    rows += [Problem(f"long{i}", "x " * 301, source="b", meta={"root": "seed"}) for i in range(5)] + [
        Problem("none", "")
    ]
    kept, dropped = filter_problems(rows, FilterSettings())
    step = step_of("filter", (p.source for p in kept), dropped)
    assert (step.rows_in, step.rows_out, step.by_source) == (10, 4, {"a": 4})
    assert step.drops == {"empty": 1, "too-long": 5}
    assert step.drops_by_source == {"b": {"too-long": 5}, "unknown": {"empty": 1}}
    assert [d.id for d in step.examples["too-long"]] == ["long0", "long1", "long2"]
    assert step == step_of("filter", (p.source for p in kept), dropped[::-1])
    assert step.reported == {} and step_of("near", ["a"], [], {"reworded": 1}).record()["reported"] == {
        "reworded": 1
    }
    assert json.loads(json.dumps(step.record()))["drops"] == step.drops
