"""A server in a process of its own that fails as real ones do, and a server that replies from a script."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

FAULTY = Path(__file__).resolve().parents[2] / "perf" / "faulty_server.py"


class FaultyServer:
    """The faulty server: its address, and its own count of what it did."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, str(FAULTY), "--seconds", "240", "--latency", "0.002", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def count(self) -> dict[str, Any]:
        """What it did so far."""
        return dict(httpx.get(f"{self.url}/count", timeout=30).json())

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture()
def serve() -> Iterator[Callable[..., FaultyServer]]:
    """A function that starts faulty servers with options; all of them end after the test."""
    started: list[FaultyServer] = []

    def start(*options: str) -> FaultyServer:
        started.append(FaultyServer(*options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


class ScriptedServer:
    """Replies with the given bodies in order, and repeats the last one. `asked` holds the requests.

    A body may be a function of the request.
    """

    def __init__(self, bodies: Sequence[Any], status: int) -> None:
        asked = self.asked = list[dict[str, Any]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append(request)
                body = bodies[min(len(asked), len(bodies)) - 1]
                body = body(request) if callable(body) else body
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture()
def script() -> Iterator[Callable[..., ScriptedServer]]:
    """A function that starts servers with given replies; all of them end after the test."""
    started: list[ScriptedServer] = []

    def start(*bodies: Any, status: int = 200) -> ScriptedServer:
        started.append(ScriptedServer(bodies, status))
        return started[-1]

    yield start
    for server in started:
        server.stop()
