"""Records from stored files: what a row may look like, and what is refused rather than measured wrongly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import MEASURES, curves, measure, reward_bench
from acemath.cli.rewardbench import rewardbench
from acemath.errors import UserError
from acemath.grade.stored import grade_file
from acemath.metrics.protocols import protocol_of


def _file(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _row(problem: object, sample: int, right: bool = True, **more: Any) -> dict[str, Any]:
    answer = "5" if right else f"{6 + sample}"
    status = "correct" if right else "wrong"
    return {
        "problem_id": problem,
        "sample": sample,
        "text": f"so {answer}",
        "extracted": answer,
        "status": status,
    } | more


def _values(result: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(row["benchmark"], row["measure"]): row["value"] for row in result["rows"]}


def test_by_hand(tmp_path: Path) -> None:
    """Two problems with three responses each, worked out with pencil: every measure at k = 2."""
    rewards = {"a": [3.0, 1.0, 2.0], "b": [0.5, 0.5, 0.1]}
    rows = [_row("a", n, n == 0, reward=r) for n, r in enumerate(rewards["a"])]
    rows += [_row("b", n, n != 0, reward=r) for n, r in enumerate(rewards["b"])]
    found = _values(rewardbench([_file(tmp_path / "two.jsonl", rows)], 2))
    # a: right, wrong, wrong with different answers; b: wrong, right, right with one answer
    assert found["two", "pass@1"] == pytest.approx(100 * (1 / 3 + 2 / 3) / 2)
    assert found["two", "pass@2"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert found["two", "maj@2"] == pytest.approx(100 * (1 / 3 + 2 / 3) / 2)
    # a: the right one has the highest reward, it is in 2 of 3 pairs; b: pairs 01 tie, 02 wrong, 12 right
    assert found["two", "rm@2"] == pytest.approx(100 * (2 / 3 + (0.5 + 0 + 1) / 3) / 2)
    as_lists = [row | {"reward": [row["reward"]]} for row in rows]
    assert _values(rewardbench([_file(tmp_path / "two.jsonl", as_lists)], 2)) == found


def test_what_a_row_may_say(tmp_path: Path) -> None:
    """Verdicts as words and numbers, an answer 0, and no answer: each as it is meant."""
    rows = [
        {"qid": 1, "label": "wrong", "pred": 0, "text": "0"},
        {"qid": 1, "label": "Correct", "pred": 7, "text": "7"},
        {"qid": 1, "label": 0.0, "extracted": 0, "text": "so 0"},
        {"qid": 1, "label": None, "status": "correct", "extracted": "7", "text": "so 7"},
        {"qid": 1, "label": 0, "extracted": None, "text": "cut off", "finish_reason": "length"},
        {"qid": 1.0, "label": 0, "extracted": "", "text": ""},
        {"qid": "1", "label": True, "extracted": "7", "text": "so 7", "finish_reason": "max_tokens"},
        {"qid": "1", "label": True, "extracted": "7", "text": "so 7", "finish_reason": "EOS", "reward": None},
    ]
    (record,), _ = stored_records([_file(tmp_path / "x.jsonl", rows)])
    assert record.correct == (False, True, False, True, False, False, False, True)
    assert record.classes == (0, 1, 0, 1, -1, -1, -1, 1)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"label": "maybe"}, "record 3: label 'maybe' is no verdict"),
        ({"label": 2}, "record 3: label 2 is no verdict"),
        ({"reward": "high"}, "record 3: reward is 'high'"),
        ({"reward": float("inf")}, "record 3: reward is inf"),
        ({"meta": {"accepted": "perhaps"}}, "record 3, accepted: label 'perhaps' is no verdict"),
        ({"status": None}, "record 3: neither a record of"),
        ({"status": "error"}, "record 3: status 'error' is no verdict"),
        ({"status": "Passed"}, "record 3: status 'Passed' is no verdict"),
        ({"meta": "{"}, "record 3: meta is '{'"),
        ({"meta": [1]}, "record 3: meta is '[1]'"),
        ({"reward": [0.5, 0.1]}, "record 3: reward is [0.5, 0.1]"),
        ({"problem_id": None}, "record 3: neither a record of"),
        ({"sample": 1}, "record 3: sample 1 of problem 'a' is in record 2 already"),
        ({"reward": None}, "problem 'a': 1 of 3 responses have no reward"),
        ({"problem_id": "b", "reward": None}, "problem 'b' of x have no rewards"),
    ],
)
def test_rows_that_are_refused(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    """One line with the record, the value and the rule; never a verdict that was made up."""
    rows = [_row("a", n, reward=1.0) for n in range(2)] + [_row("a", 2, reward=1.0) | row]
    with pytest.raises(UserError) as caught:
        rewardbench([_file(tmp_path / "x.jsonl", rows)], 1)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_two_problems_under_one_id_are_never_one(tmp_path: Path) -> None:
    """Two prompts under one id are told apart by their source, or refused; a source alone may be who wrote the response."""
    rows = [{"problem_id": 0, "source": s, "response": a, "answer": "4", "prompt": s} for s in "ab" for a in ("4", "5")]
    out = tmp_path / "verdicts.jsonl"
    assert grade_file(_file(tmp_path / "x.jsonl", rows), "strict", None, out)["correct"] == 2
    assert {r.problem_id for r in stored_records([out])[0]} == {"0", "b:0"}
    labelled = [row | {"label": row["response"] == "4"} for row in rows]
    assert {r.problem_id for r in stored_records([_file(tmp_path / "y.jsonl", labelled)])[0]} == {"0", "b:0"}
    writers = [_row(0, at, source=writer) for at, writer in enumerate("ab")]
    assert len(stored_records([_file(tmp_path / "w.jsonl", writers)])[0]) == 1
    for told in ({"prompt": "b"}, {"meta": {"prompt_key": "bb"}}):
        two = [_row(0, 0, prompt="a", meta={"prompt_key": "aa"}), _row(0, 1, **told)]
        with pytest.raises(UserError, match="record 2: problem '0' has another prompt than in .*record 1"):
            stored_records([_file(tmp_path / "z.jsonl", two)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pred_score": [[1.0]]}, "2 answers, 2 verdicts, 1 rewards"),
        ({"score": [True]}, "2 answers, 1 verdicts"),
        ({"score": [True, "perhaps"]}, "label 'perhaps'"),
        ({"code": [{"text": "a"}, {"text": "b"}]}, "a response is {'text': 'a'}, not a text"),
    ],
)
def test_harness_records_that_are_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    """A record of the Qwen2.5-Math harness with a list too short measured fewer responses than it holds."""
    record = {
        "idx": 0,
        "pred": ["4", "5"],
        "score": [True, False],
        "code": ["so 4", "so 5"],
        "pred_score": [[1], [2]],
    }
    path = _file(tmp_path / "x.jsonl", [record])
    assert len(stored_records([path])[0][0].rewards) == 2
    with pytest.raises(UserError, match=f"record 1: .*{says}"):
        stored_records([_file(path, [record | change])])
    with pytest.raises(UserError, match="record 2: problem '0' appears twice"):
        stored_records([_file(path, [record, record])])


def test_files_of_one_name_are_two_benchmarks(tmp_path: Path) -> None:
    """Named by their folders where their own names do not tell them apart; the same file twice is an error."""
    one = _file(tmp_path / "gsm" / "scored.jsonl", [_row(0, n) for n in range(2)])
    two = _file(tmp_path / "math" / "scored.jsonl", [_row(0, n, False) for n in range(2)])
    found = _values(rewardbench([one, two], 2))
    assert found["gsm/scored", "pass@1"] == 100 and found["math/scored", "pass@1"] == 0
    assert found["average", "pass@1"] == 50
    with pytest.raises(UserError, match="is given twice"):
        rewardbench([one, one.parent / ".." / "gsm" / "scored.jsonl"], 2)
    three = _file(tmp_path / "gsm" / "scored.json", [_row(0, n) for n in range(2)])
    assert len({r.benchmark for r in stored_records([one, three])[0]}) == 2


def test_rows_that_name_their_benchmark(tmp_path: Path) -> None:
    """One file with two benchmarks; two files with responses to the same ones are taken together, on shared problems."""
    rows = [
        _row(p, n, p != "c", meta={"benchmark": "easy" if p < "c" else "hard"})
        for p in "abc"
        for n in range(2)
    ]
    first = _file(tmp_path / "first.jsonl", rows)
    found = _values(rewardbench([first], 2))
    assert (found["easy", "pass@1"], found["hard", "pass@1"], found["average", "pass@1"]) == (100, 0, 50)
    second = _file(
        tmp_path / "second.jsonl", [r | {"status": "wrong", "text": "no"} for r in rows if r["problem_id"] != "b"]
    )
    both = rewardbench([first, second], 4)
    assert _values(both)["easy", "pass@1"] == 50 and "1 problems that not every file" in both["notes"][0]


def test_too_few_responses_are_an_error_or_counted(tmp_path: Path) -> None:
    """k above every problem's n is refused; a problem with fewer is left out and counted in each row."""
    rows = [_row("a", n) for n in range(4)] + [_row("b", n, False) for n in range(2)]
    path = _file(tmp_path / "x.jsonl", rows)
    with pytest.raises(
        UserError, match="k is 5, but no problem of x has more than 4 responses; choose k up to 4"
    ):
        rewardbench([path], 5)
    found = rewardbench([path], 3)
    assert {(row["problems"], row["undefined"]) for row in found["rows"]} == {(1, 1)}
    with pytest.raises(UserError, match="k is 8"):
        curves(stored_records([path])[0], [1, 8])
    with pytest.raises(UserError, match="there is no problem"):
        reward_bench([], 1)


def test_uncertain_rows_are_left_out_and_told(tmp_path: Path) -> None:
    """Rows that are marked uncertain are measured nowhere, and counted."""
    rows = [_row("a", 0), _row("a", 1, False, uncertain=True)]
    found = rewardbench([_file(tmp_path / "x.jsonl", rows)], 1)
    assert _values(found)["x", "pass@1"] == 100 and "1 rows that are marked uncertain" in found["notes"][0]


def test_names_of_measures() -> None:
    """Each selector's number has a name of its own."""
    assert [measure(s, 8) for s in ("random", "majority", "reward model", "oracle")] == [
        "pass@1", "maj@8", "rm@8", "pass@8",
    ]  # fmt: skip
    assert len({measure(s, 1) for s in MEASURES}) >= len(MEASURES) - 1  # at k = 1 the oracle is a random pick


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([_row("a", 0)], ("-k", "2"), "k is 2, but no problem of x has more than 1"),
        ([], (), "holds no response to measure"),
        ([_row("a", 0, uncertain=True)], (), "holds no response to measure"),
    ],
)
def test_on_the_command_line(
    rows: list[dict[str, Any]], options: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    """One line on standard error, exit code 2, nothing on standard output."""
    path = _file(tmp_path / "x.jsonl", rows)
    done = subprocess.run(
        [sys.executable, "-m", "acemath", "rewardbench", str(path), *options, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_verdicts_of_other_tools_files_keep_problems_and_rewards(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    """A file of verdicts lost the harness's rewards, and made every response to one prompt a problem of its own."""
    texts, rewards = ["so \\boxed{9}", "so \\boxed{8}"], [[0.5], [2.0]]
    harness = {
        "idx": 3,
        "gt": "8",
        "pred": ["9", "8"],
        "score": [False, True],
        "code": texts,
        "pred_score": rewards,
    }
    by_prompt = [{"problem": "4 + 4 = ?", "gold": "8", "response": text, "model": "m"} for text in texts]
    by_number = [{"math_test_idx": 7, "gold": "8", "response": text, "model": "m"} for text in texts]
    for rows, measures in (([harness], {"rm@2", "maj@2"}), (by_prompt, {"maj@2"}), (by_number, {"maj@2"})):
        given, told = _file(tmp_path / "given.jsonl", rows), tmp_path / "verdicts.jsonl"
        assert command("grade", given, "--out", told).code == 0
        values = _values(rewardbench([told], 2))
        names = {name for _, name in values}
        assert measures <= names and ("rm@2" in names) == ("rm@2" in measures)
        assert values["verdicts", "pass@1"] == 50 and values.get(("verdicts", "rm@2"), 100) == 100
    assert json.loads(told.read_text().splitlines()[0])["problem_id"] == "7"


def test_a_response_without_a_name_is_no_problem_of_a_file(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    """Its row number was taken for an id of the problems: labels of other problems got into groups."""
    rows = [{"response": f"so {n}", "reference": "1"} for n in range(8)]
    problems = _file(
        tmp_path / "p.jsonl", [{"id": n, "prompt": f"{n} + 0 = ?", "answer": str(n)} for n in range(8)]
    )
    command("grade", _file(tmp_path / "r.jsonl", rows), "--out", "v.jsonl")
    done = command("rm", "groups", "v.jsonl", "--problems", problems)
    assert done.code == 2 and "'row 0', which is not in" in done.err


def test_columns_of_other_names(tmp_path: Path) -> None:
    """A problem, a label and a reward under names of one's own, a nested one among them."""
    rows = [{"nr": 1, "ok": n == 0, "judge": {"score": -n}, "says": str(n)} for n in range(2)]
    named = {"problem_id": "nr", "label": "ok", "reward": "judge.score", "text": "says"}
    (record,), _ = stored_records([_file(tmp_path / "x.jsonl", rows)], named)
    assert (record.correct, record.rewards) == ((True, False), (0.0, -1.0))


def test_protocols_parts_and_details_on_the_command_line(tmp_path: Path, command: Callable[..., Any]) -> None:
    """The harness's protocol by its name, parts by level and by model, what stands behind the table, and undefined values."""
    rows = [
        _row(at, n, n % 3 == at % 3, reward=float(n), model="ab"[n % 2], level=f"Level {1 + at % 2}", finish_reason="stop")
        for at in range(8)
        for n in range(4)
    ]
    path = _file(tmp_path / "x.jsonl", rows)
    first = json.loads(command("rewardbench", "table", path, "-k", 2, "--protocol", "first-k", "--json").out)
    assert {row["protocol"] for row in first["rows"]} == {"first-k"}
    assert _values(first)["x", "rm@2"] == pytest.approx(100 * 3 / 8)  # problems 1, 4 and 7 have a right second response
    done = command("rewardbench", "table", path, "-k", 2, "--by", "level", "--details", "--json")
    found = json.loads(done.out)
    assert {(row["part"], row["problems"]) for row in found["parts"]} == {("1", 4), ("2", 4)}
    more = found["details"][""]
    assert {row["blocks"] for row in more["blocks"]} == {0} and more["blocks"][0]["deviation"] is None, "two models wrote them"
    assert any(row["winner"] == "oracle" for row in more["beats"]) and 0 <= more["quality"][0]["auc"] <= 1
    words = command("rewardbench", "table", path, "-k", 3, "--by", "generator", "--details")
    assert words.code == 0 and "undefined" in words.out and "AUC" in words.out and " nan " not in words.out
    for options, message in ((("--protocol", "best"), "no protocol 'best'"), (("--by", "colour"), "no breakdown by 'colour'")):
        refused = command("rewardbench", "table", path, "-k", 2, *options)
        assert refused.code == 2 and message in refused.err


@pytest.mark.parametrize(
    "same",
    [
        {"finish_reason": float("nan")},
        {"finish_reason": "None"},
        {"uncertain": "False"},
        {"uncertain": float("nan")},
        {"label": " True"},
        {"label": "1.0"},
    ],
)
def test_empty_cells_and_texts_of_tables(same: dict[str, Any], tmp_path: Path) -> None:
    """What a table writes for an empty cell, for False and for True changes no number."""
    rows = [_row(problem, n, **same) for problem in "ab" for n in range(2)]
    found = rewardbench([_file(tmp_path / "x.jsonl", rows)], 2)
    assert _values(found)["x", "pass@1"] == 100 and not found["notes"]


def test_rows_that_say_two_things_are_told_of(tmp_path: Path) -> None:
    """Responses that stopped for an unknown reason, labels against statuses, references that differ; and no answer is none."""
    rows = [_row("a", 0, label=True, reference="5"), _row("a", 1, label=False, reference="6", finish_reason="finished")]
    rows.append(_row("a", 2, label=False, reference="5"))
    found = rewardbench([_file(tmp_path / "x.jsonl", rows)], 2)
    assert found["notes"] == [
        "1 rows have a label that differs from their status; the label counts",
        "1 problems have rows with different references (problem 'a': '5' and '6'); each row's own verdict counts",
        "1 responses have the finish reason 'finished', which is not complete; they count as wrong",
        "x has one problem, so its intervals have no width",
    ]
    (record,), _ = stored_records([_file(tmp_path / "y.jsonl", [_row("a", 0, extracted=float("nan"))])])
    assert record.classes == (-1,)


def test_the_first_k_are_the_first_samples(tmp_path: Path) -> None:
    """In whatever order the rows were written; rows without numbers stay as they stand."""
    rows = [_row("a", n, n < 2, reward=-n) for n in range(4)]
    first = protocol_of("first-k")
    for name, order in (("up", rows), ("down", rows[::-1])):
        found = rewardbench([_file(tmp_path / f"{name}.jsonl", order)], 2, protocol=first)
        assert _values(found)[name, "rm@2"] == 100 and _values(found)[name, "pass@2"] == 100
    plain = [{key: value for key, value in row.items() if key != "sample"} for row in rows[::-1]]
    assert _values(rewardbench([_file(tmp_path / "p.jsonl", plain)], 2, protocol=first))["p", "pass@2"] == 0


def test_files_that_answer_one_benchmark(tmp_path: Path) -> None:
    """A copy of a file and another prompt under an id are refused; another sampling of the same policy is pooled."""
    meta = {"benchmark": "b", "prompt_key": "k"}
    rows = [_row(problem, n, model="m", meta=meta) for problem in "ab" for n in range(2)]
    one = _file(tmp_path / "one.jsonl", rows)
    with pytest.raises(UserError, match="two.jsonl repeats 4 responses of .*one.jsonl"):
        stored_records([one, _file(tmp_path / "two.jsonl", [row | {"reward": 1} for row in rows])])
    unnamed = [{key: value for key, value in row.items() if key != "model"} for row in rows]
    with pytest.raises(UserError, match="four.jsonl repeats 4 responses of .*three.jsonl"):
        stored_records([_file(tmp_path / "three.jsonl", unnamed), _file(tmp_path / "four.jsonl", unnamed)])
    other = [_row(problem, n, n > 0, model="m", meta=meta) for problem in "ab" for n in range(2)]
    records, _ = stored_records([one, _file(tmp_path / "two.jsonl", other)])
    assert [len(record.correct) for record in records] == [4, 4]
    for changed in ({"meta": meta | {"prompt_key": "l"}}, {"model": "n", "meta": meta | {"prompt_key": "l"}}):
        with pytest.raises(UserError, match="problem 'a' has another prompt than in .*one.jsonl, record 1"):
            stored_records([one, _file(tmp_path / "two.jsonl", [row | changed for row in rows])])


def test_more_that_is_refused(tmp_path: Path) -> None:
    """A misspelt --columns, ids that are empty, one sample in two spellings, a record and a row of one problem, a loop of links."""
    rows = [_row("a", n, reward=1.0) for n in range(2)]
    with pytest.raises(UserError, match=r"--columns reward=rewrad: no record of .* has the column 'rewrad'; the columns are .*reward"):
        stored_records([_file(tmp_path / "x.jsonl", rows)], {"reward": "rewrad"})
    for empty in (float("nan"), "", " "):
        with pytest.raises(UserError, match="record 1: neither a record of"):
            stored_records([_file(tmp_path / "x.jsonl", [_row(empty, 0)])])
    for sample in ("0", 0.0):
        with pytest.raises(UserError, match="record 2: sample .* is in record 1 already"):
            stored_records([_file(tmp_path / "x.jsonl", [_row("a", 0), _row("a", 0) | {"sample": sample}])])
    with pytest.raises(UserError, match="record 1: reward is 1000"):
        stored_records([_file(tmp_path / "x.jsonl", [_row("a", 0, reward=10**400)])])
    whole = {"idx": 0, "pred": ["4"], "score": [True], "code": ["so 4"]}
    with pytest.raises(UserError, match="record 2: problem '0' is in another record with all its responses"):
        stored_records([_file(tmp_path / "x.jsonl", [whole, _row(0, 0)])])
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    with pytest.raises(UserError, match=r"loop\.jsonl"):
        stored_records([tmp_path / "loop.jsonl"])


def test_a_response_of_the_harness_that_was_cut(tmp_path: Path) -> None:
    """It has no answer and counts as wrong, as in a row of its own; Anthropic's servers say so under `stop_reason`."""
    record = {"idx": 0, "question": "?", "gt": "5", "code": ["so 5"] * 2, "pred": ["5"] * 2, "score": [True] * 2}
    path = tmp_path / "h.jsonl"
    for reasons, right in ((["stop", "length"], (True, False)), ("length", (False, False)), (None, (True, True))):
        (found,), _ = stored_records([_file(path, [record | {"finish_reason": reasons}])])
        assert found.correct == right and [label >= 0 for label in found.classes] == list(right)
    with pytest.raises(UserError, match="2 responses, 1 finish reasons"):
        stored_records([_file(path, [record | {"finish_reason": ["stop"]}])])
    for row, right in (({"stop_reason": "max_tokens"}, False), ({"stop_reason": "Question:"}, True), ({"done_reason": "length", "finish_reason": "stop"}, True)):
        (found,), _ = stored_records([_file(path, [_row("a", 0, **row)])])
        assert found.correct == (right,), row
