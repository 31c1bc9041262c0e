"""A server on this machine whose models answer as a test tells them to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Reply = Callable[[str], str]  # from a question to the text of the response
Serve = Callable[[Mapping[str, Reply]], str]


def _handler(models: Mapping[str, Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 (the library's name)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = models[asked["model"]](asked["messages"][-1]["content"])
            choices = [
                {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for n in range(asked.get("n", 1))
            ]
            usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
            reply: dict[str, Any] = {"id": "x", "model": asked["model"], "choices": choices, "usage": usage}
            content = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Starts servers of models by name, and gives their addresses; ends them after the module's tests."""
    servers: list[ThreadingHTTPServer] = []

    def start(models: Mapping[str, Reply]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), _handler(models)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
