"""The in-process engine: any causal LM of `transformers`, with continuous batching, on CPU or one GPU."""

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
from acemath.models.layers import active_window, other_layers
from acemath.models.loading import chat_tokenizer, check_whole, loading
from acemath.models.score.attention import varied_shapes
from acemath.models.spec import TransformersModel
from acemath.records import Problem, Response, content_key


@dataclass(slots=True)
class _Request:
    """One response to write: which problem (index), which sample, its most tokens, and what came so far."""

    problem: int
    sample: int
    seed: int
    limit: int
    tokens: list[int] = field(default_factory=list)


class TransformersEngine:
    """Writes responses with a model: a folder, a hub name, or a whole specification.

    A response depends on the weights, the problem's text, the sample's number and the seed: each has its own
    stream of random numbers, whoever shares the batch. (Rounding may differ between batch shapes, so resumed
    work repeats a shard whole.) A response ends with a token that the chat template, the tokenizer or the generation
    config names as an end; its text holds all other special tokens that the model wrote, and not this one.
    UserError for models whose layers are no softmax attention, or attend in chunks.
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
        self.slots, self.max_length = slots, spec.max_length
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
        config = self.model.config.get_text_config()
        if other := other_layers(config) + [k for k in layer_kinds(config) if "chunked" in k]:
            raise UserError(
                f"policy {spec.id!r} has layers of the kind {', '.join(other)}, which this engine does not run; use vLLM"
            )
        self.window = active_window(config)
        ends = {*chat_template(self.tokenizer).stop_ids(self.model.generation_config), *spec.stop_ids}
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=self.model.device)

    def prompt_ids(self, problem: Problem) -> list[int]:
        """A problem through the chat template, once, with no special tokens added."""
        text = chat_template(self.tokenizer).prompt(self.chat.messages(problem.prompt))
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logits(self, rows: Tensor, at: Tensor, **inputs: Any) -> Tensor:
        """The logits [N, V] after the tokens (row, index) of a forward pass.

        The model's own pass makes them, for some scale or cap what their head gives; only the head sees N tokens.
        """

        seen: list[bool] = []

        def narrowed(_module: Any, _given: Any, found: Any) -> Any:
            seen.append(True)
            found.last_hidden_state = found.last_hidden_state[rows, at][:, None]
            return found

        hook = self.model.base_model.register_forward_hook(narrowed)
        try:
            with varied_shapes():
                found: Tensor = self.model(**inputs, use_cache=True).logits[:, 0]
        finally:
            hook.remove()
        if not seen:
            raise UserError(
                f"this engine does not run models of the kind {type(self.model).__name__}; use vLLM"
            )
        return found

    def masks(self, cache: SlotCache) -> Tensor | dict[str, Tensor]:
        """What each slot's next token sees, for each kind of layer where the model has several."""
        kinds = layer_kinds(self.model.config.get_text_config())
        if len(kinds) < 2:
            return cache.mask(self.window)
        return {kind: cache.mask(self.window if "sliding" in kind else None) for kind in kinds}

    @torch.inference_mode()
    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, as they finish; greedy decoding writes each once."""
        prompts = [self.prompt_ids(p) for p in problems]
        for problem, prompt in zip(problems, prompts, strict=True):
            if too_long(prompt, self.max_length):
                yield from refused(problem.id, sampling.n, self.name, prompt, self.max_length)
        asked = [i for i, prompt in enumerate(prompts) if not too_long(prompt, self.max_length)]
        order = sorted(asked, key=lambda i: (len(prompts[i]), problems[i].id))
        waiting = deque(
            _Request(
                i,
                s,
                int(content_key(problems[i].prompt, str(s), str(sampling.seed)), 16),
                min(sampling.max_new_tokens, (self.max_length or sys.maxsize) - len(prompts[i])),
            )
            for i in order
            for s in range(sampling.n)
        )
        if not waiting:
            return
        room = max(len(prompts[r.problem]) + r.limit for r in waiting) + 1
        template = chat_template(self.tokenizer)
        cache = SlotCache(min(self.slots, len(waiting)), room, self.model.device)
        run = _Run(self, prompts, waiting, sampling, cache)
        for request, reason in run:
            tokens = request.tokens[:-1] if reason == "stop" else request.tokens
            yield Response(
                problem_id=problems[request.problem].id,
                sample=request.sample,
                text=template.written(tokens),
                model=self.name,
                finish_reason=reason,
                tokens=len(request.tokens),
            )


class _Run:
    """One call of `generate`: the slots, who sits in each, and the step that moves them all on."""

    def __init__(
        self,
        engine: TransformersEngine,
        prompts: list[list[int]],
        waiting: deque[_Request],
        sampling: Sampling,
        cache: SlotCache,
    ) -> None:
        self.engine, self.prompts, self.waiting, self.sampling, self.cache = (
            engine,
            prompts,
            waiting,
            sampling,
            cache,
        )
        self.seats: list[_Request | None] = [None] * len(cache.rows)
        self.last = torch.zeros_like(cache.rows)  # the newest token of each slot [B]

    def __iter__(self) -> Iterator[tuple[_Request, str]]:
        free = list(range(len(self.seats)))
        while True:
            # Prompts are read in batches, not one by one: wait until an eighth of the slots is free.
            if self.waiting and len(free) >= max(1, len(self.seats) // 8):
                yield from self._admit(free)
            busy = [i for i, seat in enumerate(self.seats) if seat is not None]
            if not busy:
                if not self.waiting:
                    return
                free = list(range(len(self.seats)))
                continue
            if not self.waiting and len(busy) <= len(self.seats) * 3 // 4:
                self._shrink(busy)
            yield from self._step()
            free = [i for i, seat in enumerate(self.seats) if seat is None]

    def _admit(self, free: list[int]) -> Iterator[tuple[_Request, str]]:
        """Read the next prompts and seat their requests; the first token comes from the reading."""
        taken = [self.waiting.popleft() for _ in range(min(len(free), len(self.waiting)))]
        where = self.cache.rows.device
        slots = torch.tensor(free[: len(taken)], device=where)
        unique = sorted({r.problem for r in taken})
        lengths = torch.tensor([len(self.prompts[i]) for i in unique], device=where)
        ids = torch.full((len(unique), int(lengths.max())), int(self.engine.tokenizer.pad_token_id or 0))
        for row, i in enumerate(unique):
            ids[row, : lengths[row]] = torch.tensor(self.prompts[i])
        prefilled = DynamicCache()
        # Padding is on the right and attention causal: no real token sees a pad.
        logits = self.engine.logits(
            torch.arange(len(unique), device=where),
            lengths - 1,
            input_ids=ids.to(where),
            past_key_values=prefilled,
        )  # [prompts, V]
        sources = torch.tensor([unique.index(r.problem) for r in taken], device=where)
        self.cache.admit(prefilled, sources, slots, lengths[sources])
        for slot, request in zip(slots.tolist(), taken, strict=True):
            self.seats[slot] = request
        yield from self._accept(slots, logits[sources])

    def _step(self) -> Iterator[tuple[_Request, str]]:
        """One token for every slot; empty slots compute along and are ignored."""
        masks, positions = self.engine.masks(self.cache), self.cache.lengths[:, None].clone()
        seated = [i for i, seat in enumerate(self.seats) if seat is not None]
        busy = torch.tensor(seated, device=self.last.device)
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
        """Draw a token for each of these slots from its logits [slots, V]; free those that end."""
        seated: list[Any] = [self.seats[i] for i in slots.tolist()]
        tokens = draw(
            logits.float(), self.sampling, [r.seed for r in seated], [len(r.tokens) for r in seated]
        )
        self.last[slots] = tokens
        ended = torch.isin(tokens, self.engine.ends).tolist()
        for slot, request, token, stop in zip(slots.tolist(), seated, tokens.tolist(), ended, strict=True):
            request.tokens.append(token)
            if stop or len(request.tokens) >= request.limit:
                self.seats[slot] = None
                self.cache.lengths[slot] = 0  # an empty slot must not stretch the others' reach
                yield request, "stop" if stop else "length"

    def _shrink(self, busy: list[int]) -> None:
        keep = torch.tensor(busy, device=self.last.device)
        self.cache.shrink(keep)
        self.last = self.last[keep]
        self.seats = [self.seats[i] for i in busy]


def layer_kinds(config: Any) -> list[str]:
    """The kinds of a model's layers, as its configuration names them; none where all are of one kind."""
    return sorted(set(getattr(config, "layer_types", None) or ()))


def draw(logits: Tensor, sampling: Sampling, seeds: Sequence[int], steps: Sequence[int]) -> Tensor:
    """One token a row from logits [B, V]: greedy at temperature 0, else by inverse transform.

    Row i uses one uniform number, a hash of its seed and step, so that its draws do not depend on the batch.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probs = torch.softmax(logits / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ranked, index = probs.sort(dim=-1, descending=True)
        ranked[ranked.cumsum(-1) - ranked > sampling.top_p] = 0  # the token that crosses top_p stays
        probs = torch.zeros_like(probs).scatter(-1, index, ranked)
    sums = probs.cumsum(-1)
    goal = torch.from_numpy(uniform(seeds, steps)).to(sums)[:, None] * sums[:, -1:]
    drawn = torch.searchsorted(sums, goal, right=True)[:, 0]
    return drawn.clamp(max=logits.shape[-1] - 1)


def uniform(seeds: Sequence[int], steps: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers in [0, 1), one for each (seed, step): SplitMix64's finaliser, the same on every machine."""
    with np.errstate(over="ignore"):
        x = np.array(seeds, np.uint64) + np.array(steps, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
