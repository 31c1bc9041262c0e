"""Tiny models with random weights in the form of real ones: architecture, head, tokenizer, chat template, stop ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from acemath.run.rehearsal.families import Family, Head, Tokens
from acemath.run.rehearsal.questions import FORMS, question
from acemath.run.rehearsal.script import Script

VOCABULARY = 700  # tokens that a tokenizer learns, beside bytes and markers
SIZES = {  # vLLM's kernels for CPUs need heads of 32
    "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 32, "max_position_embeddings": 4096, "initializer_range": 0.05,
}  # fmt: skip


def make_model(folder: Path, family: Family, head: Head, seed: int, is_base: bool) -> None:
    """Write a model into a folder. A base names the end of a text as its end, as Qwen's do; others the end of a turn."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    tokenizer = _tokenizer(family, is_base)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in dict.fromkeys((family.end, family.text_end))]
    own = tokenizer.convert_tokens_to_ids(family.text_end) if is_base else ends[0]
    config = AutoConfig.for_model(
        family.architecture, **SIZES, **family.config, vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
        eos_token_id=own, pad_token_id=tokenizer.pad_token_id, num_labels=1, tie_word_embeddings=family.architecture == "gemma2",
    )  # fmt: skip
    torch.manual_seed(seed)
    kind = AutoModelForSequenceClassification if head == "linear" else AutoModelForCausalLM
    model = kind.from_config(config)
    if model.can_generate():
        model.generation_config.eos_token_id = own if is_base else ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if head == "layers":
        _two_layers(folder, SIZES["hidden_size"])


def _two_layers(folder: Path, size: Any) -> None:
    """Put Qwen2.5-Math-RM's head of two layers in place of the output layer. Its class is code in its repository."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: value for name, value in load_file(folder / "model.safetensors").items() if name != "lm_head.weight"}
    shapes = {"score.0.weight": (size, size), "score.0.bias": (size,), "score.2.weight": (1, size), "score.2.bias": (1,)}
    weights |= {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    file = folder / "config.json"
    named = {
        "architectures": ["Qwen2ForRewardModel"],
        "auto_map": {"AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig", "AutoModel": "modeling_qwen2_rm.Qwen2ForRewardModel"},
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | named))


def _tokenizer(family: Family, is_base: bool) -> Any:
    """The tokenizer of a family, with its markers and its template."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    vocabulary, merges = _learned(family.tokens)
    own = family.text_end if is_base else family.end
    named = {"eos_token": own, "chat_template": family.template, "model_max_length": SIZES["max_position_embeddings"]}
    named |= {"bos_token": family.begin} if family.begin else {}
    if family.architecture == "qwen2":
        found = Qwen2Tokenizer(vocab=vocabulary, merges=list(merges), pad_token="<|endoftext|>", **named)
    else:
        found = PreTrainedTokenizerFast(tokenizer_object=_pieces(vocabulary, merges) if family.tokens == "pieces" else _bytes(vocabulary, merges), **named)
    more = [token for token in (family.text_end, family.end, *family.markers) if token]
    found.add_tokens([AddedToken(token, special=True, normalized=False) for token in dict.fromkeys(more)])
    if found.pad_token is None:
        found.add_special_tokens({"pad_token": "<pad>"})
    return found


@cache
def _learned(tokens: Tokens) -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """The vocabulary and the merges of a small BPE of one form."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    if tokens == "bytes":
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        core.normalizer = normalizers.Replace(" ", "▁")
        core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        alphabet = ["▁"]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(_texts(), trainer)
    learned = json.loads(core.to_str())["model"]
    merges = tuple((pair[0], pair[1]) for pair in learned["merges"])
    if tokens == "bytes":
        return learned["vocab"], merges
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [*special, *sorted(learned["vocab"], key=learned["vocab"].get)]
    return {word: at for at, word in enumerate(words)}, merges


def _texts() -> Iterator[str]:
    """What models of a rehearsal read and write."""
    script = Script({})
    for kind in FORMS:
        for n in range(200):
            asked = question(kind, "tokenizer", n).text
            yield asked
            yield script.line(asked, "tokenizer", n, 0, 0.5).text
    yield from ["Please reason step by step, and put your final answer within \\boxed{}."] * 20


def _bytes(vocabulary: dict[str, int], merges: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    core = Tokenizer(models.BPE(vocabulary, list(merges)))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return core


def _pieces(vocabulary: dict[str, int], merges: Any) -> Any:
    """As the converted tokenizers of Llama 2 and Gemma: a mark for each space, unknown characters as bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    core = Tokenizer(models.BPE(vocabulary, list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return core
