"""Reward models on a vLLM or SGLang server, behind its address `/classify` or, with a number for each token, `/pooling`.

The server gets token ids, because it would add special tokens to a text. vLLM is told to leave its activation off: the
number is then the logit, as in this process. Replies are kept in the account of the endpoint, as texts of other models
are, so that a stopped scoring goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from acemath.files.lock import locked
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.budget import Amount
from acemath.models.generate.endpoint.choices import Choice
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.generate.endpoint.errors import short
from acemath.models.generate.endpoint.replies import Fault, Good, Reader, Refusal, Reply, Usage, same_model
from acemath.models.generate.endpoint.requests import Asking, Request
from acemath.models.loading import chat_tokenizer
from acemath.models.score.heads import chat_for
from acemath.models.score.judging import Item, Judge, NoScore, Progress, equal_scores, of_distinct, silent
from acemath.models.score.layout import NoRoom, encode_row, no_room
from acemath.models.score.settings import ClassifySettings
from acemath.notices import say
from acemath.records import STOP, content_key

CLASSIFY, POOLING = "/classify", "/pooling"


class ClassifyJudge(Judge):
    """A reward model on a server. The folder `journal` keeps every reply."""

    def __init__(self, settings: ClassifySettings, journal: Path) -> None:
        """Load the tokenizer; nothing is asked yet. UserError if it cannot be loaded, or if the endpoint's key is missing."""
        settings.endpoint.key()
        self.settings, self.journal = settings, journal
        self.name = settings.endpoint.id
        source = settings.tokenizer or settings.endpoint.id
        self.tokenizer = chat_tokenizer(source)
        self.chat, notice = chat_for(source, settings.chat)
        if notice:
            say(notice)
        # Both programs have these addresses beside /v1, not under it.
        url = settings.endpoint.url.removesuffix("/v1")
        self._endpoint = settings.endpoint.model_copy(update={"url": url, "per_request": 1})

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on."""
        return self.settings.identity() | {"chat": self.chat.model_dump()}

    def score_many(self, items: Sequence[Item], progress: Progress = silent) -> list[list[float]]:
        """The scores of responses to many problems: scores[i][j] belongs to response j of items[i].

        Equal responses to a problem are scored once. A response that the server refuses gets nan, and so do those to a
        prompt that leaves no room for them. UserError if the server cannot be used, or refuses all.
        """
        wanted: dict[tuple[str, str], str] = {}
        cut, lost, end = 0, 0, self.settings.end_ids
        room = self.settings.max_length - len(end)
        for prompt, texts in items:
            distinct = list(dict.fromkeys(texts))
            if distinct:
                try:
                    row, longer = encode_row(prompt, distinct, self.tokenizer, self.chat, room)
                except NoRoom:
                    lost += 1
                    continue
                cut += longer
                wanted |= {
                    (prompt, text): json.dumps([*row.prompt, *ids, *end])
                    for text, ids in zip(distinct, row.responses, strict=True)
                }
        found = {(prompt, text): math.nan for prompt, texts in items for text in texts}
        known = self._asked(list(dict.fromkeys(wanted.values())), progress)
        found |= {pair: known[row] for pair, row in wanted.items()}
        if lost:
            say(no_room(lost, len(items), self.settings.max_length))
        if cut:
            say(
                f"{cut:,} of {len(wanted):,} responses were longer than {self.settings.max_length} tokens and were "
                "scored without their middle"
            )
        scores = [[found[prompt, text] for text in texts] for prompt, texts in items]
        for alarm in self._alarms(of_distinct(items, scores)):
            say(alarm)
        return scores

    def _asked(self, rows: list[str], progress: Progress) -> dict[str, float]:
        """The score of each row of token ids, as JSON."""
        found: dict[str, float] = {}
        reasons: list[str] = []
        with locked(self.journal), closing(Account(self.journal)) as account:
            engine = _Engine(self._endpoint, account, self.settings.server)
            for row, score in engine.scores(rows):
                found[row] = math.nan if isinstance(score, str) else score
                reasons += [score] if isinstance(score, str) else []
                progress(len(found), len(rows), engine.status())
        if reasons and len(reasons) == len(rows):
            raise NoScore(
                f"{self._endpoint.url} gave no score for any of {len(rows):,} responses (the first: {reasons[0]}); check the "
                "server and its model"
            )
        if reasons:
            say(
                f"judge {self.name!r} gave no score for {len(reasons):,} of {len(rows):,} responses, which rank last "
                f"(the first: {reasons[0]})"
            )
        return found

    def _alarms(self, scores: Sequence[Sequence[float]]) -> list[str]:
        flat = [value for row in scores for value in row if not math.isnan(value)]
        fix = f"start a server that can leave its activation off, and delete {self.journal}; or score in this process"
        equal = equal_scores(
            scores, f"does the server apply an activation? {fix}", "does the chat template hold the response?"
        )
        if (
            not equal
            and len(flat) >= 8
            and (all(0 <= v <= 1 for v in flat) or all(abs(v) == 1 for v in flat))
        ):
            what = "lie between 0 and 1" if min(flat) >= 0 else "are 1 or -1"
            equal = [
                f"all {len(flat)} scores of {self.name!r} {what}: the server seems to squash them with an activation; {fix}"
            ]
        return equal


class _Engine(EndpointEngine):
    """The endpoint engine with other requests and replies: token ids go out, and a number comes back."""

    def __init__(self, settings: Any, account: Account, server: str) -> None:
        super().__init__(settings, account, stage="judge")
        self._asking = _Classifying(settings, server)
        self._reader = _ScoreReader(settings.id, settings.reports)

    def scores(self, rows: Sequence[str]) -> Iterator[tuple[str, float | str]]:
        """Each row with its score, or with the reason why it has none: first those in the account."""
        for row in rows:
            if (key := self._asking.key(row, 0)) in self.account.known:
                yield row, float(self.account.choice(key).text)
        for request, found in self._arriving(
            self._asking, list(self._asking.requests(rows, self.account.known, 1))
        ):
            yield request.prompt, found if isinstance(found, str) else float(found[0].text)


class _Classifying(Asking):
    """Requests for scores. The prompt of a request is a row of token ids as JSON."""

    def __init__(self, settings: Any, server: str) -> None:
        super().__init__(settings, ChatFormat(), Sampling())
        self.path, self.server = POOLING if server == "vllm-tokens" else CLASSIFY, server

    def key(self, prompt: str, sample: int) -> str:
        """The key of a score: a hash of the model's name and the tokens."""
        return content_key(CLASSIFY, self.settings.id, prompt)

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request."""
        ids = json.loads(request.prompt)
        if self.server == "sglang":
            return {"model": self.settings.id, "input_ids": ids}
        found = {"model": self.settings.id, "input": [ids], "use_activation": False}
        return found | ({"task": "token_classify"} if self.path == POOLING else {})

    def most(self, request: Request) -> Amount:
        """What a request costs."""
        tokens = len(json.loads(request.prompt))
        return Amount(tokens, 0, self.settings.usd(tokens, 0))


class _ScoreReader(Reader):
    """Reads the one number of a reply, which becomes the text of a choice."""

    def _completion(
        self, data: dict[str, Any], headers: Any, usage: Usage | None, believe_empty: bool, limit: int | None
    ) -> Reply:
        reported = short(data.get("model") or "")
        self.seen.add(reported)
        if self.reports != "*" and not same_model(self.reports or self.model, reported):
            return Fault(
                f"a reply of model {reported!r}", "wrong model", "known" if usage else "unknown", usage
            )
        values = _values(data)
        if values is None:
            return Fault(
                f"a reply without a score: {short(data)}", "no score", "unknown", usage, unusable=True
            )
        if len(values) != 1:
            what = f"the model has {len(values)} outputs; only one with a single output scores"
            return Refusal(200, what, wholesale=True, usage=usage)
        if not math.isfinite(values[0]):
            return Refusal(200, f"the score is {values[0]}", wholesale=False, usage=usage)
        return Good((Choice(repr(values[0]), STOP, 0),), usage)


def _values(data: Mapping[str, Any]) -> list[float] | None:
    """The outputs in a reply, in vLLM's forms or SGLang's; None if it holds none. Of several tokens the last one counts."""
    rows = data.get("data")
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else data
    tokens = first.get("data")
    last = tokens[-1] if isinstance(tokens, list) and tokens else None
    found = first.get("probs", first.get("embedding", last))
    if not isinstance(found, list) or not found or not all(isinstance(value, int | float) for value in found):
        return None
    return [float(value) for value in found]
