"""A teacher that fails three requests of ten: is every prompt answered once, the ledger right, the budget kept?

    python perf/faults.py                      # 5,000 prompts, the three parts below
    python perf/faults.py --part kills --prompts 1000

whole   `acemath synthesize` on all prompts; compares the ledger with the server's count
budget  the same with about half the budget that it needs
kills   the same, killed with `kill -9` at twenty random moments, then finished

The server (faulty_server.py) runs in its own process. Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

PRICE_IN, PRICE_OUT, MAX_TOKENS = 1.0, 4.0, 200
# Billed without the client's knowledge. "good again": the first such answer went to a client that had exited.
LOST = ("cut", "stall", "half JSON", "good again")


class Bench:
    """One server, one folder, one command."""

    def __init__(self, folder: Path, prompts: int, seed: int) -> None:
        folder.mkdir()
        self.prompts, self.folder = prompts, folder
        self.problems, self.out = folder / "prompts.jsonl", folder / "responses.jsonl"
        self.problems.write_text(
            "".join(
                json.dumps({"id": f"p{i}", "prompt": f"What is {i} * {i + 1}?"}) + "\n"
                for i in range(prompts)
            )
        )
        server = Path(__file__).with_name("faulty_server.py")
        command = [sys.executable, str(server), "--faults", "0.3", "--seed", str(seed), "--stall", "60"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        self.url = self.server.stdout.readline().strip()

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The command under test."""
        settings = ["timeout=10", "tries=20", f"price_in={PRICE_IN}", f"price_out={PRICE_OUT}"]
        command = [
            *(sys.executable, "-m", "acemath", "synthesize", str(self.problems), "--engine", "endpoint"),
            *("--url", self.url, "--model", "teacher", "--max-new-tokens", str(MAX_TOKENS)),
            *("--out", str(self.out), "--json", *(part for s in settings for part in ("--set", s)), *more),
        ]
        environment = {**os.environ, "OPENAI_API_KEY": "sk-planted-in-the-environment"}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def count(self) -> dict[str, Any]:
        """The server's own count."""
        return dict(httpx.get(f"{self.url}/count", timeout=60).json())

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole JSON lines of a file of the journal."""
        path = self.folder / "responses.journal" / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def open_requests(self) -> int:
        """How many requests were in flight when the process died."""
        path = self.folder / "responses.journal" / "in-flight.log"
        counts: Counter[str] = Counter()
        for line in path.read_text().splitlines() if path.exists() else ():
            counts[line[0]] += 1
        return counts["+"] - counts["-"]

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.wait()


def usd(tokens_in: int, tokens_out: int) -> float:
    """The price of these tokens."""
    return (tokens_in * PRICE_IN + tokens_out * PRICE_OUT) / 1e6


def books(bench: Bench, count: dict[str, Any]) -> dict[str, Any]:
    """Compare the ledger with the server's count, in tokens."""
    ledger = bench.lines("ledger.jsonl")
    total: Counter[str] = Counter()
    number: Counter[str] = Counter()
    for line in ledger:
        what = line["what"] if line["billed"] == "known" else "lost"
        total[what] += line["prompt_tokens"] + line["completion_tokens"]
        number[what] += 1
    tokens = count["tokens"]
    return {
        "good": (total["good"], tokens.get("good", 0)),
        "wrong model": (total["wrong model"], tokens.get("wrong model", 0)),
        "empty choice": (total["empty choice"], tokens.get("empty choice", 0)),
        "bad finish": (total["bad finish"], tokens.get("bad finish", 0)),
        "lost, at most": (total["lost"], sum(tokens.get(kind, 0) for kind in LOST)),
        "lost requests": (number["lost"], sum(count["outcomes"].get(kind, 0) for kind in LOST)),
        "known US$": round(sum(x["usd"] for x in ledger if x["billed"] == "known"), 6),
        "US$ at most": round(sum(x["usd"] for x in ledger), 6),
    }


def complete(bench: Bench) -> bool:
    """Whether the result holds each prompt once."""
    ids = [json.loads(line)["problem_id"] for line in bench.out.read_text().splitlines()]
    return len(ids) == bench.prompts == len(set(ids))


def keyless(bench: Bench) -> bool:
    """Whether no file contains the API key."""
    files = [p for p in bench.folder.rglob("*") if p.is_file()]
    return all(b"sk-planted" not in p.read_bytes() for p in files)


def whole(bench: Bench) -> dict[str, bool]:
    """All prompts, without a stop."""
    started = time.monotonic()
    out, said = (worker := bench.start()).communicate()
    if worker.returncode:
        raise SystemExit(f"the command failed:\n{said[-2000:]}")
    count, result = bench.count(), json.loads(out)
    found = books(bench, count)
    print(f"{bench.prompts:,} prompts in {time.monotonic() - started:.0f} s; {result['cost']}")
    print(f"the server: {count['outcomes']}, at most {count['most_in_flight']} in flight")
    for name, pair in found.items():
        print(f"  {name}: {pair if isinstance(pair, float) else f'ledger {pair[0]:,}, server {pair[1]:,}'}")
    stalls = sum(line["what"] == "stall" for line in bench.lines("ledger.jsonl"))
    late = stalls - count["outcomes"].get("stall", 0)  # on a busy machine an answer can come after the time limit
    twice = sum(n - 1 for n in count["delivered"].values())
    print(f"  answers that the server sent twice: {twice}; that came too late: {late}")
    return {
        "every prompt answered once": complete(bench),
        "no prompt is paid for twice, but where its answer came too late": twice <= late,
        "ledger = server, to the token": all(p[0] == p[1] for p in list(found.values())[:4]),
        "lost replies are covered": found["lost, at most"][0] >= found["lost, at most"][1],
        "the key is in no file and no output": keyless(bench) and "sk-planted" not in out + said,
    }


def budget(bench: Bench) -> dict[str, bool]:
    """A budget of about half the cost of all prompts: the command stops, and the server billed no more."""
    limit = bench.prompts * usd(12, 60) / 2
    _, said = (worker := bench.start("--budget", str(limit))).communicate()
    bill = sum(bench.count()["tokens"].values())
    found = books(bench, bench.count())
    print(
        f"budget {limit:.4f} US$; ledger {found['known US$']:.4f} known, {found['US$ at most']:.4f} at most"
    )
    print(f"the server billed {bill:,} tokens; {said.strip().splitlines()[-1]}")
    tokens_in_ledger = sum(
        pair[0] for name, pair in found.items() if name != "lost requests" and isinstance(pair, tuple)
    )
    return {
        "it stops with one line and code 2": worker.returncode == 2 and "budget" in said,
        "what can have been billed is within the budget": found["US$ at most"] <= limit + 1e-9,
        "the server billed no more than the ledger allows for": bill <= tokens_in_ledger,
    }


def kills(bench: Bench, times: int, rng: random.Random) -> dict[str, bool]:
    """Kill the command at random moments, then let it finish."""
    open_at_kills, kept, lost = 0, 0, False
    for number in range(times):
        worker = bench.start()
        journal = bench.folder / "responses.journal" / "in-flight.log"
        before = bench.count()["outcomes"].get("good", 0)
        while worker.poll() is None and (
            not journal.exists() or bench.count()["outcomes"].get("good", 0) == before
        ):
            time.sleep(0.2)  # until the first request: a kill before it would prove nothing
        time.sleep(rng.uniform(0, 2 * bench.prompts / 500))
        worker.kill()
        worker.communicate()
        still = bench.open_requests()
        now = len(bench.lines("responses.jsonl"))
        lost = lost or now < kept
        open_at_kills, kept = open_at_kills + still, now
        print(f"kill {number + 1}: {now:,} responses on disk, {still} requests in flight", flush=True)
    out, said = (worker := bench.start()).communicate()
    if worker.returncode:
        raise SystemExit(f"the command failed:\n{said[-2000:]}")
    count = bench.count()
    found = books(bench, count)
    twice = sum(n - 1 for n in count["delivered"].values())
    late = sum(line["what"] == "stall" for line in bench.lines("ledger.jsonl")) - count["outcomes"].get(
        "stall", 0
    )
    keys = Counter(s["key"] for line in bench.lines("responses.jsonl") for s in line["samples"])
    print(f"answers that the server sent twice: {twice}; requests in flight at the kills: {open_at_kills}")
    print(f"good tokens: ledger {found['good'][0]:,}, server {found['good'][1]:,}; {json.loads(out)['cost']}")
    return {
        "every prompt answered once": complete(bench) and max(keys.values()) == 1,
        "nothing on disk was lost": not lost,
        "nothing was paid for twice beyond the requests in flight": twice <= open_at_kills + max(0, late),
        "ledger = server, to the token": found["good"][0] == found["good"][1],
        "lost replies are covered": sum(p[0] for p in list(found.values())[:5])
        >= sum(count["tokens"].values()),
    }


def main() -> None:
    """Run the parts and print the checks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("all", "whole", "budget", "kills"), default="all")
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    parts = ("whole", "budget", "kills") if chosen.part == "all" else (chosen.part,)
    failed = 0
    for part in parts:
        with tempfile.TemporaryDirectory() as work:
            bench = Bench(Path(work) / part, chosen.prompts, chosen.seed)
            print(f"== {part}", flush=True)
            try:
                checks = (
                    kills(bench, chosen.times, random.Random(chosen.seed))
                    if part == "kills"
                    else {"whole": whole, "budget": budget}[part](bench)
                )
            finally:
                bench.close()
        for name, right in checks.items():
            print(f"  {'yes' if right else 'NO '}  {name}")
            failed += not right
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
