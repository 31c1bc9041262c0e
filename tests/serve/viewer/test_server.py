"""The walls of the server: its name, its token, its policy; and the command that starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from acemath.serve.viewer.server import Server

Serve = Callable[..., Server]


def asked(server: Server, path: str, host: str | None = None) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of a request."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def test_only_the_own_name_with_the_token_is_answered(run: Path, served: Serve) -> None:
    """A foreign name in Host (DNS rebinding), no token, a wrong one, and a path outside all get 404."""
    server = served(run)
    page, token = f"/{server.token}/", server.token
    assert asked(server, page)[0] == 200 and asked(server, page, f"localhost:{server.port}")[0] == 200
    for path, host in (
        (page, f"evil.example:{server.port}"), (page, "127.0.0.1"), ("/", None), ("/api/sets", None), (f"/{token[:-1]}x/", None),
        (f"/{token}/../api.py", None), (f"/{token}/%2e%2e/api.py", None), (f"/{token}/api/worker", None), (f"/{token}/api/", None),
    ):  # fmt: skip
        assert asked(server, path, host)[0] == 404, (path, host)
    assert server.server_address[0] == "127.0.0.1"


def test_the_policy_allows_nothing_from_elsewhere(run: Path, served: Serve) -> None:
    """Every answer carries it, no file of the page names another address, and there is no inline script or style."""
    server = served(run)
    for name in ("", "main.js", "style.css", "api/sets"):
        _, headers, _ = asked(server, f"/{server.token}/{name}")
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy
            and "unsafe" not in policy
            and "require-trusted-types-for 'script'" in policy
        )
        assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    allowed = {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}
    for name, asset in server.assets.items():
        text = asset.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\"' >]+", text)) <= allowed
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|\bon\w+=\"| style=\"", text
        ), name
        assert text.count("\n") < 400
    assert not re.search(r"<script(?![^>]* src=)|<style", server.assets["index.html"].read_text())


def test_errors_are_answers(run: Path, served: Serve) -> None:
    """A wrong question gets its line with status 400."""
    server = served(run)
    status, headers, text = asked(server, f"/{server.token}/api/problems?set=9")
    assert (
        status == 400
        and "there is no set 9" in text
        and headers["Content-Type"].startswith("application/json")
    )


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process when the block is left, so that a failed test does not wait for it."""
    try:
        yield
    finally:
        process.kill()


def test_the_command_prints_its_address_and_ends_with_ctrl_c(run: Path, served: Serve) -> None:
    """Exit code 0 after SIGINT; a port in use, and three folders, are one line with exit code 2."""
    command = [sys.executable, "-m", "acemath", "view", "--no-open"]
    with subprocess.Popen(
        [*command, str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background inherits that it is ignored
    ) as process, ending(process):  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        port, token = re.match(r"http://127\.0\.0\.1:(\d+)/([\w-]{20,})/ ", line).groups()  # type: ignore[union-attr]
        connection = HTTPConnection("127.0.0.1", int(port), timeout=20)
        connection.request("GET", f"/{token}/api/sets")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0 and "Traceback" not in process.stderr.read()
    done = subprocess.run(
        [*command, str(run), "--port", str(served(run).port)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and "choose another one" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("paths", "words"), [(["a", "b", "c"], "give one, or two"), (["nowhere"], "does not exist")]
)
def test_the_commands_mistakes(
    command: Callable[..., tuple[int, str, str]], paths: list[str], words: str
) -> None:
    """One line and exit code 2."""
    code, _, err = command("view", "--no-open", *paths)
    assert code == 2 and words in err and err.count("\n") == 1
