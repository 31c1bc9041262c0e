"""What stands in for models, data and endpoints in a rehearsal."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from acemath.benchmarks.registry import BENCHMARKS, PRESETS, open_benchmark
from acemath.curate.evolve import evolution_prompt
from acemath.curate.known_sources import KNOWN
from acemath.grade import grade
from acemath.models.chat import chat_template
from acemath.models.engine import PAPER_CHAT, Sampling
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.score.heads import head_kind
from acemath.models.score.score import RewardModel
from acemath.models.spec import VllmModel
from acemath.recipe.load import load_recipe
from acemath.recipe.sources import Source
from acemath.records import LENGTH, REFUSED, Problem
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.partitions import open_run
from acemath.run.problems import row_counts
from acemath.run.rehearsal.families import family_of, head_of
from acemath.run.rehearsal.models import make_model
from acemath.run.rehearsal.questions import FORMS, last_question, question
from acemath.run.rehearsal.rows import write_benchmark, write_data_set
from acemath.run.rehearsal.script import Script
from acemath.run.rehearsal.server import EVERY, serving
from acemath.run.rehearsal.shrink import rehearsed
from acemath.run.runner import Runner
from acemath.run.source_rows import read_source, worked_examples
from acemath.run.stages import stages_until

# A model of the paper's recipe, and: the architecture, whether the tokenizer is in pieces, the end of a turn.
MODELS = {
    "meta-llama/Llama-2-7b-chat-hf": ("llama", True, "</s>"),
    "meta-llama/Llama-3.1-8B-Instruct": ("llama", False, "<|eot_id|>"),
    "deepseek-ai/deepseek-math-7b-instruct": ("llama", False, "<|end▁of▁sentence|>"),
    "mistralai/Mathstral-7B-v0.1": ("mistral", True, "</s>"),
    "google/gemma-2-2b-it": ("gemma2", True, "<end_of_turn>"),
    "Qwen/Qwen2.5-7B-Instruct": ("qwen2", False, "<|im_end|>"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_tiny_model_of_each_family_writes(name: str, tmp_path: Path) -> None:
    """It loads as its architecture, keeps texts, ends where its family ends, and its forward pass runs."""
    family = family_of(name)
    assert family is not None
    make_model(tmp_path, family, "none", 1, is_base=False)
    engine = TransformersEngine(tmp_path, PAPER_CHAT)
    architecture, pieces, end = MODELS[name]
    tokenizer, template = engine.tokenizer, chat_template(engine.tokenizer)
    assert engine.model.config.model_type == architecture and template.takes_system == family.system
    assert tokenizer.convert_tokens_to_ids(end) in engine.ends.tolist()
    ids = tokenizer("Both add up: \\boxed{12}", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids).strip() == "Both add up: \\boxed{12}"
    assert ("▁" in "".join(tokenizer.convert_ids_to_tokens(ids))) == pieces
    (found,) = engine.generate([Problem("p", "What is 2 + 3?")], Sampling(max_new_tokens=3))
    assert 0 < found.tokens <= 3 and "check your final answer" in tokenizer.decode(engine.prompt_ids(Problem("p", "x")))


def test_the_heads_of_rankers(tmp_path: Path) -> None:
    """Qwen2.5-Math-RM has a head of two layers, others one layer; both give numbers."""
    for name, kind in (("Qwen/Qwen2.5-Math-RM-72B", "layers"), ("nvidia/AceMath-7B-RM", "linear")):
        family, folder = family_of(name), tmp_path / kind
        assert family is not None and head_of(name) == kind
        make_model(folder, family, head_of(name), 1, is_base=False)
        assert head_kind(folder) == kind
        rewards = RewardModel(folder, PAPER_CHAT).score("What is 2 + 3?", ["5", "6 it is"])
        assert len(set(rewards)) == 2


def test_a_base_ends_where_the_text_ends(tmp_path: Path) -> None:
    """Qwen's bases name <|endoftext|>, and the template's own end ends a response too."""
    family = family_of("Qwen/Qwen2.5-Math-7B")
    assert family is not None
    make_model(tmp_path, family, "none", 1, is_base=True)
    engine = TransformersEngine(tmp_path)
    ends = [engine.tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>")]
    assert engine.model.generation_config.eos_token_id == ends[0] and set(ends) == set(engine.ends.tolist())


def test_our_questions_can_be_read() -> None:
    """Each form tells its answer; the last question of several counts."""
    for kind in FORMS:
        for n in range(40):
            asked = question(kind, "test", n)
            assert last_question(f"What is 1 + 1?\n2\n\n{asked.text}\nReason.") == asked
    assert last_question("What is 1 + 1?") is None


def test_the_script_is_in_the_role_s_form() -> None:
    """New questions, right and wrong solutions that the grader tells apart, brief ones after examples, code, prose."""
    script, asked = Script({"How old is Ada?": "31"}), question("seeds", 1)
    for method in ("in-breadth", "in-depth"):
        new = script.line(evolution_prompt(asked.text, method), "m", 0, 0, 0.9).text  # type: ignore[arg-type]
        assert last_question(new) is not None and new != asked.text
    lines = [script.line(asked.text, "m", n, 0, 0.7) for n in range(600)]
    whole = [line.text for line in lines if line.finish_reason != LENGTH]
    right = sum(grade(text, str(asked.answer)).correct for text in whole)
    assert 0.6 < right / len(whole) < 0.75 and len(set(whole)) > 500 and 10 < len(lines) - len(whole) < 50
    assert lines == [script.line(asked.text, "m", n, 0, 0.7) for n in range(600)]
    brief = script.line(f"What is 7 + 5?\n7 + 5 = 12. \\boxed{{12}}\n\n{asked.text}", "m", 1, 0, 1.0).text
    assert len(brief) < 60 and grade(brief, str(asked.answer)).correct
    assert "31" in script.line("How old is Ada?\nReason.", "m", 0, 0, 1.0).text
    assert "```python" in script.line("Write a function.", "m", 0, 0, 1.0).text
    assert "boxed" not in script.line("Plan a day.", "m", 0, 0, 1.0).text
    assert any(script.line(asked.text, "m", n, 0, 1, refuses=True).finish_reason == REFUSED for n in range(300))


def test_the_server_fails_now_and_then_and_never_changes_its_mind() -> None:
    """One request of nine fails; the same request always gets the same reply."""
    body = {"model": "m", "messages": [{"role": "user", "content": question("seeds", 2).text}], "seed": 5}
    codes, texts = [], set()
    with serving(Script({})) as server:
        for _ in range(3 * EVERY):
            try:
                reply = httpx.post(f"{server.url}/chat/completions", json=body, timeout=30)
            except httpx.TransportError:
                codes.append(0)
                continue
            codes.append(reply.status_code)
            if reply.status_code == 200:
                texts.add(reply.json()["choices"][0]["message"]["content"])
        assert server.counts["requests"] == 3 * EVERY
    assert sorted(codes) == [0, *[200] * (3 * EVERY - 3), 429, 500] and len(texts) == 1


@pytest.mark.parametrize("name", PRESETS["rewardbench"])
def test_a_benchmark_is_read_as_the_real_one(name: str, tmp_path: Path) -> None:
    """The registry's reader takes our copy, in size and columns; every reference is the sum that the question asks for."""
    file = tmp_path / f"{name}.jsonl"
    write_benchmark(file, name)
    rows = open_benchmark(name, file)
    assert len(rows) == BENCHMARKS[name].size
    for row in rows[:20]:
        asked = last_question(row.prompt)
        assert asked is not None and grade(Script({}).line(row.prompt, "m", 0, 0, 1.0).text, row.answer).status != "unparsable"
        assert row.answer == str(asked.answer) or len(row.answer) == 1 and f"({row.answer}) {asked.answer}" in row.prompt


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.kind == "prompts"])
def test_every_registered_data_set_is_read_as_the_hub_s(name: str, tmp_path: Path) -> None:
    """Through `datasets`, from a folder in the hub's form, with the configuration, the split and the columns of the registry."""
    source = Source(known=name)
    write_data_set(tmp_path / "set", name, source, 6, [])
    rows = list(read_source(name, source.model_copy(update={"known": None, "hub": str(tmp_path / "set")}), 0))
    assert len(rows) == 6 and all(row.prompt for row in rows)
    if source.subject == "math":
        assert {bool(row.answer) for row in rows} == {True}


def test_the_recipe_is_small_and_otherwise_the_same(tmp_path: Path) -> None:
    """Roles, policies and stages are those of the recipe; models of the hub, data sets and addresses are not."""
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps({"question": f"Is {n} odd or even, and why?", "answer": str(n)}) + "\n" for n in range(40)))
    changes = {
        "problems.seeds.own": {"file": str(mine)},
        "reward.candidates.policies": {"strange": {"model": "owner/strange-1b"}, "math": {}},
        "models.gpt-4o-mini.api_key_env": "SOME_KEY",
        "sft.launch": "8-gpus",
    }
    recipe, home = load_recipe("acemath-7b", changes), tmp_path / "home"
    home.mkdir()
    small, stand = rehearsed(recipe, home, "http://127.0.0.1:9/v1")
    assert small.roles == recipe.roles and small.sft.stages.keys() == recipe.sft.stages.keys() and small.bench == recipe.bench
    assert stand.unknown == ["owner/strange-1b"] and stand.files == [str(mine)] and "FSDP" in stand.launch
    assert "FSDP" in Path(small.sft.launch or "").read_text() and small.sft.launch == small.reward.launch
    assert {getattr(model, "url", "") for model in small.models.values()} == {"", "http://127.0.0.1:9/v1"}
    assert all(Path(small.model(ref).name).is_dir() for ref in ("owner/strange-1b", "qwen-math-72b", recipe.sft.base))
    assert small.model("math").name == "math" and small.problems.seeds["own"].count == 12


def test_vllm_runs_its_models_where_its_build_for_cpus_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one processor each, with the settings that a processor has; elsewhere transformers runs them."""
    recipe = load_recipe("acemath-7b", {"models.qwen-math-72b.prefix_caching": False, "models.math.max_length": 9000})
    for version, engine in (("", "transformers"), ("0.32.0", "vllm")):
        monkeypatch.setattr("acemath.models.vllm.cpu_build", lambda version=version: version)
        home = tmp_path / engine
        home.mkdir()
        small, stand = rehearsed(recipe, home, "http://127.0.0.1:9/v1")
        assert stand.vllm == version
        mine = {name: small.models[name] for name, model in recipe.models.items() if isinstance(model, VllmModel)}
        assert len(mine) > 10 and set(stand.for_vllm) == set(mine) and {model.engine for model in mine.values()} == {engine}
        if engine == "vllm":
            assert {getattr(model, "tensor_parallel", 0) for model in mine.values()} == {1}
            assert mine["qwen-math-72b"].prefix_caching is False and mine["math"].max_length == 4096  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["acemath-1.5b", "acemath-7b", "acemath-7b-released", "acemath-72b"])
def test_nothing_of_the_hub_is_left(name: str, tmp_path: Path) -> None:
    """Seeds, ready data and worked examples are all read from files of the rehearsal."""
    small, _ = rehearsed(load_recipe(name), tmp_path, "http://127.0.0.1:9/v1")
    policies = small.reward.candidates.policies.values()
    sources = [*small.problems.seeds.values(), *(stage.data for stage in small.sft.stages.values()), small.reward.data]
    sources += [policy.shots for policy in policies if isinstance(policy.shots, Source)]
    assert all(source.hub is None or Path(source.hub).is_dir() for source in sources if source is not None)
    for policy in policies:
        if isinstance(policy.shots, Source):
            assert len(worked_examples("shots", policy.shots)) == policy.shots.count


@pytest.mark.parametrize("name", ["general-1", "reward"])
def test_data_that_are_ready_to_train_on_are_read_as_the_released_ones(name: str, tmp_path: Path) -> None:
    """The recipe that starts from released data gets files of ours, which its own stages read, and finds the leaks in them."""
    recipe, home = load_recipe("acemath-7b-released"), tmp_path / "home"
    home.mkdir()
    small, stand = rehearsed(recipe, home, "http://127.0.0.1:9/v1")
    assert len(stand.data_sets) == 7 + 4 and "FSDP" in stand.launch and not stand.endpoints
    run = Run(small, tmp_path / "run", Display(quiet=True))
    open_run(run.folder, lambda: row_counts(run), {"training": 2, "benchmarks": 2})
    runner, last = Runner(run.folder, stages_until(run, "tables"), run.display), "groups" if name == "reward" else f"blend-{name}"
    wanted = {last}
    for stage in reversed(runner.stages):
        wanted |= set(stage.reads) if stage.name in wanted else set()
    for stage in runner.stages:
        if stage.name in wanted:
            runner.make(stage.name)
    facts = runner.stores[last].manifest["facts"]
    assert 35 < facts["groups" if name == "reward" else "conversations"] < 48 and facts["dropped"] >= 7
