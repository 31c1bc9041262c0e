"""Steps of generation as CUDA graphs. A step has about a thousand small kernels, which take longer to launch than to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def repeatable(model: Any) -> bool:
    """Whether a CUDA graph can repeat the model's step: its kernels must be the same whatever the values are.

    transformers says so of a class. Rotary embeddings that depend on the length of the text are an exception.
    """
    rotary = " ".join(str(getattr(part, "rope_type", "")) for part in model.modules())
    fixed = getattr(model, "_can_compile_fullgraph", False) and not (
        "dynamic" in rotary or "longrope" in rotary
    )
    return bool(fixed) and model.device.type == "cuda"


class Graphs:
    """The graphs of a forward pass, one for each shape that it has met."""

    def __init__(self) -> None:
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.size = (0, 0)
        self.pool: Any = None
        self.out: Tensor | None = None

    def logits(self, forward: Callable[[], Tensor], size: tuple[int, int], reach: int) -> Tensor:
        """What `forward` would give, in float32 [B, V]; the next call overwrites it.

        `forward` reads and writes the same tensors in every call with the same `size`, slots and tokens of the cache, and
        runs the same kernels in every call with the same `size` and `reach`.
        """
        if size != self.size:
            self.graphs.clear()
            self.size, self.pool, self.out = size, None, None
        if reach not in self.graphs:
            found = forward()  # loads the kernels, which cannot be done while a graph is recorded
            if self.out is None:
                self.out = torch.empty(found.shape, dtype=torch.float32, device=found.device)
            del found
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                self.out.copy_(forward())
            self.graphs[reach], self.pool = graph, graph.pool()
        self.graphs[reach].replay()
        assert self.out is not None
        return self.out
