"""The viewer's server: on this machine alone, for whoever has the address with its token.

Three walls keep other programs and pages out. The server listens on 127.0.0.1. It answers only under a random path, so that
another user of the machine cannot read. And it answers only to its own name in the Host header, so that a page elsewhere
whose name is made to point here (DNS rebinding) gets nothing. What the page shows is data, never markup: its policy allows
no script, style or address but the server's own.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from acemath.errors import UserError
from acemath.serve.viewer.api import Viewer

HOST = "127.0.0.1"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Serves one viewer; `url` is where."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, viewer: Viewer, port: int = 0) -> None:
        self.viewer = viewer
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); choose another one, or leave --port out"
            ) from error
        self.port = int(self.server_address[1])
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        home = resources.files("acemath.serve.viewer") / "assets"
        self.assets = {entry.name: entry for entry in home.iterdir() if entry.is_file()}
        self.answers: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
            name: getattr(viewer, name)
            for name in ("sets", "facts", "problems", "problem", "texts", "verdict", "curves", "lengths")
        }

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def server_close(self) -> None:
        """Stop listening, and end the viewer's thread."""
        super().server_close()
        self.viewer.worker.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    """One request: the page, one of its files, or an answer for it."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body is a write of its own, which would wait 40 ms for the client
    server_version = "acemath"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer a request; anything without the right name and token gets 404 and nothing else."""
        split = urlsplit(self.path)
        parts = split.path.split("/")
        known = self.headers.get("Host", "") in self.server.hosts
        if (
            not known
            or len(parts) < 3
            or not hmac.compare_digest(parts[1].encode(), self.server.token.encode())
        ):
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")
        elif parts[2] == "api" and len(parts) == 4 and parts[3] in self.server.answers:
            self._answer(parts[3], dict(parse_qsl(split.query)))
        elif len(parts) == 3 and (parts[2] or "index.html") in self.server.assets:
            if not parts[2]:
                self._refresh()
            self._file(parts[2] or "index.html")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")

    def _refresh(self) -> None:
        try:
            self.server.viewer.refresh()
        except UserError as error:  # a folder that was moved away: the page shows what was read before
            self.log_error("%s", error)

    def _answer(self, name: str, given: dict[str, str]) -> None:
        try:
            status, value = HTTPStatus.OK, self.server.answers[name](given)
        except UserError as error:
            status, value = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except Exception as error:  # noqa: BLE001  (the page says that it failed, the terminal where)
            traceback.print_exc()
            status, value = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"{type(error).__name__}: {error}"}
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._send(status, text.encode("utf-8", "replace"), "application/json")

    def _file(self, name: str) -> None:
        kind = KINDS.get(f".{name.rsplit('.', 1)[-1]}", "application/octet-stream")
        self._send(HTTPStatus.OK, self.server.assets[name].read_bytes(), kind)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Requests are not logged: the address holds the token."""
