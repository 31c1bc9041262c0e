"""What fine-tuning may be told. The defaults are the paper's for general SFT (section 3.3.4)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from acemath.train.settings import LoraSettings


class SftSettings(BaseModel):
    """One stage's training. Where the paper is silent the value is our choice, and says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(5e-6, gt=0)  # paper: 5e-6 general, 3e-6 math
    global_batch: int = Field(128, ge=1)  # rows a step; paper: 128, 256 for 72B
    micro_batch: int = Field(8, ge=1)  # rows a forward pass on each device; our choice
    epochs: float = Field(1.0, gt=0)  # paper: 1
    max_length: int = Field(4096, ge=16)  # tokens; paper: 4096
    packing: bool = True  # our choice: several conversations a row, none sees another
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"  # our choice
    warmup: float = Field(0.03, ge=0, lt=1)  # share of the steps; our choice
    weight_decay: float = Field(0.0, ge=0)  # our choice
    max_grad_norm: float = Field(1.0, gt=0)  # our choice
    bf16: bool = True  # our choice: autocast, where the processor has it
    gradient_checkpointing: bool = False
    attention: Literal["auto", "eager", "sdpa", "flex_attention", "flash_attention_2"] = "auto"
    liger: bool = False  # Liger's kernels, the loss over the vocabulary among them, on a GPU
    lora: LoraSettings | None = None  # None, as in the paper: the whole model is trained
    validation: int = Field(64, ge=0)  # conversations kept aside for validation loss
    save_every: int = Field(200, ge=1)  # steps between checkpoints
    report_to: str = "none"  # trackio, tensorboard, wandb …: the trainer's own names
