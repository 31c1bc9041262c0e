"""Files through the commands: what would give a wrong number is refused in one line, or told of; nothing is written over."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from acemath.run.measuring.problems import read

Command = Callable[..., Any]
PROBLEMS = [{"id": f"p{n}", "prompt": f"What is the value of {n} plus one, as a number?", "answer": str(n + 1)} for n in range(3)]


def _rows(samples: int = 1, model: str = "m", **more: Any) -> list[dict[str, Any]]:
    return [
        {"problem_id": f"p{n}", "sample": s, "text": f"so \\boxed{{{n + 1}}}", "model": model, "status": "correct", **more}
        for n in range(3)
        for s in range(samples)
    ]


def _write(name: str, rows: Sequence[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def test_no_command_writes_over_what_it_reads(command: Command) -> None:
    """Rows lose the columns that a step does not know, and those that it drops: the file may be the only copy."""
    p, r = _write("p.jsonl", PROBLEMS), _write("r.jsonl", _rows())
    Path("link.jsonl").symlink_to(p)
    before = {name: Path(name).read_bytes() for name in (p, r)}
    for line in (
        f"curate {p} --against {p} --out {p}", f"curate {p} --against {p} --out link.jsonl", f"decontaminate {p} --against {p} --hits {p}",
        f"filter {r} --problems {p} --out {r}", f"filter {r} --problems {p} --dropped {p}", f"grade {r} --problems {p} --out {r}",
        f"filter {r} --problems {p} --out new.jsonl --dropped ./new.jsonl", f"rm groups {r} --problems {p} --out {r}",
        f"score {r} --problems {p} --model nano --out {r}", f"blend {r} --problems {p} --out ./{r}",
    ):  # fmt: skip
        done = command(*line.split())
        assert done.code == 2 and "does not write over what it reads" in done.err, line
        assert {name: Path(name).read_bytes() for name in before} == before and not Path("new.jsonl").exists()


def test_a_folder_may_have_the_name_of_a_recipe(command: Command) -> None:
    """`--out laptop` names a folder, and the recipe's name is no folder: the run can go on."""
    Path("laptop").mkdir()
    done = command("run", "laptop", "--out", "laptop", "--dry-run")
    assert (done.code, done.err) == (0, "")


def test_a_result_goes_where_its_link_points(command: Command) -> None:
    """The link stays, and the file that it names is written."""
    p, r = _write("p.jsonl", PROBLEMS), _write("r.jsonl", _rows())
    Path("far").mkdir()
    Path("far/kept.jsonl").write_text("old")
    Path("kept.jsonl").symlink_to("far/kept.jsonl")
    assert command("filter", r, "--problems", p, "--out", "kept.jsonl").code == 0
    assert Path("kept.jsonl").is_symlink() and Path("far/kept.jsonl").read_text().count("\n") == 3
    assert not list(Path().glob(".*")) and not list(Path("far").glob(".*"))


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("curate P --against P --columns level=nix", "level=nix"),
        ("rm groups R --problems P --columns finish_reason=nix", "finish_reason=nix"),
        ("grade R --problems P --columns label=nix", "label=nix"),
        ("eval P --model nano --columns level=nix", "level=nix"),
        ("rewardbench table R -k 1 --columns reward=nix", "reward=nix"),
        ("rewardbench table R -k 1 --columns extracted=nix", "extracted=nix"),
    ],
)
def test_a_column_that_is_not_there(line: str, column: str, command: Command) -> None:
    """A misspelt --columns would be ignored: other numbers, without a word."""
    names = {"P": _write("p.jsonl", PROBLEMS), "R": _write("r.jsonl", _rows())}
    done = command(*(names.get(word, word) for word in line.split()))
    assert done.code == 2 and f"--columns {column}: no record of" in done.err


def test_rows_that_stand_twice_count_once(command: Command) -> None:
    """A file that was joined with itself would pass a vote, and a response would check itself."""
    p, one = _write("p.jsonl", PROBLEMS), _rows()
    done = command("vote", p, "--responses", _write("r.jsonl", one + one), "--answers", "2", "--out", "o.jsonl", "--json")
    assert json.loads(done.out)["kept"] == 0 and "3 of 6 responses appear twice and are read once" in done.err
    done = command("cross-check", "r.jsonl", "--check", _write("c.jsonl", one + one), "--problems", p, "--answers", "1", "--json")
    assert json.loads(done.out)["kept"] == 0 and "its 3 responses are those to be checked, and confirm nothing" in done.err
    done = command("cross-check", "r.jsonl", "--check", _write("c.jsonl", _rows(2, "other")), "--problems", p, "--json")
    assert json.loads(done.out)["kept"] == 3
    done = command("cross-check", "r.jsonl", "--check", _write("c.jsonl", _rows(2)), "--problems", p, "--json")
    assert json.loads(done.out)["kept"] == 3  # another sampling of the same model that says the same
    done = command("curate", _write("twice.jsonl", PROBLEMS * 2), "--against", p, "--out", "o.jsonl")
    assert "twice.jsonl: 3 of 6 rows appear twice and are read once" in done.err
    done = command("rm", "groups", _write("r.jsonl", [row | {"label": 0} for row in one]), "--problems", p)
    assert done.code == 2 and "line 1: status is 'correct', but label is 0; remove the column that is wrong" in done.err
    other = one[0] | {"text": "so \\boxed{7}"}
    done = command("rm", "groups", _write("r.jsonl", [*one, other]), "--problems", p)
    assert done.code == 2 and "sample 0 of problem 'p0' by 'm' has two texts, verdicts or rewards" in done.err
    done = command("rm", "groups", _write("r.jsonl", [one[0] | {"reward": 1.0}, one[0] | {"reward": 2.0}]), "--problems", p)
    assert done.code == 2 and "sample 0 of problem 'p0' by 'm' has two texts, verdicts or rewards" in done.err


def test_a_response_to_another_question_is_refused(command: Command) -> None:
    """Rows that number their problems from 1 meet the wrong ones in a file that counts from 0."""
    p = _write("p.jsonl", [{key: row[key] for key in ("prompt", "answer")} for row in PROBLEMS])
    asked = [{**row, "problem_id": n + 1, "question": PROBLEMS[n]["prompt"]} for n, row in enumerate(_rows()[:2])]
    for line in (f"grade r.jsonl --problems {p}", f"filter r.jsonl --problems {p}"):
        _write("r.jsonl", asked)
        done = command(*line.split())
        assert done.code == 2 and "line 1: the response answers 'What is the value of 0 plus" in done.err
        # a chat holds the question, and a question may lack the choices of the problem
        _write("r.jsonl", [{**row, "problem_id": n, "question": f"<user> {PROBLEMS[n]['prompt']}\n"} for n, row in enumerate(asked)])
        assert command(*line.split()).code == 0


def test_only_the_checked_responses_are_checked(command: Command) -> None:
    """In a file whose rows have no sample numbers, too: the first of the file is not the first of another."""
    p = _write("p.jsonl", PROBLEMS)
    rows = [{"problem_id": "p0", "text": text} for text in ("so \\boxed{7}", "so \\boxed{1}")]
    r, c = _write("r.jsonl", rows), _write("c.jsonl", rows[1:])
    assert command("blend", r, "--checked", c, "--problems", p, "--pool", "math.checked", "--out", "o.jsonl").code == 0
    (chat,) = map(json.loads, Path("o.jsonl").read_text().splitlines())
    done = command("blend", _write("w.jsonl", [row | {"status": "wrong"} for row in rows]), "--problems", p, "--out", "o.jsonl")
    assert "0 of 2 responses are not complete and 2 are graded wrong; a blend takes them too" in done.err
    assert chat["messages"][-1]["content"] == "so \\boxed{1}"
    done = command("blend", r, "--checked", _write("c.jsonl", [rows[0] | {"text": "other"}]), "--problems", p, "--pool", "math.checked")
    assert done.code == 2 and "no response of c.jsonl is one of r.jsonl" in done.err


def test_problems_that_contradict_each_other_are_told_of(command: Command) -> None:
    """One text with two reference answers; and a talk with two questions has no answer to the first."""
    p = _write("p.jsonl", [*PROBLEMS, PROBLEMS[0] | {"id": "again", "answer": "7"}])
    done = command("curate", p, "--against", _write("b.jsonl", PROBLEMS[2:]), "--out", "o.jsonl")
    assert "1 problems have the text of another one and a different reference answer (p0: '1', again: '7')" in done.err
    done = command("decontaminate", p, "--against", _write("e.jsonl", [*PROBLEMS[2:], {"id": "e", "prompt": "", "answer": "1"}]))
    assert done.code == 0 and "benchmark e.jsonl: 1 of 2 problems have no text" in done.err
    turns = [{"role": role, "content": f"{role} says this and that"} for role in ("user", "assistant", "user")]
    for number, answer in ((1, "7"), (3, "")):
        rows = [{"id": "t", "messages": turns[:number], "answer": "\\boxed{7}"}]
        done = command("curate", _write("p.jsonl", rows), "--against", "b.jsonl", "--out", "o.jsonl")
        assert json.loads(Path("o.jsonl").read_text())["answer"] == answer
        assert ("1 of 1 conversations have several questions; only the first of each is read" in done.err) == (number == 3)


def test_rows_of_responses_are_no_problems(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Eight responses to a problem as a benchmark: it counts eight times, and its interval is too narrow."""
    rows = [{"problem": row["prompt"], "expected_answer": row["answer"]} for row in PROBLEMS for _ in range(2)]
    (found,) = read([_write(str(tmp_path / "again.jsonl"), rows)], None, None)
    assert len(found.problems) == 6 and "again: 3 problems repeat the text and the reference answer of another one" in caplog.text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("score R --problems P --model nano --accept-at nan", "--accept-at is nan"),
        ("process-bench nano --data S --threshold nan", "--threshold 'nan' is neither"),
    ],
)
def test_a_threshold_that_nothing_reaches(line: str, says: str, command: Command) -> None:
    """Nan is a number to Python: nothing would be accepted, and no step wrong."""
    solution = {"id": "gsm8k-0", "problem": "p", "steps": ["a"], "label": 0}
    names = {"P": _write("p.jsonl", PROBLEMS), "R": _write("r.jsonl", _rows()), "S": _write("s.jsonl", [solution])}
    done = command(*(names.get(word, word) for word in line.split()))
    assert done.code == 2 and says in done.err


def test_rows_from_a_pipe_are_read_once(command: Command) -> None:
    """As `acemath grade <(zcat rows.jsonl.gz)` gives them: no check may use them up."""
    p, r = _write("p.jsonl", PROBLEMS), _write("r.jsonl", _rows())
    os.mkfifo("pipe.jsonl")
    for line in ("grade pipe.jsonl --problems P --columns response=text", "filter pipe.jsonl --problems P --out o.jsonl"):
        writer = threading.Thread(target=lambda: Path("pipe.jsonl").write_bytes(Path(r).read_bytes()), daemon=True)
        writer.start()
        done = command(*(p if word == "P" else word for word in line.split()), "--json")
        writer.join(10)
        assert done.code == 0 and json.loads(done.out)["n"] == 3
