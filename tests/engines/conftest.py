"""A real server in its own process that fails as real ones do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

FAULTY = Path(__file__).resolve().parents[2] / "benchmarks" / "faulty_server.py"


class FaultyServer:
    """Its address, and its own count of what it did."""

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
    """Starts servers, each with its options; ends them all after the test."""
    started: list[FaultyServer] = []

    def start(*options: str) -> FaultyServer:
        started.append(FaultyServer(*options))
        return started[-1]

    yield start
    for server in started:
        server.stop()
