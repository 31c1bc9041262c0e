"""Preflight asks servers for their models before anything is paid for: who does not answer, and who has another model."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from acemath.files.atomic import write_json
from acemath.recipe.load import load_recipe
from acemath.run.preflight.check import preflight
from acemath.run.preflight.finding import Finding

Answer = tuple[int, Any]
GOOD = {"object": "list", "data": [{"id": "owner/other"}, {"id": "org/teacher-2024-07-18"}]}
OTHERS = {"data": [{"id": name} for name in ("tutor", "preacher", "a", "b", "c")]}


@pytest.fixture
def answering(host: Callable[..., str]) -> Callable[[Answer], tuple[str, list[str]]]:
    """Starts a server that answers every GET in one way; its address, and the requests that it got with their key."""

    def start(answer: Answer) -> tuple[str, list[str]]:
        seen: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(f"{self.path} {self.headers.get('Authorization')}")
                content = answer[1].encode() if isinstance(answer[1], str) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return host(Handler) + "/v1", seen

    return start


def asked(url: str, folder: Path, network: bool = True, **more: Any) -> list[Finding]:
    """What the preflight of the laptop's recipe, whose math teacher and candidate are at this address, says of the server."""
    changes = {
        "models.served": {"engine": "endpoint", "id": "teacher", "url": url, **more},
        "roles.teachers.math.model": "served",
        "reward.candidates.policies.x": {"model": "served", "each": 2},
    }
    told = preflight(load_recipe("laptop", changes), folder, network=network, here=False, count=False)
    return [row for row in told.findings.rows if row.place == "models.served"]


@pytest.mark.parametrize(
    ("answer", "more", "state", "what"),
    [
        ((200, GOOD), {}, "good", "has teacher"),  # its full name, with owner and date
        ((200, OTHERS), {}, "fault", "has preacher, "),  # the likest first
        ((200, OTHERS), {}, "fault", "and 2 more, and no 'teacher'; correct the model's id or url, or set its reports to \"*\""),
        ((200, OTHERS), {"reports": "*"}, "good", "takes any name"),
        ((404, {"detail": "Not Found"}), {}, "note", "answers, but lists no models (status 404)"),
        ((200, {"object": "?"}), {}, "note", "lists no models (status 200)"),
        ((200, " <html>a page</html>"), {}, "fault", "answers with a web page; correct the model's url, or the proxy"),
        ((401, {"error": "sk-planted-0123456789 is no key"}), {}, "fault", "refuses the key; correct the key in OPENAI_API_KEY"),
    ],
)
def test_what_a_server_answers(
    answer: Answer, more: dict[str, Any], state: str, what: str, answering: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One request with the key, which no line repeats."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    url, seen = answering(answer)
    (row,) = asked(url, tmp_path, **more)
    assert row.state == state and what in row.says and "planted" not in row.says and "\n" not in row.says
    assert seen == ["/v1/models Bearer sk-planted-0123456789"]


def test_a_server_that_wants_a_key_names_the_variable(
    answering: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is set."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    url, seen = answering((401, {}))
    assert "refuses requests without a key; export its key as OPENAI_API_KEY" in asked(url, tmp_path)[0].says
    assert seen == ["/v1/models None"]


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, command: Callable[..., Any]) -> None:
    """By a run too, in one line, before its first stage; `--dry-run` asks nobody and says so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    (row,) = asked(url, tmp_path)
    assert row.state == "fault" and row.says.startswith(f"the server at {url} does not answer (")
    assert row.says.endswith("; start it, or correct the model's url")
    assert asked(url, tmp_path, network=False)[0].state == "not checked"
    words = ["--set", f"models.served={{engine: endpoint, url: '{url}'}}", "--set", "roles.teachers.math.model=served"]
    done = command("run", "laptop", *words)
    assert done.code == 2 and done.err.splitlines()[-1] == f"acemath: {row.place}: {row.says}"
    assert not list(Path("runs/laptop").glob("*/"))


def test_a_server_whose_work_is_done_is_not_asked(answering: Callable[..., Any], tmp_path: Path) -> None:
    """A run goes on after its teacher was shut down; not so if a stage of the server's is still to be made."""
    url, seen = answering((200, OTHERS))
    for stage in ("teacher-math", "candidates-x"):
        (tmp_path / stage).mkdir()
        write_json(tmp_path / stage / "manifest.json", {"output": "x"})
        if stage == "teacher-math":
            assert asked(url, tmp_path)[0].state == "fault"
    assert asked(url, tmp_path) == [] and len(seen) == 1
