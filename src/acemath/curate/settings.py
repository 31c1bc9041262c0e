"""What curation may be told, with the paper's values as defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["in-breadth", "in-depth", "add-constraints"]
Extra = Literal["near-copy", "contained", "reworded"]
Form = Literal["multiple-choice", "true-false", "multi-part"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvolveSettings(_Part):
    """How seed prompts become new ones (paper, section 3.2.2). "add-constraints" lowers scores: off."""

    methods: tuple[Method, ...] = ("in-breadth", "in-depth")
    rounds: int = Field(1, ge=1, le=5)  # the paper: one
    share: float = Field(1.0, gt=0, le=1)  # of the math prompts that are evolved
    sources: tuple[str, ...] = ()  # only seeds of these; the paper: NuminaMath. None named: all math seeds


class FilterSettings(_Part):
    """Limits on prompts and responses (paper, sections 3.2.1 and 3.2.2).

    The paper limits the words of synthetic prompts alone: `prompt_words` is for evolved ones, `seed_words` for all others.
    What the paper does not filter (figures, proofs, language, forms of question) is kept unless a recipe says otherwise.
    """

    prompt_words: int = Field(300, ge=1)
    seed_words: int | None = Field(None, ge=1)
    response_words: int = Field(2500, ge=1)
    boxed: bool = True
    loops: bool = True
    figures: Literal["keep", "drop"] = "keep"  # prompts that speak of a figure or draw one in code
    proofs: Literal["keep", "drop"] = "keep"  # prompts that ask for a proof alone
    language: Literal["en"] | None = None
    forms: tuple[Form, ...] = ()  # of questions that are dropped
    answer_characters: int | None = Field(None, ge=1)  # of a prompt's reference answer


class NearSettings(_Part):
    """When two prompts are near-duplicates: our addition, off in the paper's recipes, which drop exact copies alone.

    `threshold` is the Jaccard similarity of their runs of `shingle` words; numbers, signs and variables must be the
    same whatever it is. Below 0.9 problems merge that differ in one word that matters (sum or product, girls or boys).
    """

    threshold: float = Field(0.9, ge=0.5, le=1)
    shingle: int = Field(3, ge=1, le=10)
    permutations: int = Field(128, ge=32, le=512)
    alarm: int = Field(50, ge=2)  # a cluster of more prompts than this is named in the stage's facts
    seed: int = 0


class DecontaminateSettings(_Part):
    """When a prompt leaks a benchmark (paper, section 3.2.3), and what is reported beyond that rule.

    "near-copy", "contained" and "reworded" are our additions: found, reported, and dropped only where `drop` names them.
    """

    ngram: int = Field(13, ge=2)
    lcs: float = Field(0.6, ge=0, le=1)  # of the prompt's words; math prompts alone
    near_copy: float = Field(0.85, ge=0.5, le=1)  # of the longer text's words, numbers and variables masked
    reworded: bool = True  # look for problems in other words too
    drop: tuple[Extra, ...] = ()


class SolvabilitySettings(_Part):
    """A vote of several responses on each math prompt: our addition, off in the paper's recipes (section 3.2.2)."""

    by: str = "teachers.math"  # the role that answers: teachers.math, checkers.NAME …
    answers: int = Field(8, ge=2)
    temperature: float = Field(0.7, gt=0)
    at_least: float = Field(0.5, ge=0, le=1)  # of the responses must have one answer
    at_most: float = Field(1.0, ge=0, le=1)  # below 1, prompts that nearly all responses solve go too
    reference: bool = True  # the majority must be the prompt's own answer, where it has one


class CrossCheckSettings(_Part):
    """When the other teachers confirm a response (paper, section 3.2.2)."""

    share: float = Field(1.0, gt=0, le=1)  # of their answers that agree; the paper: all, which are two


class PoolSettings(_Part):
    """A pool of a recipe's own: part of a built-in one, narrowed, and a number of it (paper, section 3.3).

    `take` is the number of prompts that the pool adds to a blend, those that earlier pools brought not counted.
    """

    of: str  # code, general, math, math.checked …
    sources: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    born: Literal["any", "seeds", "evolved"] = "any"
    unused_by: tuple[str, ...] = ()  # stages that come before; what they took is left out
    take: int | None = Field(None, ge=1)


class CurateSettings(_Part):
    """All of curation."""

    evolve: EvolveSettings = EvolveSettings()
    filters: FilterSettings = FilterSettings()
    near: NearSettings | None = None  # None: exact copies alone are dropped, as in the paper
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    solvability: SolvabilitySettings | None = None  # None: no vote, as in the paper
    cross_check: CrossCheckSettings = CrossCheckSettings()
