"""What a model's configuration says of its layers: how far they attend, and whether all of them do."""

from __future__ import annotations

from typing import Any


def active_window(config: Any) -> int | None:
    """The sliding window (or chunk) of a model's attention in tokens; None where every layer sees all."""
    config = config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("sliding" in kind or "chunked" in kind for kind in kinds):
        return None
    if getattr(config, "use_sliding_window", True) is False:
        return None
    sizes = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((int(size) for size in sizes if size), default=None)


def other_layers(config: Any) -> list[str]:
    """The kinds of layers, as the configuration names them, that are no softmax attention."""
    config = config.get_text_config()
    kinds = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None) or ()
    return sorted({kind for kind in kinds if "attention" not in kind or "linear" in kind})
