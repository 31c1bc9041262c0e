"""The engine for causal language models of `transformers`, with continuous batching, on CPU or one GPU."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from acemath.errors import UserError
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, Sampling, refused, too_long
from acemath.models.generate.slots import ATTENTION, SlotCache
from acemath.models.hardware import device
from acemath.models.hub import at_revision
from acemath.models.layers import active_window, layer_kinds, other_layers
from acemath.models.loading import chat_tokenizer, check_whole, loading
from acemath.models.score.attention import varied_shapes
from acemath.models.spec import TransformersModel
from acemath.records import Problem, Response, content_key


@dataclass(slots=True)
class _Request:
    """One response to write: the index of its problem, the sample number, the most tokens, and those so far."""

    problem: int
    sample: int
    seed: int
    limit: int
    tokens: list[int] = field(default_factory=list)


class TransformersEngine:
    """Generates responses with a model, given as a folder, a hub name or a specification.

    A response depends on the weights, the text of the problem, the sample number and the seed: each response has random
    numbers of its own, whatever shares its batch. (Rounding may differ between batch shapes, so a resumed run repeats
    whole partitions.) A response ends at a token that the chat template, the tokenizer or the generation config names as
    an end. Its text has all special tokens except that one. A prompt and its response have at most `max_length` tokens,
    by default the positions that the model has. UserError for models with layers other than softmax attention, or with
    chunked attention.
    """

    def __init__(
        self,
        model: str | Path | TransformersModel,
        chat: ChatFormat | None = None,
        name: str = "",
        slots: int = 512,
    ) -> None:
        spec = model if isinstance(model, TransformersModel) else TransformersModel(id=str(model))
        self.name = name or spec.name
        self.chat = chat or ChatFormat()
        self.slots = slots
        place = at_revision(spec.id, spec.revision)
        self.tokenizer = chat_tokenizer(place, spec.template(), spec.trust_remote_code)
        with loading(spec.id):
            self.model, report = AutoModelForCausalLM.from_pretrained(
                place,
                dtype=getattr(torch, spec.dtype),
                attn_implementation=ATTENTION,
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=spec.trust_remote_code,
            )
        check_whole(spec.id, report["missing_keys"])
        self.model.to(device()).eval()
        config = self.model.config
        self.kinds = layer_kinds(config)
        if other := other_layers(config) + [kind for kind in self.kinds if "chunked" in kind]:
            raise UserError(
                f"policy {spec.id!r} has layers of the kind {', '.join(other)}, which this engine does not run; use vLLM"
            )
        self.window = active_window(config)
        positions = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.max_length: int | None = spec.max_length or positions
        ends = {*chat_template(self.tokenizer).stop_ids(self.model.generation_config), *spec.stop_ids}
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=self.model.device)

    def prompt_ids(self, problem: Problem) -> list[int]:
        """The ids of a problem through the chat template, with no special tokens added to it."""
        text = chat_template(self.tokenizer).prompt(self.chat.messages(problem.prompt))
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logits(self, rows: Tensor, at: Tensor, **inputs: Any) -> Tensor:
        """The logits [N, V] after the tokens at (rows[i], at[i]) of a forward pass.

        The whole model runs, because some models scale or cap the output of the head. A hook lets the head see only
        these N tokens.
        """
        narrowed = False

        def narrow(_module: Any, _given: Any, found: Any) -> Any:
            nonlocal narrowed
            narrowed = True
            found.last_hidden_state = found.last_hidden_state[rows, at][:, None]
            return found

        hook = self.model.base_model.register_forward_hook(narrow)
        try:
            with varied_shapes():
                found: Tensor = self.model(**inputs, use_cache=True).logits[:, 0]
        finally:
            hook.remove()
        if not narrowed:
            raise UserError(
                f"this engine does not run models of the kind {type(self.model).__name__}; use vLLM"
            )
        return found

    def masks(self, cache: SlotCache) -> Tensor | dict[str, Tensor]:
        """What the next token of each slot sees; by the kind of layer if the model has several kinds."""
        if len(self.kinds) < 2:
            return cache.mask(self.window)
        return {kind: cache.mask(self.window if "sliding" in kind else None) for kind in self.kinds}

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, as they finish."""
        fitting = []
        for problem in problems:
            prompt = self.prompt_ids(problem)
            if too_long(prompt, self.max_length):
                yield from refused(problem.id, sampling.n, self.name, prompt, self.max_length)
            else:
                fitting.append((problem, prompt))
        template = chat_template(self.tokenizer)
        for problem, sample, tokens, reason in self.token_ids(fitting, sampling):
            text = template.written(tokens[:-1] if reason == "stop" else tokens)
            yield Response(problem.id, sample, text, self.name, reason, len(tokens))

    @torch.inference_mode()
    def token_ids(
        self, asked: Sequence[tuple[Problem, list[int]]], sampling: Sampling
    ) -> Iterator[tuple[Problem, int, list[int], str]]:
        """(problem, sample, token ids up to the end token, finish reason) of each response to problems with their prompts."""
        prompts = [prompt for _, prompt in asked]
        order = sorted(range(len(asked)), key=lambda i: (len(prompts[i]), asked[i][0].id))
        waiting = deque(
            _Request(
                i,
                s,
                int(content_key(asked[i][0].prompt, str(s), str(sampling.seed)), 16),
                min(sampling.max_new_tokens, (self.max_length or sys.maxsize) - len(prompts[i])),
            )
            for i in order
            for s in range(sampling.n)
        )
        if not waiting:
            return
        room = max(len(prompts[r.problem]) + r.limit for r in waiting) + 1
        cache = SlotCache(min(self.slots, len(waiting)), room, self.model.device)
        for request, reason in _Run(self, prompts, waiting, sampling, cache):
            yield asked[request.problem][0], request.sample, request.tokens, reason


class _Run:
    """One call of `generate`: the slots, the request in each, and the step that adds a token to all of them."""

    def __init__(
        self,
        engine: TransformersEngine,
        prompts: list[list[int]],
        waiting: deque[_Request],
        sampling: Sampling,
        cache: SlotCache,
    ) -> None:
        self.engine, self.prompts, self.waiting = engine, prompts, waiting
        self.sampling, self.cache = sampling, cache
        self.seated: list[_Request | None] = [None] * len(cache.rows)
        self.last = torch.zeros_like(cache.rows)  # the newest token of each slot [B]

    def __iter__(self) -> Iterator[tuple[_Request, str]]:
        free = list(range(len(self.seated)))
        while True:
            # Reading prompts in batches is faster, so wait until an eighth of the slots is free.
            if self.waiting and len(free) >= max(1, len(self.seated) // 8):
                yield from self._admit(free)
            busy = [i for i, request in enumerate(self.seated) if request is not None]
            if not busy:
                if not self.waiting:
                    return
                free = list(range(len(self.seated)))
                continue
            if not self.waiting and len(busy) <= len(self.seated) * 3 // 4:
                self._shrink(busy)
            yield from self._step()
            free = [i for i, request in enumerate(self.seated) if request is None]

    def _admit(self, free: list[int]) -> Iterator[tuple[_Request, str]]:
        """Read the next prompts, put their requests into free slots, and draw the first token of each."""
        taken = [self.waiting.popleft() for _ in range(min(len(free), len(self.waiting)))]
        where = self.cache.rows.device
        slots = torch.tensor(free[: len(taken)], device=where)
        unique = sorted({r.problem for r in taken})
        lengths = torch.tensor([len(self.prompts[i]) for i in unique], device=where)
        ids = torch.full((len(unique), int(lengths.max())), int(self.engine.tokenizer.pad_token_id or 0))
        for row, i in enumerate(unique):
            ids[row, : lengths[row]] = torch.tensor(self.prompts[i])
        prefilled = DynamicCache()
        # Padding is on the right and attention is causal, so no token of a prompt sees padding.
        logits = self.engine.logits(
            torch.arange(len(unique), device=where),
            lengths - 1,
            input_ids=ids.to(where),
            past_key_values=prefilled,
        )  # [prompts, V]
        sources = torch.tensor([unique.index(r.problem) for r in taken], device=where)
        self.cache.admit(prefilled, sources, slots, lengths[sources])
        for slot, request in zip(slots.tolist(), taken, strict=True):
            self.seated[slot] = request
        yield from self._accept(slots, logits[sources])

    def _step(self) -> Iterator[tuple[_Request, str]]:
        """Draw one token for every busy slot. Empty slots are computed too, and ignored."""
        masks, positions = self.engine.masks(self.cache), self.cache.lengths[:, None].clone()
        occupied = [i for i, request in enumerate(self.seated) if request is not None]
        busy = torch.tensor(occupied, device=self.last.device)
        logits = self.engine.logits(
            busy,
            torch.zeros_like(busy),
            input_ids=self.last[:, None],
            attention_mask=masks,
            position_ids=positions,
            past_key_values=self.cache,
        )
        self.cache.lengths[busy] += 1
        yield from self._accept(busy, logits)

    def _accept(self, slots: Tensor, logits: Tensor) -> Iterator[tuple[_Request, str]]:
        """Draw a token for each of these slots from its logits [slots, V], and free those that end."""
        requests: list[Any] = [self.seated[i] for i in slots.tolist()]
        steps = [len(r.tokens) for r in requests]
        tokens = draw(logits.float(), self.sampling, [r.seed for r in requests], steps)
        self.last[slots] = tokens
        ended = torch.isin(tokens, self.engine.ends).tolist()
        for slot, request, token, stop in zip(slots.tolist(), requests, tokens.tolist(), ended, strict=True):
            request.tokens.append(token)
            if stop or len(request.tokens) >= request.limit:
                self.seated[slot] = None
                self.cache.lengths[slot] = 0  # the longest slot sets how far all of them attend
                yield request, "stop" if stop else "length"

    def _shrink(self, busy: list[int]) -> None:
        keep = torch.tensor(busy, device=self.last.device)
        self.cache.shrink(keep)
        self.last = self.last[keep]
        self.seated = [self.seated[i] for i in busy]


def draw(logits: Tensor, sampling: Sampling, seeds: Sequence[int], steps: Sequence[int]) -> Tensor:
    """One token for each row of logits [B, V]: the most likely one at temperature 0, else by inverse transform.

    Row i uses one uniform number, a hash of its seed and step, so its draws do not depend on the batch. UserError if a
    row has no finite maximum.
    """
    best, greedy = logits.max(-1)
    if not best.isfinite().all():
        raise UserError(
            "the policy gives nan or inf for a token; its weights are damaged, or too large for its dtype: download it "
            "again, or give the model another dtype (bfloat16 or float32)"
        )
    if sampling.temperature == 0:
        return greedy
    probs = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ranked, index = probs.sort(dim=-1, descending=True)
        ranked[ranked.cumsum(-1) - ranked > sampling.top_p] = 0  # keeps the token that crosses top_p
        probs = torch.zeros_like(probs).scatter(-1, index, ranked)
    sums = probs.cumsum(-1)
    # Rounding to float32 may give 1.0, which would draw the last token of the vocabulary even if it is impossible.
    share = torch.from_numpy(uniform(seeds, steps)).to(sums).clamp(max=1 - 2**-24)
    return torch.searchsorted(sums, share[:, None] * sums[:, -1:], right=True)[:, 0]


def uniform(seeds: Sequence[int], steps: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number in [0, 1) for each (seed, step), by SplitMix64's finaliser: the same on every machine."""
    with np.errstate(over="ignore"):
        x = np.array(seeds, np.uint64) + np.array(steps, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
