"""What tests/models/test_three_engines.py does in vLLM's environment: `python run_three.py POLICY PROBLEMS` prints JSON.

The engine of acemath, and vLLM's own server behind acemath's engine for endpoints.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vllm_server import server

from acemath.models.engine import Engine, Sampling, collect, released
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.generate.vllm import VllmEngine
from acemath.models.spec import EndpointModel, VllmModel
from acemath.records import Problem


def responses(engine: Engine, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The responses as JSON."""
    return [asdict(r) for r in collect(engine, problems, Sampling(max_new_tokens=24), lambda *_: None)]


def main() -> None:
    """Print the JSON object."""
    policy, problems = sys.argv[1], [Problem(**row) for row in json.loads(sys.argv[2])]
    with released(VllmEngine(VllmModel(engine="vllm", id=policy, dtype="float32"))) as engine:
        found = {"vllm": responses(engine, problems)}
    with server(policy) as url, tempfile.TemporaryDirectory() as folder, closing(Account(Path(folder))) as account:
        found["endpoint"] = responses(EndpointEngine(EndpointModel(id="served", url=url), account), problems)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
