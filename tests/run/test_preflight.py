"""Preflight: every fault of a recipe is one line, all of them together, before anything is run or paid for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.run.display import Display
from acemath.run.preflight import check, resources
from acemath.run.preflight.finding import Findings
from acemath.run.run import run_recipe

SYSTEMLESS = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ENDLESS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
Model = Callable[..., Path]


@pytest.fixture
def model(tiny_policy: Path, tmp_path: Path) -> Model:
    """Copies of a tiny policy, with changes of its tokenizer, its configuration, or its weights."""

    def make(name: str, template: str = "", config: dict[str, Any] | None = None, layers: bool = False) -> Path:
        from transformers import AutoTokenizer

        folder = shutil.copytree(tiny_policy, tmp_path / name)
        if template:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.chat_template = template
            if template == ENDLESS:
                tokenizer.eos_token = None
                (folder / "generation_config.json").unlink(missing_ok=True)
            tokenizer.save_pretrained(folder)
        if config:
            found = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(found | config))
        if layers:
            weights = load_file(folder / "model.safetensors")
            wide = next(w for n, w in weights.items() if n.endswith("q_proj.weight"))
            save_file(weights | {"score.0.weight": wide, "score.2.weight": wide[:1]}, folder / "model.safetensors")
        return folder

    return make


def lines(path: Path, *rows: dict[str, Any]) -> str:
    """A file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def found(changes: dict[str, Any], folder: Path, **how: bool) -> Findings:
    """What the preflight of the laptop's recipe with changes finds."""
    return check.preflight(load_recipe("laptop", changes), folder, **{"network": False, "here": False, **how}).findings


def says(findings: Findings, state: str, place: str) -> str:
    """The one line of a place in a state."""
    (row,) = [row for row in findings.rows if (row.state, row.place) == (state, place)]
    assert "\n" not in row.says
    return row.says


ROW = {"problem": "1+1?", "gold": "2"}


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"prompt": "qestion"}, "columns.prompt is 'qestion', and the rows have no such column; they have gold, problem"),
        ({"prompt": "problem", "answer": "anser"}, "columns.answer is 'anser'"),
    ],
)
def test_a_wrong_column_is_named(columns: dict[str, str], what: str, tmp_path: Path) -> None:
    """Also that of the reference answer, which a run would only find missing."""
    source = {"file": lines(tmp_path / "mine.jsonl", ROW), "columns": columns}
    assert what in says(found({"problems.seeds": {"mine": source}, "curate.evolve.methods": []}, tmp_path), "fault", "problems.seeds.mine")
    source["columns"] = {"prompt": "problem", "answer": "gold"}
    good = found({"problems.seeds": {"mine": source}, "curate.evolve.methods": []}, tmp_path)
    assert not good.having("fault") and "1 different prompts" in says(good, "good", "problems.seeds.mine")


def test_a_template_without_a_system_role_is_named(model: Model, tmp_path: Path) -> None:
    """Where the recipe gives a system prompt, and only there."""
    folder = str(model("systemless", SYSTEMLESS))
    given = found({"reward.base": folder, "reward.chat.system": "Check it."}, tmp_path)
    assert "has no system role: the system prompt is put before the user's text" in says(given, "note", "reward.base")
    assert not found({"reward.base": folder, "reward.chat.system": ""}, tmp_path).having("note")


def test_a_head_that_is_not_read_is_named(model: Model, tmp_path: Path) -> None:
    """Training would lose a head of two layers, and a reward model writes no text."""
    folder = str(model("layers", layers=True))
    assert "2 layers" in says(found({"reward.base": folder}, tmp_path), "fault", "reward.base")
    where = "roles.teachers.math"
    assert "is a reward model, which writes no text" in says(found({f"{where}.model": folder}, tmp_path), "fault", f"{where}.model")
    assert not found({"roles.ranker": folder}, tmp_path).having("fault")


def test_a_prompt_that_is_too_long_is_named(model: Model, tmp_path: Path) -> None:
    """One of more tokens than the teacher takes, from a file that is read whole; and a chat that leaves no room at all."""
    rows = [{"prompt": f"What is {n}+1?", "answer": "2"} for n in range(300)]
    file = lines(tmp_path / "mine.jsonl", *rows, {"prompt": "a 7 " * 4500, "answer": "1"})
    short = str(model("short", config={"max_position_embeddings": 2048}))
    changes = {
        "problems.seeds": {"mine": {"file": file}}, "curate.evolve.methods": [], "roles.teachers.math.model": short,
        "roles.teachers.math.max_new_tokens": 100,
    }  # fmt: skip
    line = says(found(changes, tmp_path), "note", "roles.teachers.math.model")
    assert "a prompt of problems.seeds.mine has 9," in line or "a prompt of problems.seeds.mine has 1" in line
    assert line.endswith(f"and {short} takes 2,048: each such row is dropped")
    wordy = changes | {"roles.teachers.math.chat": {"system": "a 7 " * 4500}}
    assert "the chat alone has" in says(found(wordy, tmp_path), "fault", "roles.teachers.math.model")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"question": "1+1?", "answer": "#### 2"}], "gsm8k has 1,319 problems, but .* gives 1"),
        ([{"question": "1+1?", "final": "2"}], "is no known form of gsm8k: its columns are final, question"),
        ([], "holds no problem of gsm8k"),
    ],
)
def test_a_benchmark_of_wrong_size_or_form_is_named(rows: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    """Before any policy is measured on it."""
    changes = {"problems.benchmarks": {"gsm8k": {"benchmark": "gsm8k", "file": lines(tmp_path / "test.jsonl", *rows)}}}
    with pytest.raises(UserError, match=what):
        check.preflight(load_recipe("laptop", changes), tmp_path, network=False, here=False).stop_at_faults()


def test_a_missing_stop_id_is_named(model: Model, tmp_path: Path) -> None:
    """A policy that could never stop; `stop_ids` of the model mends it."""
    folder, where = str(model("endless", ENDLESS)), "roles.teachers.math.model"
    assert "no token ends a response" in says(found({where: folder}, tmp_path), "fault", where)
    mended = {where: "mended", "models.mended": {"id": folder, "stop_ids": [2]}}
    assert "ends with 2" in says(found(mended, tmp_path), "good", where)


ENDPOINT = {"engine": "endpoint", "url": "http://127.0.0.1:9/v1"}


def test_a_price_that_is_missing_with_a_budget_is_named(tmp_path: Path) -> None:
    """A price of 0 that the recipe states is a price; a plan above the budget is a note."""
    where = "roles.teachers.math.model"
    changes = {where: "gpt", "budget_usd": 1.0}
    unpriced = found(changes | {"models.gpt": ENDPOINT}, tmp_path)
    assert "has no price, so the budget of US$ 1 would not hold for it" in says(unpriced, "fault", where)
    assert not found(changes | {"models.gpt": {**ENDPOINT, "price_in": 0}}, tmp_path).having("fault")
    dear = found(changes | {"models.gpt": {**ENDPOINT, "price_out": 10}}, tmp_path)
    assert "the budget is US$ 1: the run will stop before it ends" in says(dear, "note", "budget_usd")
    unset = {"models.gpt": {**ENDPOINT, "api_key_env": "NO_SUCH_KEY"}, where: "gpt"}
    assert "NO_SUCH_KEY is not set" in says(found(unset, tmp_path), "fault", where)


def test_memory_disk_and_packages_are_compared_with_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the run is to be here. The state of a training takes 16 bytes a parameter."""
    monkeypatch.setattr(resources, "_devices", lambda: (1, 1e9, "a GPU here"))
    monkeypatch.setattr(resources, "find_spec", lambda name: None)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda at: SimpleNamespace(free=10))
    changes = {"sft.base": "some/model-7B", "reward.base": "math", "models.large": {"engine": "vllm", "id": "a/b-72B", "tensor_parallel": 4},
               "roles.teachers.math.model": "large"}  # fmt: skip
    here = found(changes, tmp_path, here=True)
    faults = "\n".join(f"{row.place} {row.says}" for row in here.having("fault"))
    assert "some/model-7B take 112.0 GB on each device, and a GPU here has 1.0 GB; train in more processes" in faults
    assert "a/b-72B in 4 parts take 36.0 GB on each device, and a GPU here has 1.0 GB; give the model more devices" in faults
    assert "models.reward memory: the weights of reward take 14.0 GB on each device" in faults  # where it scores
    assert "run folder disk: about 252." in faults and "of which 252.0 for trained models and a checkpoint, and 0.0 GB are free" in faults
    assert "it needs vllm, which is not installed: pip install 'acemath[vllm]'" in faults
    assert not found(changes, tmp_path).having("fault")


def test_a_disk_that_is_too_small_is_named(tmp_path: Path, command: Callable[..., Any]) -> None:
    """The disk of the run's folder, for a base of so many parameters; nothing is written there."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": [10**15], "data_offsets": [0, 0]}}).encode()
    base = tmp_path / "vast"
    base.mkdir()
    (base / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    done = command("run", "laptop", "--preflight", "--json", "--set", f"sft.base={base}", "--set", "reward.base=math")
    (line,) = [row["says"] for row in json.loads(done.out)["checks"] if (row["place"], row["state"]) == ("run folder", "fault")]
    assert done.code == 2 and line.startswith("disk: about 36,000,000.4 GB, of which 36,000,000.0 for trained models and a checkpoint, and ")
    assert line.endswith("GB are free; name a folder with more room: --out") and not Path("runs").exists()


def test_what_was_found_can_be_read_off_a_terminal(command: Callable[..., Any]) -> None:
    """In lines of a hundred characters, folded between words; a name is never cut."""
    done = command("run", "acemath-7b", "--dry-run")
    told = done.out.splitlines()
    assert max(map(len, told)) <= 100 and "not checked problems.seeds.numina: data set AI-MO/NuminaMath-CoT of the hub: it was not opened" in told
    joined = " ".join(done.out.split())
    assert "in 4 parts take 36.0 GB on each device; not compared with a machine" in joined
    places = ", ".join(f"reward.candidates.policies.short-{name}.shots" for name in ("qwen", "llama", "mistral", "gemma"))
    assert f"not checked problems.seeds.choices, {places}: data set deepmind/aqua_rat of the hub: it was not opened" in joined


def test_all_faults_come_at_once_and_nothing_is_run(
    model: Model, tmp_path: Path, command: Callable[..., Any]
) -> None:
    """From the command line: the plan, one table, a line for each fault, exit code 2; a run says the same faults."""
    changes = {
        "problems.seeds.mine.file": lines(tmp_path / "mine.jsonl", ROW),
        "problems.seeds.mine.columns.prompt": "qestion",
        "reward.base": str(model("layers", layers=True)),
        "bench.policies.math.model": "mth",
        "roles.teachers.code.model": str(model("endless", ENDLESS)),
    }
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    done = command("run", "laptop", "--dry-run", "--json", *words)
    faults = {row["place"] for row in json.loads(done.out)["checks"] if row["state"] == "fault"}
    assert faults == {"problems.seeds.mine", "reward.base", "bench.policies.math.model", "roles.teachers.code.model", "roles"}
    said = done.err.splitlines()
    assert done.code == 2 and len(said) == 6 and said[-1] == "acemath: 5 faults in the recipe (above); correct them: nothing was run"
    again = command("run", "laptop", *words)
    assert (again.code, again.err.splitlines()[-6:]) == (2, said) and not list(Path("runs/laptop").glob("*/"))


def test_a_plan_counts_files_as_a_run_takes_them(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Different prompts after lower-casing, of the part and count that the recipe takes; a data set of unknown size is named."""
    file = lines(tmp_path / "mine.jsonl", *({"prompt": f"What is {n}+1?", "answer": "2"} for n in range(40)), {"prompt": "WHAT IS 1+1?"})
    seeds = "problems.seeds={" + f"mine: {{file: {file}}}, few: {{file: {file}, count: 7}}, far: {{hub: a/b}}" + "}"
    test = lines(tmp_path / "test.jsonl", {"prompt": "2*2?", "answer": "4"})
    bench = f"problems.benchmarks={{own: {{file: {test}}}}}"
    done = command("run", "laptop", "--dry-run", "--json", "--set", seeds, "--set", bench, "--set", "curate.evolve.methods=[]")
    plan = json.loads(done.out)
    rows = {row["stage"]: row["rows"] for row in plan["stages"]}
    assert done.code == 0 and (rows["seeds"], rows["benchmarks"]) == (47, 1)
    assert "the size of far is unknown and counts as 0 rows; give it a count" in plan["note"]
    assert {"place": "problems.seeds.far", "state": "not checked", "says": "data set a/b of the hub: it was not opened"} in plan["checks"]


def test_data_that_are_ready_to_train_on_are_opened_and_counted(tmp_path: Path) -> None:
    """Conversations and groups: a first row of another form is a fault, a later one is dropped by the run and said."""
    chat = {"messages": [{"role": "user", "content": "1+1?"}], "answer": "2"}
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    groups = [{"qid": str(n // 2), "message": turns, "label": n % 2} for n in range(6)]
    changes: dict[str, Any] = {
        "sft.stages": {"math": {"data": {"file": lines(tmp_path / "chats.jsonl", chat, {"text": "?"}, chat)}}},
        "reward.data": {"file": lines(tmp_path / "groups.jsonl", *groups)},
    }
    recipe = load_recipe("acemath-7b-released", changes)
    told = check.preflight(recipe, tmp_path, network=False, here=False)
    assert "2 conversations" in says(told.findings, "note", "sft.stages.math.data")
    assert "of the first 3, 1 have another form and will be dropped" in says(told.findings, "note", "sft.stages.math.data")
    assert says(told.findings, "good", "reward.data").startswith("3 groups")
    assert {row["stage"]: row["rows"] for row in told.plan["stages"] if row["stage"] in ("sft-math", "reward")} == {"sft-math": 2, "reward": 3}
    changes["reward.data"] = {"file": lines(tmp_path / "other.jsonl", {"id": "1", "message": turns, "label": 1})}
    other = check.preflight(load_recipe("acemath-7b-released", changes), tmp_path, network=False, here=False)
    assert "not a labelled response" in says(other.findings, "fault", "reward.data")


class _Hub(BaseHTTPRequestHandler):
    """A hub whose repositories are all gated, but for those called missing."""

    def _refuse(self) -> None:
        missing = "missing" in self.path
        self.send_response(404 if missing else 403)
        self.send_header("X-Error-Code", "RepoNotFound" if missing else "GatedRepo")
        self.send_header("X-Error-Message", "not here" if missing else "Access to this repository is restricted")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = _refuse

    def log_message(self, *_: object) -> None:
        pass


def test_gated_and_missing_repositories_are_named(host: Callable[..., str], tmp_path: Path) -> None:
    """The hub's 403 and 404 become lines that say what to do; the same recipe without the network only says what was not checked."""
    (tmp_path / "mine.yaml").write_text(
        "extends: laptop\nname: mine\nproblems: {seeds: {far: {hub: owner/rows, subject: math}}}\ncurate: {evolve: {methods: []}}\n"
        "roles: {ranker: owner/judge}\nbench: {policies: {other: owner/missing}}\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": host(_Hub), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "acemath", "run", "mine.yaml", "--json", "--preflight"],
        capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    asked = {row["place"]: row["says"] for row in json.loads(done.stdout)["checks"] if row["state"] == "fault"}
    assert asked["roles.ranker"].startswith("model 'owner/judge' is gated: accept its terms at https://huggingface.co/owner/judge")
    assert "data set 'owner/rows' is gated: accept its terms" in asked["problems.seeds.far"]
    assert "the hub has no model 'owner/missing'" in asked["bench.policies.other.model"]
    unasked = check.preflight(load_recipe(tmp_path / "mine.yaml"), tmp_path / "run", network=False, here=True).findings
    places = {row.place for row in unasked.having("not checked")}
    assert not unasked.having("fault") and places >= {"problems.seeds.far", "bench.policies.other.model", "roles.ranker"}


def test_a_run_to_the_training_sets_needs_no_model_of_later_parts(tmp_path: Path) -> None:
    """What only the bench names is no fault for it."""
    recipe = load_recipe("laptop", {"bench.policies.math.model": "mth"})
    assert not check.preflight(recipe, tmp_path, "data", network=False, here=False).findings.having("fault")
    with pytest.raises(UserError, match="neither one of models nor a stage"):
        run_recipe(recipe, tmp_path, Display(quiet=True))
