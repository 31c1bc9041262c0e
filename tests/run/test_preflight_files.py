"""Preflight reads the files: models that cannot be loaded, answers that nothing could be graded by, benchmarks that were changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from acemath.benchmarks.benchmark import Benchmark
from acemath.benchmarks.copies import altered_words, digest_of
from acemath.benchmarks.registry import BENCHMARKS
from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.records import Dropped, Problem
from acemath.run.preflight.check import preflight
from acemath.run.preflight.finding import Finding
from acemath.run.rehearsal.rehearse import say_faults
from acemath.run.run import check_used

TEACHER = "roles.teachers.math.model"
FEW = {"problems.benchmarks.worksheets.count": 21}  # drawing them takes most of the time


def lines(path: Path, *rows: dict[str, Any]) -> str:
    """A file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def found(changes: dict[str, Any], folder: Path, last: str = "tables") -> list[Finding]:
    """What the preflight of the laptop's recipe with changes finds."""
    recipe = load_recipe("laptop", FEW | changes)
    return preflight(recipe, folder, last, network=False, here=False).findings.rows


def the(rows: list[Finding], state: str, place: str) -> str:
    """The one line of a place in a state."""
    (row,) = [row for row in rows if (row.state, row.place) == (state, place)]
    assert "\n" not in row.says
    return row.says


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def split(folder: Path) -> None:
    """Weights in two files with an index, of which one is missing."""
    weights = load_file(folder / "model.safetensors")
    names = {name: f"model-0000{1 + at % 2}-of-00002.safetensors" for at, name in enumerate(weights)}
    (folder / "model.safetensors").unlink()
    save_file({n: w for n, w in weights.items() if names[n].startswith("model-00001")}, folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def changed(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("*"):
        if "token" in file.name or file.suffix in (".jinja", ".txt") or file.name in ("vocab.json", "merges.txt"):
            file.unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda f: cut(f / "model.safetensors", 4000), "copy or download it again"),
    "pointer": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"), "copy or download it again"),
    "part": (split, "lacks model-00002-of-00002.safetensors, which its index names"),
    "weightless": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "holds no weights"),
    "tokenless": (without_tokenizer, "has no tokenizer"),
    "list": (lambda f: (f / "config.json").write_text("[]"), "holds list, not a JSON object"),
    "torn": (lambda f: (f / "generation_config.json").write_text('{"eos'), "is not valid JSON"),
    "unknown": (lambda f: changed(f, model_type="nosuch"), "has the architecture 'nosuch', which the installed transformers does not know"),
    "foreign": (lambda f: changed(f, hidden_size=48), "its weights are of another model than its config.json"),
    "deeper": (lambda f: changed(f, num_hidden_layers=1, layer_types=["full_attention"]), "its weights are of another model than its config.json"),
    "index": (lambda f: (split(f), (f / "model.safetensors.index.json").write_text("{")), "is not valid JSON"),
    "mapless": (lambda f: (split(f), (f / "model.safetensors.index.json").write_text("{}")), "has no weight_map"),
    "typed": (lambda f: changed(f, vocab_size="1024"), "Field 'vocab_size' expected int, got str"),
    "headless": (lambda f: changed(f, num_attention_heads=0), "cannot load model"),
    "endless": (lambda f: (f / "generation_config.json").write_text('{"eos_token_id": "x"}'), "has the eos_token_id 'x'; it is a token's id"),
    "folder": (lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()), "cannot be read (Is a directory)"),
    "small": (lambda f: changed(f, vocab_size=17), "and the model has 17 tokens; give it its own tokenizer"),
}


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"tensor_parallel": 3}, "which does not divide the 4 attention heads; give one of 1, 2"), ({"max_length": 9000}, "it has 1,024 positions")],
)
def test_what_vllm_would_refuse_is_named(settings: dict[str, Any], says: str, tiny_policy: Path, tmp_path: Path) -> None:
    """Else vLLM would say it days later, when its stage begins."""
    changes = {"models.teacher": {"engine": "vllm", "id": str(tiny_policy), **settings}, "models.reward": {"engine": "vllm", "tensor_parallel": 3}, "bench.before_training": False}
    rows = found(changes | {"roles.teachers.math": "teacher"}, tmp_path)
    assert says in the(rows, "fault", TEACHER)
    assert "tensor_parallel of reward is 3" in the(rows, "fault", "models.reward")


def test_a_whole_model_has_no_fault(tiny_policy: Path, tmp_path: Path) -> None:
    """The one that the tests below break."""
    assert not [row for row in found({TEACHER: str(tiny_policy)}, tmp_path) if row.state == "fault"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_loaded_is_named(name: str, tiny_policy: Path, tmp_path: Path) -> None:
    """Before anything is asked of it: nothing of the weights is read but headers and sizes."""
    folder = shutil.copytree(tiny_policy, tmp_path / name)
    harm, says = BROKEN[name]
    harm(folder)
    assert says in the(found({TEACHER: str(folder)}, tmp_path), "fault", TEACHER)


def test_every_use_of_a_model_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """The second use of it is no model that might be on the hub."""
    rows = found(dict.fromkeys((TEACHER, "roles.teachers.code.model"), "/no/such/folder"), tmp_path)
    assert {the(rows, "fault", key) for key in (TEACHER, "roles.teachers.code.model")} == {the(rows, "fault", TEACHER)}


def test_a_ranker_needs_its_tokenizer(random_reward_model: Path, tmp_path: Path) -> None:
    """It would fail after all candidates were written."""
    folder = shutil.copytree(random_reward_model, tmp_path / "ranker")
    assert not [row for row in found({"roles.ranker": str(folder)}, tmp_path) if row.state == "fault"]
    without_tokenizer(folder)
    assert "has no tokenizer" in the(found({"roles.ranker": str(folder)}, tmp_path), "fault", "roles.ranker")


def test_a_stop_id_beyond_the_vocabulary_is_named(tiny_policy: Path, tmp_path: Path) -> None:
    """It would end no response."""
    changes = {TEACHER: "mine", "models.mine": {"id": str(tiny_policy), "stop_ids": [99_999_999]}}
    assert "stop_ids names 99999999, and" in the(found(changes, tmp_path), "fault", TEACHER)


@pytest.mark.parametrize("text", ["a: [1", "- 1", "distributed_type: FSDP\nnum_processes: many"])
def test_a_launch_file_that_is_none_is_one_line(text: str, tmp_path: Path, command: Callable[..., Any]) -> None:
    """The same fault of two places is one."""
    (tmp_path / "launch.yaml").write_text(text)
    done = command("run", "laptop", "--dry-run", "--set", f"sft.launch={tmp_path / 'launch.yaml'}")
    (line,) = done.err.splitlines()
    assert done.code == 2 and line.startswith("acemath: sft.launch, memory: launch ") and "is no configuration of accelerate" in line


def seeds(file: str, **more: Any) -> dict[str, Any]:
    return {"problems.seeds": {"mine": {"file": file, **more}}, "curate.evolve.methods": []}


def test_prompts_without_reference_answers_are_counted(tmp_path: Path) -> None:
    """Some are a note; none is a fault where the reward model or a filter needs them, and not for a run that ends before."""
    where, rows = "problems.seeds.mine", [{"prompt": f"What is {n}+1?", "answer": str(n + 1)} for n in range(8)]
    some = seeds(lines(tmp_path / "some.jsonl", *rows[:5], *({"prompt": row["prompt"], "answer": None} for row in rows[5:])))
    assert "3 of 8 math prompts have no reference answer: they train a reward model only" in the(found(some, tmp_path), "note", where)
    filtered = the(found(some | {"curate.filters.right": True}, tmp_path), "note", where)
    assert filtered.endswith("responses to them are dropped (curate.filters.right)")
    none = seeds(lines(tmp_path / "none.jsonl", *({"prompt": row["prompt"], "answer": None} for row in rows)))
    says = the(found(none, tmp_path), "fault", "reward.candidates")
    assert says.startswith("no prompt of problems.seeds.mine has a reference answer, so no candidate could be graded")
    labelled = none | {"roles.labeller": {"model": "teacher"}}
    for changes, last in ((none, "sft"), (labelled, "tables")):
        assert not [row for row in found(changes, tmp_path, last) if row.state == "fault"]
    assert "curate.filters.right drops all responses" in the(found(none | {"curate.filters.right": True}, tmp_path), "fault", where)


def test_groups_that_are_larger_than_the_candidates_are_named(tmp_path: Path) -> None:
    """Else it would show when all candidates are written."""
    rows = found({"reward.groups.size": 40}, tmp_path)
    assert "groups have 40 responses, and a problem gets" in the(rows, "fault", "reward.groups.size")


def test_answers_that_nothing_equals_and_prompts_that_are_tested_are_named(tmp_path: Path) -> None:
    """Sentences as references; a benchmark's own problems as prompts: all of them, or some."""
    rows = [{"prompt": f"What is {n}+1?", "answer": str(n + 1)} for n in range(8)]
    prose = [{**row, "answer": "By induction over n, as the reader will see from the figure below."} for row in rows]
    long = the(found(seeds(lines(tmp_path / "prose.jsonl", *prose)), tmp_path), "note", "problems.seeds.mine")
    assert long.startswith("8 of 8 reference answers are sentences of more than 8 words, or cannot be read (the first: 'By induction")
    test = {"problems.benchmarks": {"own": {"file": lines(tmp_path / "test.jsonl", *rows[:3])}}}
    same = the(found(seeds(lines(tmp_path / "same.jsonl", *rows[:2])) | test, tmp_path), "fault", "problems.seeds.mine")
    assert same.startswith("all of its 2 prompts are problems of the benchmarks")
    part = the(found(seeds(lines(tmp_path / "part.jsonl", *rows)) | test, tmp_path), "good", "problems.seeds.mine")
    assert part.startswith("8 different prompts, of which 3 are problems of the benchmarks and are left out")


def test_a_benchmark_with_another_text_is_told_of(tmp_path: Path, command: Callable[..., Any]) -> None:
    """One changed reference of as many problems; order and white space are no change. The data of a rehearsal are no copy."""
    rows = [Problem(f"{n}", f"What is {n} + 1?", f"{n + 1}") for n in range(5)]
    mine = Benchmark("mine", "Mine", 5, "owner/mine", (), "MIT", digest=digest_of(rows))
    assert not altered_words(mine, rows[::-1]) and not altered_words(mine, [Problem("x", " What is\n0 + 1?", "1"), *rows[1:]])
    assert "a prompt or a reference answer differs" in altered_words(mine, [Problem("0", "What is 0 + 1?", "2"), *rows[1:]])
    assert not altered_words(mine, [Problem("0", "What is 0 + 1?", "2", meta={"stand_in": True}), *rows[1:]])
    file = lines(tmp_path / "gsm8k.jsonl", *({"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(1319)))
    done = command("run", "laptop", "--dry-run", "--set", f"problems.benchmarks={{gsm8k: {{benchmark: gsm8k, file: {file}}}}}")
    assert done.code == 0 and f"gsm8k: {file} has as many problems as the known copy, but" in done.err


def test_the_real_copies_have_their_digests(shared: Path) -> None:
    """Of the benchmarks whose public file is known."""
    from acemath.benchmarks.registry import open_benchmark

    for name in ("gsm8k", "math500", "math"):
        assert digest_of(open_benchmark(name, data=shared / "data")) == BENCHMARKS[name].digest


def test_the_folder_of_another_recipe_is_refused(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Its models would be replaced. With its name the run goes on to the preflight."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"format": 2, "partitions": {"training": 1, "benchmarks": 1}}))
    (run / "recipe.yaml").write_text("name: mine\n")
    done = command("run", "laptop", "--out", run)
    assert done.code == 2 and "holds a run of the recipe 'mine', whose responses and models 'laptop' would replace" in done.err
    named = command("run", "laptop", "--out", run, "--set", "name=mine+pairwise", "--set", "bench.policies.math.model=mth")
    assert named.code == 2 and "'mth', which is neither one of models" in named.err
    assert (run / "recipe.yaml").read_text() == "name: mine\n"


def test_a_model_that_refuses_everything_ends_the_run() -> None:
    """As a server that answers 500 does; prompts that are all too long, and a stage with one response, do not."""
    lost = Dropped("a", "teacher-math", "refused", "1+1?", "s", "sample 0: unanswered after 4 tries: status 500: boom")

    def store(**facts: int) -> Any:
        return SimpleNamespace(name="teacher-math", folder="runs/x/teacher-math", manifest={"facts": facts}, dropped=lambda: iter([lost]))

    for good in ({"responses": 1, "refused": 9}, {"responses": 0, "refused": 9, "too_long": 9}, {"rows": 0}):
        check_used(store(**good))
    with pytest.raises(UserError, match="all 9 were refused .the first: .*status 500: boom.; check the model, remove runs/x/teacher-math"):
        check_used(store(responses=0, refused=9, too_long=1))


def test_a_rehearsal_says_what_its_stand_ins_hide(tiny_policy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A model of one's own that the real run could not load; a sound recipe says nothing."""
    say_faults(load_recipe("laptop", {TEACHER: str(tiny_policy)}), tmp_path)
    assert not caplog.messages
    folder = shutil.copytree(tiny_policy, tmp_path / "model")
    cut(folder / "model.safetensors", 4000)
    say_faults(load_recipe("laptop", {TEACHER: str(folder)}), tmp_path)
    (line,) = caplog.messages
    assert line.startswith(f"the real run would not start here, while the rehearsal goes on: {TEACHER}")


def test_a_damaged_file_of_the_users_is_not_to_be_deleted(tmp_path: Path) -> None:
    """The line says to copy it again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from acemath.files.rows import read_records

    file = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"problem": ["1+1?"] * 99}), file)
    cut(file, 200)
    with pytest.raises(UserError, match="is not a whole Parquet file .*; copy or download it again"):
        list(read_records(file))
