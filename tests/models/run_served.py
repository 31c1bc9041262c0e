"""What tests/models/test_vllm.py does with vLLM's server: `python run_served.py REWARD_MODEL TWO_LAYERS` prints JSON.

The scores of two reward models on the server, `/classify` and `/pooling`, beside those in transformers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from vllm_server import server

from acemath.models.engine import ChatFormat, released
from acemath.models.score.judge import open_judge
from acemath.models.score.score import RewardModel
from acemath.models.score.settings import settings_from

ITEMS = [(f"What is {k}+4?", [f"So \\boxed{{{k + n}}}." * (1 + n) for n in range(4)]) for k in range(5)]
FORMS = (("vllm", "--convert", "classify"), ("vllm-tokens",))  # by model: what acemath calls the server, and its options


def main() -> None:
    """Print the JSON object."""
    found = {}
    for model, (kind, *options) in zip(sys.argv[1:], FORMS, strict=True):
        with server(model, "--runner", "pooling", *options) as url, tempfile.TemporaryDirectory() as journal:
            data = {"kind": "classify", "server": kind, "endpoint": {"id": "served", "url": url}, "tokenizer": model, "chat": {}}
            with released(open_judge(settings_from(data), Path(journal))) as judge:
                served = judge.score_many(ITEMS)
        with released(RewardModel(model, ChatFormat(), bf16=False)) as judge:
            found[kind] = {"served": served, "transformers": judge.score_many(ITEMS)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
