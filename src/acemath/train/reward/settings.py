"""The settings of reward modelling. The defaults are the paper's values (sections 4.1, 4.2 and 4.4.1)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from acemath.files.settings import Settings
from acemath.train.settings import LoraSettings, TrainingSettings

PAIR_LOSSES = ("listwise", "pairwise")  # the losses that use a margin


class GroupSettings(Settings):
    """How responses are chosen for a group."""

    size: int = Field(6, ge=2)
    """Responses in a group (paper: 6)."""
    pool: int = Field(14, ge=1)
    """The number of best-ranked right responses, and of worst-ranked wrong ones, to draw from (paper: k = 14)."""
    by: Literal["rank", "random"] = "rank"
    """Whether to use the ranker's order; `random` draws from all responses (the paper's ablation)."""
    held_out: float = Field(0.05, ge=0, lt=1)
    """The share of groups held out to measure pair accuracy. Our choice."""
    held_out_most: int = Field(1000, ge=0)
    """The most groups held out, whatever their share: each measurement scores all of them. Our choice."""
    balance: Literal["even", "drawn"] = "even"
    """Whether groups have equal numbers of right and wrong responses, or random numbers. Our choice."""
    least: int = Field(1, ge=1)
    """The least number of right responses, and of wrong ones, in a group. Our choice."""
    style_share: float = Field(0.0, ge=0, le=1)
    """The share of groups that hold only short responses. Our choice."""
    own_share: float = Field(0.0, ge=0, le=1)
    """The share of groups that hold only the policy's own responses (paper: 30 K of 356 K)."""
    own: tuple[str, ...] = ()
    """The names of the policies whose responses count as the policy's own."""
    cut: Literal["drop", "wrong"] = "drop"
    """Whether a response that was cut at the token limit is left out, or counts as wrong. Our choice."""

    @model_validator(mode="after")
    def _possible(self) -> GroupSettings:
        if 2 * self.least > self.size:
            raise ValueError(
                f"least: {self.least} right and {self.least} wrong responses do not fit into a group of {self.size}; lower least"
            )
        if self.own_share and not self.own:
            raise ValueError("own_share needs own, the names of the candidates that are the policy's own")
        return self


class RewardSettings(TrainingSettings):
    """How the reward model is trained."""

    MEANS: ClassVar[frozenset[str]] = TrainingSettings.MEANS | {"micro_tokens", "share_prefix"}

    loss: Literal["listwise", "pairwise", "cross-entropy", "mse"] = "listwise"
    """The loss (paper: listwise)."""
    learning_rate: float = Field(5e-6, gt=0)
    """The highest learning rate (paper: 5e-6 for 7B, 2e-6 for 72B)."""
    batch_groups: int = Field(256, ge=1)
    """Groups per training step (paper: a batch of 256, without a unit)."""
    micro_tokens: int | None = Field(None, ge=64)
    """The most tokens of a forward pass; by default what suits the device. A larger group is read in parts."""
    epochs: float = Field(2.0, gt=0)
    """The number of times each group is trained on (paper: 2)."""
    warmup: float = Field(0.03, ge=0, lt=1)
    """The share of the steps in which the learning rate rises, before it falls along a cosine (paper). Our choice."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay. Our choice."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The largest norm of the gradient; a larger gradient is scaled down. Our choice."""
    max_length: int = Field(4096, ge=16)
    """The most tokens of a response with its prompt. Our choice."""
    share_prefix: bool = True
    """Whether a prompt is read once for its whole group; set false for models that do not allow it."""
    bf16: bool = True
    """Whether forward passes use bfloat16, if the hardware computes it. Our choice."""
    gradient_checkpointing: bool | None = None
    """Whether activations are computed again in the backward pass, which takes time and saves memory; by default, in large models on a
    processor, those that are quick to compute, or all if memory is short."""
    liger: bool = False
    """Whether to use Liger's kernels in the body; they need a GPU."""
    compile: bool = True
    """Whether layers are compiled on a GPU: the first pass takes seconds longer, the others are faster. Not with Liger or shards."""
    lora: LoraSettings | None = None
    """Train LoRA matrices only; by default all weights are trained, as in the paper."""
    evaluations: int = Field(4, ge=1)
    """The number of times that held-out accuracy is measured; the best weights are kept."""
    rm_k: int | None = Field(None, ge=1)
    """The k of rm@k, measured over all candidates of held-out problems; by default it is not measured."""
    keep: Literal["pair_accuracy", "rm"] = "pair_accuracy"
    """The measure that decides which weights are kept. Our choice."""
    report_to: str = "none"
    """The experiment tracker: trackio, tensorboard, wandb …"""
    save_every: int = Field(50, ge=1)
    """Steps between checkpoints."""
    page: Literal["chat", "check"] = "chat"
    """The text that the model reads: its chat template, or nano's checking page. Our choice."""
    head_words: tuple[str, str] | None = None
    """Initialise the head as the difference between the output weights of these two words. Our choice."""
    centring: float = Field(0.0, ge=0)
    """The weight of the squared mean reward in the loss. Our choice."""
    margin: float = Field(0.0, ge=0)
    """How much a right reward must exceed a wrong one, in losses over pairs. Our choice."""

    @model_validator(mode="after")
    def _fits_together(self) -> RewardSettings:
        if self.margin and self.loss not in PAIR_LOSSES:
            raise ValueError(
                f"margin {self.margin:g} has no effect with the loss {self.loss}, which compares no pairs; leave it out"
            )
        if self.keep == "rm" and self.rm_k is None:
            raise ValueError(
                "keep: rm needs rm_k, the number of candidates that it is measured over (paper: 8)"
            )
        return self
