"""Generative judges: a language model on a server is asked for a score, which a regular expression reads from its reply."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import Any

from acemath.files.lock import locked
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.score.judging import Item, Judge, NoScore, Progress, equal_scores, of_distinct, silent
from acemath.models.score.settings import PROBLEM, RESPONSE, GenerativeSettings
from acemath.notices import say
from acemath.records import REFUSED, Problem, Response

_PLACES = re.compile("|".join(map(re.escape, (PROBLEM, RESPONSE))))


class GenerativeJudge(Judge):
    """A language model that writes judgements. The folder `journal` keeps every reply, so that none is paid for twice.

    The score of a response is the mean of the votes that can be read. It is nan if none can: the server refused the
    request, the reply was cut, it does not match the pattern, or its number is outside the scale.
    """

    def __init__(self, settings: GenerativeSettings, journal: Path) -> None:
        """Nothing is asked yet. UserError if the endpoint's key is missing."""
        settings.endpoint.key()
        self.settings, self.journal = settings, journal
        self.name = settings.endpoint.id
        self._pattern = re.compile(settings.pattern)
        self._verdicts = {word.strip().lower(): value for word, value in settings.verdicts.items()}

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on."""
        return self.settings.identity()

    def question(self, prompt: str, text: str) -> str:
        """What the model is asked about a response."""
        texts = {PROBLEM: prompt, RESPONSE: text}
        return _PLACES.sub(lambda place: texts[place[0]], self.settings.template)

    def read(self, reply: str) -> float:
        """The score in a reply: that of the last match. nan if there is none."""
        found = [match[1] for match in self._pattern.finditer(reply) if match[1] is not None]
        if not found:
            return math.nan
        if self._verdicts:
            return self._verdicts.get(found[-1].strip().lower(), math.nan)
        try:
            value = float(found[-1])
        except ValueError:
            return math.nan
        low, high = self.settings.scale
        return value if low <= value <= high else math.nan

    def score_many(self, items: Sequence[Item], progress: Progress = silent) -> list[list[float]]:
        """The scores of responses to many problems: scores[i][j] belongs to response j of items[i].

        Equal responses to a problem are judged once. UserError if the server cannot be used, if a budget is reached, or
        if not one judgement can be read.
        """
        asked = dict.fromkeys(self.question(prompt, text) for prompt, texts in items for text in texts)
        votes: dict[str, list[float]] = {question: [] for question in asked}
        lost: Counter[str] = Counter()
        why = ""  # the server's first refusal
        for reply in self._replies(list(asked), progress):
            value = self.read(reply.text) if reply.complete else math.nan
            if math.isnan(value):
                lost["refused" if reply.finish_reason == REFUSED else "unreadable" if reply.complete else "cut"] += 1
                why = why or str(reply.meta.get(REFUSED, ""))
            else:
                votes[reply.problem_id].append(value)
        self._say(votes, lost, why)
        table = {question: fmean(values) if values else math.nan for question, values in votes.items()}
        scores = [[table[self.question(prompt, text)] for text in texts] for prompt, texts in items]
        for alarm in equal_scores(
            of_distinct(items, scores),
            "does the template show the response?",
            "does the template show the response?",
        ):
            say(alarm)
        return scores

    def _replies(self, questions: list[str], progress: Progress) -> list[Response]:
        """The judgements of all questions; the `problem_id` of a reply is its question."""
        settings = self.settings
        sampling = Sampling(
            n=settings.votes,
            temperature=settings.heat,
            max_new_tokens=settings.max_new_tokens,
            seed=settings.seed,
        )
        found = []
        with locked(self.journal), closing(Account(self.journal)) as account:
            engine = EndpointEngine(
                settings.endpoint, account, ChatFormat(system=settings.system), stage="judge"
            )
            for reply in engine.generate([Problem(question, question) for question in questions], sampling):
                found.append(reply)
                progress(len(found), len(questions) * settings.votes, engine.status())
        return found

    def _say(self, votes: dict[str, list[float]], lost: Counter[str], refusal: str) -> None:
        if not lost:
            return
        none = sum(not values for values in votes.values())
        why = ", ".join(f"{count:,} {what}" for what, count in sorted(lost.items()))
        why += f"; the first refusal: {refusal}" if refusal else ""
        if none == len(votes):
            fix = "check the server and the request"
            if lost["refused"] < lost.total():
                fix = (
                    f"look at {self.journal / 'responses.jsonl'}, and correct the template or the pattern, or raise max_new_tokens; a "
                    "server that was corrected is asked again when that folder is deleted"
                )
            raise NoScore(f"judge {self.name!r} gave no score for any of {none:,} responses (judgements: {why}); {fix}")
        say(
            f"judge {self.name!r}: {lost.total():,} of {len(votes) * self.settings.votes:,} judgements have no score ({why}); "
            f"{none:,} of {len(votes):,} responses get none at all and rank last"
        )
