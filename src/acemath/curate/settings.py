"""The settings of curation, with the paper's values as defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from acemath.files.settings import Seed, Settings

Method = Literal["in-breadth", "in-depth", "add-constraints"]
Extra = Literal["near-copy", "contained", "reworded"]
Form = Literal["multiple-choice", "true-false", "multi-part"]


class EvolveSettings(Settings):
    """How seed prompts become new ones (paper, section 3.2.2). "add-constraints" is off, because it lowers scores."""

    methods: tuple[Method, ...] = ("in-breadth", "in-depth")
    """The ways in which a question becomes a new one; with an empty list, no new questions are written."""
    rounds: int = Field(1, ge=1, le=5)
    """Rounds of evolution; each evolves the questions that the round before wrote and the filters kept (paper: 1)."""
    share: float = Field(1.0, gt=0, le=1)
    """The share of math prompts that are evolved."""
    sources: tuple[str, ...] = ()
    """The names of the seeds that are evolved (paper: NuminaMath); by default all math seeds."""


class FilterSettings(Settings):
    """Limits on prompts and responses (paper, sections 3.2.1 and 3.2.2).

    The paper limits only the words of synthetic prompts: `prompt_words` is for evolved ones, `seed_words` for all others.
    It does not filter figures, proofs, languages or forms of questions, so these filters are off by default.
    """

    prompt_words: int = Field(300, ge=1)
    """The most words of an evolved prompt (paper: 300)."""
    right: bool = False
    """Whether a math response must be right by its prompt's reference answer; without one it is dropped too. Our addition."""
    seed_words: int | None = Field(None, ge=1)
    """The most words of any other prompt; by default no limit."""
    response_words: int = Field(2500, ge=1)
    """The most words of a response (paper: 2,500)."""
    boxed: bool = True
    """Whether responses to math prompts must have their answer in a box."""
    loops: bool = True
    """Whether responses that repeat themselves are dropped."""
    figures: Literal["keep", "drop"] = "keep"
    """Whether prompts that refer to a figure, or draw one in code, are kept."""
    proofs: Literal["keep", "drop"] = "keep"
    """Whether prompts that ask only for a proof are kept."""
    language: Literal["en"] | None = None
    """The language of the prompts that are kept; by default all are kept."""
    forms: tuple[Form, ...] = ()
    """Forms of questions that are dropped."""
    answer_characters: int | None = Field(None, ge=1)
    """The most characters of a prompt's reference answer; by default no limit."""


class NearSettings(Settings):
    """When two prompts are near-duplicates: our addition. The paper drops only exact duplicates.

    `threshold` is the Jaccard similarity of their runs of `shingle` words; their numbers, signs and variables must be equal
    at any threshold. Below 0.9, problems merge that differ in an important word (sum or product, girls or boys).
    """

    threshold: float = Field(0.9, ge=0.5, le=1)
    """The similarity from which two prompts are near-duplicates."""
    shingle: int = Field(3, ge=1, le=10)
    """The number of words in the runs that are compared."""
    permutations: int = Field(128, ge=32, le=512)
    """The number of hashes of the MinHash index."""
    alarm: int = Field(50, ge=2)
    """The largest cluster that is not listed in the stage's facts."""
    seed: Seed = 0
    """The seed of the hashes."""


class DecontaminateSettings(Settings):
    """When a prompt leaks a benchmark (paper, section 3.2.3), and which other hits are dropped.

    "near-copy", "contained" and "reworded" are our additions. They are reported, and dropped only if `drop` names them.
    """

    ngram: int = Field(13, ge=2)
    """The number of words in a row that a prompt may not share with a benchmark problem (paper: 13)."""
    lcs: float = Field(0.6, ge=0, le=1)
    """The largest longest common subsequence, as a share of a math prompt's words, that is no leak (paper: 0.6)."""
    near_copy: float = Field(0.85, ge=0.5, le=1)
    """The smallest longest common subsequence of a near-copy, as a share of the longer text's words, numbers and variables masked."""
    reworded: bool = True
    """Whether reworded problems are searched for."""
    drop: tuple[Extra, ...] = ()
    """The kinds of hits that are dropped in addition to leaks; by default they are only reported."""


class SolvabilitySettings(Settings):
    """A vote of several responses on each math prompt: our addition. The paper has none (section 3.2.2)."""

    by: str = "teachers.math"
    """The role that answers: `teachers.math`, or `checkers.NAME`."""
    answers: int = Field(8, ge=2)
    """The number of responses to each prompt."""
    temperature: float = Field(0.7, gt=0)
    """The sampling temperature."""
    at_least: float = Field(0.5, ge=0, le=1)
    """The smallest share of equal answers with which a prompt stays."""
    at_most: float = Field(1.0, ge=0, le=1)
    """The largest share of equal answers with which a prompt stays; below 1, it drops easy prompts."""
    reference: bool = True
    """Whether the majority must equal the prompt's reference answer, if it has one."""

    @model_validator(mode="after")
    def _some_share_passes(self) -> SolvabilitySettings:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}; no prompt could be kept")
        return self


class CrossCheckSettings(Settings):
    """When the checkers confirm a response (paper, section 3.2.2)."""

    share: float = Field(1.0, gt=0, le=1)
    """The share of the checkers' answers that must agree with the response (paper: both of two, 1.0)."""


class PoolSettings(Settings):
    """A pool that a recipe declares: a part of a built-in pool (paper, section 3.3).

    `take` does not count prompts that earlier pools of the blend have taken.
    """

    of: str
    """The built-in pool that it is a part of: `code`, `general`, `math`, `math.checked` …"""
    sources: tuple[str, ...] = ()
    """Only prompts of these sources; by default all."""
    levels: tuple[int, ...] = ()
    """Only prompts of these levels; by default all."""
    born: Literal["any", "seeds", "evolved"] = "any"
    """Whether the pool has only seeds, only evolved prompts, or any."""
    unused_by: tuple[str, ...] = ()
    """Earlier stages of training whose prompts are left out."""
    take: int | None = Field(None, ge=1)
    """The number of prompts that the pool adds to a blend; by default all."""


class CurateSettings(Settings):
    """The settings of curation."""

    evolve: EvolveSettings = EvolveSettings()
    filters: FilterSettings = FilterSettings()
    near: NearSettings | None = None
    """When prompts are near-duplicates; by default only exact duplicates are dropped, as in the paper."""
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    solvability: SolvabilitySettings | None = None
    """A vote on whether math prompts can be solved; by default there is none, as in the paper."""
    cross_check: CrossCheckSettings = CrossCheckSettings()
