"""Responses of a model in this process that are kept piece by piece, so that a command which was stopped goes on where it was.

A piece is written whole or not at all: rounding may differ between batches of other shapes, so the rest of a piece alone would
give other responses than an undisturbed command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from acemath.models.engine import Engine, Sampling, close
from acemath.models.generate.endpoint.account import Lines
from acemath.records import Problem, Response, content_key, fingerprint

AT_ONCE = 2048  # responses of a piece, about: the most that a stop loses
FILE = "written.jsonl"  # in the folder of the journal: a line for each piece


class KeptEngine:
    """An engine whose responses stay in the folder `journal`. `identity` is all that they depend on besides problems and sampling.

    One process at a time: the caller holds a lock.
    """

    def __init__(self, engine: Engine, identity: Mapping[str, Any], journal: Path) -> None:
        self.engine, self.name = engine, engine.name
        self._identity = fingerprint(identity)
        self._lines = Lines(journal / FILE)
        self._at = {line["key"]: at for at, line in self._lines.records()}

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem; pieces that are there already are not written again."""
        size = max(1, AT_ONCE // sampling.n)
        for begin in range(0, len(problems), size):
            piece = problems[begin : begin + size]
            asked = (text for problem in piece for text in (problem.id, problem.prompt))
            key = content_key(self._identity, sampling.model_dump_json(), *asked)
            if key in self._at:
                yield from (Response(**row) for row in self._lines.read(self._at[key])["responses"])
                continue
            found = []
            for response in self.engine.generate(piece, sampling):
                found.append(response)
                yield response
            rows = [asdict(response) for response in found]
            self._at[key] = self._lines.append(json.dumps({"key": key, "responses": rows}, ensure_ascii=False))

    def close(self) -> None:
        """Free the model, and close the file."""
        self._lines.close()
        close(self.engine)
