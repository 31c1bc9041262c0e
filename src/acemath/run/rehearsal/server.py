"""A server on this machine that answers for every endpoint of a rehearsal, and fails now and then as real ones do."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from acemath.records import REFUSED
from acemath.run.rehearsal.script import Script

EVERY = 9  # of so many requests one fails
FAULTS = ("overloaded", "error", "broken")
SKILL = 0.9  # of models behind endpoints, which are teachers and checkers


class _Http(ThreadingHTTPServer):
    request_queue_size = 128  # of more than 5 new connections at once, which is the default, the others wait a second


class Server:
    """The server: its address, and how many requests it answered in which way."""

    def __init__(self, script: Script) -> None:
        self.script, self.counts, self._lock = script, Counter[str](), threading.Lock()
        self.models: list[str] = []  # whose names it lists; it answers for any
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def next_fault(self) -> str | None:
        """How the request that has just come fails; None if it does not. A second try of it is another request."""
        with self._lock:
            self.counts["requests"] += 1
            count = self.counts["requests"]
            kind = FAULTS[count // EVERY % len(FAULTS)] if count % EVERY == 0 else None
            if kind is not None:
                self.counts[kind] += 1
            return kind

    def reply(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the body of a good reply, or of a refusal. It depends on the request alone."""
        text = asked["messages"][-1]["content"] if "messages" in asked else asked["prompt"]
        choices, written = [], 0
        for index in range(asked.get("n", 1)):
            line = self.script.line(text, asked["model"], index, asked.get("seed", 0), SKILL, refuses=True)
            if line.finish_reason == REFUSED:
                with self._lock:
                    self.counts[REFUSED] += 1
                return 400, {"error": {"message": "this request is refused", "type": "invalid_request_error"}}
            written += 1 + len(line.text) // 4
            said = {"message": {"role": "assistant", "content": line.text}} if "messages" in asked else {"text": line.text}
            choices.append({"index": index, "finish_reason": line.finish_reason, **said})
        read = 1 + len(text) // 4
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return 200, {"id": "rehearsal", "model": asked["model"], "choices": choices, "usage": usage}


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(script)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a body is a write of its own, which would wait 40 ms for the client

        def do_GET(self) -> None:  # noqa: N802 (the library's name)
            self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in server.models]})

        def do_POST(self) -> None:  # noqa: N802 (the library's name)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fault = server.next_fault()
            if fault == "broken":
                self.close_connection = True
                return
            if fault is not None:
                status = 429 if fault == "overloaded" else 500
                self._send(status, {"error": {"message": f"{fault}, as rehearsed", "type": "server_error"}})
                return
            self._send(*server.reply(asked))

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler
