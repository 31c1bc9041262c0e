"""A hub on this machine that gives the files of a folder as data sets, as the real one does, and keeps what it was asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "c" * 40


def _handler(root: Path, seen: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(urlsplit(self.path).path)
            seen.append(path)
            found = re.match(r"(?:/api)?/datasets/([^/]+/[^/]+)(?:/(revision|tree|paths-info|resolve)/[^/]+)?/?(.*)", path)
            folder = root / found[1] if found else root / "none"
            if found is None or not folder.is_dir() or "gated" in found[1]:
                gated = found is not None and "gated" in found[1]
                code, name = (403, "GatedRepo") if gated else (404, "RepoNotFound")
                return self._send(code, b"{}", {"X-Error-Code": name, "X-Error-Message": "Access is restricted" if gated else "not here"})
            if found[2] == "resolve":
                file = folder / found[3]
                return self._file(file.read_bytes()) if file.is_file() else self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            entries = [self._entry(folder, file) for file in sorted(folder.rglob("*"))]
            if found[2] == "paths-info":
                wanted = re.findall(r'[\w./-]+', body.decode())
                return self._json([entry for entry in entries if entry["path"] in wanted])
            if found[2] == "tree":
                return self._json([entry for entry in entries if str(entry["path"]).startswith(found[3])])
            siblings = [{"rfilename": entry["path"]} for entry in entries if entry["type"] == "file"]
            return self._json({"id": found[1], "sha": COMMIT, "siblings": siblings, "private": False, "gated": False, "tags": []})

        do_HEAD = do_POST = do_GET

        def _entry(self, folder: Path, file: Path) -> dict[str, object]:
            path = file.relative_to(folder).as_posix()
            if file.is_dir():
                return {"type": "directory", "oid": "d" * 40, "size": 0, "path": path}
            return {"type": "file", "oid": hashlib.sha1(file.read_bytes()).hexdigest(), "size": file.stat().st_size, "path": path}

        def _file(self, content: bytes) -> None:
            more = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if part is None:
                return self._send(200, content, more)
            first, last = int(part[1]), min(int(part[2] or len(content) - 1), len(content) - 1)
            return self._send(206, content[first : last + 1], more | {"Content-Range": f"bytes {first}-{last}/{len(content)}"})

        def _json(self, answer: object) -> None:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

        def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def hub(host: Callable[..., str]) -> Callable[[Path], tuple[str, list[str]]]:
    """Starts a hub of the data sets in a folder (owner/name/…); its address, and the paths that it was asked for."""

    def start(root: Path) -> tuple[str, list[str]]:
        seen: list[str] = []
        return host(_handler(root, seen)), seen

    return start
