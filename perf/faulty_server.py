"""A local OpenAI-compatible server that fails like real ones and keeps its own count of billed tokens.

    python perf/faulty_server.py --faults 0.3          # prints its address, serves until it is stopped

`GET /count` returns the count as JSON. Each answer depends only on the request. A failed request is billed if its answer was
written: a cut connection, a stall, half a JSON, an empty choice, a truncated text, a wrong model name.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import cycle
from typing import Any

MODEL = "teacher"
BILLED = ("cut", "stall", "half JSON", "empty choice", "bad finish", "wrong model")
FAULTS = ("429", "429 in seconds", "429 by date", "500", "503", "429 in a 200", *BILLED)


@dataclass
class Count:
    """The server's own count: requests and billed tokens by outcome.

    "good again" is a complete good answer to a request that had one before, sent to a client that had exited or given up.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)  # complete good answers, by prompt and seed
    in_flight: int = 0
    most_in_flight: int = 0
    keys: set[str] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)  # faults so far, by request

    def as_json(self) -> dict[str, Any]:
        """The object behind `GET /count`."""
        return {
            "outcomes": dict(self.outcomes),
            "tokens": dict(self.tokens),
            "delivered": dict(self.delivered),
            "most_in_flight": self.most_in_flight,
            "keys": sorted(self.keys),
        }


class Server:
    """Answers requests, and fails a share of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.count = Count()
        self.rng = random.Random(options.seed)
        self.kinds = cycle(options.kinds.split(","))

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (row := await reader.readline()).strip():
                    name, _, value = row.decode().partition(":")
                    headers[name.lower()] = value.strip()
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                if method == "GET":
                    await _send(writer, 200, self.count.as_json())
                elif not await self._post(path, headers, json.loads(content), writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.count.outcomes["client gone"] += 1
        finally:
            writer.close()

    async def _post(
        self, path: str, headers: dict[str, str], body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        """One request; returns whether the connection stays open."""
        count = self.count
        key = headers.get("authorization", "")
        count.keys.add(key)
        if (refusal := self._refusal(path, key, body)) is not None:
            count.outcomes[f"status {refusal[0]}"] += 1
            await _send(writer, *refusal)
            return True
        count.in_flight += 1
        count.most_in_flight = max(count.most_in_flight, count.in_flight)
        try:
            if self.options.capacity and count.in_flight > self.options.capacity:
                return await self._fail("429", body, writer)
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.options.latency)
            request = json.dumps(body, sort_keys=True)
            if self.rng.random() < self.options.faults and count.failed[request] < self.options.most:
                count.failed[request] += 1
                return await self._fail(next(self.kinds), body, writer)
            answer = self._answer(body)
            await _send(writer, 200, answer)
            asked = body.get("messages", [{"content": body.get("prompt")}])[-1]["content"]
            keys = [f"{asked}|{body['seed']}|{at}" for at in range(len(answer["choices"]))]
            self._bill("good again" if count.delivered[keys[0]] else "good", answer)
            count.delivered.update(keys)
            return True
        finally:
            count.in_flight -= 1

    def _refusal(self, path: str, key: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        if self.options.key and key != f"Bearer {self.options.key}":
            return 401, {"error": {"message": f"wrong key: {key}"}}
        if not path.endswith("/completions"):
            return 404, {"error": {"message": "no such path"}}
        if body["model"] != MODEL:
            return 404, {"error": {"message": f"no model {body['model']}"}}
        if "TOO LONG" in json.dumps(body):
            return 400, {"error": {"message": f"the prompt is too long ({key})"}}
        if self.options.single and body.get("n", 1) > 1 and self.options.single == "refuse":
            return 400, {"error": {"message": "n must be 1"}}
        return None

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A good answer: its text and length follow from the prompt and the seed."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        wanted = 1 if self.options.single else body.get("n", 1)
        written = [1 + (digest[at % 32] % min(120, body["max_tokens"])) for at in range(wanted)]
        texts = [f"So it is \\boxed{{{digest[(at + 1) % 32]}}}." for at in range(wanted)]
        chat = "messages" in body
        choices = [
            {"index": at, "finish_reason": "stop"}
            | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(json.dumps(body)) // 8, "completion_tokens": sum(written)}
        return {"model": MODEL, "choices": choices, "usage": usage}

    def _bill(self, outcome: str, answer: dict[str, Any] | None = None) -> None:
        self.count.outcomes[outcome] += 1
        if answer is not None:
            self.count.tokens[outcome] += sum(answer["usage"].values())

    async def _fail(self, kind: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Fail one request in one way; returns whether the connection stays open."""
        answer = self._answer(body)
        self._bill(kind, answer if kind in BILLED else None)
        if kind == "cut":
            return False
        if kind == "stall":
            await asyncio.sleep(self.options.stall)
            return False
        if kind == "half JSON":
            whole = json.dumps(answer)
            await _send(writer, 200, whole[: len(whole) // 2])
        elif kind == "empty choice":
            empty = self.rng.choice(([], [{}], [{"message": {"content": ""}, "finish_reason": "stop"}]))
            await _send(writer, 200, {**answer, "choices": empty})
        elif kind == "bad finish":
            reason = self.rng.choice(("error", "abort", None))
            broken = [{**choice, "finish_reason": reason} for choice in answer["choices"]]
            await _send(writer, 200, {**answer, "choices": broken})
        elif kind == "429 in a 200":
            await _send(writer, 200, {"error": {"message": "slow down", "code": 429}})
        elif kind == "wrong model":
            await _send(writer, 200, {**answer, "model": "another-model"})
        elif kind == "429 in seconds":
            await _send(writer, 429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        elif kind == "429 by date":
            await _send(
                writer, 429, {"error": "slow down"}, {"Retry-After": formatdate(time.time() + 1, usegmt=True)}
            )
        else:
            await _send(writer, int(kind), "out of order")
        return True


async def _send(
    writer: asyncio.StreamWriter, status: int, content: Any, headers: dict[str, str] | None = None
) -> None:
    data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    head = {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data)
    await writer.drain()


async def _serve(options: argparse.Namespace) -> None:
    server = await asyncio.start_server(
        Server(options).connection, "127.0.0.1", options.port, backlog=2048, limit=1 << 20
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    async with asyncio.timeout(options.seconds):
        await server.serve_forever()


def main() -> None:
    """Serve until ended, or for `--seconds`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.3, help="share of requests that fail")
    parser.add_argument("--kinds", default=",".join(FAULTS), help="the kinds of fault, each as often")
    parser.add_argument(
        "--most", type=int, default=1 << 30, help="faults of one request, after which it is answered"
    )
    parser.add_argument("--latency", type=float, default=0.05, help="mean seconds of an answer")
    parser.add_argument("--stall", type=float, default=30.0, help="seconds that a stall lasts")
    parser.add_argument("--capacity", type=int, default=0, help="429 for more requests at once than this")
    parser.add_argument(
        "--single", choices=("", "refuse", "ignore"), default="", help="what it does with n > 1"
    )
    parser.add_argument("--key", default="", help="the only key that it takes; it echoes wrong ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="after which it ends by itself")
    try:
        asyncio.run(_serve(parser.parse_args()))
    except (TimeoutError, KeyboardInterrupt):
        return


if __name__ == "__main__":
    main()
