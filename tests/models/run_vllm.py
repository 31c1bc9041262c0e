"""What the tests of vLLM do in vLLM's environment: several engines, one after the other, in one process.

`python run_vllm.py REWARD_MODEL TWO_LAYERS QWEN_PRM SHEPHERD` prints one JSON object. tests/models/test_vllm.py says what is expected of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from acemath.demo.worksheets.sheets import draw_problems
from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling, released
from acemath.models.generate.parity import check_texts
from acemath.models.generate.vllm import VllmEngine
from acemath.models.score.parity import check_parity
from acemath.models.score.process import ProcessRewardModel
from acemath.models.score.score import RewardModel
from acemath.models.score.settings import settings_from
from acemath.models.spec import VllmModel
from acemath.records import Problem

SAMPLED = Sampling(n=4, temperature=1.0, top_p=0.95, max_new_tokens=24, seed=5)


def texts(engine: VllmEngine, problems: Sequence[Problem], sampling: Sampling) -> dict[str, str]:
    """The text of each response by problem and sample."""
    return {f"{r.problem_id} {r.sample}": r.text for r in engine.generate(problems, sampling)}


def sampled(problems: Sequence[Problem]) -> dict[str, Any]:
    """Seeded samples of all problems, of some of them in another order, and with another seed; greedy ones; a long prompt."""
    long = Problem("long", "What is " + " + ".join("1234") * 600 + "?")
    with released(VllmEngine(VllmModel(engine="vllm", id="nano", dtype="float32"))) as engine:
        greedy = list(engine.generate([long, problems[0]], Sampling(n=2, max_new_tokens=8)))
        return {
            "all": texts(engine, problems, SAMPLED),
            "some": texts(engine, problems[20:9:-1], SAMPLED),
            "other": texts(engine, problems[:10], SAMPLED.model_copy(update={"seed": 6})),
            "greedy": [asdict(r) for r in greedy],
        }


def responses(problems: Sequence[Problem]) -> list[tuple[str, list[str]]]:
    """Four responses to each problem."""
    return [(p.prompt, [f"So \\boxed{{{k}}}." for k in range(4)]) for p in problems]


def scored(reward: str, problems: Sequence[Problem]) -> dict[str, Any]:
    """Rewards in vLLM beside plain transformers, of a model with fewer positions than max_length; and of no response."""
    found = asdict(check_parity(reward, responses(problems[:10]), ChatFormat()))
    with released(RewardModel(reward, ChatFormat(), bf16=False, engine="vllm")) as model:
        return found | {"max_length": model.max_length, "none": model.score_many([("1+1?", [])])}


def steps(model: str, form: str, engine: str, problems: Sequence[Problem]) -> list[Any]:
    """What a process reward model gives to each step of three responses to each problem."""
    texts = [("One.\n\nTwo.\n\nSo 3.", "It is 4.", "Wrong.\n\nSo 5.")] * len(problems)
    data = {"kind": "process", "model": model, "form": form, "engine": engine, "dtype": "float32"}
    with released(ProcessRewardModel(settings_from(data))) as judge:
        return judge.step_scores(list(zip([p.prompt for p in problems], texts, strict=True)))


def refused_start() -> str:
    """The message for a model that vLLM refuses."""
    try:
        VllmEngine(VllmModel(engine="vllm", id="nano", max_length=1 << 20))
    except UserError as error:
        return str(error)
    return ""


def main() -> None:
    """Print the JSON object."""
    problems = draw_problems("test", 40, seed=11)
    found = {
        "sampled": sampled(problems),
        "parity": asdict(check_texts("nano", problems[:20], max_new_tokens=32)),
        "scored": scored(sys.argv[1], problems),
        "layers": asdict(check_parity(sys.argv[2], responses(problems[:5]), ChatFormat())),
        "steps": {
            f"{form} {engine}": steps(model, form, engine, problems[:5])
            for model, form in ((sys.argv[3], "qwen"), (sys.argv[4], "shepherd"))
            for engine in ("transformers", "vllm")
        },
        "refused": refused_start(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
