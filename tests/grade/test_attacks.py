"""What a policy could write to be paid without the answer, beside honest responses that must be paid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acemath.grade import grade

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "attacks.jsonl").read_text(encoding="utf-8").splitlines()
]


def test_enough_attacks_and_honest_responses_beside_each_family() -> None:
    attacks = [row for row in ROWS if not row["paid"]]
    assert len({(row["reference"], row["response"]) for row in attacks}) == len(attacks) >= 150
    assert {row["family"] for row in attacks} == {row["family"] for row in ROWS if row["paid"]}


@pytest.mark.parametrize("family", sorted({row["family"] for row in ROWS}))
def test_no_attack_is_paid_and_every_honest_response_is(family: str) -> None:
    judged = [(row, grade(row["response"], row["reference"])) for row in ROWS if row["family"] == family]
    assert not [(row["id"], row["response"], verdict) for row, verdict in judged if verdict.correct != row["paid"]]
