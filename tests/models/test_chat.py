"""Chat templates like those of real model families: rendering, folding, spans, rebuilding and refusals."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from acemath.errors import UserError
from acemath.models.chat import Rendered, chat_template
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.transformers import TransformersEngine
from acemath.records import Chat, Problem
from acemath.train.sft.settings import SftSettings
from acemath.train.sft.train import train_sft

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{{ '<|im_start|>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)
# The system text is written with the last turn alone, so it is gone once an answer follows.
MISTRAL = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{% if loop.last and system is defined %}{{ '[INST] ' + system + '\n\n' + m['content'] + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
R1 = (
    "{% set ns = namespace(system='') %}{% for m in messages %}{% if m['role'] == 'system' %}{% set ns.system = m['content'] %}"
    "{% endif %}{% endfor %}{{ ns.system }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<User>' + m['content'] }}{% endif %}"
    "{% if m['role'] == 'assistant' %}{% set content = m['content'] %}{% if '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}{{ '<Assistant>' + content + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<Assistant><think>\n' }}{% endif %}"
)
QWEN3 = (
    "{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}{% for m in messages %}{% if m['role'] == 'assistant' %}{% set content = m['content'] %}{% set thought = '' %}"
    "{% if '</think>' in content %}{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{% if loop.index0 > ns.last %}{{ '<|im_start|>assistant\n<think>\n' + thought + '\n</think>\n\n' + content }}"
    "{% else %}{{ '<|im_start|>assistant\n' + content }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ '### ' + m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant: ' }}{% endif %}"
)


@pytest.fixture
def template(tiny_policy: Path) -> Any:
    """A function that makes the tokenizer's template another one."""

    def made(text: str | None = None) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
        tokenizer.chat_template = text or tokenizer.chat_template
        return chat_template(tokenizer)

    return made


def _talk(*texts: str, system: str = "") -> list[dict[str, str]]:
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def _learned(row: Rendered) -> list[str]:
    return [row.text[first:end] for first, end in row.spans]


def test_all_responses_of_an_appending_template_are_found(template: Any) -> None:
    """ChatML: each response with its end of turn, after the prompt that generation would see."""
    made = template()
    talk = _talk("One and one?", "Two.", "Twice that?", "Four.", "And half?", "Two.", system="Be brief.")
    row = made.conversation(talk)
    assert _learned(row) == ["Two.<|im_end|>\n", "Four.<|im_end|>\n", "Two.<|im_end|>\n"]
    assert (row.unlearned, row.rebuilt) == (0, False)
    for (first, _), upto in zip(row.spans, (2, 4, 6), strict=True):
        assert row.text[:first] == made.prompt(talk[:upto])
    assert made.end == 2 and made.stop_ids() == [2]
    greeted = made.conversation([{"role": "assistant", "content": "Hello."}, *talk[1:3]])
    assert _learned(greeted) == ["Two.<|im_end|>\n"] and greeted.unlearned == 0


def test_a_system_text_is_folded_where_there_is_no_role(
    template: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Like Gemma's: it comes before the first question, in training and generation, with one notice."""
    made = template(GEMMA)
    made.model = "gemma-like"
    with caplog.at_level(logging.WARNING):
        prompt = made.prompt(ChatFormat(system="Be brief.").messages("One and one?"))
        row = made.conversation(_talk("One and one?", "Two.", "Twice?", "Four.", system="Be brief."))
    assert prompt.endswith("user\nBe brief.\n\nOne and one?<|im_end|>\n<|im_start|>model\n")
    assert row.text.startswith(prompt) and _learned(row) == ["Two.<|im_end|>\n", "Four.<|im_end|>\n"]
    assert [r.getMessage() for r in caplog.records if "gemma-like" in r.getMessage()] == [
        "the chat template of gemma-like has no system role; system prompts are put in front of the user's text"
    ]


def test_what_a_template_refuses_is_one_line(template: Any) -> None:
    """Two questions in a row, or a system text without a question: the model and the reason, no traceback."""
    made = template(GEMMA)
    made.model = "gemma-like"
    twice = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]
    with pytest.raises(
        UserError, match=r"gemma-like refuses .* user, user \(Conversation roles must alternate"
    ) as found:
        made.conversation(twice)
    assert "\n" not in str(found.value)
    with pytest.raises(UserError, match="no user turn after it"):
        made.prompt([{"role": "system", "content": "a"}])
    for wrong in (_talk("a"), [{"role": "assistant", "content": "a"}]):
        with pytest.raises(UserError, match="must hold a question and end"):
            made.conversation(wrong)
    with pytest.raises(UserError, match="does not write the assistant's response"):
        template("{{ messages|length }}{{ messages[0]['content'] }}").conversation(_talk("a", "b"))


def test_a_system_text_is_not_lost_in_training(template: Any) -> None:
    """Mistral's template writes it only before the last question; training sees what generation sees."""
    made = template(MISTRAL)
    row = made.conversation(_talk("One and one?", "Two.", system="Be brief."))
    assert row.text == "[INST] Be brief.\n\nOne and one?[/INST] Two.<|im_end|>" and row.rebuilt
    assert row.text.startswith(made.prompt(_talk("One and one?", system="Be brief.")))
    plain = made.conversation(_talk("One and one?", "Two.", "Twice?", "Four."))
    assert _learned(plain) == [" Two.<|im_end|>", " Four.<|im_end|>"] and not plain.rebuilt
    moved = made.conversation(_talk("One and one?", "Two.", "Twice?", "Four.", system="Be brief."))
    assert moved.text.endswith("[INST] Be brief.\n\nTwice?[/INST] Four.<|im_end|>")


@pytest.mark.parametrize(
    "response",
    ["<think>\nAdd.\n</think>\n\nTwo.", "Add.\n</think>\n\nTwo.", "  <think>Add.\n</think>\n\nTwo."],
)
def test_thoughts_are_learned_where_the_prompt_opens_them(template: Any, response: str) -> None:
    """R1's template drops thoughts from a finished turn: the response follows the prompt, with one `<think>`."""
    made = template(R1)
    row = made.conversation(_talk("One and one?", response))
    assert row.text == "<User>One and one?<Assistant><think>\nAdd.\n</think>\n\nTwo.<|im_end|>"
    assert _learned(row) == ["Add.\n</think>\n\nTwo.<|im_end|>"] and row.rebuilt
    assert made.opening == "<think>\n" and made.end == 2


def test_a_response_without_thoughts_follows_the_opened_prompt(template: Any) -> None:
    """R1's template again: the earlier response has no span and is counted."""
    row = template(R1).conversation(_talk("One and one?", "Two.", "Twice?", "Four."))
    assert row.text.endswith("<Assistant>Two.<|im_end|><User>Twice?<Assistant><think>\nFour.<|im_end|>")
    assert _learned(row) == ["Four.<|im_end|>"] and (row.unlearned, row.rebuilt) == (1, True)


def test_an_empty_thought_is_part_of_the_last_response_alone(template: Any) -> None:
    """Qwen3's template drops it from earlier turns, so only the last response is as it was generated."""
    made = template(QWEN3)
    one = made.conversation(_talk("One and one?", "Two."))
    assert _learned(one) == ["<think>\n\n</think>\n\nTwo.<|im_end|>\n"] and not one.rebuilt
    kept = made.conversation(_talk("One and one?", "<think>Add.</think>Two."))
    assert _learned(kept) == ["<think>\nAdd.\n</think>\n\nTwo.<|im_end|>\n"] and not kept.rebuilt
    two = made.conversation(_talk("One and one?", "Two.", "Twice?", "Four."))
    assert _learned(two) == ["<think>\n\n</think>\n\nFour.<|im_end|>\n"] and two.unlearned == 1


def test_ends_come_from_template_tokenizer_and_generation_config(template: Any) -> None:
    """A base like Qwen's names another end than its template; some templates have none."""
    made = template()
    made.tokenizer.eos_token = "<|endoftext|>"
    assert made.end == 2 and made.stop_ids() == [0, 2]
    config = type("Config", (), {"eos_token_id": 3})
    assert made.stop_ids(config) == [0, 2, 3]
    config.eos_token_id = [3, 0]
    assert made.stop_ids(config) == [0, 2, 3]
    assert template(PLAIN).end is None


def test_lone_surrogates_can_be_tokenised(template: Any) -> None:
    """Half a surrogate pair, from broken JSON, is replaced in questions and responses."""
    made = template()
    row = made.conversation(_talk("a\ud800b", "c\udc00"))
    assert row.text[row.spans[0][0] :] == "c\ufffd<|im_end|>\n" and not row.rebuilt
    assert made.tokenizer(row.text)["input_ids"]


def test_an_end_that_is_no_token_is_taken_off_the_text(template: Any) -> None:
    """The tokenizer knows the template's end of turn only as plain text."""
    text = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<end>\n' }}{% endfor %}"
    made = template(text + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")
    ids = made.tokenizer("Two.<end>\n", add_special_tokens=False)["input_ids"]
    assert made.end is None and made.written(ids) == "Two."
    assert template().written([*ids, 1]) == "Two.<end>\n<|im_start|>"


@pytest.mark.parametrize("text", [GEMMA, MISTRAL, R1, QWEN3, PLAIN])
def test_every_form_trains_and_is_asked(tiny_policy: Path, tmp_path: Path, text: str) -> None:
    """With system prompts and several turns: train a step, save, load, and generate."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    tokenizer.chat_template = text
    tokenizer.save_pretrained(tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(tiny_policy).save_pretrained(tmp_path / "base")
    talk = _talk(
        "One and one?", "<think>\nAdd.\n</think>\n\nTwo.", "Twice that?", "Four.", system="Be brief."
    )
    chats = [Chat(f"c{i}", tuple(talk)) for i in range(4)]
    settings = SftSettings(global_batch=4, max_length=256, validation=0, bf16=False)
    result = train_sft(tmp_path / "base", chats, tmp_path / "policy", tmp_path / "work", settings)
    assert result.learned_tokens > 0 and result.unlearned == 0 and 2 in result.stop_ids
    engine = TransformersEngine(tmp_path / "policy", ChatFormat(system="Be brief."))
    (response,) = engine.generate([Problem("p", "One and one?")], Sampling(max_new_tokens=3))
    assert response.tokens <= 3


PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}"
)
DATED = (
    "{{ 'Today Date: ' + strftime_now('%d %b %Y') + '\n' }}{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_earlier_responses_are_learned_where_the_last_alone_has_one_more_token(template: Any) -> None:
    """Phi-3's template closes the whole conversation with a second end token."""
    row = template(PHI3).conversation(_talk("One and one?", "Two.", "Twice?", "Four.", system="Be brief."))
    assert _learned(row) == ["Two.<|im_end|>", "Four.<|im_end|>\n<|endoftext|>"]
    assert (row.unlearned, row.rebuilt) == (0, False)


@pytest.mark.parametrize("response", ["<think>\nAdd.\n</think>\n\nTwo.", "Add.\n</think>\n\nTwo.", "Two."])
def test_a_thought_is_opened_once(template: Any, response: str) -> None:
    """Qwen3's template for thinking only opens <think> in every prompt, and adds one to responses without."""
    made = template(QWEN3.replace("assistant\n' }}{% if enable", "assistant\n<think>\n' }}{% if enable"))
    row = made.conversation(_talk("One and one?", response))
    assert row.text.count("<think>") == 1 and not row.rebuilt
    assert row.text[: row.spans[0][0]] == made.prompt(_talk("One and one?"))
    assert "".join(row.text.split()).endswith(
        "".join(response.removeprefix("<think>").split()) + "<|im_end|>"
    )


def test_a_template_without_a_generation_prompt_gets_one(template: Any) -> None:
    """Otherwise the policy would learn, and write, the header of its own turn."""
    made = template(
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    )
    row = made.conversation(_talk("One and one?", "Two.", "Twice?", "Four."))
    assert _learned(row) == ["Two.<|im_end|>\n", "Four.<|im_end|>\n"]
    assert made.prompt(_talk("One and one?")).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_a_turn_that_a_template_leaves_out_is_named(template: Any) -> None:
    """R1's template keeps only the last system text; others only the first."""
    talk = [*_talk("One and one?", "Two.", system="Be brief."), {"role": "system", "content": "In French."}]
    talk += _talk("Twice?", "Quatre.")
    with pytest.raises(UserError, match=r"leaves out turn 1 \(system: 'Be brief.'\)"):
        template(R1).conversation(talk)
    first = "{{ messages[0]['content'] }}{% for m in messages[1:] %}{% if m['role'] != 'system' %}{{ m['role'] + ':' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    with pytest.raises(UserError, match=r"leaves out turn 4 \(system: 'In French.'\)"):
        template(first).conversation(talk)
    with pytest.raises(UserError, match="leaves out turn 4"):
        template(first).prompt(talk[:-1])
    assert template().conversation(talk).unlearned == 0


def test_the_date_is_the_same_in_training_and_later(template: Any) -> None:
    """Llama 3.1's template writes today's date; here the same conversation is the same text every day."""
    made = template(DATED)
    text = made.conversation(_talk("One and one?", "Two.")).text
    assert text.startswith("Today Date: 26 Jul 2024\n") and text.startswith(
        made.prompt(_talk("One and one?"))
    )


@pytest.mark.parametrize("text", ["{{ 1 + messages[0]['content'] }}", [{"name": "rag", "template": "x"}]])
def test_a_template_that_fails_is_one_line(template: Any, text: Any) -> None:
    """A type error in the template, or several templates without a default."""
    with pytest.raises(UserError, match="refuses a conversation") as found:
        template(text).prompt(_talk("One and one?"))
    assert "\n" not in str(found.value)
