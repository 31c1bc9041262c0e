"""What a model's configuration says about its layers: their kinds, and how far they attend."""

from __future__ import annotations

from typing import Any


def active_window(config: Any) -> int | None:
    """The sliding window (or chunk) of a model's attention, in tokens; None if every layer sees all tokens."""
    config = config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("sliding" in kind or "chunked" in kind for kind in kinds):
        return None
    if getattr(config, "use_sliding_window", True) is False:
        return None
    sizes = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((int(size) for size in sizes if size), default=None)


def layer_kinds(config: Any) -> list[str]:
    """The kinds of a model's layers, by their names in the configuration; empty if it names none."""
    return sorted(set(getattr(config.get_text_config(), "layer_types", None) or ()))


def other_layers(config: Any) -> list[str]:
    """The kinds of layers that are not softmax attention, by their names in the configuration."""
    config = config.get_text_config()
    kinds = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None) or ()
    return sorted({kind for kind in kinds if "attention" not in kind or "linear" in kind})


def bounds_scores(config: Any) -> bool:
    """Whether a model bounds the scores of its attention (Gemma 2). torch's fused attention ignores that without a word."""
    return bool(getattr(config.get_text_config(), "attn_logit_softcapping", None))


def keep_bounds(model: Any) -> None:
    """Give a model that bounds its scores the attention of transformers that does so."""
    if bounds_scores(model.config):
        model.set_attn_implementation("eager")
