"""The registry: names and presets, copies in every known form, sizes, references, licences, and its places in commands and recipes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from acemath.benchmarks import copies
from acemath.benchmarks.copies import REVISION, SUSPECT, hub_copy, outer_dollars_off, problems_from
from acemath.benchmarks.registry import BENCHMARKS, PRESETS, benchmark, names, open_benchmark
from acemath.cli.reading import read_benchmarks
from acemath.curate.licences import non_commercial
from acemath.errors import UserError
from acemath.files.rows import read_rows
from acemath.recipe.load import load_recipe
from acemath.recipe.sources import Source
from acemath.records import BENCHMARK, Problem
from acemath.run.source_rows import count_rows, read_benchmark

AMC = [{"id": at, "problem": f"What is {at} + {at}?", "answer": float(2 * at), "url": "u"} for at in range(40)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_names_presets_and_near_names() -> None:
    """Commas, presets, each once; an unknown name with near ones."""
    assert names("gsm8k, amc23,gsm8k") == ["gsm8k", "amc23"]
    assert names("paper") == list(PRESETS["paper"]) and len(names("paper,rewardbench")) == 8
    for text, says in (("gsm", "did you mean gsm8k?"), ("math-500", "did you mean math500"), (" , ", "names no benchmark")):
        with pytest.raises(UserError, match=says):
            names(text)
    with pytest.raises(UserError, match="neither a benchmark nor a file"):
        open_benchmark("nowhere.jsonl")


def test_the_presets_are_the_papers() -> None:
    """Table 3 has MATH, Table 6 MATH-500: 8,987 problems (PAPER, section 4.3.1); shots for choices alone (3.4)."""
    assert set(PRESETS["paper"]) ^ set(PRESETS["rewardbench"]) == {"math", "math500"}
    assert sum(benchmark(name).size for name in PRESETS["rewardbench"]) == 8987
    assert {name: one.shots for name, one in BENCHMARKS.items() if one.shots} == dict.fromkeys(("mmlu_stem", "mmlu", "mmlu_pro"), 5)
    assert all(one.name == name and one.revision is None and one.license for name, one in BENCHMARKS.items())


def test_the_real_copies(shared: Path) -> None:
    """All eleven: sizes, references as the grader reads them, subjects and levels of the data, licences of rows."""
    rows = {name: open_benchmark(name, data=shared / "data") for name in BENCHMARKS if name not in ("mmlu", "mmlu_pro")}
    assert {name: len(found) for name, found in rows.items()} == {name: BENCHMARKS[name].size for name in rows}
    assert {name: lacking for name, found in rows.items() if (lacking := sum(not p.answer for p in found))} == {"gaokao2023en": 2}
    for name, found in rows.items():
        assert {(p.source, p.meta[BENCHMARK]) for p in found} == {(name, name)} and len({p.id for p in found}) == len(found)
    answers = {name: [p.answer for p in found] for name, found in rows.items()}
    assert answers["gsm8k"][:2] == ["18", "3"] and answers["amc23"][0] == "27" and answers["minerva_math"][0] == "1.6"
    assert answers["college_math"][:2] == ["10-4 n", "(45,2),(-10,-9)"]
    assert not any(a[:1] == a[-1:] == "$" and a.count("$") == 2 for a in answers["gaokao2023en"] + answers["college_math"])
    units = [p.answer for p in rows["olympiadbench"] if p.meta.get("unit") and not p.meta["is_multiple_answer"]]
    assert units[:3] == ["$45$ minute", "$\\frac{41}{12}$ km", "$166$ $cm^2$"]
    stem = rows["mmlu_stem"]
    assert Counter(answers["mmlu_stem"]).keys() == set("ABCD") and "\nAnswer Choices: (A) " in stem[0].prompt
    assert {p.subject for p in stem} == BENCHMARKS["mmlu_stem"].subjects and "anatomy" not in BENCHMARKS["mmlu_stem"].subjects
    assert Counter(p.level for p in rows["math500"])[5] == 134 and rows["math500"][0].subject == "Precalculus"
    forbidding = [p for p in rows["college_math"] if non_commercial([p.license])]
    assert len(forbidding) == 809
    suspects = [(p.id, p.answer) for p in rows["gsm8k"] if SUSPECT in p.meta]
    assert [answer for _, answer in suspects] == ["150", "14", "7400"]


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet", "csv", "json"])
def test_a_copy_in_a_folder_is_found(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NAME_test in the folder of ACEMATH_DATA, with any ending of a file of rows."""
    data, path = Dataset.from_list(AMC), tmp_path / f"amc23_test.{ending}"
    {"parquet": data.to_parquet, "csv": data.to_csv}.get(ending, data.to_json)(path, **({"lines": False} if ending == "json" else {}))
    monkeypatch.setenv("ACEMATH_DATA", str(tmp_path))
    rows = open_benchmark("amc23")
    assert [float(p.answer) for p in rows[:3]] == [0, 2, 4] and rows[5].id == "amc23:5" and rows[5].meta["url"] == "u"
    write(tmp_path / "amc23.jsonl", AMC)
    with pytest.raises(UserError, match="both for amc23; remove one"):
        open_benchmark("amc23")
    with pytest.raises(UserError, match="folder of benchmarks 'nowhere' does not exist"):
        open_benchmark("amc23", data=Path("nowhere"))


def test_wrong_copies_are_one_clear_line(tmp_path: Path) -> None:
    """Another size, other columns, no row, another benchmark's rows."""
    part = write(tmp_path / "part.jsonl", AMC[:39])
    for file, says in (
        (part, r"amc23 has 40 problems, but \S+ gives 39; give the whole test split"),
        (write(tmp_path / "form.jsonl", [{"Frage": "1+1?"}]), "no known form of amc23: its columns are Frage, and problem, answer or"),
        (write(tmp_path / "none.jsonl", []), "holds no problem of amc23"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            open_benchmark("amc23", file)
        assert "\n" not in str(caught.value)
    german = [{"Frage": row["problem"], "Antwort": row["answer"]} for row in AMC]
    assert len(open_benchmark("amc23", write(tmp_path / "de.jsonl", german), {"prompt": "Frage", "answer": "Antwort"})) == 40
    assert [p.meta[BENCHMARK] for p in open_benchmark(part)][:1] == ["part"], "a file is a benchmark of its own name"


def test_what_fetch_wrote_is_read_as_it_is(command: Callable[..., Any], tmp_path: Path) -> None:
    """The same rows by way of Parquet and JSONL; another benchmark's file is refused; options that do not apply are named."""
    source = write(tmp_path / "copy.jsonl", AMC)
    for out in ("one.parquet", "two.jsonl"):
        done = command("fetch", "amc23", "--file", source, "--out", out, "--json")
        assert done.code == 0 and json.loads(done.out) == {
            "out": out, "rows": 40, "kind": "problem", "license": "MAA", "non_commercial": [], "no_reference": 0, "suspects": 0,
        }  # fmt: skip
        assert open_benchmark("amc23", Path(out)) == open_benchmark("amc23", source) == read_rows(Path(out), Problem)
    done = command("fetch", "aime24", "--file", "one.parquet")
    assert done.code == 2 and "holds problems of 'amc23', not of aime24" in done.err
    done = command("fetch", "amc23", "--file", source, "--count", 3)
    assert done.code == 2 and "count does not apply to the benchmark amc23" in done.err


def test_the_hub_is_read_config_by_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the hub's form: two configs, a part of the subjects, and the hub's own size with a notice."""
    for config in ("one", "two"):
        rows = [
            {"question": f"{config} {at}?", "subject": ("physics", "law")[at % 2], "choices": ["a", "b", "c", "d"], "answer": at % 4}
            for at in range(6)
        ]
        (tmp_path / config).mkdir()
        Dataset.from_list(rows).to_parquet(tmp_path / config / "test.parquet")
    configs = "".join(f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/*.parquet\n" for c in ("one", "two"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    mine = replace(BENCHMARKS["mmlu"], hub=str(tmp_path), configs=("one", "two"), subjects=frozenset(["physics"]), size=6)
    found = problems_from(mine, None)
    assert [p.answer for p in found] == ["A", "C", "A"] * 2 and found[1].prompt == "one 2?\nAnswer Choices: (A) a (B) b (C) c (D) d"
    assert len(problems_from(replace(mine, size=7, hub_size=6), None)) == 6
    monkeypatch.setattr(copies, "commit_of", lambda hub: "abc")
    monkeypatch.setattr(copies, "hub_records", lambda what, hub, config, revision, *rest: iter([{**AMC[0], "url": revision}] * 1))
    one = replace(BENCHMARKS["amc23"], size=1)
    assert [p.meta[REVISION] for given in (None, "def") for p in problems_from(one, None, revision=given)] == ["abc", "def"]
    assert problems_from(one, None)[0].meta["url"] == "abc", "the commit that is kept is the one that was read"
    monkeypatch.undo()
    with pytest.raises(UserError, match="mmlu has 7 problems, but data set .* gives 6"):
        problems_from(replace(mine, size=7), None)
    with pytest.raises(UserError, match="of which neither --data nor ACEMATH_DATA gives a file: data set .* cannot be read"):
        list(hub_copy(replace(mine, split="nowhere"), None))


def test_one_pair_of_dollars_comes_off() -> None:
    """Only where it stands around the whole answer."""
    cases = {"$x^2$": "x^2", "$1$ or $2$": "$1$ or $2$", "$5": "$5", r"$\$ 4$": r"\$ 4", "$": "$", "": "", r"$4\$": r"$4\$"}
    assert {text: outer_dollars_off(text) for text in cases} == cases


def test_recipes_name_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list, a preset, a group with settings; a count is a part; seeds may not draw from one."""
    write(tmp_path / "amc23.jsonl", AMC)
    monkeypatch.setenv("ACEMATH_DATA", str(tmp_path))

    def sources(given: object) -> dict[str, Source]:
        return load_recipe("laptop", {"problems.benchmarks": given}).problems.benchmarks

    assert list(sources("rewardbench")) == list(PRESETS["rewardbench"])
    mixed = sources(["amc23", "aime24", {"mine": {"file": "x.jsonl"}}])
    assert [(name, s.benchmark) for name, s in mixed.items()] == [("amc23", "amc23"), ("aime24", "aime24"), ("mine", None)]
    some = sources({"small": {"benchmark": "amc23", "count": 5}})["small"]
    assert (count_rows("small", some), count_rows("amc23", mixed["amc23"])) == (5, 40)
    rows = read_benchmark("small", some, 0)
    assert [(p.id, p.meta[BENCHMARK]) for p in rows] == [(f"amc23:{at}", "small") for at in range(5)]
    for given, says in (
        (["gsm"], "did you mean gsm8k"),
        ({"x": {"benchmark": "gsm"}}, "'gsm' is no benchmark"),
        ({"x": {"benchmark": "amc23", "hub": "a/b"}}, "exactly one of benchmark, worksheets, file, hub"),
    ):
        with pytest.raises(UserError, match=says):
            sources(given)
    with pytest.raises(UserError, match="nothing may train on one"):
        load_recipe("laptop", {"problems.seeds": {"x": {"benchmark": "amc23"}}})


def test_commands_take_names_and_files(command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """decontaminate --against NAMES; a leak is found under the benchmark's name."""
    write(tmp_path / "amc23_test.jsonl", AMC)
    other = write(tmp_path / "own.jsonl", [{"problem": "How many legs does a spider with nine lives and two hats have?", "answer": "8"}])
    prompts = write(tmp_path / "prompts.jsonl", [{"problem": row["problem"]} for row in AMC[:2]])
    monkeypatch.setenv("ACEMATH_DATA", str(tmp_path))
    assert Counter(p.meta[BENCHMARK] for p in read_benchmarks(["amc23", other])) == {"amc23": 40, "own": 1}
    done = command("decontaminate", prompts, "--against", f"amc23,{other}", "--json")
    assert done.code == 0 and json.loads(done.out)["n"] == 2
    done = command("decontaminate", prompts, "--against", "amc32")
    assert done.code == 2 and "did you mean amc23" in done.err


def test_the_table(command: Callable[..., Any]) -> None:
    """For people and, with --json, for programs."""
    shown = command("benchmarks")
    assert shown.code == 0 and all(name in shown.out for name in BENCHMARKS)
    found = json.loads(command("benchmarks", "--json").out)
    assert [row["name"] for row in found["benchmarks"]] == list(BENCHMARKS) and found["presets"]["paper"][1] == "math"
    assert {row["name"] for row in found["benchmarks"] if row["non_commercial"]} == {"minerva_math"}


def test_rows_that_stand_twice_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are read once; the size of a registered benchmark would be wrong without a word."""
    row = '{"id": 1, "question": "What is 1 + 1?", "answer": "2"}\n'
    (tmp_path / "mine.jsonl").write_text(row + row)
    assert len(open_benchmark(str(tmp_path / "mine.jsonl"))) == 1 and "1 of 2 rows appear twice" in caplog.text
