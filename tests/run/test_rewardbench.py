"""Scoring a release: in partitions, once for each text, after any stop; and the tables of the judges."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acemath.benchmarks.stored import stored_records
from acemath.benchmarks.tables import JUDGED, reward_bench
from acemath.cli.rewardbench import rewardbench, scored
from acemath.errors import UserError
from acemath.models.score.judging import NoScore
from acemath.models.score.settings import RewardModelSettings
from acemath.records import content_key
from acemath.run import rewardbench as stages
from acemath.run import score_cache
from acemath.run.bench_tables import judged
from acemath.run.rewardbench import Candidate, judges_named, short_name
from acemath.run.score_cache import CachedJudge, ScoreCache

N = 8


class Stopped(Exception):
    """The judge was stopped."""


class Judge:
    """Scores a text by its hash, or by `same`; counts what it is asked, and stops after `most` responses."""

    name = "fake"

    def __init__(self, same: float | None = None) -> None:
        self.same = same
        self.asked: list[tuple[str, str]] = []
        self.most = 10**9

    def score(self, prompt: str, text: str) -> float:
        return self.same if self.same is not None else int(content_key(prompt, text), 16) / 2**64

    def score_many(self, items: Sequence[tuple[str, Sequence[str]]], progress: Any) -> list[list[float]]:
        found = []
        for prompt, texts in items:
            if len(self.asked) >= self.most:
                raise Stopped
            self.asked += [(prompt, text) for text in texts]
            found.append([self.score(prompt, text) for text in texts])
        return found


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """The judge that every call opens, asked in chunks of two problems."""
    found = Judge()
    monkeypatch.setattr(score_cache, "open_judge", lambda settings, journal=None: found)
    for module in (score_cache, stages):
        monkeypatch.setattr(module, "judge_identity", lambda settings: {"model": settings.model})
    monkeypatch.setattr(score_cache, "AT_ONCE", 2 * N)
    return found


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows in the columns of the release; candidate `at` of problem p answers (p + at) % 3, and 0 is right."""
    return [
        {
            "idx": p,
            "question": f"What is {p} - {p}?",
            "gt_cot": "",
            "gt": "0",
            "code": [f"so {(p + at) % 3}, said {at} times" for at in range(N)],
            "pred": [str((p + at) % 3) for at in range(N)],
            "report": [None] * N,
            "score": [(p + at) % 3 == 0 for at in range(N)],
        }
        for p in range(start, start + count)
    ]


def release(folder: Path, **sets: Sequence[dict[str, Any]]) -> Path:
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    DatasetDict({name: Dataset.from_list(list(some)) for name, some in sets.items()}).save_to_disk(str(folder))
    return folder


def candidates(*names: str) -> list[Candidate]:
    return judges_named([(name, RewardModelSettings(model=f"nowhere/{name}")) for name in names])


def score(home: Path, bench: Path, out: str = "out", *names: str, k: int = 4, cache: str = "cache") -> Path:
    scored(candidates(*(names or ("fake",))), bench, home / out, k, home / cache)
    return home / out


def test_the_table_of_a_release(tmp_path: Path, judge: Judge) -> None:
    """The table of scores in partitions is the one of the same rewards in a file, whatever the number of partitions."""
    bench = release(tmp_path / "bench", gsm8k=rows(30), own=rows(10))
    found = rewardbench([score(tmp_path, bench)], 4)
    file = tmp_path / "own.jsonl"
    both = []
    for name, count in (("gsm8k", 30), ("own", 10)):
        lines = [r | {"pred_score": [[judge.score(r["question"], t)] for t in r["code"]]} for r in rows(count)]
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        both.append(file)
    expected = {(r.selector, r.benchmark): r for r in reward_bench(stored_records(both)[0], 4)}
    assert len(expected) == len(found["rows"])
    for row in found["rows"]:
        same = expected[row["selector"], row["benchmark"]]
        assert (row["value"], row["problems"]) == (pytest.approx(same.value), same.problems)
        assert (row.get("judge") == "fake") == (row["selector"] in JUDGED)
    assert any("gsm8k has 30 problems, but GSM8K has 1,319" in note for note in found["notes"])
    assert len(judge.asked) == 30 * N  # the ten problems of the other set are among them


def test_after_a_stop_only_the_rest_is_asked(tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped three times within a partition and between two, the call continues with what is missing."""
    monkeypatch.setattr("acemath.run.partitions.ROWS", 12 * N)  # four partitions
    bench = release(tmp_path / "bench", gsm8k=rows(48))
    whole = rewardbench([score(tmp_path, bench, "whole", cache="other")], 4)
    everything, judge.asked = sorted(judge.asked), []
    for most in (5 * N, 20 * N, 33 * N):
        judge.most = most
        with pytest.raises(Stopped):
            score(tmp_path, bench)
        with pytest.raises(UserError, match="holds no finished scores"):
            judged(tmp_path / "out")
    judge.most = 10**9
    assert rewardbench([score(tmp_path, bench)], 4) == whole
    twice = len(judge.asked) - len(everything)
    assert sorted(set(judge.asked)) == everything and twice <= 3 * 2 * N  # a chunk is lost at each stop
    asked = len(judge.asked)
    assert rewardbench([score(tmp_path, bench)], 4) == whole and len(judge.asked) == asked


def test_no_text_is_asked_twice(tmp_path: Path, judge: Judge) -> None:
    """A second release with the same rows in another order, and one with one more problem, in folders of their own."""
    first = rewardbench([score(tmp_path, release(tmp_path / "a", own=rows(12)), "out-a")], 4)
    asked = len(judge.asked)
    again = rewardbench([score(tmp_path, release(tmp_path / "b", own=rows(12)[::-1]), "out-b")], 4)
    assert {(r["measure"], r["value"]) for r in again["rows"]} == {(r["measure"], r["value"]) for r in first["rows"]}
    assert len(judge.asked) == asked
    score(tmp_path, release(tmp_path / "c", own=rows(13)), "out-c")
    assert len(judge.asked) == asked + N
    score(tmp_path, tmp_path / "a", "out-d", "another")
    assert len(judge.asked) == 2 * asked + N  # another judge


def test_several_judges_are_compared(tmp_path: Path, judge: Judge) -> None:
    """They share the candidates; the controls stand once, and the difference of two equal judges is 0."""
    bench = release(tmp_path / "bench", own=rows(12))
    found = rewardbench([score(tmp_path, bench, "out", "one", "two")], 4)
    measures = [(r["measure"], r.get("judge")) for r in found["rows"] if r["benchmark"] == "own"]
    assert measures.count(("maj@4", None)) == 1 and len(measures) == len(set(measures))
    assert {("rm@4", "one"), ("rm@4", "two")} < set(measures)
    difference = found["comparisons"][-1]
    assert [difference[name] for name in ("judge", "other", "benchmark", "value", "high", "winner")] == [
        "one", "two", "average", 0, 0, "",
    ]  # fmt: skip
    with pytest.raises(UserError, match="two judges are called 'one'; name them: NAME=JUDGE"):
        candidates("one", "one")
    assert [short_name(place) for place in ("a/reward/model", "org/My RM!")] == ["reward-model", "My-RM-"]


def test_a_constant_judge_raises_an_alarm(tmp_path: Path, judge: Judge) -> None:
    """Equal scores everywhere, or for all responses to each problem, make a table of random picks."""
    bench = release(tmp_path / "bench", own=rows(6))
    judge.same = 0.25
    notes = rewardbench([score(tmp_path, bench, "constant", cache="a")], 4)["notes"]
    assert any(note.startswith("fake: the judge is constant") and "0.25" in note for note in notes)
    judge.same = None
    judge.score = lambda prompt, text: float(len(prompt) + int(prompt.split()[2]))  # type: ignore[method-assign]
    notes = rewardbench([score(tmp_path, bench, "prompts", cache="b")], 4)["notes"]
    assert any(note.startswith("fake: the judge is constant") for note in notes)
    judge.score = lambda prompt, text: float("nan") if "said 3" in text else float(len(text))  # type: ignore[method-assign]
    notes = rewardbench([score(tmp_path, bench, "silent", cache="c")], 4)["notes"]
    assert any("6 of 48 responses have no score from the judge" in note for note in notes)


def test_k_is_checked_before_anything_is_asked(tmp_path: Path, judge: Judge) -> None:
    """k above n of any set is one line, and costs nothing."""
    bench = release(tmp_path / "bench", own=rows(6))
    with pytest.raises(UserError, match="k is 9, but no problem of own has more than 8 responses; choose k up to 8"):
        score(tmp_path, bench, k=9)
    assert not judge.asked


def test_scores_of_other_candidates_are_refused(tmp_path: Path, judge: Judge) -> None:
    """A folder whose release changed under one judge does not lend the other judge's old scores to it."""
    score(tmp_path, release(tmp_path / "a", own=rows(6)), "out", "one")
    score(tmp_path, release(tmp_path / "b", own=rows(6, start=1)), "out", "two")
    assert [j.name for j in judged(tmp_path / "out", ["two"])[0]] == ["two"]
    with pytest.raises(UserError, match="scores-one was scored on other candidates"):
        judged(tmp_path / "out")


def test_a_cache_survives_what_a_stop_leaves(tmp_path: Path) -> None:
    """A torn row, zeros and a flipped bit are not believed; nan is not kept; another identity has other scores."""
    cache = ScoreCache(tmp_path, {"model": "a"})
    keys = np.arange(1, 6, dtype=np.uint64)
    cache.add(keys, np.array([0.5, -1.0, np.nan, 2.0, 3.0]))
    (file,) = cache.folder.glob("*.scores")
    content = bytearray(file.read_bytes())
    assert len(content) == 4 * 24
    content[24 + 9] ^= 1
    file.write_bytes(bytes(content[:-5]) + bytes(48))
    found = ScoreCache(tmp_path, {"model": "a"}).find(keys)
    assert np.array_equal(found, [0.5, np.nan, np.nan, 2.0, np.nan], equal_nan=True)
    assert np.isnan(ScoreCache(tmp_path, {"model": "b"}).find(keys)).all()


def test_equal_texts_of_a_problem_are_asked_once(tmp_path: Path) -> None:
    """And each gets the score; a judge that nobody asks is not loaded."""
    judge = Judge()
    pairs = [("p", "a"), ("p", "a"), ("q", "a"), ("p", "b")]
    cached = CachedJudge(lambda: judge, ScoreCache(tmp_path, {}))  # type: ignore[arg-type, return-value]
    scores = cached.scores(pairs, lambda *_: None)
    assert scores == [judge.score(*pair) for pair in pairs] and len(judge.asked) == 3

    def load() -> Any:
        raise AssertionError("the judge was loaded")

    assert CachedJudge(load, ScoreCache(tmp_path, {})).scores(pairs, lambda *_: None) == scores


def test_a_judge_that_has_scored_may_find_none_in_the_rest(tmp_path: Path) -> None:
    """It is an error only if it never gave a score: what is asked again after a stop may be what it cannot read."""

    class Picky(Judge):
        def score_many(self, items: Sequence[tuple[str, Sequence[str]]], progress: Any) -> list[list[float]]:
            if all(text == "odd" for _, texts in items for text in texts):
                raise NoScore("no score for any")
            return [[nan if text == "odd" else 1.0 for text in texts] for _, texts in items]

    def scores(*texts: str) -> list[float]:
        cached = CachedJudge(Picky, ScoreCache(tmp_path, {}))  # type: ignore[arg-type]
        return cached.scores([("p", text) for text in texts], lambda *_: None)

    with pytest.raises(NoScore):
        scores("odd")
    assert isnan(scores("even", "odd")[1]) and isnan(scores("odd", "even")[0])


def test_on_the_command_line(tmp_path: Path, tiny_policy: Path, random_reward_model: Path, command: Callable[..., Any]) -> None:
    """A real reward model: the table as JSON, and the same from its folder, with `table` and without."""
    bench = release(tmp_path / "bench", gsm8k=rows(3))
    done = command("rewardbench", "score", f"tiny={random_reward_model}", "--bench", bench, "-k", 4, "--out", "o", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["k"] == 4 and {"selector", "benchmark", "value", "low", "high", "problems"} <= set(found["rows"][0])
    assert {(r["benchmark"], r["measure"]) for r in found["rows"]} >= {("gsm8k", "rm@4"), ("average", "rm@4")}
    assert json.loads(command("rewardbench", "table", "o", "-k", 4, "--json").out) == found
    assert "rm@4 tiny" in command("rewardbench", "o", "-k", 4).out
    assert json.loads((tmp_path / "o" / "results.json").read_text())["rows"] == found["rows"]
    parts = json.loads(command("rewardbench", "o", "-k", 4, "--by", "level", "--protocol", "first-k", "--json").out)
    assert {row["by"] for row in parts["parts"]} == {"level"} and parts["rows"][0]["protocol"] == "first-k"
    for model, says in (("no/such-model", "no/such-model"), (tiny_policy, "is not a reward model")):
        wrong = command("rewardbench", "score", model, "--bench", bench, "--out", "other")
        assert wrong.code == 2 and len(wrong.err.strip().splitlines()) == 1 and says in wrong.err
        assert not (tmp_path / "other" / "problems").exists()


@contextmanager
def classifier() -> Iterator[tuple[str, list[int]]]:
    """A vLLM server's `/classify` on this machine: its address, and how many texts each request held."""
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802 (the library's name)
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            asked.append(len(texts))
            rows = [{"index": at, "probs": [sum(ids) % 97 / 7], "num_classes": 1} for at, ids in enumerate(texts)]
            usage = {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0}
            body = json.dumps({"object": "list", "model": "rm", "data": rows, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    server.shutdown()
    server.server_close()


def test_a_judge_on_a_server(tmp_path: Path, random_reward_model: Path, command: Callable[..., Any]) -> None:
    """A YAML file names it; when the server is gone, the same texts in another release are still known."""
    with classifier() as (url, asked):
        (tmp_path / "judge.yaml").write_text(
            f"kind: classify\nendpoint: {{id: org/rm, url: '{url}'}}\ntokenizer: {random_reward_model}\n"
        )
        first = release(tmp_path / "a", own=rows(4))
        done = command("rewardbench", "score", "judge.yaml", "--bench", first, "-k", 4, "--out", "a-scores", "--json")
        assert done.code == 0 and sum(asked) == 4 * N, done.err
    second = release(tmp_path / "b", own=rows(4)[::-1])
    again = command("rewardbench", "score", "judge.yaml", "--bench", second, "-k", 4, "--out", "b-scores", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["rows"] == json.loads(done.out)["rows"]
    assert {row.get("judge") for row in json.loads(again.out)["rows"]} == {None, "rm"}
