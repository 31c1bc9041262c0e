"""Selectors, protocols and rows over records; breakdowns, comparisons, the spread over blocks, a judge's quality."""

from __future__ import annotations

import random
from dataclasses import replace
from math import isnan

import pytest

from acemath.benchmarks.blocks import block_spread
from acemath.benchmarks.breakdown import breakdown
from acemath.benchmarks.compare import between_judges, between_selectors
from acemath.benchmarks.quality import calibration_notices, judge_quality, notices, truncated_share
from acemath.benchmarks.tables import (
    MEASURES,
    STANDARD,
    Answer,
    Record,
    curves,
    per_problem,
    record_of,
    reward_bench,
    selectors,
    values_at,
)
from acemath.errors import UserError
from acemath.metrics import DRAWS, FIRST, protocol_of

NAN = float("nan")


def _record(name: str, at: int, n: int = 6, rng: random.Random | None = None, **more: object) -> Record:
    rng = rng or random.Random(at)
    right = [rng.random() < 0.5 for _ in range(n)]
    answers = [
        Answer("7" if ok else str(rng.randrange(3)), ok, rng.gauss(1.5 * ok, 1.0), None, rng.randrange(50, 90), "m", "stop", rng.random() < 0.3 + 0.5 * ok)
        for ok in right
    ]  # fmt: skip
    return replace(record_of(name, f"{name}-{at}", 1 + at % 3, answers, f"subject {at % 2}"), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [_record(name, at) for name, count in (("one", 30), ("two", 12)) for at in range(count)]


def _cells(rows: list) -> dict[tuple[str, str], object]:  # type: ignore[type-arg]
    return {(row.selector, row.benchmark): row for row in rows}


def test_all_selectors_under_all_protocols(records: list[Record]) -> None:
    """Each protocol gives each selector a row on each benchmark and on the average, and says its name and its draws."""
    wanted = set(MEASURES) - {"reward model before training"}
    assert set(selectors(records)) == wanted
    exact = _cells(reward_bench(records, 3))
    assert {name for name, _ in exact} == wanted and len(exact) == 3 * len(wanted)
    drawn = _cells(reward_bench(records, 3, protocol_of("draws", 4000)))
    first = _cells(reward_bench(records, 3, FIRST))
    for key, row in exact.items():
        assert row.low <= row.value <= row.high and (row.protocol, row.draws) == ("exact", 0)
        assert abs(row.value - drawn[key].value) < 100 * 4 * 0.5 / (12 * 4000) ** 0.5
        assert (drawn[key].protocol, drawn[key].draws) == ("draws", 4000)
        assert (first[key].protocol, first[key].draws) == ("first-k", 0)
    assert first["oracle", "one"].value != exact["oracle", "one"].value
    assert {row.selector for row in reward_bench(records, 3, DRAWS, only=("oracle", "random"))} == {"oracle", "random"}


def test_order_of_selectors(records: list[Record]) -> None:
    """No selector beats the oracle, and a judge that helps is above chance."""
    values = {name: row.value for (name, b), row in _cells(reward_bench(records, 4)).items() if b == "average"}
    assert max(values.values()) == values["oracle"] and values["reward model"] > values["random"] + 5
    assert values["reward model in accepted"] > values["verifier"] > values["random"]


def test_what_a_verifier_accepts_comes_first() -> None:
    """Of the accepted responses the best wins; of none accepted, the best of all."""
    base = Record("b", "p", 0, (0, 1, 2), (False, True, False), (3.0, 1.0, 2.0), (1, 1, 1))
    chosen = replace(base, accepted=(False, True, True))
    assert values_at([chosen], "reward model in accepted", [3])[0, 0] == 0.0
    assert values_at([replace(chosen, accepted=(False, True, False))], "reward model in accepted", [3])[0, 0] == 1.0
    assert values_at([replace(chosen, accepted=(False,) * 3)], "reward model in accepted", [3])[0, 0] == 0.0
    assert values_at([chosen], "verifier", [3])[0, 0] == 0.5
    with pytest.raises(UserError, match="1 of 2 responses have no verdict of a verifier"):
        record_of("b", "p", 0, [Answer("1", True, None, None, 1, accepted=True), Answer("1", True, None, None, 1)])


def test_a_vote_that_cannot_be_counted_out_says_so(records: list[Record]) -> None:
    """Weighted votes of 8 from 24 are drawn, and the row says how many; the others stay exact."""
    many = [_record("one", at, 24) for at in range(3)]
    draws = {row.selector: row.draws for row in reward_bench(many, 8)}
    assert draws["weighted majority"] == draws["softmax majority"] == 400
    assert draws["majority"] == draws["reward model"] == draws["oracle"] == 0
    assert {row.draws for row in reward_bench(records, 2)} == {0}


def test_problems_of_different_sizes(records: list[Record]) -> None:
    """A problem with fewer than k is left out and counted; curves are the same numbers."""
    mixed = [*records[:5], _record("one", 99, 2)]
    rows = reward_bench(mixed, 3)
    assert {(row.problems, row.undefined) for row in rows} == {(5, 1)}
    curve = curves(mixed, [1, 3], only=STANDARD)
    assert curve["majority"][1].value * 100 == pytest.approx(_cells(rows)["majority", "one"].value)
    assert isnan(per_problem(mixed, "oracle", 3)[-1])


def test_a_reward_that_is_missing(records: list[Record]) -> None:
    """nan ranks below all others in rm@n, and a line says how many there are; so for constant judges and cut responses."""
    holes = replace(records[0], rewards=(NAN,) * 5 + (-9.0,))
    assert per_problem([holes], "reward model", 6) == [float(holes.correct[5])]
    assert judge_quality([holes])[0].unscored == 5 and "5 of 6 responses have no score" in notices([holes])[0]
    assert "constant" in notices([replace(r, rewards=(float(at),) * 6) for at, r in enumerate(records)])[0]
    assert notices(records) == [] == calibration_notices(records)
    assert "between 0 and 0.5, as probabilities are" in calibration_notices([replace(records[0], rewards=(0.0, 0.5) * 3)])[0]
    cut = replace(records[0], finish_reasons=("length", "stop", "", "", "", ""))
    assert truncated_share([cut]) == 0.5 and "50.0 %" in notices([cut])[0]
    assert isnan(truncated_share([replace(cut, finish_reasons=())]))


def test_breakdowns_are_parts_of_a_benchmark(records: list[Record]) -> None:
    """Parts add up to their benchmark; a part's value is the mean over its problems."""
    whole = {row.benchmark: row for row in reward_bench(records, 2, only=("majority",))}
    for by, parts in (("subject", 2), ("level", 3), ("length", 4)):
        found = [p for p in breakdown(records, by, 2, only=("majority",)) if p.row.benchmark == "one"]
        assert len(found) == parts and sum(p.row.problems for p in found) == 30
        total = sum(p.row.value * p.row.problems for p in found)
        assert total / 30 == pytest.approx(whole["one"].value)
    with pytest.raises(UserError, match="no breakdown by 'colour'; use subject, level, length, generator"):
        breakdown(records, "colour", 2)


def test_breakdown_by_generator(records: list[Record]) -> None:
    """Each model's own responses; where they are fewer than k the value is undefined, and says so."""
    mixed = [replace(r, generators=("a", "b", "b", "a", "b", "b")) for r in records]
    found = {(p.part, p.row.benchmark): p.row for p in breakdown(mixed, "generator", 3, only=("random",))}
    assert isnan(found["a", "one"].value) and found["a", "one"].undefined == 30
    expected = sum(sum(r.correct[at] for at in (1, 2, 4, 5)) / 4 for r in records[:30]) / 30
    assert found["b", "one"].value == pytest.approx(100 * expected)
    with pytest.raises(UserError, match="do not name the model"):
        breakdown([replace(r, generators=()) for r in records], "generator", 2)


def test_subjects_are_never_the_unit_of_the_average() -> None:
    """Six problems of one subject and two of another are eight problems of one benchmark."""
    rows = [_record("math", at, subject="algebra" if at < 6 else "geometry") for at in range(8)]
    found = {row.benchmark: row.value for row in reward_bench(rows, 1, only=("random",))}
    assert found["average"] == found["math"] == pytest.approx(100 * sum(sum(r.correct) / 6 for r in rows) / 8)


def test_who_beats_whom(records: list[Record]) -> None:
    """The oracle beats chance on every benchmark; judges are compared on the problems that both have."""
    duels = {(d.a, d.b, d.benchmark): d for d in between_selectors(records, 4, only=("random", "oracle"))}
    assert duels["random", "oracle", "average"].winner == "oracle" and len(duels) == 3
    perfect = [replace(r, rewards=tuple(map(float, r.correct))) for r in records[5:]]
    found, left_out = between_judges({"rm": records, "perfect": perfect}, "reward model", 4)
    assert left_out == 5 and [d.benchmark for d in found] == ["one", "two", "average"]
    assert found[0].problems == 25 and found[2].winner == "perfect" and found[2].high < 0
    for given, message in (
        ({"rm": records}, "at least two"),
        ({"rm": records, "other": [_record("else", 1)]}, "no problem in common"),
        ({"rm": records, "twice": [*records, records[0]]}, "twice has 1 problems twice"),
        ({"rm": records, "bare": [replace(r, rewards=()) for r in records]}, "bare cannot be measured"),
    ):
        with pytest.raises(UserError, match=message):
            between_judges(given, "reward model", 4)


def test_the_spread_over_blocks(records: list[Record]) -> None:
    """Blocks of k responses in their order are samplings; several models, or unknown ones, have none."""
    one, two, average = block_spread(records, "random", 3)
    by_block = [100 * sum(r.correct[at] for r in records[:30]) / 30 for at in range(6)]
    assert (one.blocks, one.lowest, one.highest) == (6, pytest.approx(min(by_block)), pytest.approx(max(by_block)))
    mean = sum(by_block) / 6
    assert one.deviation == pytest.approx((sum((v - mean) ** 2 for v in by_block) / 5) ** 0.5)
    assert average.mean == pytest.approx((one.mean + two.mean) / 2)
    best = block_spread(records, "reward model", 3)[0]
    top = [100 * sum(r.correct[max(range(3 * g, 3 * g + 3), key=r.rewards.__getitem__)] for r in records[:30]) / 30 for g in (0, 1)]
    assert (best.blocks, best.lowest, best.highest) == (2, pytest.approx(min(top)), pytest.approx(max(top)))
    assert block_spread(records, "majority", 4)[0].blocks == 1 and isnan(block_spread(records, "majority", 4)[0].mean)
    for generators in ((), ("",) * 6, ("a", "b", "b", "a", "b", "b")):
        spread = block_spread([replace(r, generators=generators) for r in records], "random", 1)
        assert [s.blocks for s in spread] == [0, 0, 0] and isnan(spread[0].deviation)


def test_a_judges_quality(records: list[Record]) -> None:
    """AUC within problems and overall, calibration and thresholds on each benchmark; problems of one verdict are counted."""
    one, two = judge_quality(records, thresholds=[0.75])
    assert (one.benchmark, one.problems, one.responses, one.unscored) == ("one", 30, 180, 0)
    assert 0.7 < one.auc < 0.95 and one.auc_within.problems + one.auc_within.undefined == 30
    (threshold,) = one.thresholds
    assert threshold.recall > 0.5 > threshold.false_positive_rate and threshold.precision > one.right
    assert len(judge_quality(records)[1].thresholds) == 10 and two.calibration.responses == 72
    with pytest.raises(UserError, match="have no rewards"):
        judge_quality([replace(records[0], rewards=())])


def test_numbers_that_nothing_is_known_of(records: list[Record]) -> None:
    """No majority without answers, no shortest response without texts, and no winner on one problem; a line says why."""
    silent = [replace(r, classes=(-1,) * 6) for r in records[:30]]
    assert not {name for name in selectors([*silent, *records[30:]]) if "majority" in name}
    assert any("no majority is measured, because one has no right response with one" in line for line in notices(silent))
    wrong = [replace(r, correct=(False,) * 6) for r in silent]
    assert "majority" in selectors(wrong), "it is 0, as the responses are"
    bare = selectors([replace(r, lengths=(0,) * 6) for r in records])
    assert "shortest" not in bare and "longest" not in bare and "majority" in bare
    assert "two has one problem, so its intervals have no width" in notices(records[:31])
    assert not any(duel.winner for duel in between_selectors(records[:1], 6))
