"""The responses and costs of endpoints in one folder, so that nothing that was paid for is lost or requested again.

One process at a time appends to three files. Each line is written at once, so a `kill -9` loses no line:

`responses.jsonl`   a line for each reply: the key and text of each sample, and the tokens that the server counted
`ledger.jsonl`      a line for each request that was or may have been billed: tokens, US dollars, payer and stage
`in-flight.log`     "+ entry" before a request is sent, "- id" when its end is in the ledger

A request that is still open when the folder is opened again was in flight when the process died. If its reply is there,
it is booked from the reply. If not, the most that it can have cost is booked as `unknown`. A torn last line is cut off,
and its request counts as open.
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
SHORTENED_AT = 1 << 22  # bytes of in-flight.log at which it is rewritten with the open requests only
SYNC_EVERY = 1.0  # seconds between calls of fsync, in case of a power failure


class Lines:
    """A file to which lines are appended. A line is handed to the operating system at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self.end = _cut_torn_line(self._file)
        self._unsynced = False

    def append(self, line: str) -> int:
        """Write one line, and return the byte at which it starts. UserError if the disk is full."""
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
        """Every JSON line with the byte at which it starts. UserError for a damaged line."""
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
        """Call fsync, if something was written since the last call."""
        if self._unsynced:
            self._unsynced = False
            with explained(self.path):
                os.fsync(self._file)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)


def _cut_torn_line(file: int) -> int:
    """Cut off a last line without a line break, and return the length of the file."""
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
    """The responses and costs of all endpoints of a run or command. One process at a time: the caller holds a lock.

    UserError if a file is damaged before its last line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._responses = Lines(folder / RESPONSES)
        self._ledger = Lines(folder / LEDGER)
        self.known: dict[str, tuple[int, int]] = {}  # key: the byte of its line, and its index in it
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
        self.whole = Budget("the whole run", spent=total)  # without a limit until the caller sets one

    def begin(self, payer: str, stage: str, model: str, most: Amount) -> str:
        """Note a request before it is sent, with the most that it can cost, and return its id."""
        request = uuid.uuid4().hex[:16]
        entry = {"request": request, "payer": payer, "stage": stage, "model": model, **_tokens(most, UNKNOWN)}
        self._open[request] = entry
        self._in_flight.append("+ " + json.dumps(entry, ensure_ascii=False))
        return request

    def keep(
        self, request: str, keys: Sequence[str], choices: Sequence[Choice], spent: Amount, known: bool = True
    ) -> None:
        """Write the usable choices of a reply under their keys, before anything else is done with them."""
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
        """Book the end of a request and what it cost; None if it cost nothing."""
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
        """The sample with this key. Journals of older versions hold the server's own words as finish reasons."""
        start, index = self.known[key]
        found = self._responses.read(start)["samples"][index]
        logprobs, reason = found.get("logprobs"), finished(found["finish_reason"])
        return Choice(
            found["text"],
            reason,
            found["tokens"],
            None if logprobs is None else tuple(logprobs),
            (found.get("why") or unfinished(found["finish_reason"])) if reason == REFUSED else "",
        )

    def cost(self, stage: str) -> dict[str, Any]:
        """What a stage cost over all its starts: requests, tokens and US dollars, and apart from them the most that
        requests with a lost reply may have cost."""
        return {name: _rounded(value) for name, value in self._stages.get(stage, _no_cost()).items()}

    def sync(self) -> None:
        """Call fsync on all files but in-flight.log."""
        self._synced = time.monotonic()
        self._responses.sync()
        self._ledger.sync()

    def close(self) -> None:
        """Sync and close the files."""
        for lines in (self._responses, self._ledger, self._in_flight):
            lines.close()

    def _new_in_flight(self) -> Lines:
        path = self.folder / IN_FLIGHT
        lines = [f"+ {json.dumps(entry, ensure_ascii=False)}\n" for entry in self._open.values()]
        write_bytes(path, "".join(lines).encode("utf-8", "replace"))
        return Lines(path)

    def _index(self, at: int, samples: Sequence[Mapping[str, Any]]) -> None:
        for index, sample in enumerate(samples):
            if finished(sample["finish_reason"]) != FAULT:  # older versions kept faults; they are requested again
                self.known[sample["key"]] = (at, index)

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
    """The requests that were in flight when the process died, by id."""
    found: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return found
    # What follows the last line break is a torn line, whose request was not sent.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
        sign, _, rest = line.partition(" ")
        if sign == "+":
            entry = json.loads(rest)
            found[entry["request"]] = entry
        else:
            found.pop(rest, None)
    return found
