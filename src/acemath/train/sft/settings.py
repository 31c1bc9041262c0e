"""The settings of fine-tuning. The defaults are the paper's for general SFT (section 3.3.4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from acemath.train.settings import LoraSettings, TrainingSettings


class SftSettings(TrainingSettings):
    """The settings of one stage. "Our choice" marks values that the paper does not give."""

    MEANS: ClassVar[frozenset[str]] = TrainingSettings.MEANS | {"micro_batch", "attention"}

    learning_rate: float = Field(5e-6, gt=0)
    """The highest learning rate (paper: 5e-6 in general stages, 3e-6 in the math stage)."""
    global_batch: int = Field(128, ge=1)
    """Rows per training step, over all devices (paper: 128, and 256 for 72B)."""
    micro_batch: int = Field(8, ge=1)
    """The most rows of a forward pass on each device. Our choice."""
    epochs: float = Field(1.0, gt=0)
    """The number of times each conversation is trained on (paper: 1)."""
    max_length: int = Field(4096, ge=16)
    """The most tokens of a row (paper: 4096)."""
    packing: bool = True
    """Whether a row holds several conversations, with no attention between them. Our choice."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warm-up. Our choice."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """The share of the steps in which the learning rate rises. Our choice."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay. Our choice."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The largest norm of the gradient; a larger gradient is scaled down. Our choice."""
    bf16: bool = True
    """Whether forward passes use bfloat16, if the hardware computes it. Our choice."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, which takes time and saves memory."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """The implementation of attention; `auto` takes the fastest that this machine has."""
    liger: bool = False
    """Whether to use Liger's kernels, also for the loss over the vocabulary; they need a GPU."""
    compile: bool = True
    """Whether layers are compiled on a GPU: the first pass takes seconds longer, the others are faster. Not with Liger or shards."""
    lora: LoraSettings | None = None
    """Train LoRA matrices only; by default all weights are trained, as in the paper."""
    validation: int = Field(64, ge=0)
    """Conversations held out for the validation loss, at most a tenth of all."""
    save_every: int = Field(200, ge=1)
    """Steps between checkpoints."""
    report_to: str = "none"
    """The experiment tracker: trackio, tensorboard, wandb …"""
