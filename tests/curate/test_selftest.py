"""The self-test of decontamination: its changes, its counts, its command."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from acemath.cli.app import main
from acemath.curate.decontaminate.changes import (
    casing,
    changed_numbers,
    latex_spacing,
    paraphrase,
    re_wrapped,
    renamed_variables,
    sentence_added,
)
from acemath.curate.decontaminate.index import BenchmarkIndex
from acemath.curate.decontaminate.selftest import FALSE_POSITIVES, TARGETS, plant, self_test
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import mask, tokens_of, words_of
from acemath.errors import UserError
from acemath.records import Problem

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TEXT = (
    "Let $ABCD$ be a square with side $x+3$, where $x$ is a whole number. Its area is $\\frac{200}{2} - 19$ square "
    "units. What is the largest value that $x$ can have?"
)
PLAIN = "Why do the leaves of many trees fall in autumn and not in spring?"


def rng() -> random.Random:
    """A random generator with this seed."""
    return random.Random(7)


@pytest.mark.parametrize("change", [re_wrapped, latex_spacing, casing])
@pytest.mark.parametrize("seed", range(8))
def test_spellings_change_the_text_and_not_its_words(change, seed: int) -> None:
    """These changes give the same problem in another spelling."""
    changed = change(TEXT, random.Random(seed))
    assert changed is not None and changed != TEXT and words_of(changed) == words_of(TEXT)


def test_changes_of_content_change_only_their_part() -> None:
    """Variables and numbers change, but not the masked words; a sentence is added whole; synonyms differ."""
    renamed = renamed_variables(TEXT, rng())
    assert renamed is not None and "$x" not in renamed and "ABCD" not in renamed and "200" in renamed
    numbers = changed_numbers(TEXT, rng())
    assert numbers is not None and "200" not in numbers and "$x$" in numbers
    for changed in (renamed, numbers):
        assert mask(tokens_of(changed)) == mask(tokens_of(TEXT)) and words_of(changed) != words_of(TEXT)
    added = sentence_added(TEXT, rng())
    assert added is not None and TEXT in added and len(added) > len(TEXT)
    reworded = paraphrase(TEXT, rng())
    assert reworded is not None and reworded.startswith("give the greatest") and "Assume" not in reworded


def test_what_cannot_be_changed_is_not_planted() -> None:
    """No number, no variable, no formula: None, and no copy of that kind."""
    assert (
        changed_numbers(PLAIN, rng())
        is renamed_variables(PLAIN, rng())
        is latex_spacing(PLAIN, rng())
        is None
    )
    kinds = [name for name, _ in plant([Problem("p", PLAIN)], 5, 0)]
    assert set(kinds) == {"re-wrapped", "casing", "one sentence added"}


def test_copies_without_a_hit_are_missed_and_hits_on_given_prompts_are_false() -> None:
    """A benchmark problem among the given prompts counts as a false positive."""
    tests = [Problem("t", TEXT, source="bench")]
    clean = [Problem("a", PLAIN), Problem("b", TEXT)]
    result = self_test(clean, tests, DecontaminateSettings(), each=3)
    rows = {row.change: row for row in result.recalls}
    assert rows["casing"].recall == 1.0 and rows["casing"].planted == 1 and rows["casing"].leak == 1
    assert rows["changed numbers"].near_copy + rows["changed numbers"].leak == 1
    given = next(row for row in result.clean if row.source == "given prompts")
    assert (given.n, given.leak, given.rate) == (2, 1, 0.5)
    blind = self_test(clean, tests, DecontaminateSettings(ngram=60, near_copy=1.0, reworded=False), each=3)
    assert any(row.recall < 1 and row.missed for row in blind.recalls)
    assert blind == self_test(
        clean, tests, DecontaminateSettings(ngram=60, near_copy=1.0, reworded=False), each=3
    )
    with pytest.raises(UserError, match="0 benchmark problems"):
        self_test(clean, [], DecontaminateSettings())


def test_the_targets_are_met_on_real_benchmarks() -> None:
    """Recall by kind over a sample of all four; false positives on GSM8K train and on worksheets."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    tests = []
    for name, column in (("gsm8k", "question"), ("math500", "problem"), ("olympiadbench", "question"), ("mmlu_stem", "question")):  # fmt: skip
        lines = (DATA / f"{name}_test.jsonl").read_text().splitlines()
        tests += [Problem(str(i), json.loads(line)[column], subject=name) for i, line in enumerate(lines)]
    prompts = [
        Problem(f"g{i}", json.loads(line)["question"])
        for i, line in enumerate((DATA / "gsm8k_train.jsonl").read_text().splitlines())
    ]
    result = self_test(prompts, tests, DecontaminateSettings(), each=400, seed=11)
    for row in result.recalls:
        assert row.planted >= 400 and row.recall >= TARGETS.get(row.change, 0.3), row
    assert all(row.rate <= FALSE_POSITIVES for row in result.clean), result.clean


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """The exit code of an acemath command."""
    monkeypatch.setattr(sys, "argv", ["acemath", *words])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_prints_a_table_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall by kind of change and the false-positive rate; --hits is refused."""
    for name, text in (("prompts", PLAIN), ("bench", TEXT)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": text}))
    files = [str(tmp_path / "prompts.jsonl"), "--benchmark", str(tmp_path / "bench.jsonl")]
    words = ["decontaminate", *files, "--self-test"]
    assert call(monkeypatch, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["change"]: row["recall"] for row in found["recall"]}["re-wrapped"] == 1.0
    assert [row["rate"] for row in found["false_positives"]] == [0.0, 0.0]
    assert call(monkeypatch, *words) == 0 and "renamed" in capsys.readouterr().out
    assert call(monkeypatch, *words, "--hits", str(tmp_path / "h.jsonl")) == 2
    assert "--self-test writes no hits" in capsys.readouterr().err
    assert call(monkeypatch, "curate", *files, "--drop", "smell") == 2
    assert "use near-copy or contained" in capsys.readouterr().err


def test_a_near_copy_is_no_leak() -> None:
    """A near-copy is reported with its own kind."""
    index = BenchmarkIndex([Problem("t", TEXT, subject="bench")], DecontaminateSettings())
    copy = Problem("p", str(changed_numbers(str(renamed_variables(TEXT, rng())), rng())))
    hit = index.find(copy, math=True)
    assert hit is not None and hit.kind == "near-copy"
