"""Seeds and benchmarks that number their rows alike, and files and models that change, in a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from acemath.recipe.load import load_recipe
from acemath.records import Problem, fingerprint
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.runner import Runner
from acemath.run.stages import stages_until

Make = Callable[..., Runner]


def write(path: Path, *prompts: str) -> Path:
    """A file that numbers its rows from 0; the answer is the prompt's length."""
    rows = ({"id": n, "question": text, "answer": str(len(text))} for n, text in enumerate(prompts))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_of(make: Make, folder: Path, seeds: dict[str, Path], benchmarks: dict[str, Path]) -> Runner:
    """The first stages of the laptop recipe on these files."""
    changes = {
        "problems.seeds": {name: {"file": str(path)} for name, path in seeds.items()},
        "problems.benchmarks": {name: {"file": str(path)} for name, path in benchmarks.items()},
        "curate.evolve.methods": [],
    }
    return make(load_recipe("laptop", changes), folder, "seeds", "benchmarks")


def test_rows_of_every_source_keep_their_own_problem(make: Make, tmp_path: Path) -> None:
    """Two seeds and two benchmarks that all have a row 0: eight ids, each with its own prompt and answer."""
    files = {name: write(tmp_path / f"{name}.jsonl", f"{name} zero?", f"{name} the one?") for name in "abcd"}
    runner = run_of(make, tmp_path / "run", {k: files[k] for k in "ab"}, {k: files[k] for k in "cd"})
    rows = [row for name in ("seeds", "benchmarks") for row in runner.stores[name].all_rows(Problem)]
    assert [row.id for row in rows] == [f"{name}:{n}" for name in "abcd" for n in (0, 1)]
    assert all(row.prompt.startswith(row.source) and row.answer == str(len(row.prompt)) for row in rows)


def test_a_changed_file_is_read_again_whatever_shares_its_name(make: Make, tmp_path: Path) -> None:
    """A seed and a benchmark of one name, and a folder of Parquet: each change makes its stage run again."""
    folder = tmp_path / "shards"
    folder.mkdir()
    pq.write_table(pa.table({"question": ["shard?"], "answer": ["1"]}), folder / "part-0.parquet")
    seed, bench = write(tmp_path / "seed.jsonl", "train?"), write(tmp_path / "bench.jsonl", "test?")

    def again() -> list[str]:
        return run_of(make, tmp_path / "run", {"set": seed, "folder": folder}, {"set": bench}).ran

    assert again() == ["seeds", "benchmarks"] and again() == []
    write(seed, "another train?")
    assert again() == ["seeds"] and again() == []
    write(bench, "another test?")
    assert again() == ["benchmarks"] and again() == []
    pq.write_table(pa.table({"question": ["another shard?"], "answer": ["1"]}), folder / "part-0.parquet")
    assert again() == ["seeds"] and again() == []


def test_a_model_that_was_replaced_in_its_folder_is_another_model(make: Make, tmp_path: Path) -> None:
    """As a base, as a policy and as a ranker; a copy of the same files, or a new time, is the same model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    changes = {
        "models.mine": {"id": str(folder)}, "models.far": {"id": "owner/name"}, "sft.base": "mine", "roles.ranker": "mine",
        "reward.base": "mine", "reward.candidates.policies": ["mine", "far"],
    }  # fmt: skip

    def keyed(value: float) -> dict[str, str]:
        save_file({"model.body": np.full((4, 4), value, np.float32)}, folder / "model.safetensors")
        run = Run(load_recipe("laptop", changes), tmp_path / "run", Display(quiet=True))
        return {stage.name: fingerprint(stage.settings) for stage in stages_until(run, "tables")}

    before, same, now = keyed(0.0), keyed(0.0), keyed(1.0)
    assert before == same
    assert {name for name in now if now[name] != before[name]} == {
        "sft-general-1", "candidates-mine", "ranks", "reward", "reward-start",
    }  # fmt: skip
