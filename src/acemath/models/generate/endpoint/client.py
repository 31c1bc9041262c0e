"""One try of one request: it is sent, awaited until the time-out, and read. The API key never leaves this file."""

from __future__ import annotations

import asyncio
import json
import ssl
from functools import cache
from itertools import cycle
from typing import Any
from urllib.parse import quote

import httpx

from acemath.models.generate.endpoint.replies import Fault, Reader, Reply
from acemath.models.generate.endpoint.requests import token_limit
from acemath.models.spec import EndpointModel

SHORTEST_SECRET = 8  # characters; a shorter "key", such as EMPTY, may be a word of a response
CONNECTIONS = 16  # in one pool; httpx looks through all connections of a pool for every request
CONNECT = 30.0  # seconds to reach the server


@cache
def _context() -> ssl.SSLContext:
    """The trusted certificates, which are slow to read."""
    return httpx.create_ssl_context()


class Client:
    """Sends the requests of one call of the engine. Use it as an asynchronous context manager."""

    def __init__(self, settings: EndpointModel, path: str, reader: Reader) -> None:
        self.settings, self.reader = settings, reader
        self.address = httpx.URL(settings.url)
        self.address = self.address.copy_with(path=self.address.path.rstrip("/") + path)
        key = settings.key()
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._secrets = [key.encode(), json.dumps(key)[1:-1].encode(), quote(key, safe="").encode()]
        if len(key) < SHORTEST_SECRET:
            self._secrets = []
        timeout = httpx.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout), pool=None)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS)
        self._pools = [
            httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, verify=_context())
            for _ in range(-(-settings.in_flight // CONNECTIONS))
        ]
        self._turns = cycle(self._pools)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self._pools:
            await pool.aclose()

    async def post(self, body: dict[str, Any], believe_empty: bool = False) -> Reply:
        """Send one request once. If the server echoes the key, it is removed before anything reads the reply."""
        try:
            async with asyncio.timeout(self.settings.timeout):
                reply = await next(self._turns).post(self.address, content=json.dumps(body).encode())
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Fault(f"no connection ({self._safe(str(error))})", "no connection")
        except (TimeoutError, httpx.TimeoutException):
            what = f"no whole reply within {self.settings.timeout:g} s"
            return Fault(what, "stall", billed="unknown", overloaded=True)
        except httpx.RequestError as error:
            what = f"a cut connection ({self._safe(str(error))})"
            return Fault(what, "cut connection", billed="unknown")
        content = reply.content
        for secret in self._secrets:
            content = content.replace(secret, b"[key]")
        limit = token_limit(body)
        return self.reader.read(reply.status_code, reply.headers, content, believe_empty, limit)

    def _safe(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret.decode(), "[key]")
        return text
