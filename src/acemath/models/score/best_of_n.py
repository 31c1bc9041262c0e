"""Best-of-N: a policy writes n responses, and the reward model picks one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from acemath.grade import extract
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.score.score import RewardModel
from acemath.records import Problem, Response


@dataclass(frozen=True, slots=True)
class Candidate:
    """One response with its final answer and reward. A response that was cut at the token limit has no answer."""

    text: str
    answer: str | None
    reward: float
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen response, and all candidates: complete ones before cut ones, the best reward first."""

    answer: str | None
    text: str
    reward: float
    candidates: tuple[Candidate, ...]
    seconds: float


class BestOfN:
    """A policy with a reward model: `BestOfN("policy", "reward").solve("What is 3+4?")`.

    `chat` is the policy's chat, and `reward_chat` the reward model's: by default the one that it was trained with.
    """

    def __init__(
        self,
        policy: str | Path,
        reward: str | Path,
        chat: ChatFormat | None = None,
        reward_chat: ChatFormat | None = None,
        max_new_tokens: int = 2048,
    ) -> None:
        # The reward model comes first, so that one that cannot score is refused before the policy loads.
        self.reward = RewardModel(reward, reward_chat)
        self.policy = TransformersEngine(policy, chat)
        self.max_new_tokens = max_new_tokens

    def solve(self, question: str, n: int = 8, temperature: float = 1.0, seed: int = 0) -> Solution:
        """The best of n responses to a question. Equal texts are scored once."""
        started = time.monotonic()
        sampling = Sampling(n=n, temperature=temperature, max_new_tokens=self.max_new_tokens, seed=seed)
        responses = sorted(
            self.policy.generate([Problem("question", question)], sampling), key=lambda r: r.sample
        )
        rewards = self.reward.score(question, [r.text for r in responses])
        candidates = [_candidate(r, v) for r, v in zip(responses, rewards, strict=True)]
        candidates.sort(key=lambda c: (not c.complete, -c.reward))
        best = candidates[0]
        return Solution(
            best.answer, best.text, best.reward, tuple(candidates), round(time.monotonic() - started, 3)
        )


def _candidate(response: Response, reward: float) -> Candidate:
    answer = extract(response.text).answer if response.complete else None
    return Candidate(response.text, answer, reward, response.complete)
