"""What curation may be told, with the paper's values as defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["in-breadth", "in-depth", "add-constraints"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvolveSettings(_Part):
    """How seed prompts become new ones (paper, section 3.2.2). "add-constraints" lowers scores: off."""

    methods: tuple[Method, ...] = ("in-breadth", "in-depth")
    rounds: int = Field(1, ge=1, le=5)  # the paper: one
    share: float = Field(1.0, gt=0, le=1)  # of the math prompts that are evolved


class FilterSettings(_Part):
    """Limits on prompts and responses (paper, sections 3.2.1 and 3.2.2)."""

    prompt_words: int = Field(300, ge=1)
    response_words: int = Field(2500, ge=1)
    boxed: bool = True
    loops: bool = True


class DecontaminateSettings(_Part):
    """When a prompt leaks a benchmark (paper, section 3.2.3)."""

    ngram: int = Field(13, ge=2)
    lcs: float = Field(0.6, ge=0, le=1)  # of the prompt's words; math prompts alone


class CurateSettings(_Part):
    """All of curation."""

    evolve: EvolveSettings = EvolveSettings()
    filters: FilterSettings = FilterSettings()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
