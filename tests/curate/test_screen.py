"""The screen: its tokens are those of the exact comparison, and it never clears a prompt that has a hit."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acemath.cli.reading import read_benchmarks, read_problems
from acemath.curate.decontaminate.arrays import (
    BATCH_BYTES,
    Prefix,
    Table,
    Vocabulary,
    ascii_of,
    codes_of,
    hashes_of,
)
from acemath.curate.decontaminate.changes import CHANGES
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.curate.settings import DecontaminateSettings
from acemath.curate.words import fold, mask_one, tokens_of
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.records import Problem

PIECES = st.sampled_from(
    [
        *r"\\,,..<>==+-*/^%$(){}[]~!?_ '",
        *"aAzZ019",
        "\n",
        "\t",
        "123",
        "4,567",
        ",890",
        "\\left",
        "\\alpha",
        "<=",
        "½",
    ]
    + ["é", "“", "²", "−", "the", "NUMBER", "half", "\u200b", "\\,", "{,}", "^\\circ", "\\begin{array}"]
)


@given(st.lists(st.lists(PIECES, max_size=30).map("".join), min_size=1, max_size=5))
def test_words_found_on_bytes_are_those_of_the_regular_expression(texts: list[str]) -> None:
    """The same words and masks for any sequence of characters."""
    read = [text for text in texts if ascii_of(text) is not None]
    for text in set(texts) - set(read):
        assert any(letter.isalnum() and not letter.isascii() for letter in text)
    vocabulary = Vocabulary()
    tokens = vocabulary.read([ascii_of(text) or b"" for text in read])
    for place, text in enumerate(read):
        ids = tokens.ids[tokens.owners == place]
        words, masks = vocabulary.words[ids], vocabulary.masks[ids]
        assert words[words != 0].tolist() == codes_of(fold(tokens_of(text))).tolist()
        expected = [masked for masked in map(mask_one, tokens_of(text)) if masked]
        assert masks[masks != 0].tolist() == codes_of(expected).tolist()


def test_a_run_has_the_same_hash_everywhere() -> None:
    """From prefix sums and alone; different runs have different hashes."""
    words = ["to", "be", "or", "not", "to", "be", "or", "so"]
    prefix = Prefix(codes_of(words))
    found = prefix.of(np.array([0, 4, 1]), np.array([3, 7, 4]))
    assert found.tolist() == hashes_of([["to", "be", "or"], ["to", "be", "or"], ["be", "or", "not"]]).tolist()
    assert found[0] == found[1] != found[2]
    assert prefix.every(3)[[0, 4, 1]].tolist() == found.tolist() and len(prefix.every(9)) == 0
    assert len(hashes_of([])) == 0


def test_a_table_gives_every_value_of_a_key() -> None:
    """As a dictionary of lists does, for known and unknown keys."""
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, 500, np.uint64)
    pairs = [(int(key), place) for place, key in enumerate(rng.choice(keys, 2000))]
    expected = defaultdict(list)
    for key, value in pairs:
        expected[key].append(value)
    table = Table(np.array([key for key, _ in pairs], np.uint64), [value for _, value in pairs])
    asked = np.concatenate([keys, rng.integers(0, 2**64, 500, np.uint64)])
    owners, values = table.pairs(asked, np.arange(len(asked)))
    found = list(zip(owners.tolist(), values.tolist(), strict=True))
    assert found == [(at, value) for at, key in enumerate(asked.tolist()) for value in expected[key]]
    empty = Table(np.zeros(0, np.uint64))
    assert len(empty.find(asked)[0]) == 0 and len(table.find(asked[:0])[0]) == 0


def planted(benchmarks: list[Problem], clean: list[Problem], each: int) -> list[Problem]:
    """Copies of problems, changed in every known way, unchanged, and inside longer prompts, among clean prompts."""
    rng = random.Random(0)
    texts = []
    for change in CHANGES.values():
        texts += filter(None, (change(row.prompt, rng) for row in rng.sample(benchmarks, each)))
    for row in rng.sample(benchmarks, each):
        texts += [
            row.prompt,
            f"{row.prompt} {rng.choice(clean).prompt}",
            f"“{row.prompt}” – Naïve, isn’t it?",
        ]
    texts += ["", "7", "?!", "x" * (BATCH_BYTES + 1), "Find " + "the sum of " * 9000 + benchmarks[0].prompt]
    rows = [Problem(f"p{at}", text, subject="" if at % 5 else "code") for at, text in enumerate(texts)]
    rows += clean
    rng.shuffle(rows)
    return rows


@pytest.mark.parametrize(
    "settings", [{}, {"reworded": False}, {"ngram": 5, "lcs": 0.2, "near_copy": 0.6}, {"ngram": 30}]
)
def test_the_screen_clears_nothing_that_has_a_hit(
    settings: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan finds the hits of comparing each prompt, even if the vocabulary is cleared again and again."""
    tests = draw_problems("test", 300, 3, MATH_SUBJECTS)
    rows = planted(tests, draw_problems("train", 900, 4, MATH_SUBJECTS), 60)
    decontaminator = Decontaminator(tests, DecontaminateSettings.model_validate(settings))
    hits = scan(rows, decontaminator)
    assert hits == [decontaminator.index.find(row, row.group == "math") for row in rows]
    assert sum(map(bool, hits)) > 200 and not all(hits)
    assert len(decontaminator.screen.suspects(row.prompt for row in rows)) < len(rows)
    monkeypatch.setattr("acemath.curate.decontaminate.arrays.BATCH_BYTES", 1 << 14)
    monkeypatch.setattr("acemath.curate.decontaminate.screen.BATCH_BYTES", 1 << 14)
    monkeypatch.setattr(Vocabulary, "limit", 100)
    assert scan(rows, Decontaminator(tests, decontaminator.index.settings)) == hits


def test_the_screen_on_real_prompts(shared: Path) -> None:
    """On real training sets with changed copies of real problems: the hits of comparing each prompt."""
    names = ("gsm8k_test", "math500_test", "olympiadbench_test", "mmlu_stem_test")
    tests = read_benchmarks([shared / "data" / f"{name}.jsonl" for name in names])
    rng = random.Random(1)
    clean = rng.sample(read_problems(shared / "data" / "math_train.jsonl"), 1500)
    rows = planted(tests, clean + rng.sample(read_problems(shared / "data" / "gsm8k_train.jsonl"), 500), 150)
    decontaminator = Decontaminator(tests, DecontaminateSettings())
    hits = scan(rows, decontaminator)
    assert hits == [decontaminator.index.find(row, row.group == "math") for row in rows]
    assert {hit.kind for hit in hits if hit} == {"leak", "contained", "near-copy", "reworded"}


def test_without_benchmark_problems_nothing_is_suspected() -> None:
    """An empty index, or one of problems without words."""
    rows = [Problem(str(at), f"What is {at} + 1?") for at in range(600)]
    for tests in ([], [Problem("e", "?!")]):
        assert not any(scan(rows, Decontaminator(tests, DecontaminateSettings())))
