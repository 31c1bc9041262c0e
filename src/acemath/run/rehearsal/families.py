"""The model families that recipes name: their architecture, tokenizer form, chat template and ends, as far as they are known.

Templates are written anew in the form of each family: the same markers, roles and refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# A byte-level BPE (GPT-2's form), or pieces with a mark for spaces and a byte fallback (SentencePiece's form).
Tokens = Literal["bytes", "pieces"]
Head = Literal["none", "linear", "layers"]


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    architecture: the `model_type` of transformers. `end` closes a turn, `text_end` a text; both end a response.
    system: whether the template takes a system prompt.
    """

    name: str
    architecture: str
    tokens: Tokens
    template: str
    end: str
    text_end: str
    begin: str = ""
    markers: tuple[str, ...] = ()
    system: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)


_CHATML = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set ns = namespace(head='<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n') %}"
    "{% set turns = messages[1:] %}{% else %}{% set ns = namespace(head='') %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + ns.head + m['content'] | trim + ' [/INST]' }}{% set ns.head = '' %}"
    "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_MISTRAL = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}"
    "{% else %}{% set turns = messages %}{% endif %}{{ bos_token }}{% for m in turns %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{% if loop.last and system is defined %}{{ '[INST] ' + system + '\\n\\n' + m['content'] + '[/INST]' }}"
    "{% else %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endif %}"
    "{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
_DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ 'User: ' + m['content'] + '\\n\\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ 'Assistant: ' + m['content'] + eos_token }}"
    "{% else %}{{ m['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
QWEN = Family(
    "Qwen2", "qwen2", "bytes", _CHATML, "<|im_end|>", "<|endoftext|>", markers=("<|im_start|>",),
    config={"use_sliding_window": False},
)  # fmt: skip
# What a model's name holds, and its family; the first that fits.
_NAMES: tuple[tuple[str, Family], ...] = (
    ("llama-2", Family("Llama 2", "llama", "pieces", _LLAMA_2, "</s>", "</s>", "<s>")),
    (
        "llama-3",
        Family(
            "Llama 3", "llama", "bytes", _LLAMA_3, "<|eot_id|>", "<|end_of_text|>", "<|begin_of_text|>",
            ("<|start_header_id|>", "<|end_header_id|>"),
            config={"rope_theta": 500_000.0},
        ),
    ),
    (
        "stral",  # Mistral, Mathstral
        Family("Mistral", "mistral", "pieces", _MISTRAL, "</s>", "</s>", "<s>", ("[INST]", "[/INST]"), config={"sliding_window": None}),
    ),
    (
        "gemma-2",
        Family("Gemma 2", "gemma2", "pieces", _GEMMA, "<end_of_turn>", "<eos>", "<bos>", ("<start_of_turn>",), system=False),
    ),
    ("deepseek", Family("DeepSeek", "llama", "bytes", _DEEPSEEK, "<|end▁of▁sentence|>", "<|end▁of▁sentence|>", "<|begin▁of▁sentence|>")),
    ("qwen", QWEN),
    ("acemath", QWEN),
)  # fmt: skip


def family_of(name: str) -> Family | None:
    """The family of a hub model, by its name; None if it is not known."""
    return next((family for part, family in _NAMES if part in name.lower()), None)


def head_of(name: str) -> Head:
    """The form of a reward model's head, by its name."""
    return "layers" if "qwen2.5-math-rm" in name.lower() else "linear"
