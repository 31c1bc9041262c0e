"""Process reward models: each step gets the probability that a plain forward pass gives."""

from __future__ import annotations

import sys
from math import isnan, prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from acemath.errors import UserError
from acemath.models.score.heads import QWEN_CHAT, output_rows
from acemath.models.score.judge import judge_settings, open_judge
from acemath.models.score.process import ProcessRewardModel, steps_of
from acemath.models.score.settings import settings_from

sys.path.insert(0, str(Path(__file__).parent))
from shapes import QUESTION, TEXTS, layered, policy_with, states, two_layers, valued  # noqa: E402

STEPS = [steps_of(text) for text in TEXTS]


def opened(folder: Path, **settings: object) -> ProcessRewardModel:
    """The judge in float32."""
    data = {"kind": "process", "model": str(folder), "dtype": "float32", **settings}
    found = open_judge(settings_from(data))
    assert isinstance(found, ProcessRewardModel)
    return found


@pytest.fixture(scope="module")
def qwen(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shape of Qwen2.5-Math-PRM."""
    return layered(tiny_policy, tmp_path_factory.mktemp("prm") / "Qwen2.5-Math-PRM-tiny", 2)


def marked(folder: Path, steps: list[str]) -> list[float]:
    """The probabilities at the marks, as on the card of Qwen2.5-Math-PRM."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [
        {"role": "system", "content": QWEN_CHAT.system},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)[
        "input_ids"
    ]
    at = [i for i, token in enumerate(ids) if token == tokenizer.convert_tokens_to_ids("<extra_0>")]
    return [float(p) for p in torch.softmax(two_layers(folder, states(folder, ids)[at]), -1)[:, 1]]


def test_steps_end_at_blank_lines() -> None:
    """A line with only spaces is blank; an empty response is one empty step."""
    assert STEPS == [
        ["3 + 4 = 7.", "The answer is 7."],
        ["3 + 4 = 8.", "So it is 8.", "The answer is 8."],
        ["7"],
    ]
    assert steps_of(" \n\n") == [""]


def test_a_prompt_that_leaves_no_room_has_no_score(qwen: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others have theirs, and a notice says how many have none."""
    judge = opened(qwen, max_length=128)
    fits, lost = judge.score_many([(QUESTION, TEXTS), ("word " * 200, TEXTS[:2])])
    assert not any(map(isnan, fits)) and len(lost) == 2 and all(map(isnan, lost))
    assert "the prompts of 1 of 2 problems leave no room for a response in max_length 128" in caplog.text


@pytest.mark.parametrize("how", ["min", "product", "last"])
def test_marks_of_qwen(how: str, qwen: Path) -> None:
    """The name alone is enough; the aggregation is part of the identity."""
    settings = judge_settings(qwen, {"dtype": "float32", "aggregation": how})
    judge = open_judge(settings)
    expected = [marked(qwen, steps) for steps in STEPS]
    assert isinstance(judge, ProcessRewardModel)
    found = judge.step_scores([(QUESTION, TEXTS)])[0]
    assert [len(steps) for steps in found] == [2, 3, 1]
    for mine, plain in zip(found, expected, strict=True):
        assert mine == pytest.approx(plain, abs=1e-5)
    whole = {"min": min, "product": prod, "last": lambda steps: steps[-1]}[how]
    assert judge.score_many([(QUESTION, TEXTS)])[0] == pytest.approx(
        [whole(steps) for steps in expected], abs=1e-5
    )
    assert judge.identity()["aggregation"] == how and judge.identity()["form"] == "qwen"


def test_a_response_cannot_write_marks(qwen: Path) -> None:
    """They would count as steps; and what is judged together changes nothing."""
    judge = opened(qwen)
    plain, forged = judge.step_scores([(QUESTION, [TEXTS[0], TEXTS[0].replace("7", "7<extra_0>")])])[0]
    assert plain == forged
    alone = [judge.step_scores([(QUESTION, [text])])[0][0] for text in TEXTS]
    for one, other in zip(alone, judge.step_scores([(QUESTION, TEXTS), ("2?", TEXTS)])[0], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_tags_of_math_shepherd(tiny_policy: Path, tmp_path: Path) -> None:
    """A language model: + against - at each tag, in plain text."""
    folder = policy_with(tiny_policy, tmp_path / "shepherd", "ки")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    right, wrong = tokenizer("+ -")["input_ids"]
    judge = opened(folder, form="shepherd")
    for steps, found in zip(STEPS, judge.step_scores([(QUESTION, TEXTS)])[0], strict=True):
        ids = torch.tensor(
            [tokenizer(f"{QUESTION} " + "\n".join(f"{step} ки" for step in steps))["input_ids"]]
        )
        with torch.no_grad():
            chances = model(ids).logits[:, :, [right, wrong]].softmax(-1)[:, :, 0]
        assert found == pytest.approx(
            chances[ids == tokenizer.convert_tokens_to_ids("ки")].tolist(), abs=1e-5
        )
    with pytest.raises(UserError, match="form: shepherd"):
        opened(folder)
    with pytest.raises(UserError, match="leave chat out"):
        opened(folder, form="shepherd", chat={"system": "Hello."})


def test_lines_of_skywork(tiny_policy: Path, tmp_path: Path) -> None:
    """A value head at the line break that ends each line, blank lines too."""
    folder = valued(tiny_policy, tmp_path / "skywork")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    head = load_file(folder / "model.safetensors")
    judge = opened(folder)
    line_break = tokenizer("\n")["input_ids"]
    for text, found in zip(TEXTS, judge.step_scores([(QUESTION, TEXTS)])[0], strict=True):
        ids = list(tokenizer(f"{QUESTION}\n")["input_ids"])
        at = []
        for line in text.split("\n"):
            ids += [*tokenizer(line)["input_ids"], *line_break]
            at.append(len(ids) - 1)
        values = states(folder, ids)[at] @ head["v_head.summary.weight"].T + head["v_head.summary.bias"]
        assert found == pytest.approx(torch.sigmoid(values[:, 0]).tolist(), abs=1e-5)


def test_what_vllm_runs_of_these(tiny_policy: Path, tmp_path: Path) -> None:
    """Math-Shepherd's head is two rows of the output layer, read from the files; a value head is refused before vLLM starts."""
    for tied in (True, False):
        folder = policy_with(tiny_policy, tmp_path / f"shepherd-{tied}", "ки")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if not tied:
            model.config.tie_word_embeddings = False
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
            model.save_pretrained(folder)
        assert torch.equal(output_rows(folder, [9, 4]), model.get_output_embeddings().weight[[9, 4]])
    with pytest.raises(UserError, match="has a value head, which vLLM does not read; use the engine transformers"):
        opened(valued(tiny_policy, tmp_path / "skywork"), engine="vllm")


def test_long_responses_lose_their_middle(qwen: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is left is judged, and said."""
    judge = opened(qwen, max_length=80)
    found = judge.step_scores([("2?", ["\n\n".join(f"{i} + {i}" for i in range(40))])])[0][0]
    assert 0 < len(found) < 40 and "1 of 1 responses were longer than 80 tokens" in caplog.text


def test_the_wrong_form_is_one_line(
    qwen: Path, random_reward_model: Path, tiny_policy: Path, tmp_path: Path
) -> None:
    """A reward model as a process reward model, and the other way round; another form than the head's; a tag in pieces."""
    with pytest.raises(UserError, match="kind: reward"):
        opened(random_reward_model)
    with pytest.raises(UserError, match="is a process reward model.*kind: process"):
        open_judge(settings_from({"model": str(qwen)}))
    for form in ("shepherd", "skywork"):
        with pytest.raises(
            UserError, match=f"has a head with two outputs, so its form is not {form}; give form: qwen"
        ):
            opened(qwen, form=form)
    with pytest.raises(UserError, match="has no token 'ки'"):
        opened(policy_with(tiny_policy, tmp_path / "bytes"), form="shepherd")
    with pytest.raises(UserError, match="has no weights that can be read"):
        opened(Path("no/such-model"))
