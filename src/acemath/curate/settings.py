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
    """How a question becomes a new one; none writes no new questions."""
    rounds: int = Field(1, ge=1, le=5)
    """Rounds of evolution, each from what the last one left (paper: 1)."""
    share: float = Field(1.0, gt=0, le=1)
    """The share of math prompts that are evolved."""
    sources: tuple[str, ...] = ()
    """The seeds that are evolved, by name (paper: NuminaMath); by default all math seeds."""


class FilterSettings(_Part):
    """Limits on prompts and responses (paper, sections 3.2.1 and 3.2.2).

    The paper limits the words of synthetic prompts alone: `prompt_words` is for evolved ones, `seed_words` for all others.
    What the paper does not filter (figures, proofs, language, forms of question) is kept unless a recipe says otherwise.
    """

    prompt_words: int = Field(300, ge=1)
    """The most words of an evolved prompt (paper: 300)."""
    seed_words: int | None = Field(None, ge=1)
    """The most words of any other prompt; by default no limit."""
    response_words: int = Field(2500, ge=1)
    """The most words of a response (paper: 2,500)."""
    boxed: bool = True
    """Whether responses to math prompts need their answer in a box."""
    loops: bool = True
    """Whether responses that repeat themselves are dropped."""
    figures: Literal["keep", "drop"] = "keep"
    """Whether prompts that speak of a figure, or draw one in code, are kept."""
    proofs: Literal["keep", "drop"] = "keep"
    """Whether prompts that ask for a proof alone are kept."""
    language: Literal["en"] | None = None
    """Keep only prompts in this language; by default all."""
    forms: tuple[Form, ...] = ()
    """Forms of question that are dropped."""
    answer_characters: int | None = Field(None, ge=1)
    """The most characters of a prompt's reference answer; by default no limit."""


class NearSettings(_Part):
    """When two prompts are near-duplicates: our addition, off in the paper's recipes, which drop exact copies alone.

    `threshold` is the Jaccard similarity of their runs of `shingle` words; numbers, signs and variables must be the
    same whatever it is. Below 0.9 problems merge that differ in one word that matters (sum or product, girls or boys).
    """

    threshold: float = Field(0.9, ge=0.5, le=1)
    """The similarity from which two prompts are near-duplicates."""
    shingle: int = Field(3, ge=1, le=10)
    """The words of a run that is compared."""
    permutations: int = Field(128, ge=32, le=512)
    """The hashes of the MinHash index."""
    alarm: int = Field(50, ge=2)
    """A cluster of more prompts than this is named in the stage's facts."""
    seed: int = 0
    """The seed of the hashes."""


class DecontaminateSettings(_Part):
    """When a prompt leaks a benchmark (paper, section 3.2.3), and what is reported beyond that rule.

    "near-copy", "contained" and "reworded" are our additions: found, reported, and dropped only where `drop` names them.
    """

    ngram: int = Field(13, ge=2)
    """The words of a run that a prompt may not share with a benchmark (paper: 13)."""
    lcs: float = Field(0.6, ge=0, le=1)
    """The share of a math prompt's words in the longest common subsequence from which it leaks (paper: 0.6)."""
    near_copy: float = Field(0.85, ge=0.5, le=1)
    """The share of the longer text's words that a near copy has in common, with numbers and variables masked."""
    reworded: bool = True
    """Whether problems in other words are looked for too."""
    drop: tuple[Extra, ...] = ()
    """What is dropped beyond the paper's rule; by default it is only reported."""


class SolvabilitySettings(_Part):
    """A vote of several responses on each math prompt: our addition, off in the paper's recipes (section 3.2.2)."""

    by: str = "teachers.math"
    """The role that answers: `teachers.math`, or `checkers.NAME`."""
    answers: int = Field(8, ge=2)
    """The number of answers to each prompt."""
    temperature: float = Field(0.7, gt=0)
    """The temperature of sampling."""
    at_least: float = Field(0.5, ge=0, le=1)
    """The least share of answers that agree."""
    at_most: float = Field(1.0, ge=0, le=1)
    """The largest share of answers that agree; below 1, prompts that nearly every answer solves are dropped too."""
    reference: bool = True
    """Whether the majority must be the prompt's own answer, where it has one."""


class CrossCheckSettings(_Part):
    """When the other teachers confirm a response (paper, section 3.2.2)."""

    share: float = Field(1.0, gt=0, le=1)
    """The share of the checkers' answers that must agree (paper: all, which are two)."""


class PoolSettings(_Part):
    """A pool of a recipe's own: part of a built-in one, narrowed, and a number of it (paper, section 3.3).

    `take` is the number of prompts that the pool adds to a blend, those that earlier pools brought not counted.
    """

    of: str
    """The built-in pool that it is part of: `code`, `general`, `math`, `math.checked` …"""
    sources: tuple[str, ...] = ()
    """Only prompts of these sources; by default all."""
    levels: tuple[int, ...] = ()
    """Only prompts of these levels; by default all."""
    born: Literal["any", "seeds", "evolved"] = "any"
    """Only seeds, only evolved prompts, or any."""
    unused_by: tuple[str, ...] = ()
    """Earlier stages whose prompts are left out."""
    take: int | None = Field(None, ge=1)
    """The number of prompts that the pool adds to a blend; by default all."""


class CurateSettings(_Part):
    """All of curation."""

    evolve: EvolveSettings = EvolveSettings()
    filters: FilterSettings = FilterSettings()
    near: NearSettings | None = None
    """Near-duplicates; by default exact copies alone are dropped, as in the paper."""
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    solvability: SolvabilitySettings | None = None
    """A vote on which math prompts can be solved; by default there is none, as in the paper."""
    cross_check: CrossCheckSettings = CrossCheckSettings()
