"""What reward modelling may be told, with the paper's values as defaults (sections 4.1, 4.2 and 4.4.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from acemath.train.settings import LoraSettings

OF_PAIRS = ("listwise", "pairwise")  # the losses that a margin changes


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupSettings(_Part):
    """How responses are chosen for a group."""

    size: int = Field(6, ge=2)
    """Responses of a group (paper: 6)."""
    pool: int = Field(14, ge=1)
    """Responses are drawn from so many best-ranked right ones and worst-ranked wrong ones (paper: k = 14)."""
    by: Literal["rank", "random"] = "rank"
    """Whether the ranker's order decides, or chance; `random` is the paper's ablation."""
    held_out: float = Field(0.05, ge=0, lt=1)
    """The share of groups kept aside for pair accuracy. Our choice."""
    balance: Literal["even", "drawn"] = "even"
    """Whether groups have equal numbers of right and wrong responses, or drawn ones. Our choice."""
    least: int = Field(1, ge=1)
    """The least number of right responses, and of wrong ones, in a group. Our choice."""
    style_share: float = Field(0.0, ge=0, le=1)
    """The share of groups that hold short responses alone. Our choice."""
    own_share: float = Field(0.0, ge=0, le=1)
    """The share of groups that hold the policy's own responses alone (paper: 30 K of 356 K)."""
    own: tuple[str, ...] = ()
    """The candidates that are the policy's own."""
    cut: Literal["drop", "wrong"] = "drop"
    """Whether a response that was cut at the token limit is left out, or counts as wrong. Our choice."""

    @model_validator(mode="after")
    def _possible(self) -> GroupSettings:
        if 2 * self.least > self.size:
            raise ValueError(
                f"least {self.least} of both sides does not fit into a group of {self.size}; lower it"
            )
        if self.own_share and not self.own:
            raise ValueError("own_share needs own, the names of the candidates that are the policy's own")
        return self


class RewardSettings(_Part):
    """How the reward model is trained."""

    loss: Literal["listwise", "pairwise", "cross-entropy", "mse"] = "listwise"
    """The loss (paper: listwise)."""
    learning_rate: float = Field(5e-6, gt=0)
    """The highest learning rate (paper: 5e-6 for 7B, 2e-6 for 72B)."""
    batch_groups: int = Field(256, ge=1)
    """Groups of a step (paper: 256, of what it does not say)."""
    micro_tokens: int | None = Field(None, ge=64)
    """The most tokens of a forward pass; by default what suits the device."""
    epochs: float = Field(2.0, gt=0)
    """How often each group is trained on (paper: 2)."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """The share of the steps in which the learning rate rises before the cosine (paper). Our choice."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay. Our choice."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The largest norm of the gradient; a larger gradient is scaled down. Our choice."""
    max_length: int = Field(4096, ge=16)
    """The most tokens of a response with its prompt. Our choice."""
    share_prefix: bool = True
    """Whether a prompt is read once for its group; false for models that cannot."""
    layout: Literal["auto", "packed", "flex"] = "auto"
    """How a prompt is shared; `auto` takes what suits the device."""
    bf16: bool = True
    """Whether forward passes use bfloat16 where the processor has it."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, which takes time and saves memory."""
    liger: bool = False
    """Whether Liger's kernels are used in the body on a GPU."""
    lora: LoraSettings | None = None
    """Train low-rank additions alone; by default the whole model is trained, as in the paper."""
    evaluations: int = Field(4, ge=1)
    """How often held-out accuracy is measured; the best weights are kept."""
    rm_k: int | None = Field(None, ge=1)
    """Also measure rm@k over all candidates of held-out problems, with this k."""
    keep: Literal["pair_accuracy", "rm"] = "pair_accuracy"
    """The measure that decides which weights are kept. Our choice."""
    report_to: str = "none"
    """Where training reports to: trackio, tensorboard, wandb …"""
    save_every: int = Field(50, ge=1)
    """Steps between checkpoints."""
    page: Literal["chat", "check"] = "chat"
    """What the model reads: its chat, or nano's checking page. Our choice."""
    head_words: tuple[str, str] | None = None
    """Start the head at the difference of these two words' output weights. Our choice."""
    centring: float = Field(0.0, ge=0)
    """The weight of the squared mean reward in the loss. Our choice."""
    margin: float = Field(0.0, ge=0)
    """The lead that a right response should have, in losses over pairs. Our choice."""

    @model_validator(mode="after")
    def _fits_together(self) -> RewardSettings:
        if self.margin and self.loss not in OF_PAIRS:
            raise ValueError(
                f"margin {self.margin:g} does nothing with the loss {self.loss}, which compares no pairs; leave it out"
            )
        if self.keep == "rm" and self.rm_k is None:
            raise ValueError(
                "keep: rm needs rm_k, the number of candidates that it is measured over (paper: 8)"
            )
        return self
