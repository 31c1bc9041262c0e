"""`acemath reward-bench-2` and `acemath process-bench` from end to end: real models with random weights, a local server."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from acemath.models.score.settings import ProcessModelSettings
from acemath.run import score_cache
from acemath.run.score_cache import CachedSteps

sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "score"))
from shapes import layered  # noqa: E402

Command = Callable[..., Any]


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def best_of_four(folder: Path) -> str:
    """Prompts of all six subsets in the form of RewardBench 2."""
    subsets = ("Factuality", "Precise IF", "Math", "Safety", "Focus")
    records = [
        {"id": f"{s}-{n}", "prompt": f"{n} + 1?", "subset": s, "chosen": [f"{n + 1}"], "rejected": ["0", "x", f"{n}"], "num_correct": 1}
        for s in subsets
        for n in range(1, 3)
    ]
    for n in range(2):
        for kind, right in (("ref", ["7"]), ("tied", ["7", "seven", "It is 7."])):
            records.append({"id": f"{kind}:{n}", "prompt": f"{n} + 7?", "subset": "Ties", "chosen": right, "rejected": ["9", "no"]})
    return write(folder / "rb2.jsonl", records)


def first_errors(folder: Path) -> list[str]:
    """A file for each subset in the form of ProcessBench."""
    return [
        write(
            folder / f"{subset}.jsonl",
            [
                {"id": f"{subset}-{n}", "problem": f"{n} + {n}?", "steps": ["Add.\n\nTwice.", f"It is {2 * n}."], "label": label}
                for n, label in enumerate((0, 1, -1))
            ],
        )
        for subset in ("gsm8k", "math", "olympiadbench", "omnimath")
    ]


def test_a_reward_model_on_reward_bench_2(command: Command, tmp_path: Path, random_reward_model: Path) -> None:
    """Its scores are written, and give the same table again without the model."""
    data = best_of_four(tmp_path)
    done = command("reward-bench-2", random_reward_model, "--data", data, "--out", "scores.jsonl", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    mine = {r["benchmark"]: r for r in found["rows"] if r["selector"] == found["judge"]}
    assert set(mine) == {"Factuality", "Precise IF", "Math", "Safety", "Focus", "Ties", "average"}
    assert {r["selector"] for r in found["rows"]} == {found["judge"], "random", "shortest", "longest"}
    assert "not the whole benchmark" in done.err and found["prompts"] == 14 and found["asked"] == 18, "equal texts are judged once"
    cached = json.loads(command("reward-bench-2", random_reward_model, "--data", data, "--json").out)
    assert cached["asked"] == 0 and cached["rows"] == found["rows"], "every score was kept"
    again = json.loads(command("reward-bench-2", "--data", "scores.jsonl", "--json").out)
    assert again["judge"] == "scores"
    assert {r["benchmark"]: r["value"] for r in again["rows"] if r["selector"] == "scores"} == {b: r["value"] for b, r in mine.items()}
    table = command("reward-bench-2", "--data", "scores.jsonl")
    assert "scores: ties score" in table.out and "random: best of 4" in table.out


def test_a_process_reward_model_on_process_bench(command: Command, tmp_path: Path, tiny_policy: Path) -> None:
    """Each step has a score; the threshold is a number or chosen on gsm8k; predictions give the table again."""
    model = layered(tiny_policy, tmp_path / "prm", 2)
    files = [word for path in first_errors(tmp_path) for word in ("--data", path)]
    done = command("process-bench", model, *files, "--out", "found.jsonl", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["threshold"] == 0.5 and found["solutions"] == 12
    f1 = {r["benchmark"]: r["value"] for r in found["rows"] if (r["measure"], r["selector"]) == ("F1", found["judge"])}
    assert set(f1) == {"gsm8k", "math", "olympiadbench", "omnimath", "average"}
    written = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert all(len(row["scores"]) == 2 and all(0 <= s <= 1 for s in row["scores"]) for row in written)
    again = json.loads(command("process-bench", "--data", "found.jsonl", "--json").out)
    assert [r["value"] for r in again["rows"]] == [r["value"] for r in found["rows"]]
    tuned = json.loads(command("process-bench", model, *files, "--threshold", "gsm8k", "--json").out)
    best = next(r["value"] for r in tuned["rows"] if (r["measure"], r["benchmark"]) == ("F1", "gsm8k"))
    assert 0 < tuned["threshold"] < 1 and best >= f1["gsm8k"]
    assert (found["asked"], tuned["asked"]) == (3, 0), "equal texts are judged once, and every step's score was kept"
    few = json.loads(command("process-bench", model, *files, "--limit", "2", "--json").out)
    assert few["solutions"] == 8


def test_steps_are_kept_as_they_are_scored(
    tmp_path: Path, tiny_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop the model is asked for the rest alone, and the scores are those of a call without a stop."""
    model = ProcessModelSettings(kind="process", model=str(layered(tiny_policy, tmp_path / "prm", 2)))
    items = [(f"{n} + {n}?", [f"Add.\n\nIt is {2 * n}."]) for n in range(6)]
    expected = CachedSteps(model, tmp_path / "whole").step_scores(items, lambda *_: None)
    monkeypatch.setattr(score_cache, "STEPS_AT_ONCE", 2)

    def stop(done: int, total: int, note: str) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CachedSteps(model, tmp_path / "cache").step_scores(items, stop)
    rest = CachedSteps(model, tmp_path / "cache")
    found = rest.step_scores(items, lambda *_: None)
    assert rest.asked == 4 and [len(steps) for (steps,) in found] == [2] * 6
    assert [s for (steps,) in found for s in steps] == pytest.approx([s for (steps,) in expected for s in steps], abs=1e-3)


@pytest.fixture
def critic(serve: Callable[[Mapping[str, Callable[[str], str | None]]], str]) -> Iterator[str]:
    """A server whose model finds the paragraph that says so; it knows nothing of the second problem."""

    def reply(question: str) -> str:
        numbers = re.findall(r"<paragraph_(\d+)>\n(?:It is (\d+))?", question)
        problem = int(re.search(r"<problem>\n(\d+)", question)[1])  # type: ignore[index]
        assert len(numbers) == 2
        return "I cannot say." if problem == 1 else rf"Paragraph 0 first: \boxed{{{ {0: 0, 2: -1}[problem] }}}"

    yield serve({"critic": reply})


def test_a_critic_on_process_bench(command: Command, tmp_path: Path, critic: str) -> None:
    """It finds one of two errors and passes the right solution: F1 is 2/3; what names no index is counted."""
    path = first_errors(tmp_path)[1]
    done = command("process-bench", "--critic", "critic", "--engine", "endpoint", "--url", critic, "-n", "3", "--data", path, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    f1 = next(r for r in found["rows"] if r["measure"] == "F1" and r["selector"] != "random")
    assert f1["value"] == pytest.approx(100 * 2 / 3) and (found["votes"], found["cut"]) == (3, 0)
    assert "1 of 3 solutions got no index" in done.err


def test_mistakes_are_one_line(command: Command, tmp_path: Path, random_reward_model: Path) -> None:
    """No judge and nothing stored; a judge without steps; two judges; a threshold that is none; a file twice."""
    data, solutions = best_of_four(tmp_path), first_errors(tmp_path)[0]
    for words, says in (
        (("reward-bench-2", "--data", data), "name a judge"),
        (("reward-bench-2", "--data", data, "--revision", "main"), "leave one out"),
        (("reward-bench-2", "--data", solutions), "a prompt of RewardBench 2 has id, subset"),
        (("process-bench", "--data", solutions), "name a process reward model"),
        (("process-bench", random_reward_model, "--data", solutions), "gives no score for a step"),
        (("process-bench", "a", "--critic", "b", "--data", solutions), "name one"),
        (("process-bench", "a", "--threshold", "x", "--data", solutions), "neither a number nor gsm8k"),
        (("process-bench", "--data", solutions, "--data", solutions), "appear twice"),
    ):
        done = command(*words)
        assert done.code == 2 and says in done.err and "Traceback" not in done.err, (words, done.err)
