"""Pre-training nano-base: `acemath pretrain-nano`.

Pages are drawn at random, tokenized, sorted into batches of one padded length each, and read once. The learning rate
warms up, stays constant, and falls linearly to 0 over the last tokens. Muon trains the layers' matrices, AdamW all
other parameters (both are torch's). Chunk n of the pages depends only on the seed and n, so that a resumed run sees
the same pages as an uninterrupted one.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from acemath.demo.nano.folder import Window, check_run, keep_base, load_state, save, trim_curve, write_card
from acemath.demo.nano.pages import IGNORE, Encoded, draw_page, encode_pages
from acemath.demo.nano.tokenizer import END_OF_TEXT, IM_END, PAD, train_tokenizer
from acemath.models.loading import loading


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """The settings of one pre-training run. Sizes are in tokens; widths are the lengths that pages are padded to."""

    seed: int = 0
    tokens: int = 66_000_000  # read in all, padding included
    decay: int = 40_000_000  # the last tokens, over which the learning rates fall to 0
    warmup: int = 500_000
    batch_tokens: int = 8_192
    levels: tuple[int, ...] = (1, 1, 2)  # drawn uniformly; a level listed twice comes twice as often
    widths: tuple[int, ...] = (96, 128, 160, 192, 224, 256, 320)
    branches: int = 4  # texts that follow one problem
    chunk_pages: int = 8_192
    checking: float = 0.5
    math: float = 0.9
    mark_weight: float = 1.0
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    full_batch: int = 16_384  # tokens of a batch that the rates are for; they scale with the square root of its size
    vocab: int = 1024
    tokenizer_pages: int = 20_000
    hidden: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 1
    intermediate: int = 640
    compile: bool = True
    base: str | None = None  # the folder of a run whose weights and tokenizer this one continues

    def going_on(self, base: str) -> PretrainSettings:
        """The settings of a second run from the weights in `base`: half the rates, which fall right after the warm-up."""
        return replace(
            self,
            base=base,
            muon_lr=self.muon_lr / 2,
            adam_lr=self.adam_lr / 2,
            decay=self.tokens - self.warmup,
        )

    def scaled(self, share: float) -> PretrainSettings:
        """The same settings with a share of the tokens."""
        return replace(self, tokens=round(self.tokens * share), decay=round(self.decay * share))

    def rate(self, seen: int) -> float:
        """The factor of the learning rates after `seen` tokens: warm-up, plateau, linear decay."""
        shape = max(0.0, min(1.0, seen / self.warmup, (self.tokens - seen) / self.decay))
        return math.sqrt(self.batch_tokens / self.full_batch) * shape


@dataclass(frozen=True, slots=True)
class Batch:
    """One padded batch: ids, targets, is_mark and positions, each [pages, width]."""

    ids: Tensor
    targets: Tensor
    is_mark: Tensor
    positions: Tensor
    mask: Tensor  # [pages, 1, width, width], True where a token sees another

    @property
    def tokens(self) -> int:
        """The number of tokens, padding included."""
        return self.ids.numel()


def new_tokenizer(settings: PretrainSettings) -> PreTrainedTokenizerBase:
    """A tokenizer trained on worksheet pages, that surely has the words of marks and chats."""
    rng = random.Random(f"tokenizer:{settings.seed}")
    words = "user assistant system right wrong Please reason step by step, and put check your final answer within \\boxed{}."
    texts = [
        text
        for _ in range(settings.tokenizer_pages)
        for text in draw_page(rng, math=settings.math, levels=settings.levels, branches=1).texts
    ] + [f" {words} right wrong"] * 500
    return train_tokenizer(texts, settings.vocab)


def new_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerBase) -> Qwen2ForCausalLM:
    """An untrained nano of these settings, seeded."""
    torch.manual_seed(settings.seed)
    ends = [tokenizer.convert_tokens_to_ids(t) for t in (IM_END, END_OF_TEXT)]
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        intermediate_size=settings.intermediate,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=ends[0],
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
    )
    # For pages this short, eager attention is faster on a CPU than fused attention (1.1 s a step against 1.26 s for
    # 16,320 tokens in rows of 192, two cores).
    model = Qwen2ForCausalLM._from_config(config, attn_implementation="eager")
    model.generation_config.eos_token_id = ends
    return model


def batches(settings: PretrainSettings, tokenizer: PreTrainedTokenizerBase, chunk: int) -> Iterator[Batch]:
    """The batches of one chunk of pages, shuffled.

    All batches of a width have the same shape, so that it is compiled once. Pages that do not fill a whole batch are
    left out, as are pages longer than the largest width.
    """
    rng = random.Random(f"pages:{settings.seed}:0:{chunk}")  # the 0 stays: the shipped weights were trained on these draws
    pages = [
        draw_page(
            rng,
            checking=settings.checking,
            math=settings.math,
            levels=settings.levels,
            branches=settings.branches,
        )
        for _ in range(settings.chunk_pages)
    ]
    by_width: dict[int, list[Encoded]] = {width: [] for width in settings.widths}
    for page in encode_pages(pages, tokenizer):
        width = next((w for w in settings.widths if len(page.ids) <= w), None)
        if width is not None:
            by_width[width].append(page)
    plan = []
    for width, rows in by_width.items():
        size = settings.batch_tokens // width
        plan += [(width, rows[at : at + size]) for at in range(0, len(rows) - size + 1, size)]
    rng.shuffle(plan)
    for width, rows in plan:
        yield collate(rows, width, tokenizer.pad_token_id)


def collate(rows: list[Encoded], width: int, pad: int) -> Batch:
    """Encoded pages as one batch of a width, padded on the right."""
    shape = (len(rows), width)
    ids, targets = np.full(shape, pad), np.full(shape, IGNORE)
    is_mark, positions, segments = np.zeros(shape, bool), np.zeros(shape, int), np.full(shape, -1)
    for at, row in enumerate(rows):
        to = len(row.ids)
        ids[at, :to], targets[at, :to], is_mark[at, :to] = row.ids, row.targets, row.is_mark
        positions[at, :to], segments[at, :to] = row.positions, row.segments
    return Batch(
        ids=torch.from_numpy(ids),
        targets=torch.from_numpy(targets),
        is_mark=torch.from_numpy(is_mark),
        positions=torch.from_numpy(positions),
        mask=_visible(torch.from_numpy(segments)),
    )


def _visible(segment: Tensor) -> Tensor:
    """The attention mask [B, 1, T, T] from segments [B, T]: 0 for the problem, i for branch i, -1 for padding.

    A token sees the problem and its own branch up to itself. A padding token sees only itself, so that no row of
    the mask is empty.
    """
    width = segment.shape[1]
    same = segment[:, :, None] == segment[:, None, :]  # [B, T, T]
    seen = (same | (segment[:, None, :] == 0)) & torch.ones(width, width, dtype=torch.bool).tril()
    seen &= (segment[:, :, None] >= 0) | torch.eye(width, dtype=torch.bool)
    return seen[:, None]


class Losses:
    """The two losses of a batch, each a mean over its own tokens: writing, and marking."""

    def __init__(self, model: Qwen2ForCausalLM, mark_weight: float, compiled: bool) -> None:
        self.model = model
        self.mark_weight = mark_weight
        if compiled:
            torch._dynamo.config.recompile_limit = 64  # one program for each width
        self.body: Callable[..., Any] = torch.compile(model.model, dynamic=False) if compiled else model.model

    def __call__(self, batch: Batch) -> tuple[Tensor, float, float, float]:
        """Total loss, writing loss, marking loss, share of marks that were right."""
        with torch.autocast(batch.ids.device.type, torch.bfloat16):
            # The embedding stays outside the compiled program. Inside, its gradients would be added in the order in
            # which the CPU's threads arrive, and the same run would end with different weights each time.
            hidden = self.body(
                inputs_embeds=self.model.model.embed_tokens(batch.ids),
                position_ids=batch.positions,
                attention_mask=torch.zeros(batch.mask.shape, dtype=torch.bfloat16).masked_fill_(
                    ~batch.mask, -1e4
                ),
                use_cache=False,
            ).last_hidden_state
            asked = batch.targets != IGNORE
            # [targets, vocab]: logits only for tokens with a target
            logits = self.model.lm_head(hidden[asked]).float()
        targets, is_mark = batch.targets[asked], batch.is_mark[asked]
        each = nn.functional.cross_entropy(logits, targets, reduction="none")
        writing = each[~is_mark].mean() if (~is_mark).any() else each.new_zeros(())
        marking = each[is_mark].mean() if is_mark.any() else each.new_zeros(())
        hits = (logits[is_mark].argmax(-1) == targets[is_mark]).float().mean().item()
        return writing + self.mark_weight * marking, writing.item(), marking.item(), hits


def optimizers(model: nn.Module, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01, adjust_lr_fn="original"),
        torch.optim.AdamW(rest, lr=settings.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pretrain(out: Path, settings: PretrainSettings, every: int = 2_000_000) -> Path:
    """Train nano-base into `out`, resuming from `out/state.pt` if it exists. Returns the folder.

    Writes the model and tokenizer, `curve.jsonl` (a line every fifty steps) and `README.md`, the model card, with those
    of the base if there is one. The state is saved at the end of a chunk if `every` tokens were read since the last save.
    UserError if `out` holds a run with other settings, or if the base is not the folder of a finished run.
    """
    tokenizer, model = _start(settings)
    out.mkdir(parents=True, exist_ok=True)
    steppers = optimizers(model, settings)
    at = load_state(out, model, steppers, asdict(settings))
    trim_curve(out, at.tokens)
    losses, window = Losses(model, settings.mark_weight, settings.compile), Window(out)
    clock = time.monotonic() - at.seconds
    saved = at.tokens
    while at.tokens < settings.tokens:
        for batch in batches(settings, tokenizer, at.chunk):
            set_rates(steppers, settings, settings.rate(at.tokens))
            window.add(step(losses, batch, steppers))
            at.tokens += batch.tokens
            at.seconds = time.monotonic() - clock
            done = at.tokens >= settings.tokens
            window.write(at, least=1 if done else 50)
            if done:
                break
        at.chunk += 1
        if at.tokens - saved >= every or at.tokens >= settings.tokens:
            save(out, model, tokenizer, steppers, at, asdict(settings))
            saved = at.tokens
    if settings.base is not None:
        keep_base(Path(settings.base), out)
    write_card(out, asdict(settings))
    return out


def _start(settings: PretrainSettings) -> tuple[PreTrainedTokenizerBase, Qwen2ForCausalLM]:
    """The tokenizer and the model that a run starts from: new ones, or the base's.

    UserError if the base is not the folder of a finished run.
    """
    if settings.base is None:
        tokenizer = new_tokenizer(settings)
        return tokenizer, new_model(settings, tokenizer)
    check_run(Path(settings.base))
    with loading(settings.base):
        tokenizer = AutoTokenizer.from_pretrained(settings.base)
        model = Qwen2ForCausalLM.from_pretrained(
            settings.base, dtype=torch.float32, attn_implementation="eager", use_safetensors=True
        )
    return tokenizer, model


def set_rates(steppers: list[torch.optim.Optimizer], settings: PretrainSettings, factor: float) -> None:
    """Set the learning rates of Muon and AdamW to `factor` times those of the settings."""
    for stepper, base in zip(steppers, (settings.muon_lr, settings.adam_lr), strict=True):
        for group in stepper.param_groups:
            group["lr"] = base * factor


def step(losses: Losses, batch: Batch, steppers: list[torch.optim.Optimizer]) -> tuple[float, float, float]:
    """One step on a batch. Returns writing loss, marking loss and the share of marks that were right."""
    total, *figures = losses(batch)
    total.backward()
    nn.utils.clip_grad_norm_(losses.model.parameters(), 1.0)
    for stepper in steppers:
        stepper.step()
    losses.model.zero_grad(set_to_none=True)
    return figures[0], figures[1], figures[2]
