"""What an account keeps, after kill -9, torn lines, and replies that were not booked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.models.generate.endpoint.account import IN_FLIGHT, LEDGER, RESPONSES, Account
from acemath.models.generate.endpoint.budget import Amount
from acemath.models.generate.endpoint.choices import Choice

CHOICE = Choice("So it is 7.", "stop", 5)


def lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_choice_comes_back_as_it_was(tmp_path: Path) -> None:
    """Text, finish reason, tokens and log-probabilities, under the key of each sample."""
    long = Choice("ü\n" * 70_000, "length", 9, (-0.5, -1.25))
    with closing(Account(tmp_path)) as account:
        entry = account.begin("payer", "stage", "model", Amount(10, 20, 0.5))
        account.keep(entry, ["a", "b"], [CHOICE, long], Amount(4, 14, 0.1))
        account.end(entry, "good", Amount(4, 14, 0.1))
    with closing(Account(tmp_path)) as account:
        assert account.choice("a") == CHOICE and account.choice("b") == long
        assert account.spent["payer"] == account.whole.spent == Amount(4, 14, 0.1)
        assert account.cost("stage")["requests"] == 1 and account.cost("other")["requests"] == 0


def test_what_was_in_flight_at_a_kill_is_booked_at_the_next_start(tmp_path: Path) -> None:
    """A kept reply at its own count, a lost or torn one at the most that it can have cost."""
    account = Account(tmp_path)
    kept, torn, lost = (account.begin("payer", "stage", "model", Amount(10, 20, 0.5)) for _ in range(3))
    account.keep(kept, ["a"], [CHOICE], Amount(4, 5, 0.1))
    account.keep(torn, ["b"], [CHOICE], Amount(4, 5, 0.1))
    path = tmp_path / RESPONSES
    os.truncate(path, path.stat().st_size - 9)
    # Nothing is closed, as after a kill.
    with closing(Account(tmp_path)) as again:
        assert list(again.known) == ["a"] and again.spent["payer"] == Amount(24, 45, 1.1)
    booked = {line["request"]: (line["what"], line["billed"]) for line in lines(tmp_path / LEDGER)}
    assert booked == {kept: ("good", "known"), torn: ("stopped", "unknown"), lost: ("stopped", "unknown")}
    assert not (tmp_path / IN_FLIGHT).read_text()
    with closing(Account(tmp_path)) as third:
        assert third.spent["payer"] == Amount(24, 45, 1.1)


def test_names_with_unicode_line_breaks(tmp_path: Path) -> None:
    """Only a line feed ends a line."""
    account = Account(tmp_path)
    account.begin("pay\u2028er", "stage\x85", "model", Amount(10, 20, 0.5))
    with closing(Account(tmp_path)) as again:
        assert again.spent["pay\u2028er"] == Amount(10, 20, 0.5)


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    """The file, the line, and what to do."""
    (tmp_path / LEDGER).write_text('{"half": \n{}\n')
    with pytest.raises(UserError, match="ledger.jsonl, line 1 is no JSON"):
        Account(tmp_path)


def test_kill_9_loses_and_pays_nothing_twice(serve: Callable[..., Any], tmp_path: Path) -> None:
    """The command itself, killed three times and then run to the end, against a server that fails."""
    server = serve("--faults", "0.3", "--latency", "0.05", "--stall", "8", "--kinds", "429,500,cut,half JSON")
    problems, out = tmp_path / "problems.jsonl", tmp_path / "responses.jsonl"
    problems.write_text("".join(json.dumps({"prompt": f"What is {i}?"}) + "\n" for i in range(300)))
    command = [
        *(sys.executable, "-m", "acemath", "synthesize", str(problems), "--engine", "endpoint", "--json"),
        *("--url", server.url, "--model", "teacher", "--max-new-tokens", "50", "--out", str(out)),
        *("--set", "tries=30", "--set", "in_flight=16"),
    ]
    journal, in_flight = tmp_path / "responses.journal", 0
    for stop in range(1, 4):
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until and worker.poll() is None:
            if (journal / RESPONSES).exists() and len(
                (journal / RESPONSES).read_bytes().splitlines()
            ) >= 60 * stop:
                break
            time.sleep(0.05)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        signs = [line[:1] for line in (journal / IN_FLIGHT).read_text().splitlines()]
        in_flight += signs.count("+") - signs.count("-")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    answered = [line["problem_id"] for line in lines(out)]
    assert len(answered) == len(set(answered)) == 300 == json.loads(done.stdout)["n"]
    delivered = server.count()["delivered"]
    assert len(delivered) == 300 and sum(delivered.values()) - 300 <= in_flight
    ledger = lines(journal / LEDGER)
    assert len({line["request"] for line in ledger}) == len(ledger)
