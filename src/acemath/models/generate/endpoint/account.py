"""What was asked, answered and paid, in one folder: nothing that was paid for is lost or asked for again.

Three files, appended to by one process at a time and flushed at once, so that a `kill -9` loses nothing that they hold:

`responses.jsonl`   one line a reply: the key of each sample's content, its text, what the server counted
`ledger.jsonl`      one line a request that was paid for, or may have been: tokens, price, for whom, and for which stage
`in-flight.log`     "+ id" before a request is sent, "- id" when its end is booked

A request that is still open when the folder is opened again was in flight when the process died. If its reply is there
it is booked from the reply; if not, the most that it can have cost is booked as `unknown`. A last line that is torn is
cut off: its request is such an open one.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.files.atomic import explained, write_bytes
from acemath.models.generate.endpoint.budget import Amount, Budget
from acemath.models.generate.endpoint.choices import FAULT, Choice, finished, unfinished
from acemath.records import REFUSED

RESPONSES, LEDGER, IN_FLIGHT = "responses.jsonl", "ledger.jsonl", "in-flight.log"
KNOWN, UNKNOWN = "known", "unknown"
SHORTENED_AT = 1 << 22  # bytes of in-flight.log after which what is over is taken out of it
SYNC_EVERY = 1.0  # seconds between flushes to the disk itself, against a loss of power


class Lines:
    """A file of lines that is only appended to. Each line is written by one call and is then the system's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self.end = _cut_torn_line(self._file)
        self._unsynced = False

    def append(self, line: str) -> int:
        """Write one line; returns where it starts, in bytes. UserError where the disk is full."""
        content, start = memoryview(line.encode("utf-8", "replace") + b"\n"), self.end
        with explained(self.path):
            while content:
                written = os.write(self._file, content)
                content = content[written:]
                self.end += written
        self._unsynced = True
        return start

    def read(self, start: int) -> dict[str, Any]:
        """The JSON line that starts at this byte."""
        found = bytearray()
        while b"\n" not in found:
            piece = os.pread(self._file, 1 << 16, start + len(found))
            if not piece:
                break
            found += piece
        return dict(json.loads(found.split(b"\n", 1)[0]))

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every JSON line with the byte at which it starts. UserError where a line is damaged."""
        at = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield at, dict(json.loads(line))
                except ValueError as error:
                    raise UserError(
                        f"{self.path}, line {number} is no JSON; the file is damaged: delete that line and run the same "
                        "command again"
                    ) from error
                at += len(line)

    def sync(self) -> None:
        """Bring what was written to the disk itself."""
        if self._unsynced:
            self._unsynced = False
            with explained(self.path):
                os.fsync(self._file)

    def close(self) -> None:
        """Flush and close."""
        self.sync()
        os.close(self._file)


def _cut_torn_line(file: int) -> int:
    """Cut off a last line without its end; returns the file's length."""
    end = os.fstat(file).st_size
    at = end
    while at > 0:
        start = max(0, at - (1 << 16))
        newline = os.pread(file, at - start, start).rfind(b"\n")
        if newline >= 0:
            at = start + newline + 1
            break
        at = start
    if at < end:
        os.ftruncate(file, at)
    return at


class Account:
    """The books of every endpoint that one run, or one command, asks. One process at a time (the caller locks).

    UserError where a file is damaged in its middle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._responses = Lines(folder / RESPONSES)
        self._ledger = Lines(folder / LEDGER)
        self.known: dict[str, tuple[int, int]] = {}  # key: where its line starts, and its place in the line
        self.spent: dict[str, Amount] = defaultdict(Amount)  # by payer
        self._stages: dict[str, dict[str, Any]] = {}
        self._open: dict[str, dict[str, Any]] = _still_open(folder / IN_FLIGHT)
        self._synced = time.monotonic()
        for _, line in self._ledger.records():
            self._count(line)
            self._open.pop(line["request"], None)
        for at, line in self._responses.records():
            self._index(at, line["samples"])
            lost = self._open.pop(line["request"], None)
            if lost is not None:
                self._book({**lost, "what": "good", **line["usage"]})
        for lost in self._open.values():
            self._book({**lost, "what": "stopped"})
        self._open = {}
        self._in_flight = self._new_in_flight()
        total = sum(self.spent.values(), Amount())
        self.whole = Budget("the whole run", spent=total)  # no limit until somebody sets one

    def begin(self, payer: str, stage: str, model: str, most: Amount) -> str:
        """A request is about to be sent, and can cost so much. Returns its id."""
        request = uuid.uuid4().hex[:16]
        entry = {"request": request, "payer": payer, "stage": stage, "model": model, **_tokens(most, UNKNOWN)}
        self._open[request] = entry
        self._in_flight.append("+ " + json.dumps(entry, ensure_ascii=False))
        return request

    def keep(
        self, request: str, keys: Sequence[str], choices: Sequence[Choice], spent: Amount, known: bool = True
    ) -> None:
        """A reply came: its choices that can be used, under their keys. Written before anything else is done with it."""
        samples = [
            {"key": key, "text": c.text, "finish_reason": c.finish_reason, "tokens": c.tokens}
            | ({} if c.logprobs is None else {"logprobs": c.logprobs})
            | ({"why": c.why} if c.why else {})
            for key, c in zip(keys, choices, strict=True)
        ]
        line = {"request": request, "usage": _tokens(spent, KNOWN if known else UNKNOWN), "samples": samples}
        at = self._responses.append(json.dumps(line, ensure_ascii=False))
        self._index(at, samples)

    def end(self, request: str, what: str, spent: Amount | None, known: bool = True) -> None:
        """A request ended, and cost so much; None where it cost nothing."""
        entry = self._open.pop(request)
        if spent is not None:
            self._book({**entry, "what": what, **_tokens(spent, KNOWN if known else UNKNOWN)})
        self._in_flight.append("- " + request)
        if self._in_flight.end > SHORTENED_AT:
            self._in_flight.close()
            self._in_flight = self._new_in_flight()
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.sync()

    def choice(self, key: str) -> Choice:
        """A kept sample. Journals of older versions hold the server's own words as finish reasons."""
        start, at = self.known[key]
        found = self._responses.read(start)["samples"][at]
        logprobs, reason = found.get("logprobs"), finished(found["finish_reason"])
        return Choice(
            found["text"],
            reason,
            found["tokens"],
            None if logprobs is None else tuple(logprobs),
            (found.get("why") or unfinished(found["finish_reason"])) if reason == REFUSED else "",
        )

    def cost(self, stage: str) -> dict[str, Any]:
        """What a stage has cost over all its starts: requests, tokens, US dollars, and what may have been billed
        beyond that for requests whose reply was lost."""
        return {name: _rounded(value) for name, value in self._stages.get(stage, _no_cost()).items()}

    def sync(self) -> None:
        """Bring everything to the disk itself."""
        self._synced = time.monotonic()
        self._responses.sync()
        self._ledger.sync()

    def close(self) -> None:
        """Flush and close the files."""
        for lines in (self._responses, self._ledger, self._in_flight):
            lines.close()

    def _new_in_flight(self) -> Lines:
        path = self.folder / IN_FLIGHT
        lines = [f"+ {json.dumps(entry, ensure_ascii=False)}\n" for entry in self._open.values()]
        write_bytes(path, "".join(lines).encode("utf-8", "replace"))
        return Lines(path)

    def _index(self, at: int, samples: Sequence[Mapping[str, Any]]) -> None:
        for place, sample in enumerate(samples):
            if finished(sample["finish_reason"]) != FAULT:  # which older versions kept: asked for again
                self.known[sample["key"]] = (at, place)

    def _book(self, line: dict[str, Any]) -> None:
        line = {"time": round(time.time(), 3), **line}
        self._ledger.append(json.dumps(line, ensure_ascii=False))
        self._count(line)

    def _count(self, line: Mapping[str, Any]) -> None:
        amount = Amount(line["prompt_tokens"], line["completion_tokens"], line["usd"])
        self.spent[line["payer"]] += amount
        found = self._stages.setdefault(line["stage"], _no_cost())
        if line["billed"] == KNOWN:
            found["requests"] += 1
            found["prompt_tokens"] += amount.prompt_tokens
            found["completion_tokens"] += amount.completion_tokens
            found["usd"] += amount.usd
        else:
            found["lost_requests"] += 1
            found["lost_tokens_at_most"] += amount.tokens
            found["lost_usd_at_most"] += amount.usd


def _no_cost() -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(("requests", "prompt_tokens", "completion_tokens"), 0)
    return counts | {"usd": 0.0, "lost_requests": 0, "lost_tokens_at_most": 0, "lost_usd_at_most": 0.0}


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _tokens(amount: Amount, billed: str) -> dict[str, Any]:
    return {
        "prompt_tokens": amount.prompt_tokens,
        "completion_tokens": amount.completion_tokens,
        "usd": round(amount.usd, 9),
        "billed": billed,
    }


def _still_open(path: Path) -> dict[str, dict[str, Any]]:
    """The requests that were in flight when the process died."""
    found: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # torn: its request had not been sent
        sign, _, rest = line.rstrip("\n").partition(" ")
        if sign == "+":
            entry = json.loads(rest)
            found[entry["request"]] = entry
        else:
            found.pop(rest, None)
    return found
