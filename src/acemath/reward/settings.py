"""What reward modelling may be told, with the paper's values as defaults (sections 4.1, 4.2 and 4.4.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupSettings(_Part):
    """How responses are chosen for a group."""

    size: int = Field(6, ge=2)  # paper: six responses a problem
    pool: int = Field(14, ge=1)  # paper: k = 14, the top-k right ones and bottom-k wrong ones are drawn from
    by: Literal["rank", "random"] = "rank"  # "random" is the paper's ablation
    held_out: float = Field(0.05, ge=0, lt=1)  # share of groups kept for pair accuracy; our choice
    style_share: float = Field(
        0.0, ge=0, le=1
    )  # share of groups made of short forms alone; our choice of size


class RewardSettings(_Part):
    """How the reward model is trained."""

    loss: Literal["listwise", "pairwise", "cross-entropy", "mse"] = "listwise"  # paper: listwise
    learning_rate: float = Field(5e-6, gt=0)  # paper: 5e-6 for 7B, 2e-6 for 72B
    batch_groups: int = Field(256, ge=1)  # groups a step; paper: 256, of what is not said
    micro_tokens: int | None = Field(None, ge=64)  # padded tokens a forward pass; None: what suits the device
    epochs: float = Field(2.0, gt=0)  # paper: 2
    warmup: float = Field(0.03, ge=0, lt=1)  # share of the steps; our choice; then cosine (paper)
    weight_decay: float = Field(0.0, ge=0)  # our choice
    max_grad_norm: float = Field(1.0, gt=0)  # our choice
    max_length: int = Field(4096, ge=16)  # tokens of one response with its prompt; our choice
    share_prefix: bool = True  # read a prompt once for its group; False: for models that cannot (probe.py)
    bf16: bool = True
    evaluations: int = Field(4, ge=1)  # times that held-out pair accuracy is measured; the best is kept
    save_every: int = Field(50, ge=1)  # steps between checkpoints
    page: Literal["chat", "check"] = (
        "chat"  # "check": nano's checking page as the model's template; our choice
    )
    head_words: tuple[str, str] | None = (
        None  # start the head at lm_head[first] - lm_head[second]; our choice
    )
    centring: float = Field(0.0, ge=0)  # weight of the squared mean reward; our choice
