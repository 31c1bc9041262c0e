"""`acemath score` with each kind of judge, from responses to rows with scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from acemath.files.rows import read_rows
from acemath.records import Response

sys.path.insert(0, str(Path(__file__).parent))
from shapes import QUESTION, TEXTS, layered  # noqa: E402


def rows_in(folder: Path) -> list[str]:
    """A file of responses and the option with their problem."""
    problems, responses = folder / "problems.jsonl", folder / "responses.jsonl"
    problems.write_text(json.dumps({"id": "a", "prompt": QUESTION, "answer": "7"}) + "\n")
    rows = [{"problem_id": "a", "sample": i, "text": text, "model": "m"} for i, text in enumerate(TEXTS)]
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(responses), "--problems", str(problems)]


def test_a_process_reward_model_from_a_file(
    command: Callable[..., Any], tiny_policy: Path, tmp_path: Path
) -> None:
    """The options of the command are laid over the file."""
    model = layered(tiny_policy, tmp_path / "prm", 2)
    (tmp_path / "judge.yaml").write_text(
        f"kind: process\nmodel: {model}\naggregation: product\ndtype: float32\n"
    )
    done = command("score", *rows_in(tmp_path), "--model", "judge.yaml", "--max-length", "300", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    scores = [row.reward for row in read_rows(tmp_path / "scored.jsonl", Response)]
    assert (
        found["n"] == 3 and found["unscored"] == 0 and found["low"] == min(s for s in scores if s is not None)
    )
    assert found["judge"]["aggregation"] == "product" and found["judge"]["max_length"] == 300


def test_no_score_is_written_and_read_as_nan(
    command: Callable[..., Any], script: Any, tmp_path: Path
) -> None:
    """A generative judge that gives one response no score."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        text = "?" if "So it is 8" in request["messages"][-1]["content"] else "Score: 6"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"model": "j", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}

    (tmp_path / "judge.yaml").write_text(
        f"kind: generative\nendpoint: {{id: j, url: '{script(reply).url}'}}\n"
    )
    done = command("score", *rows_in(tmp_path), "--judge", "judge.yaml", "--out", "scored.jsonl", "--json")
    assert done.code == 0 and "1 of 3 judgements have no score (1 unreadable)" in done.err
    assert json.loads(done.out)["unscored"] == 1 and json.loads(done.out)["mean"] == 6
    rewards = [row.reward for row in read_rows(tmp_path / "scored.jsonl", Response)]
    assert [r is not None and not isnan(r) for r in rewards] == [True, False, True]
    assert (tmp_path / "score.journal" / "responses.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "none.yaml"], "'none.yaml' cannot be read"),
        (["--model", "judge.yaml", "--engine", "vllm"], "'engine' is no key of a judge of kind generative"),
        (["--model", "judge.yaml", "--system", "x"], "'chat' is no key of a judge of kind generative"),
    ],
)
def test_options_that_do_not_fit(
    options: list[str], said: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    """One line, and nothing is written."""
    (tmp_path / "judge.yaml").write_text(
        "kind: generative\nendpoint: {id: j, url: 'http://127.0.0.1:9/v1'}\n"
    )
    done = command("score", *rows_in(tmp_path), *options)
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "scored.jsonl").exists()


def test_a_verifiers_verdicts_are_written_and_chosen_among(
    command: Callable[..., Any], script: Any, tmp_path: Path, random_reward_model: Path
) -> None:
    """A reward model's rewards, then a verifier's verdicts beside them, then the table; no score is no acceptance."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        said = request["messages"][-1]["content"]
        text = "?" if "maybe" in said else "Score: 9" if "box 7" in said else "Score: 2"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"model": "j", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}

    (tmp_path / "verifier.yaml").write_text(f"kind: generative\nendpoint: {{id: j, url: '{script(reply).url}'}}\n")
    (tmp_path / "problems.jsonl").write_text(json.dumps({"id": "a", "prompt": QUESTION, "answer": "7"}) + "\n")
    texts = {"box 7": True, "so 8": False, "maybe 9": False, "then 10": False}
    rows = [
        {"problem_id": "a", "sample": i, "text": t, "model": "m", "status": "correct" if right else "wrong"}
        for i, (t, right) in enumerate(texts.items())
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--problems", "problems.jsonl"]
    assert command("score", "samples.jsonl", *asked, "--model", random_reward_model, "--out", "scored.jsonl").code == 0
    options = ["--judge", "verifier.yaml", "--accept-at", "5", "--out", "verified.jsonl", "--json"]
    found = json.loads(command("score", "scored.jsonl", *asked, *options).out)
    assert (found["accepted"], found["unscored"]) == (1, 1)
    before, after = (read_rows(tmp_path / f"{name}.jsonl", Response) for name in ("scored", "verified"))
    assert [r.reward for r in before] == [r.reward for r in after] and None not in [r.reward for r in after]
    table = json.loads(command("rewardbench", "table", "verified.jsonl", "-k", "4", "--json").out)
    values = {row["selector"]: row["value"] for row in table["rows"]}
    assert values["verifier"] == values["reward model in accepted"] == 100 and values["random"] == 25
    assert command("score", "samples.jsonl", *asked, "--judge", "verifier.yaml", "--out", "half.jsonl").code == 0
    done = command("rewardbench", "table", "half.jsonl", "-k", "4", "--json")
    assert done.code == 0 and "1 of 4 responses have no score" in done.err, done.err
