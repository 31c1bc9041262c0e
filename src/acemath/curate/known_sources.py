"""The registry of data sets that the paper draws on or released, usable by name in a recipe (sections 3.2 and 4.1).

Columns, licences and sizes are those of the data sets' cards. The paper does not name revisions, so a recipe that must be
repeatable should add a `revision`. The paper's CodeSFT of Nemotron-4 340B is not public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from acemath.errors import UserError

Kind = Literal["prompts", "chats", "groups"]


@dataclass(frozen=True, slots=True)
class KnownSource:
    """One data set of the hub.

    `columns` maps our names (prompt, input, answer, solution, id, level) to its columns. `rows` is its public size, 0 if
    unknown. `distinct` is the share of them that no registered set before it has and that differ from one another, for plans.
    `kind` tells what `acemath fetch` makes of a row: a prompt, a conversation, or part of a group.
    """

    hub: str
    columns: Mapping[str, str]
    license: str
    subject: str = "math"
    split: str = "train"
    rows: int = 0
    kind: Kind = "prompts"
    config: str | None = None
    distinct: float = 1.0


# NuminaMath holds most of Orca's problems, and MetaMathQA asks its own many times. The paper's math prompts are 1.3 million
# without copies (section 3.2.2): NuminaMath's 859,494 and this share of the 857,074 of the three others (our derivation).
_NEW = 0.51
_RELEASED = {"prompt": "messages", "solution": "answer"}
_INSTRUCT = "nvidia/AceMath-Instruct-Training-Data"
_TURNS = {"prompt": "conversations"}
_NC = "CC-BY-NC-4.0"

KNOWN: dict[str, KnownSource] = {
    # Math prompts (section 3.2.2).
    "numinamath-cot": KnownSource("AI-MO/NuminaMath-CoT", {"prompt": "problem", "solution": "solution"}, "Apache-2.0", rows=859_494),
    "orca-math": KnownSource("microsoft/orca-math-word-problems-200k", {"prompt": "question", "solution": "answer"}, "MIT", rows=200_035, distinct=_NEW),
    "gsm8k-train": KnownSource(
        "openai/gsm8k", {"prompt": "question", "answer": "answer"}, "MIT", rows=7_473, config="main"
    ),
    "math-train": KnownSource(
        "DigitalLearningGmbH/MATH-lighteval", {"prompt": "problem", "solution": "solution", "level": "level"}, "MIT", rows=7_500
    ),
    "aqua-rat": KnownSource(
        "deepmind/aqua_rat", {"prompt": "question", "choices": "options", "answer": "correct", "solution": "rationale"},
        "Apache-2.0", rows=97_467, config="raw",
    ),
    "mathinstruct": KnownSource("TIGER-Lab/MathInstruct", {"prompt": "instruction", "solution": "output"}, "MIT", rows=262_039, distinct=_NEW),
    "metamathqa": KnownSource("meta-math/MetaMathQA", {"prompt": "query", "solution": "response"}, "MIT", rows=395_000, distinct=_NEW),
    # Code prompts (section 3.2.1).
    "magicoder-oss": KnownSource("ise-uiuc/Magicoder-OSS-Instruct-75K", {"prompt": "problem"}, "MIT", "code", rows=75_197),
    "magicoder-evol": KnownSource("ise-uiuc/Magicoder-Evol-Instruct-110K", {"prompt": "instruction"}, "Apache-2.0", "code", rows=111_183),
    "evol-code": KnownSource("nickrosh/Evol-Instruct-Code-80k-v1", {"prompt": "instruction"}, "CC-BY-NC-SA-4.0", "code", rows=78_264),
    "glaive-code": KnownSource("glaiveai/glaive-code-assistant-v2", {"prompt": "question"}, "Apache-2.0", "code", rows=215_166),
    # General prompts (section 3.2.1).
    "sharegpt": KnownSource("Aeala/ShareGPT_Vicuna_unfiltered", _TURNS, "Apache-2.0", "general"),
    "slim-orca": KnownSource("Open-Orca/SlimOrca-Dedup", _TURNS, "MIT", "general", rows=363_491),
    "evol-instruct": KnownSource("WizardLMTeam/WizardLM_evol_instruct_V2_196k", _TURNS, "MIT", "general", rows=143_000),
    "gpteacher": KnownSource("teknium/GPTeacher-General-Instruct", {"prompt": "instruction", "input": "input"}, "MIT", "general"),
    "alpaca-gpt4": KnownSource("vicgalle/alpaca-gpt4", {"prompt": "instruction", "input": "input"}, _NC, "general", rows=52_002),
    "ultra-interact": KnownSource("openbmb/UltraInteract_sft", {"prompt": "instruction"}, "MIT", "general", rows=288_579),
    # Data released by the paper's authors: conversations whose last turn is in the column `answer`, and labelled
    # responses, six consecutive rows per question (`qid`, `message`, `label`).
    "acemath-general-1": KnownSource(_INSTRUCT, _RELEASED, _NC, "general", "general_sft_stage1", 2_261_687, "chats"),
    "acemath-general-2": KnownSource(_INSTRUCT, _RELEASED, _NC, "general", "general_sft_stage2", 1_634_573, "chats"),
    "acemath-math": KnownSource(_INSTRUCT, _RELEASED, _NC, split="math_sft", rows=1_661_094, kind="chats"),
    "acemath-rm": KnownSource("nvidia/AceMath-RM-Training-Data", {"prompt": "message", "id": "qid"}, _NC, rows=2_136_348, kind="groups"),
}  # fmt: skip


def known_source(name: str) -> KnownSource:
    """A data set of the registry. UserError, with all names, if it is not registered."""
    if name not in KNOWN:
        raise UserError(
            f"source {name!r} is not registered; the names are {', '.join(KNOWN)}; acemath fetch also knows worksheets"
        )
    return KNOWN[name]


def public_rows(hub: str, split: str) -> int:
    """The public size of a registered data set's split; 0 if unknown."""
    return next((known.rows for known in KNOWN.values() if (known.hub, known.split) == (hub, split)), 0)
