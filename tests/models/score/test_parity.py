"""Parity: the same rewards in every engine, alarms where they mean nothing, the command on files."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from acemath.cli.app import app
from acemath.errors import UserError
from acemath.models.engine import ChatFormat
from acemath.models.score.parity import check_parity, rank_agreement
from acemath.models.score.score import RewardModel

ITEMS = [
    ("What is 3+4?", ["So \\boxed{7}.", "3+4=12, that is \\boxed{12}.", "7", "7", "I do not know"]),
    ("Tom has 12 apples and eats 5 of them. How many are left?", ["12-5=7\nSo \\boxed{7}.", "\\boxed{5}"]),
]


@pytest.mark.parametrize("share", [True, False])
def test_engines_agree(random_reward_model: Path, share: bool) -> None:
    """Equal to 1e-5 in float32, the same order; repeated texts count once; the tokens spell what was sent."""
    found = check_parity(random_reward_model, ITEMS, ChatFormat(), share_prefix=share)
    assert (found.n, found.problems, len(found.engines)) == (6, 2, 1)
    assert found.max_abs_diff < 1e-5 and found.rank_agreement == 1.0 and found.alarms == []
    tokenizer = AutoTokenizer.from_pretrained(random_reward_model)
    assert tokenizer.decode(found.seen.ids) == tokenizer.apply_chat_template(
        ChatFormat().messages(ITEMS[0][0], ITEMS[0][1][0]), tokenize=False
    )
    assert found.seen.scored == found.seen.tokens[-1] and 0 < found.seen.prompt_tokens < len(found.seen.ids)


def test_a_difference_is_seen(random_reward_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that swaps two rewards is found, and the order too."""
    scores = RewardModel.score_rows

    def wrong(self: RewardModel, rows: Any, *rest: Any) -> list[list[float]]:
        found = scores(self, rows, *rest)
        found[1] = found[1][::-1]
        return found

    monkeypatch.setattr(RewardModel, "score_rows", wrong)
    found = check_parity(random_reward_model, ITEMS, ChatFormat())
    assert found.max_abs_diff > 1e-3 and found.rank_agreement == pytest.approx(6 / 7)
    assert found.engines[0].max_abs_diff == found.max_abs_diff


def test_rank_agreement_counts_pairs() -> None:
    """Only pairs of the same problem count; a tie agrees with a tie."""
    assert rank_agreement([[1, 2, 3], [5, 5]], [[1, 3, 2], [4, 4]]) == 3 / 4
    assert rank_agreement([[1, 1]], [[1, 2]]) == 0.0
    assert rank_agreement([[1], [2]], [[3], [4]]) is None


def test_alarms(random_reward_model: Path, tmp_path: Path) -> None:
    """A head of zeros, responses that do not fit, two BOS tokens."""
    model = AutoModelForSequenceClassification.from_pretrained(random_reward_model, num_labels=1)
    torch.nn.init.zeros_(model.score.weight)
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(random_reward_model)
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path)
    items = [(f"{i}+1?", ["word " * 60, "no"]) for i in range(4)] + [("5+1?", ["6<|im_end|>", "6"])]
    constant, cut, double, ended = (
        "all 10 rewards are 0",
        "4 of 10 responses were longer than 40",
        "begin with two <|im_start|>",
        "1 responses hold <|im_end|>",
    )
    found = check_parity(tmp_path, items, ChatFormat(), max_length=40)
    assert all(any(part in alarm for alarm in found.alarms) for part in (constant, cut, double, ended))


def test_template_and_tokenizer_both_write_bos(
    random_reward_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that takes text would read two; acemath reads one."""
    from tokenizers.processors import TemplateProcessing

    model = AutoModelForSequenceClassification.from_pretrained(random_reward_model, num_labels=1)
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(random_reward_model)
    start = "<|im_start|>"
    tokenizer.bos_token = start
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0]['content'] }}{% if messages|length > 1 %}\n{{ messages[1]['content'] }}{% endif %}"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, tokenizer.convert_tokens_to_ids(start))]
    )
    tokenizer.save_pretrained(tmp_path)
    found = check_parity(tmp_path, ITEMS, ChatFormat())
    assert len(found.alarms) == 1 and "the tokenizer adds one" in found.alarms[0]
    assert found.seen.tokens[0] == start and found.seen.tokens[1] != start


def test_vllm_is_compared_if_it_is_installed(
    random_reward_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same ids, without its activation, and shut down afterwards. A stand-in for vLLM shifts each reward."""
    asked: dict[str, Any] = {}
    model = AutoModelForSequenceClassification.from_pretrained(
        random_reward_model, num_labels=1, dtype=torch.float32
    )

    class Stand:
        def __init__(self, **options: Any) -> None:
            asked.update(options)
            core = SimpleNamespace(shutdown=lambda timeout: asked.update(stopped=True))
            self.llm_engine = SimpleNamespace(engine_core=core)

        def reset_prefix_cache(self) -> None:
            """No cache."""

        def classify(
            self, prompts: list[dict[str, list[int]]], pooling_params: Any, use_tqdm: bool
        ) -> list[Any]:
            asked["activation"] = pooling_params.use_activation
            with torch.no_grad():
                scores = [
                    float(model(input_ids=torch.tensor([p["prompt_token_ids"]])).logits[0, 0]) + 0.25
                    for p in prompts
                ]
            return [SimpleNamespace(outputs=SimpleNamespace(probs=[s])) for s in scores]

    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    module.LLM, module.PoolingParams = Stand, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    found = check_parity(random_reward_model, ITEMS, ChatFormat())
    assert (asked["runner"], asked["convert"], asked["activation"]) == ("pooling", "classify", False)
    assert asked["stopped"] and asked["max_model_len"] == 1024  # the positions of the model
    assert [e.engine for e in found.engines][-1] == "vLLM"
    assert found.max_abs_diff == pytest.approx(0.25, abs=1e-5) and found.rank_agreement == 1.0


def test_command(random_reward_model: Path, tmp_path: Path) -> None:
    """Rows that name their problem, hold it, or lack it; and the fields that programs rely on."""
    problems, rows = tmp_path / "problems.jsonl", tmp_path / "rows.jsonl"
    problems.write_text(
        json.dumps({"question": ITEMS[0][0]}) + "\n" + json.dumps({"id": "b", "prompt": "1+1?"}) + "\n"
    )
    rows.write_text(
        "".join(
            json.dumps(row) + "\n"
            for row in (
                {"qid": 0, "response": "7"},
                {"problem_id": "b", "text": "2"},
                {"question": "2+2?", "responses": ["4", "5"]},
                {"qid": 0, "response": "8"},
            )
        )
    )
    call = ["parity", str(random_reward_model), str(rows), "--problems", str(problems), "--system", ""]
    done = CliRunner().invoke(app, [*call, "--json"])
    found = json.loads(done.stdout)
    assert found["n"] == 5 and found["problems"] == 3 and found["max_abs_diff"] < 1e-5
    assert found["rank_agreement"] == 1.0 and found["alarms"] == []
    assert "scored at its last token" in CliRunner().invoke(app, [*call, "--limit", "1"]).stdout
    with pytest.raises(UserError, match="record 1: no problem; name its file"):
        CliRunner().invoke(app, ["parity", str(random_reward_model), str(rows)], catch_exceptions=False)
    with pytest.raises(UserError, match="no response to score"):
        check_parity(random_reward_model, [("1+1?", [])])


def test_an_alarm_if_the_template_drops_thoughts(random_reward_model: Path, tmp_path: Path) -> None:
    """Plain transformers would score the response without its thoughts; acemath scores all of it."""
    AutoModelForSequenceClassification.from_pretrained(random_reward_model).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(random_reward_model)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ':' + m['content'].split('</think>')[-1] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path)
    found = check_parity(tmp_path, [("1+1?", ["<think>Add.</think>2", "3"])], ChatFormat())
    assert len(found.alarms) == 1 and "changes the response (it drops thoughts)" in found.alarms[0]
