"""A server on this machine whose models answer as a test tells them to, and runs made in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acemath.recipe.schema import Recipe
from acemath.run.context import Run
from acemath.run.display import Display
from acemath.run.partitions import open_run
from acemath.run.problems import row_counts
from acemath.run.runner import Runner
from acemath.run.stages import stages_until

Reply = Callable[[str], str | None]  # from a question to the text of the response; None refuses the question
Host = Callable[[type[BaseHTTPRequestHandler]], str]
Serve = Callable[[Mapping[str, Reply]], str]
Make = Callable[..., Runner]


def _handler(models: Mapping[str, Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 (the library's name)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = models[asked["model"]](asked["messages"][-1]["content"])
            if text is None:
                self._send(400, {"error": {"message": "this question is refused"}})
                return
            choices = [
                {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for n in range(asked.get("n", 1))
            ]
            usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
            reply: dict[str, Any] = {"id": "x", "model": asked["model"], "choices": choices, "usage": usage}
            self._send(200, reply)

        def _send(self, status: int, reply: Mapping[str, Any]) -> None:
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Starts servers on this machine, and gives their addresses; ends them after the module's tests."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def serve(host: Host) -> Serve:
    """Starts servers of models by name, and gives their addresses."""
    return lambda models: host(_handler(models)) + "/v1"


@pytest.fixture(scope="module")
def make() -> Make:
    """Makes some stages of a recipe, with all that they need, in this process."""

    def start(recipe: Recipe, folder: Path, *wanted: str) -> Runner:
        run = Run(recipe, folder, Display(quiet=True))
        asked = {} if recipe.partitions is None else {"training": recipe.partitions}
        open_run(folder, lambda: row_counts(run), asked)
        runner = Runner(folder, stages_until(run, "tables"), run.display)
        needed = set(wanted)
        for stage in reversed(runner.stages):
            if stage.name in needed:
                needed.update(stage.reads)
        try:
            for stage in runner.stages:
                if stage.name in needed:
                    runner.make(stage.name)
        finally:
            run.close()
        return runner

    return start
