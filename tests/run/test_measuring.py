"""Evaluations in a folder: what stands in it, what a second call does again, what a kill costs, and who is compared."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import acemath
from acemath.benchmarks import registry
from acemath.errors import UserError
from acemath.metrics import pass_at_k
from acemath.models.score.settings import GenerativeSettings, RewardModelSettings
from acemath.models.spec import EndpointModel, TransformersModel
from acemath.records import Response, content_key
from acemath.run import score_cache
from acemath.run.bench_tables import judged
from acemath.run.display import Display
from acemath.run.measuring import measure as measuring
from acemath.run.measuring import stages
from acemath.run.measuring.measure import measure
from acemath.run.measuring.models import Measuring
from acemath.run.measuring.settings import Measured, Plan, default_folder, named
from acemath.run.store import StageStore

FAULTY = Path(__file__).resolve().parents[2] / "perf" / "faulty_server.py"
SUMS = {f"How much is {n} plus {n + 3}?": 2 * n + 3 for n in range(12)}
DIGITS = {f"How much is {n} plus 0?": n for n in range(6)}
ANSWERS = SUMS | DIGITS
Asked = Counter[str]


@pytest.fixture(scope="module")
def asked() -> Asked:
    """How often each model was asked each question."""
    return Counter()


@pytest.fixture(scope="module")
def url(serve: Any, asked: Asked) -> str:
    """Two models on a server: one is right, one states what it thought only if that is even."""

    def right(question: str) -> str:
        asked[f"right {question}"] += 1
        return f"<think>Is it 7? No.</think> It is \\boxed{{{ANSWERS[question.splitlines()[-1]]}}}."

    def half(question: str) -> str:
        asked[f"half {question}"] += 1
        answer = ANSWERS[question]
        thought = f"<think>It is \\boxed{{{answer}}}, or is it?</think>"
        return f"{thought} It is \\boxed{{{answer if answer % 2 == 0 else 'x'}}}."

    return str(serve({"right": right, "half": half}))


@pytest.fixture()
def files(tmp_path: Path) -> list[str]:
    """Two benchmarks, one of them with subjects."""
    found = []
    for name, part in (("sums", SUMS), ("digits", DIGITS)):
        rows = [
            {"id": n, "question": q, "answer": str(a), "subject": "big" if a > 9 else "small"}
            for n, (q, a) in enumerate(part.items())
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found.append(str(path))
    return found


def policy(url: str, model: str = "right", **settings: Any) -> Measured:
    return Measured(model=EndpointModel(id=model, url=url, in_flight=4), **{"n": 4, **settings})


def plan_of(files: list[str], policies: Mapping[str, Measured], **settings: Any) -> Plan:
    return Plan(policies=dict(policies), benchmarks=tuple(files), **{"k": 2, "cache": Path(files[0]).parent / "cache", **settings})


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    return measure(plan, folder, Display(quiet=True))


def cell(found: Mapping[str, Any], model: str, measure: str, benchmark: str = "average") -> dict[str, Any]:
    return next(
        row for row in found["rows"] if (row["model"], row["measure"], row["benchmark"]) == (model, measure, benchmark)
    )


def rows(folder: Path, stage: str) -> list[Response]:
    return list(StageStore(folder / stage, 1).all_rows(Response))


def test_a_folder_holds_rows_numbers_and_what_is_needed_to_get_them_again(
    url: str, files: list[str], tmp_path: Path
) -> None:
    """Two policies on two benchmarks: the average is over benchmarks, subjects are a breakdown, thoughts are not graded."""
    out = tmp_path / "out"
    found = run(plan_of(files, {"right": policy(url), "half": policy(url, "half")}), out)
    assert {row["benchmark"] for row in found["rows"]} == {"sums", "digits", "average"}
    assert {row["value"] for row in found["rows"] if row["model"] == "right"} == {100.0}
    # Sums are odd, so `half` states another answer after its thought; of the digits three are even.
    expected = {"sums": 0.0, "digits": 50.0, "average": 25.0}
    for name in ("greedy", "avg@4", "maj@2", "pass@2"):
        assert {b: cell(found, "half", name, b)["value"] for b in expected} == expected
    groups = {(row["group"], row["problems"]) for row in found["breakdowns"] if row["benchmark"] == "sums"}
    assert groups == {("small", 4), ("big", 8)}
    graded = rows(out, "samples-half")
    assert len(graded) == 72 and {r.status for r in graded} == {"correct", "wrong"} and all(r.reason for r in graded)
    assert json.loads((out / "results.json").read_text()) == found
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["benchmarks"]["sums"]["size"] == 12 and manifest["benchmarks"]["sums"]["file"]
    half = manifest["policies"]["half"]
    assert half["settings"]["seeds"] == [0] and half["prompts"] and half["versions"]["python"]
    assert [(s["stage"], s["kind"]) for s in manifest["stages"]][:2] == [("greedy-right", "greedy"), ("samples-right", "samples")]


def test_policies_are_compared_over_the_same_problems(url: str, files: list[str], tmp_path: Path) -> None:
    """right - half: each difference with its paired interval; a difference of the same policy does not exist."""
    found = run(plan_of(files, {"right": policy(url), "half": policy(url, "half")}), tmp_path / "out")
    pairs = {(row["model"], row["other"]) for row in found["comparisons"]}
    assert pairs == {("right", "half")}
    row = next(r for r in found["comparisons"] if (r["measure"], r["benchmark"]) == ("greedy", "average"))
    assert row["value"] == 75.0 and row["low"] < 75.0 < row["high"] and row["problems"] == 18
    sums = next(r for r in found["comparisons"] if (r["measure"], r["benchmark"]) == ("greedy", "sums"))
    assert (sums["value"], sums["low"], sums["high"]) == (100.0, 100.0, 100.0)


def test_calls_share_a_folder(url: str, files: list[str], tmp_path: Path) -> None:
    """An earlier policy stays in the results, until the problems change; a benchmark is not dropped without a word."""
    out = tmp_path / "out"
    run(plan_of(files, {"right": policy(url)}), out)
    found = run(plan_of(files, {"half": policy(url, "half")}), out)
    assert set(found["models"]) == {"right", "half"} and found["comparisons"]
    assert set(json.loads((out / "manifest.json").read_text())["policies"]) == {"right", "half"}
    with pytest.raises(UserError, match="holds responses to digits, which this call does not measure"):
        run(plan_of(files[:1], {"half": policy(url, "half")}), out)
    fewer = run(plan_of(files, {"half": policy(url, "half")}, limit=5), out)
    assert fewer["models"] == ["half"] and fewer["benchmarks"] == {"sums": 5, "digits": 5}
    assert any("right was measured on other problems" in note for note in fewer["notes"])
    assert any("sums: 5 of 12 problems, chosen by a hash" in note for note in fewer["notes"])
    judges, notes = judged(out)
    assert {r.generators for r in judges[0].records} == {("half",) * 4} and "samples-right was made from other rows" in notes[0]
    few = run(plan_of(files, {"two": policy(url, n=2)}, limit=5), out)
    assert cell(few, "two", "avg@2")["value"] == 100.0
    more = run(plan_of(files, {"half": policy(url, "half")}, k=4, limit=5), out)
    assert cell(more, "two", "avg@2")["value"] == 100.0, "it does not depend on k"
    assert not any(row["model"] == "two" and row["k"] == 4 for row in more["rows"])
    assert any("two has 2 samples of a problem, too few for measures at 4" in note for note in more["notes"])


def test_only_what_a_setting_touches_is_done_again(
    url: str, files: list[str], asked: Asked, tmp_path: Path
) -> None:
    """A second call asks for nothing; another temperature leaves the greedy responses; a limit takes a part by hash."""
    out = tmp_path / "out"

    def stamps() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/part-00000.parquet")}

    first = run(plan_of(files, {"a": policy(url)}), out)
    before, stood = asked.total(), stamps()
    assert run(plan_of(files, {"a": policy(url)}), out) == first and asked.total() == before and stamps() == stood
    run(plan_of(files, {"a": policy(url, temperature=0.5, top_p=0.9)}), out)
    assert asked.total() == before + 72
    changed = {name for name, at in stamps().items() if stood[name] != at}
    assert changed == {"samples-a"}
    few = run(plan_of(files, {"a": policy(url)}, limit=3), tmp_path / "few")
    mine = [r.problem_id for r in rows(tmp_path / "few", "greedy-a") if r.problem_id.startswith("sums")]
    assert few["benchmarks"]["sums"] == 3
    assert sorted(mine) == sorted(sorted((f"sums:{n}" for n in range(12)), key=content_key)[:3])


def test_demonstrations_and_suspects(
    url: str, files: list[str], asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Demonstrations stand before the question alone; suspect references are in the numbers, and left out beside them."""
    shots = {"small": [("How much is 1 plus 1?", "2")], "big": [("How much is 9 plus 9?", "18")]}
    monkeypatch.setattr("acemath.run.measuring.measure.shots_of", lambda *_: {"right": {"sums": shots}})
    opened = "acemath.run.measuring.problems.open_benchmark"
    read = registry.open_benchmark

    def with_suspect(place: str, **options: Any) -> Any:
        rows = read(place, **options)
        wrong = replace(rows[0], answer="-1", meta={**rows[0].meta, "suspect": "the sum is 3"})
        return [wrong if place == files[0] else rows[0], *rows[1:]]

    monkeypatch.setattr(opened, with_suspect)
    found = run(plan_of(files, {"right": policy(url, n=1)}, k=1), tmp_path / "out")
    assert asked["right How much is 9 plus 9?\n18\n\nHow much is 5 plus 8?"] == 1
    assert asked["right How much is 2 plus 0?"] >= 1
    assert cell(found, "right", "greedy", "sums")["value"] == pytest.approx(100 * 11 / 12)
    sound = next(r for r in found["without_suspects"] if r["benchmark"] == "sums")
    assert (sound["value"], sound["problems"]) == (100.0, 11)
    example = json.loads((tmp_path / "out" / "manifest.json").read_text())["policies"]["right"]
    assert example["shots"] == {"sums": 1}


def test_several_seeds(url: str, files: list[str], serve: Any, tmp_path: Path) -> None:
    """Each seed has a folder of its own; the number is over all samples, and the spread over seeds stands beside it."""
    served: list[str] = []

    def guessing(question: str) -> str:
        served.append(question)
        return f"It is \\boxed{{{len(served) % 3 + ANSWERS[question]}}}."

    place = str(serve({"m": guessing}))
    found = run(plan_of(files, {"m": policy(place, "m", seeds=(3, 8), greedy=False)}), tmp_path / "out")
    out = tmp_path / "out"
    alone = {seed: rows(out, stage) for seed, stage in ((3, "samples-m"), (8, "samples-m@8"))}
    row = cell(found, "m", "avg@8", "sums")
    for seed, mine in alone.items():
        here = [r.correct for r in mine if r.problem_id.startswith("sums")]
        assert len(here) == 48 and row["seeds"]["values"][str(seed)] == pytest.approx(100 * sum(here) / 48)
    assert row["value"] == pytest.approx(sum(row["seeds"]["values"].values()) / 2)
    both = {key: [r.correct for r in (*alone[3], *alone[8]) if r.problem_id == key] for key in {r.problem_id for r in alone[3]}}
    expected = [pass_at_k(right, 2) for key, right in both.items() if key.startswith("sums")]
    assert cell(found, "m", "pass@2", "sums")["value"] == pytest.approx(100 * sum(expected) / 12)
    assert not (out / "greedy-m").exists() and cell(found, "m", "pass@2")["seeds"]["sd"] >= 0


def test_nano_and_a_reward_model(
    tiny_policy: Path, random_reward_model: Path, tmp_path: Path, files: list[str]
) -> None:
    """Models in this process; a part that is made again keeps the responses for which nothing changed."""
    out = tmp_path / "out"
    tiny = Measured(model=TransformersModel(id=str(tiny_policy), dtype="float32"), n=4, max_new_tokens=6)
    judges = {"rm": RewardModelSettings(model=str(random_reward_model), dtype="float32")}
    found = run(plan_of(files[:1], {"tiny": tiny}, judges=judges, limit=6), out)
    assert {row["measure"] for row in found["rows"] if row["judge"] == "rm"} == {"rm@2", "weighted maj@2"}
    first = rows(out, "samples-tiny")
    assert len(first) == 24 and all(r.reward is not None for r in rows(out, "scores-rm@tiny"))
    assert found["responses"][1]["cut"] > 0 and any("have no end" in note for note in found["notes"])
    policy = json.loads((out / "manifest.json").read_text())["policies"]["tiny"]
    assert policy["template"] and "plus" in policy["example"] and policy["content"]
    path = next((out / "samples-tiny").glob("part-*"))
    marked = [r.text for r in first]
    more = run(plan_of(files[:1], {"tiny": tiny}, judges=judges, limit=12), out)
    again = {(r.problem_id, r.sample): r for r in rows(out, "samples-tiny")}
    assert path.exists() and len(again) == 48 and more["benchmarks"] == {"sums": 12}
    assert [again[r.problem_id, r.sample].text for r in first] == marked


def test_a_judge_on_a_server(serve: Any, url: str, files: list[str], tmp_path: Path) -> None:
    """A response without a score ranks below all others and is counted; another judge of that name is refused."""

    def judged(asked: str) -> str:
        question = asked.split("Problem:\n")[1].split("\n\nSolution")[0]
        if "{999}" in asked:
            return "I cannot tell."
        return "Score: 10" if f"{{{ANSWERS[question]}}}" in asked else "Score: 2"

    served: list[str] = []

    def policy_of(question: str) -> str:
        served.append(question)
        return f"It is \\boxed{{{(ANSWERS[question], 7.5, 999)[len(served) % 3]}}}."

    place = str(serve({"m": policy_of, "j": judged}))
    out, judge = tmp_path / "out", GenerativeSettings(kind="generative", endpoint=EndpointModel(id="j", url=place))
    found = run(plan_of(files[:1], {"m": policy(place, "m", n=6)}, k=6, judges={"j": judge}, limit=1), out)
    assert (cell(found, "m", "rm@6")["value"], cell(found, "m", "avg@6")["value"]) == (100.0, pytest.approx(100 / 3))
    assert Counter(r.reward != r.reward for r in rows(out, "scores-j@m")) == {True: 2, False: 4}  # noqa: PLR0124
    other = {"j": judge.model_copy(update={"scale": (0.0, 20.0)})}
    with pytest.raises(UserError, match="scores of another judge called 'j'"):
        run(plan_of(files[:1], {"right": policy(url)}, judges=other, limit=1), out)


def test_responses_that_nothing_changed_for_are_used_again(
    tiny_policy: Path, tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corrected reference asks the model for nothing; a changed question asks for that one alone."""
    from acemath.models.generate.transformers import TransformersEngine

    generate, seen = TransformersEngine.generate, list[str]()

    def watched(self: Any, problems: Any, sampling: Any) -> Any:
        seen.extend(p.prompt for p in problems)
        return generate(self, problems, sampling)

    monkeypatch.setattr(TransformersEngine, "generate", watched)
    tiny = {"tiny": Measured(model=TransformersModel(id=str(tiny_policy), dtype="float32"), max_new_tokens=4)}
    out, path = tmp_path / "out", Path(files[1])
    run(plan_of(files[1:], tiny), out)
    assert len(seen) == 6
    path.write_text(path.read_text().replace('"answer": "5"', '"answer": "6"'))
    run(plan_of(files[1:], tiny), out)
    assert len(seen) == 6
    path.write_text(path.read_text().replace("How much is 4 plus 0?", "What is 4 and 0?"))
    run(plan_of(files[1:], tiny), out)
    assert seen[6:] == ["What is 4 and 0?"]


@pytest.fixture()
def slow() -> Iterator[str]:
    """The address of a server in a process of its own, whose answers take a while."""
    command = [sys.executable, str(FAULTY), "--seconds", "120", "--latency", "0.05", "--faults", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        yield server.stdout.readline().strip()
        server.kill()
        server.wait()


def test_a_kill_costs_no_response_that_arrived(
    slow: str, files: list[str], tmp_path: Path, command: Callable[..., Any]
) -> None:
    """kill -9 in the middle: the same command asks for the rest, and ends with the numbers of a call without a stop."""
    options = ["--engine", "endpoint", "--url", slow, "--set", "in_flight=2", "-n", "4", "-k", "2", "--seed", "5", "--json"]
    asked = ["eval", *files, "--model", "teacher", *options, "--out"]

    def delivered() -> Counter[str]:
        return Counter(httpx.get(f"{slow}/count").json()["delivered"])

    first = subprocess.Popen(
        [sys.executable, "-m", "acemath", *asked, str(tmp_path / "out")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while delivered().total() < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert 20 <= delivered().total() < 90 and not (tmp_path / "out" / "results.json").exists()
    done = command(*asked, tmp_path / "out")
    again = delivered()
    assert len(again) == 90 and sum(count - 1 for count in again.values()) <= 2  # those in flight at the kill
    whole = command(*asked, tmp_path / "whole")

    def numbers(text: str) -> Any:
        found = json.loads(text)
        for row in found["responses"]:
            row.pop("cost")
        return found

    assert done.code == whole.code == 0 and numbers(done.out) == numbers(whole.out)


MISTAKES = {
    "k above n": ({"k": 5}, "k is 5, but each problem gets n = 4 samples of m"),
    "a seed twice": ({"seeds": (1, 1)}, "the seeds 1, 1 hold one twice"),
    "an unknown name": ({"benchmarks": ("gsm9k",)}, "did you mean gsm8k"),
    "a file twice": ({"benchmarks": ("other/sums.jsonl",)}, "two benchmarks are called 'sums'"),
    "no problem": ({"benchmarks": ("none.jsonl",)}, "none.jsonl holds no problem"),
    "an empty text": ({"benchmarks": ("blank.jsonl",)}, "1 of 1 problems of blank have an empty text"),
    "no reference": ({"benchmarks": ("bare.jsonl",)}, "none of 1 problems of bare has a reference answer"),
    "a judge of one": ({"n": 1, "k": 1, "judges": {"r": RewardModelSettings(model="r")}}, "has one greedy response to choose from"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_one_line_and_cost_nothing(
    kind: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the folder is made."""
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    shutil.copy(files[0], "other/sums.jsonl")
    Path("none.jsonl").write_text("")
    Path("blank.jsonl").write_text('{"question": "", "answer": "1"}\n')
    Path("bare.jsonl").write_text('{"question": "Why?"}\n')
    settings, says = MISTAKES[kind]
    given = dict(settings)
    mine = {key: given.pop(key) for key in ("n", "seeds") if key in given}
    places = [files[0], *given.pop("benchmarks", ())]
    with pytest.raises(UserError) as error:
        run(plan_of(places, {"m": policy("http://127.0.0.1:9/v1", **mine)}, **given), tmp_path / "out")
    assert says in str(error.value) and "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_policy_without_a_template_is_an_error(
    tiny_policy: Path, url: str, files: list[str], tmp_path: Path, asked: Asked
) -> None:
    """Before another policy of the call is asked anything."""
    bare = tmp_path / "bare"
    shutil.copytree(tiny_policy, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((bare / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config))
    before = asked.total()
    policies = {"right": policy(url), "bare": Measured(model=TransformersModel(id=str(bare)), n=4)}
    with pytest.raises(UserError, match="has no chat template"):
        run(plan_of(files, policies), tmp_path / "out")
    assert asked.total() == before


def test_from_python(tiny_policy: Path, url: str, files: list[str], tmp_path: Path) -> None:
    """A folder by its path, or any engine by name; wrong settings are one line."""
    tiny = acemath.evaluate(str(tiny_policy), files[0], tmp_path / "tiny", limit=3, max_new_tokens=4)
    assert tiny["benchmarks"] == {"sums": 3} and [r["measure"] for r in tiny["rows"]] == ["greedy", "greedy"]
    found = acemath.evaluate({"right": policy(url)}, files, tmp_path / "out", k=2)
    assert cell(found, "right", "pass@2")["value"] == 100.0
    with pytest.raises(UserError, match="heat"):
        acemath.evaluate(str(tiny_policy), files, tmp_path / "no", heat=2)
    with pytest.raises(UserError, match="set it in each Measured"):
        acemath.evaluate({"right": policy(url)}, files, tmp_path / "no", n=2)


def test_names_of_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last part of a path, or the name before `=`; two of one name are refused."""
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    assert named(["x/y-1.5B", "own=x/y-1.5B", "a=b"], "model") == {"y-1.5B": "x/y-1.5B", "own": "x/y-1.5B", "a-b": "a=b"}
    with pytest.raises(UserError, match="two models are called 'y'.*--model OTHER=z/y"):
        named(["x/y", "z/y"], "model")
    assert default_folder(["a", "b"], ["gsm8k", "x/p.jsonl"]) == Path("runs/eval-a+b-gsm8k+p")


def test_a_policy_that_refuses_everything_is_no_policy_of_0_percent(serve: Any, files: list[str], tmp_path: Path) -> None:
    """The error names the first reason."""
    place = str(serve({"m": lambda question: None}))
    with pytest.raises(UserError, match="refused|no answer"):
        run(plan_of(files, {"m": policy(place, "m")}), tmp_path / "out")


def test_copies_of_a_model_share_the_work(tiny_policy: Path, files: list[str], tmp_path: Path) -> None:
    """Two processes give the numbers of one, to the last digit."""
    tiny = Measured(model=TransformersModel(id=str(tiny_policy), dtype="float32"), max_new_tokens=4)
    one = run(plan_of(files, {"tiny": tiny}, k=1), tmp_path / "one")
    copies = tiny.model_copy(update={"model": tiny.model.model_copy(update={"replicas": 2})})
    two = run(plan_of(files, {"tiny": copies}, k=1), tmp_path / "two")
    assert one == two and json.loads((tmp_path / "two" / "run.json").read_text())["partitions"]["benchmarks"] == 8


def test_benchmarks_of_a_folder(url: str, files: list[str], tmp_path: Path, command: Callable[..., Any]) -> None:
    """--data names the folder of a registered benchmark's files, whatever ACEMATH_DATA says; the manifest holds the file."""
    home = tmp_path / "data"
    home.mkdir()
    lines = [json.dumps({"question": q, "answer": str(a)}) for q, a in list(SUMS.items())[:10]] * 4
    (home / "amc23_test.jsonl").write_text("\n".join(lines))
    asked = ["eval", "--benchmarks", "amc23", "--model", "right", "--engine", "endpoint", "--url", url, "--out", "out", "--data"]
    done = command(*asked, home, "--json")
    assert done.code == 0 and json.loads(done.out)["benchmarks"] == {"amc23": 40}, done.err
    assert json.loads(Path("out/manifest.json").read_text())["benchmarks"]["amc23"]["file"]
    assert "'nowhere' does not exist; correct --data" in command(*asked, "nowhere").err


def test_a_dry_run_asks_for_nothing(url: str, files: list[str], asked: Asked, command: Callable[..., Any]) -> None:
    """It says what would be asked and paid, and what is there; nothing is written."""
    options = ["--engine", "endpoint", "--url", url, "--model", "right", "-n", "4", "-k", "2", "--set", "price_out=1000"]
    words = ["eval", *files, *options, "--max-new-tokens", "100", "--out", "out", "--json"]
    before = asked.total()
    first = json.loads(command(*words, "--dry-run").out)
    assert asked.total() == before and not Path("out").exists()
    greedy, samples = first["responses"]
    assert (greedy["responses"], samples["responses"], samples["kept_already"]) == (18, 72, 0)
    assert (samples["usd_at_most"], first["usd_at_most"]) == (7.2, 9.0) and samples["tokens_at_most"] > 7200
    assert command(*words).code == 0
    again = json.loads(command(*words, "--dry-run", "--temperature", "0.3").out)
    assert [(row["responses"], row["kept_already"]) for row in again["responses"]] == [(0, 18), (72, 0)]
    assert "right" in command(*words[:-1], "--dry-run").out


def test_a_judge_reads_no_text_twice_and_what_spoils_it_is_said(
    serve: Any, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder of results asks it for nothing; a constant judge, and responses without a score, stand in the notes."""
    seen: list[str] = []

    class Fake:
        def score_many(self, items: Any, progress: Any) -> list[list[float]]:
            seen.extend(text for _, texts in items for text in texts)
            return [[math.nan if "plus 3?" in prompt else 1.0 for _ in texts] for prompt, texts in items]

    monkeypatch.setattr(score_cache, "open_judge", lambda settings, journal: Fake())
    for module in (score_cache, stages, measuring):
        monkeypatch.setattr(module, "judge_identity", lambda settings: {"judge": "fake"})
    judges = {"fake": RewardModelSettings(model="fake")}
    served: list[str] = []

    def several(question: str) -> str:
        served.append(question)
        return f"It is \\boxed{{{len(served) % 3}}}."

    plan = plan_of(files, {"m": policy(str(serve({"m": several})), "m", greedy=False)}, judges=judges)
    notes = run(plan, tmp_path / "out")["notes"]
    assert any("fake on m: the judge is constant" in note for note in notes)
    assert any("fake on m: 4 of 72 responses have no score" in note for note in notes)
    before = len(seen)
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / "scores-fake@m")
    run(plan, tmp_path / "other")
    assert 0 < len(seen) - before <= 4, "those without a score alone"


def test_a_model_is_closed_only_for_another_one(tmp_path: Path) -> None:
    """It stays for its policy's next stage, and frees what it holds (vLLM's processes) before another one is loaded."""
    closed: list[str] = []
    engine: Any = SimpleNamespace(close=lambda: closed.append("yes"))
    measuring = Measuring(tmp_path, {}, _held={"a": engine})
    measuring.finished(engine)
    assert closed == []
    measuring.release()
    assert closed == ["yes"] and measuring._held == {}
