"""The endpoint engine against a real local server that fails now and then."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from acemath.engines import endpoint
from acemath.engines.base import ChatFormat, Sampling
from acemath.engines.endpoint import EndpointEngine
from acemath.errors import UserError
from acemath.records import Problem


class Server(ThreadingHTTPServer):
    """Answers every third request well; the others get a 429, a 500 with half a JSON, or a cut connection."""

    daemon_threads = True
    asked: list[dict[str, Any]]
    keys: set[str | None]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.add(self.headers.get("Authorization"))
        number = len(self.server.asked)
        if body["model"] != "teacher":
            return self._reply(404, b'{"error": "no such model"}')
        if number % 3 == 1:
            return self._reply(429, b"slow down")
        if number % 6 == 2:
            return self._reply(200, b'{"choices": [')
        if number % 6 == 5:
            self.connection.close()
            return None
        answer = {
            "choices": [{"message": {"content": "So \\boxed{7}."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 5},
        }
        return self._reply(200, json.dumps(answer).encode())

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture()
def server() -> Iterator[Server]:
    """The server on a free port of 127.0.0.1, stopped at the end."""
    made = Server(("127.0.0.1", 0), Handler)
    made.asked, made.keys = [], set()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def test_failures_are_retried_until_all_is_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every problem gets every sample once, tokens are counted, the key goes into the header alone."""
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)
    monkeypatch.setenv("TEACHER_KEY", "secret-1")
    engine = EndpointEngine(
        f"http://127.0.0.1:{server.server_port}/v1",
        "teacher",
        ChatFormat(instruction="Box it."),
        "TEACHER_KEY",
        tries=30,
        in_flight=4,
    )
    problems = [Problem(f"p{i}", f"What is {i}?") for i in range(10)]
    found = list(engine.generate(problems, Sampling(n=2, temperature=0.7)))
    assert {(r.problem_id, r.sample) for r in found} == {
        (f"p{i}", s) for i in range(10) for s in range(2)
    } and len(found) == 20
    assert all(r.text == "So \\boxed{7}." and r.tokens == 5 for r in found)
    assert (engine.tokens_in, engine.tokens_out) == (180, 100)
    assert server.keys == {"Bearer secret-1"} and "secret-1" not in json.dumps(server.asked)
    assert server.asked[0]["messages"][-1]["content"].endswith("?\nBox it.")


def test_a_final_refusal_is_one_line(server: Server) -> None:
    """A model that the server does not have, and an address that is none."""
    engine = EndpointEngine(f"http://127.0.0.1:{server.server_port}/v1", "nobody")
    with pytest.raises(UserError, match="refused model 'nobody': status 404"):
        list(engine.generate([Problem("p", "x")], Sampling()))
    with pytest.raises(UserError, match="is no address"):
        EndpointEngine("localhost", "teacher")
