"""The engine for causal language models of `transformers`, with continuous batching, on CPU or one GPU."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from acemath.errors import UserError
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, Sampling, free_memory, refused, too_long
from acemath.models.generate.blocked import block_weights
from acemath.models.generate.draw import draw, uniform
from acemath.models.generate.graphs import Graphs, repeatable
from acemath.models.generate.slots import ATTENTION, BLOCK, SlotCache, most_slots
from acemath.models.hardware import device, lacks_memory, memory_for
from acemath.models.hub import at_revision
from acemath.models.layers import active_window, layer_kinds, other_layers
from acemath.models.loading import chat_tokenizer, check_whole, loading
from acemath.models.score.attention import varied_shapes
from acemath.models.spec import TransformersModel
from acemath.notices import say
from acemath.records import Problem, Response, content_key

# The most tokens of prompts, padding included, that one pass reads. On a processor short passes hold prompts of nearly the
# same length, so little is padding, and the numbers stay in the cache. On a GPU the limit bounds the memory.
CPU_PASS_TOKENS, GPU_PASS_TOKENS = 1024, 32_768
FEW_SLOTS = 64  # a step of a GPU is hardly shorter with fewer
SMALLER = "a shorter max_length or max_new_tokens, dtype: bfloat16, or engine: vllm with tensor_parallel needs less"
Slots = np.ndarray[Any, np.dtype[np.int64]]  # indices of slots


@dataclass(frozen=True, slots=True)
class _Request:
    """One response to write: the index of its problem, the sample number, the seed, and the most tokens."""

    problem: int
    sample: int
    seed: int
    limit: int


# A request, its token ids up to the end token, and its finish reason.
Finished = tuple[_Request, list[int], str]


class TransformersEngine:
    """Generates responses with a model, given as a folder, a hub name or a specification.

    A response depends on the weights, the text of the problem, the sample number and the seed: each response has random
    numbers of its own, whatever shares its batch. (Rounding may differ between batch shapes, so a resumed run repeats
    whole partitions.) A response ends at a token that the chat template, the tokenizer or the generation config names as
    an end. Its text has all special tokens except that one. A prompt and its response have at most `max_length` tokens,
    by default the positions that the model has. `slots` is the most responses at a time, by default 512 on a CPU, and on
    a GPU as many as fit into its memory, up to 2,048. Where memory runs out all the same, half as many are written at a
    time, and a notice says so. UserError for models with layers other than softmax attention, or with chunked attention,
    and if a single response does not fit into the memory.
    """

    def __init__(
        self,
        model: str | Path | TransformersModel,
        chat: ChatFormat | None = None,
        name: str = "",
        slots: int | None = None,
    ) -> None:
        spec = model if isinstance(model, TransformersModel) else TransformersModel(id=str(model))
        self.name = name or spec.name
        self.chat = chat or ChatFormat()
        self.slots = slots
        place = at_revision(spec.id, spec.revision)
        self.tokenizer = chat_tokenizer(place, spec.template(), spec.trust_remote_code)
        with loading(spec.id), memory_for(f"model {spec.id!r}", SMALLER):
            self.model, report = AutoModelForCausalLM.from_pretrained(
                place,
                dtype=getattr(torch, spec.dtype),
                attn_implementation=ATTENTION,
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=spec.trust_remote_code,
            )
            self.model.to(device()).eval()
        check_whole(spec.id, report["missing_keys"])
        block_weights(self.model)
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
        # A GPU repeats steps of the same shapes: it computes all slots, empty ones too, and attends to whole blocks.
        self.fixed = self.model.device.type == "cuda"
        self.halved = 0  # how often memory ran out
        self.graphs = repeatable(self.model)

    def close(self) -> None:
        """Let go of the model, also where something still refers to the engine."""
        self.model = None

    @property
    def pass_tokens(self) -> int:
        """The most tokens of prompts in one pass."""
        return (GPU_PASS_TOKENS if self.fixed else CPU_PASS_TOKENS) >> self.halved

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
        left = [
            _Request(
                i,
                s,
                int(content_key(asked[i][0].prompt, str(s), str(sampling.seed)), 16),
                min(sampling.max_new_tokens, (self.max_length or sys.maxsize) - len(prompts[i])),
            )
            for i in order
            for s in range(sampling.n)
        ]
        while left:
            room = max(len(prompts[r.problem]) + r.limit for r in left) + 1
            slots = min(self.slots or most_slots(self.model, room), len(left))
            written: set[_Request] = set()
            failed = False
            try:
                for request, tokens, reason in _Run(self, prompts, deque(left), sampling, slots, room):
                    written.add(request)
                    yield asked[request.problem][0], request.sample, tokens, reason
            except RuntimeError as error:
                if not lacks_memory(error):
                    raise
                failed = True
            if not failed:
                return
            left = [request for request in left if request not in written]
            self._halve(slots, room)  # here, where the error no longer holds what filled the memory

    def _halve(self, slots: int, room: int) -> None:
        """Write half as many responses at a time from here on. UserError if it was one."""
        where = self.model.device
        if slots == 1:
            raise UserError(
                f"the memory of {where} is too small for policy {self.name!r} with one response of up to {room:,} tokens; {SMALLER}"
            )
        if not self.halved:
            say(
                f"the memory of {where} is too small for {slots:,} responses of policy {self.name!r} at a time: fewer are written "
                "at a time from here on (engine_slots in a recipe sets their number)"
            )
        self.slots, self.halved = slots // 2, self.halved + 1
        free_memory()


class _Run:
    """One call of `generate`: the slots, the request in each, and the step that adds a token to all of them.

    The state of the slots is kept here, not on the device, which gets what a step needs and returns one token a slot.
    """

    def __init__(
        self,
        engine: TransformersEngine,
        prompts: list[list[int]],
        waiting: deque[_Request],
        sampling: Sampling,
        slots: int,
        room: int,
    ) -> None:
        self.engine, self.prompts, self.waiting = engine, prompts, waiting
        self.sampling, self.graphs = sampling, Graphs()
        self.cache = SlotCache(slots, room, engine.model.device, BLOCK if engine.fixed else 1)
        self.ends = engine.ends.cpu().numpy()
        self.input = torch.zeros_like(self.cache.rows)  # on the device: the newest token of each slot [B]
        self.seated: list[_Request | None] = [None] * slots
        self.busy = np.zeros(slots, bool)
        self.seeds = np.zeros(slots, np.uint64)
        # Of each slot: the newest token, tokens in the cache, tokens written, the most to write.
        self.last, self.lengths, self.counts, self.limits = np.zeros((4, slots), np.int64)
        self.written = np.zeros((slots, 64), np.int32)  # the responses so far; grows with the longest

    def __iter__(self) -> Iterator[Finished]:
        while True:
            free = np.flatnonzero(~self.busy)
            # Reading prompts in batches is faster, so wait until an eighth of the slots is free.
            if self.waiting and len(free) >= max(1, len(self.busy) // 8):
                yield from self._admit(free)
            elif len(free) == len(self.busy):
                return
            else:
                self._shrink()
                yield from self._step()

    def _admit(self, free: Slots) -> Iterator[Finished]:
        """Read prompts until no slot is free, in passes of a bounded number of tokens."""
        while self.waiting and len(free):
            taken = yield from self._read_pass(free)
            free = free[taken:]

    def _read_pass(self, free: Slots) -> Generator[Finished, None, int]:
        """Read the next prompts, put their requests into free slots, draw the first token of each; return how many."""
        most = self.engine.pass_tokens
        taken: list[_Request] = []
        unique: dict[int, int] = {}  # the row of each problem
        while self.waiting and len(taken) < len(free):
            problem = self.waiting[0].problem
            tokens = (len(unique) + 1) * len(self.prompts[problem])  # prompts are sorted: this one is the longest
            if unique and problem not in unique and tokens > most:
                break
            unique.setdefault(problem, len(unique))
            taken.append(self.waiting.popleft())
        where = self.cache.rows.device
        slots = free[: len(taken)]
        lengths = torch.tensor([len(self.prompts[i]) for i in unique], device=where)
        ids = torch.full((len(unique), int(lengths.max())), int(self.engine.tokenizer.pad_token_id or 0))
        for i, row in unique.items():
            ids[row, : len(self.prompts[i])] = torch.tensor(self.prompts[i])
        prefilled = DynamicCache()
        # Padding is on the right and attention is causal, so no token of a prompt sees padding.
        logits = self.engine.logits(
            torch.arange(len(unique), device=where),
            lengths - 1,
            input_ids=ids.to(where),
            past_key_values=prefilled,
        )  # [prompts, V]
        sources = torch.tensor([unique[r.problem] for r in taken], device=where)
        self.cache.admit(prefilled, sources, torch.from_numpy(slots).to(where))
        for slot, request in zip(slots.tolist(), taken, strict=True):
            self.seated[slot] = request
        self.busy[slots], self.counts[slots] = True, 0
        self.seeds[slots] = [r.seed for r in taken]
        self.limits[slots] = [r.limit for r in taken]
        self.lengths[slots] = [len(self.prompts[r.problem]) for r in taken]
        yield from self._accept(slots, draw(logits[sources], self.sampling, self._shares(slots)))
        return len(taken)

    def _step(self) -> Iterator[Finished]:
        """Draw one token for every busy slot."""
        cache = self.cache
        slots = np.arange(len(self.busy)) if self.engine.fixed else np.flatnonzero(self.busy)
        shares = self._shares(slots)
        cache.attend(int(self.lengths[self.busy].max()) + 1)
        cache.lengths.copy_(torch.from_numpy(self.lengths))
        self.input.copy_(torch.from_numpy(self.last))
        if self.engine.graphs:
            logits = self.graphs.logits(lambda: self._forward(cache.rows), cache.size, cache.reach)
        else:
            logits = self._forward(torch.from_numpy(slots).to(cache.rows.device))
        self.lengths[self.busy] += 1
        yield from self._accept(slots, draw(logits, self.sampling, shares))

    def _forward(self, rows: Tensor) -> Tensor:
        """The logits [n, V] after the newest tokens of n slots. It writes the keys of all slots, in empty ones to no harm."""
        return self.engine.logits(
            rows,
            torch.zeros_like(rows),
            input_ids=self.input[:, None],
            attention_mask=self.engine.masks(self.cache),
            position_ids=self.cache.lengths[:, None],
            past_key_values=self.cache,
        )

    def _shares(self, slots: Slots) -> Tensor:
        """The number that decides the next token of each of these slots, by its seed and step; -1 for empty slots."""
        shares = uniform(self.seeds[slots], self.counts[slots])
        shares[~self.busy[slots]] = -1
        return torch.from_numpy(shares).to(self.cache.rows.device)

    def _accept(self, slots: Slots, drawn: Tensor) -> Iterator[Finished]:
        """Add the tokens drawn for these slots to their responses, and free the slots of those that end."""
        read = self.busy[slots]
        slots, tokens = slots[read], drawn.cpu().numpy()[read]
        if self.counts[slots].max() == self.written.shape[1]:
            self.written = np.pad(self.written, ((0, 0), (0, self.written.shape[1])))
        self.written[slots, self.counts[slots]] = tokens
        self.last[slots] = tokens
        self.counts[slots] += 1
        stop = np.isin(tokens, self.ends)
        over = stop | (self.counts[slots] >= self.limits[slots])
        for slot, ended in zip(slots[over].tolist(), stop[over].tolist(), strict=True):
            request = self.seated[slot]
            assert request is not None
            self.seated[slot], self.busy[slot] = None, False
            self.lengths[slot] = 0
            yield request, self.written[slot, : self.counts[slot]].tolist(), "stop" if ended else "length"

    def _shrink(self) -> None:
        """Keep only the busy slots near the end, when no prompt is left for the others.

        A new size costs new graphs, and few slots take a GPU as long as one, so there it waits for half of them.
        """
        least, share = (FEW_SLOTS, 0.5) if self.engine.fixed else (0, 0.75)
        keep = np.flatnonzero(self.busy)
        if self.waiting or len(self.busy) <= least or len(keep) > share * len(self.busy):
            return
        self.cache.shrink(torch.from_numpy(keep).to(self.cache.rows.device))
        self.input = torch.zeros_like(self.cache.rows)
        self.seated = [self.seated[i] for i in keep]
        self.busy, self.seeds, self.written = self.busy[keep], self.seeds[keep], self.written[keep]
        self.last, self.lengths, self.counts, self.limits = (
            row[keep] for row in (self.last, self.lengths, self.counts, self.limits)
        )
