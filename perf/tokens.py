"""Memory and time of preparing conversations for training: `python perf/tokens.py --count 500000 --words 60`.

Conversations of about 200 tokens are generated, tokenised into files with nano's tokenizer, and packed into rows. It
prints the time and the peak memory of this process without its libraries, in bytes per conversation.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sharding import memory, watch


class Made:
    """Conversations that are generated on each iteration."""

    def __init__(self, count: int, words: int) -> None:
        self.count, self.words = count, words

    def __iter__(self) -> Iterator[object]:
        from acemath.records import Chat

        draw = random.Random(0)
        for i in range(self.count):
            text = " ".join(f"{draw.randrange(1000)}+{i % 97}={draw.randrange(1000)}" for _ in range(self.words // 4))
            turns = ({"role": "user", "content": f"What is {i}+{i}?"}, {"role": "assistant", "content": text})
            yield Chat(f"c{i}", turns, "made", "mit")


def main() -> None:
    """Prepare them and print one JSON object."""
    import threading

    from transformers import AutoTokenizer

    from acemath.models.builtin import resolve
    from acemath.train.packing import PackedRows, pack
    from acemath.train.tokens import tokenised

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--words", type=int, default=60)
    given = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(resolve("nano"))
    list(tokenizer(["1+1=2"] * 100)["input_ids"])
    seen = {"peak_mb": 0.0}
    start = memory("RssAnon")
    threading.Thread(target=watch, args=(seen,), daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        times = [time.monotonic()]
        tokens = tokenised(Made(given.count, given.words), tokenizer, Path(name) / "tokens", lambda *_: None)
        times.append(time.monotonic())
        peaks = [seen["peak_mb"] - start]
        rows = PackedRows(tokens, pack(tokens.lengths, 4096), 4096)
        times.append(time.monotonic())
        for number in range(0, len(rows), max(1, len(rows) // 1000)):
            rows[number]
        total = int(tokens.lengths.sum())
        print(json.dumps({
            "conversations": given.count, "tokens": total, "tokens_a_conversation": round(total / given.count, 1),
            "tokenising_s": round(times[1] - times[0], 1), "packing_s": round(times[2] - times[1], 1),
            "peak_mb_tokenising": round(peaks[0], 1), "peak_mb": round(seen["peak_mb"] - start, 1),
            "bytes_a_conversation": round((seen["peak_mb"] - start) * 2**20 / given.count, 1),
            "kept_mb": round(memory("RssAnon") - start, 1), "full": round(total / len(rows) / 4096, 4),
            "files_bytes_a_token": round(sum(p.stat().st_size for p in (Path(name) / "tokens").iterdir()) / total, 2),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
