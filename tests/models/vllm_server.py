"""vLLM's own server of a model, for scripts that run in vLLM's environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

PATIENCE = 300.0  # seconds for vLLM's server to answer
SERVER = ("-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", "--dtype", "float32", "--host", "127.0.0.1")


@contextmanager
def server(model: str, *options: str) -> Iterator[str]:
    """The address of vLLM's server with a model called "served", which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, *SERVER, "--model", model, "--served-model-name", "served", "--port", port, *options]
    # Without the variable vLLM wants nearly all memory of the machine.
    running = subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr, env={"VLLM_CPU_KVCACHE_SPACE": "1", **os.environ})
    try:
        wait(f"http://127.0.0.1:{port}/health", running)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.terminate()
        running.wait(60)


def wait(address: str, running: subprocess.Popen[bytes]) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and running.poll() is None:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise SystemExit(f"vLLM's server does not answer at {address}")
