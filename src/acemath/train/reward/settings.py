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

    size: int = Field(6, ge=2)  # paper: six responses a problem
    pool: int = Field(14, ge=1)  # paper: k = 14, the top-k right ones and bottom-k wrong ones are drawn from
    by: Literal["rank", "random"] = "rank"  # "random" is the paper's ablation
    held_out: float = Field(0.05, ge=0, lt=1)  # share of groups kept for pair accuracy; our choice
    balance: Literal["even", "drawn"] = (
        "even"  # right against wrong: see acemath.train.reward.groups; our choice
    )
    least: int = Field(1, ge=1)  # right ones, and wrong ones, that a group has at least; our choice
    style_share: float = Field(0.0, ge=0, le=1)  # share of groups of only short responses; our choice
    own_share: float = Field(
        0.0, ge=0, le=1
    )  # share of groups of the policy's own responses; paper: 30 K of 356 K
    own: tuple[str, ...] = ()  # the candidates that are the policy's own
    cut: Literal["drop", "wrong"] = (
        "drop"  # how a response that was cut at the token limit counts; our choice
    )

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

    loss: Literal["listwise", "pairwise", "cross-entropy", "mse"] = "listwise"  # paper: listwise
    learning_rate: float = Field(5e-6, gt=0)  # paper: 5e-6 for 7B, 2e-6 for 72B
    batch_groups: int = Field(256, ge=1)  # groups a step; paper: 256, without saying of what
    micro_tokens: int | None = Field(None, ge=64)  # tokens a forward pass; None: what suits the device
    epochs: float = Field(2.0, gt=0)  # paper: 2
    warmup: float = Field(0.03, ge=0, lt=1)  # share of the steps; our choice; then cosine (paper)
    weight_decay: float = Field(0.0, ge=0)  # our choice
    max_grad_norm: float = Field(1.0, gt=0)  # our choice
    max_length: int = Field(4096, ge=16)  # tokens of one response with its prompt; our choice
    share_prefix: bool = True  # read a prompt once for its group; False: for models that cannot (probe.py)
    layout: Literal["auto", "packed", "flex"] = "auto"  # how prompts are shared (passes.py)
    bf16: bool = True
    gradient_checkpointing: bool = False
    liger: bool = False  # Liger's kernels in the body, on a GPU
    lora: LoraSettings | None = None  # None, as in the paper: the whole model is trained
    evaluations: int = Field(4, ge=1)  # times that held-out pair accuracy is measured; the best is kept
    rm_k: int | None = Field(None, ge=1)  # rm@k over held-out candidates beside it; None: not measured
    keep: Literal["pair_accuracy", "rm"] = "pair_accuracy"  # what the best weights are best at; our choice
    report_to: str = "none"  # trackio, tensorboard, wandb …: accelerate's own names
    save_every: int = Field(50, ge=1)  # steps between checkpoints
    page: Literal["chat", "check"] = (
        "chat"  # "check": nano's checking page as the model's template; our choice
    )
    head_words: tuple[str, str] | None = (
        None  # start the head at lm_head[first] - lm_head[second]; our choice
    )
    centring: float = Field(0.0, ge=0)  # weight of the squared mean reward; our choice
    margin: float = Field(
        0.0, ge=0
    )  # lead that a right response should have; only for losses over pairs; our choice

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
