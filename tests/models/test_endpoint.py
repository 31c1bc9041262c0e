"""The endpoint engine against a real server in a process of its own, which fails now and then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.account import LEDGER, Account
from acemath.models.generate.endpoint.budget import Amount, Budget
from acemath.models.generate.endpoint.engine import EndpointEngine
from acemath.models.spec import EndpointModel
from acemath.records import REFUSED, Problem, Response

Serve = Callable[..., Any]
GREEDY = Sampling(max_new_tokens=100)


@contextmanager
def engine_at(folder: Path, url: str, **settings: Any) -> Iterator[EndpointEngine]:
    """An engine whose account lies in `folder`."""
    given = {"url": url, "id": "teacher", "timeout": 10.0, "price_in": 1.0, "price_out": 2.0, **settings}
    with closing(Account(folder)) as account:
        yield EndpointEngine(EndpointModel.model_validate(given), account, ChatFormat(instruction="Box it."))


def problems(count: int) -> list[Problem]:
    """`count` different problems."""
    return [Problem(f"p{i}", f"What is {i} + {i}?") for i in range(count)]


def pairs(rows: list[Response]) -> list[tuple[str, int]]:
    """The problem and sample number of each response."""
    return sorted((r.problem_id, r.sample) for r in rows)


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The lines of an account's ledger."""
    return [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]


def test_every_kind_of_fault_is_overcome_and_booked(serve: Serve, tmp_path: Path) -> None:
    """The responses are those of a server without faults; the ledger and the server agree on all counted tokens."""
    with engine_at(tmp_path / "without", serve("--faults", "0").url) as engine:
        wanted = list(engine.generate(problems(80), GREEDY))
    # Each request fails at most twice: three empty replies would be believed.
    server = serve("--faults", "0.4", "--stall", "4", "--most", "2")
    with engine_at(tmp_path, server.url, timeout=3.0, tries=30, in_flight=24) as engine:
        found = list(engine.generate(problems(80), GREEDY))
    assert sorted(found, key=lambda r: r.problem_id) == sorted(wanted, key=lambda r: r.problem_id)
    assert len(wanted) == 80 and all(r.text.endswith("}.") and r.tokens > 0 for r in wanted)
    count, lines = server.count(), ledger(tmp_path)
    booked: dict[str, int] = {}
    for line in lines:
        what = line["what"] if line["billed"] == "known" else "lost"
        booked[what] = booked.get(what, 0) + line["prompt_tokens"] + line["completion_tokens"]
    stalls = sum(line["what"] == "stall" for line in lines)
    assert booked["good"] == count["tokens"]["good"]
    if stalls == count["outcomes"].get("stall", 0):  # else this machine was too busy to read a reply in time
        for kind in ("wrong model", "bad finish", "empty choice"):
            assert booked[kind] == count["tokens"][kind] > 0
    assert count["outcomes"]["429 in a 200"] > 0 and not any(line["what"] == "status 429" for line in lines)
    undelivered = sum(count["tokens"].get(kind, 0) for kind in ("cut", "stall", "half JSON"))
    assert booked["lost"] >= undelivered > 0


def test_kept_responses_are_not_requested_again(serve: Serve, tmp_path: Path) -> None:
    """The same call sends nothing; with more samples and problems, only the new ones are requested."""
    server = serve("--faults", "0")
    with engine_at(tmp_path, server.url) as engine:
        first = list(engine.generate(problems(20), Sampling(n=2, temperature=0.7, max_new_tokens=50)))
    with engine_at(tmp_path, server.url) as engine:
        again = list(engine.generate(problems(20), Sampling(n=2, temperature=0.7, max_new_tokens=50)))
        assert sorted(again, key=lambda r: (r.problem_id, r.sample)) == sorted(
            first, key=lambda r: (r.problem_id, r.sample)
        )
        assert sum(server.count()["outcomes"].values()) == 40
        more = list(engine.generate(problems(25), Sampling(n=3, temperature=0.7, max_new_tokens=50)))
    assert len(more) == 75 and sum(server.count()["outcomes"].values()) == 75


def test_problems_with_one_text_share_one_request(serve: Serve, tmp_path: Path) -> None:
    """Two ids with the same text: one request, two responses."""
    server = serve("--faults", "0")
    with engine_at(tmp_path, server.url) as engine:
        found = list(engine.generate([Problem("a", "What?"), Problem("b", "What?")], GREEDY))
    assert pairs(found) == [("a", 0), ("b", 0)] and found[0].text == found[1].text
    assert server.count()["outcomes"] == {"good": 1}


@pytest.mark.parametrize("single", ["", "ignore", "refuse"])
def test_several_samples_a_request(serve: Serve, tmp_path: Path, single: str) -> None:
    """Four samples in one request; one by one if the server gives one, or refuses more than one."""
    server = serve("--faults", "0", "--single", single)
    with engine_at(tmp_path, server.url, per_request=4, in_flight=2) as engine:
        found = list(engine.generate(problems(6), Sampling(n=4, temperature=1.0, max_new_tokens=50)))
    assert pairs(found) == sorted((f"p{i}", s) for i in range(6) for s in range(4))
    count = server.count()["outcomes"]
    assert count["good"] == (6 if not single else 24)
    booked = sum(x["completion_tokens"] for x in ledger(tmp_path))
    assert sum(r.tokens for r in found) == booked


def test_the_completions_api(serve: Serve, tmp_path: Path) -> None:
    """Plain text in, plain text out."""
    server = serve("--faults", "0")
    with engine_at(tmp_path, server.url, api="completions") as engine:
        (found,) = engine.generate(problems(1), GREEDY)
    assert found.text.startswith("So it is")
    (asked,) = server.count()["delivered"]
    assert asked.startswith("What is 0 + 0?\nBox it.\n\n")


def test_what_a_server_counts_beyond_a_budget_is_told() -> None:
    """A request cannot be taken back: the server may count more tokens than it allows."""
    within = Budget("all", usd=1.0, spent=Amount(10, 10, 1.0))
    assert not within.exceeded and not Budget("all").exceeded
    assert "the budget of all was exceeded: 2.0000 US$ and 20 tokens" in replace(within, spent=Amount(10, 10, 2.0)).exceeded


def test_a_budget_stops_before_it_is_exceeded(serve: Serve, tmp_path: Path) -> None:
    """The bill stays below the budget, responses that arrived are kept, and a higher budget continues."""
    server = serve("--faults", "0")
    rows: list[Response] = []
    with (
        engine_at(tmp_path, server.url, budget_usd=0.01, in_flight=16) as engine,
        pytest.raises(UserError, match=r"budget of teacher, 0.0100 US\$, is reached"),
    ):
        rows.extend(engine.generate(problems(300), GREEDY))
    spent = sum(line["usd"] for line in ledger(tmp_path))
    assert 0.009 < spent <= 0.01 and 0 < len(rows) < 300
    with (
        engine_at(tmp_path, server.url, budget_tokens=10) as engine,
        pytest.raises(UserError, match="10 tokens"),
    ):
        list(engine.generate(problems(300), GREEDY))
    asked = sum(server.count()["outcomes"].values())
    assert asked == len(rows)
    with engine_at(tmp_path, server.url, budget_usd=1.0) as engine:
        assert len(list(engine.generate(problems(300), GREEDY))) == 300
    assert server.count()["outcomes"] == {"good": 300}


@pytest.mark.parametrize("body", [{"max_tokens": 8192}, {"max_tokens": None, "max_completion_tokens": 8192}])
def test_a_budget_knows_the_token_limit_of_the_body(body: dict[str, Any], tmp_path: Path) -> None:
    """Responses may be as long as the request says, so that much is reserved."""
    with (
        engine_at(tmp_path, "http://127.0.0.1:1/v1", budget_tokens=5000, body=body) as engine,
        pytest.raises(UserError, match="the next request could cost .* and 8,"),
    ):
        list(engine.generate(problems(1), GREEDY))


@pytest.mark.parametrize("name", ["n", "stream", "messages"])
def test_a_body_does_not_set_what_acemath_sets(name: str) -> None:
    """More samples would be paid for and thrown away; a null only leaves the field out."""
    with pytest.raises(ValueError, match=f"body sets {name}, which acemath sets itself"):
        EndpointModel(url="http://127.0.0.1/v1", id="teacher", body={name: 4})
    assert EndpointModel(url="http://127.0.0.1/v1", id="teacher", body={name: None}).body == {name: None}


def test_a_problem_that_is_refused_does_not_end_the_run(serve: Serve, tmp_path: Path) -> None:
    """It becomes a refused response with the reason; the others are answered."""
    server = serve("--faults", "0")
    with engine_at(tmp_path, server.url) as engine:
        found = list(engine.generate([*problems(5), Problem("long", "TOO LONG")], GREEDY))
    refused = [r for r in found if r.finish_reason == REFUSED]
    assert len(found) == 6 and [r.problem_id for r in refused] == ["long"]
    assert "status 400: the prompt is too long" in refused[0].meta[REFUSED]


def test_a_final_refusal_is_one_line(serve: Serve, tmp_path: Path) -> None:
    """An unknown model; an address that is none or holds a key; a budget without prices."""
    server = serve("--faults", "0")
    with (
        engine_at(tmp_path, server.url, id="nobody") as engine,
        pytest.raises(UserError, match="refused model 'nobody': status 404, 'no model nobody'"),
    ):
        list(engine.generate(problems(30), GREEDY))
    with pytest.raises(ValueError, match="is no address"):
        EndpointModel(url="localhost", id="teacher")
    with pytest.raises(ValueError, match="the address holds a key"):
        EndpointModel(url="http://127.0.0.1/v1?api_key=abc", id="teacher")
    with pytest.raises(ValueError, match="budget_usd needs prices"):
        EndpointModel(url="http://127.0.0.1/v1", id="teacher", budget_usd=1.0)


def test_a_key_is_nowhere(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes from the environment into the header, and into no file and no error, even if the server echoes it."""
    secret = "sk-planted-0123456789"
    monkeypatch.setenv("TEACHER_KEY", secret)
    right, wrong = serve("--faults", "0", "--key", secret), serve("--faults", "0", "--key", "another")
    with engine_at(tmp_path, right.url, api_key_env="TEACHER_KEY") as engine:
        found = list(engine.generate([*problems(3), Problem("long", "TOO LONG")], GREEDY))
    assert right.count()["keys"] == [f"Bearer {secret}"] and len(found) == 4
    with (
        engine_at(tmp_path, wrong.url, api_key_env="TEACHER_KEY") as engine,
        pytest.raises(UserError, match="status 401, .*key.*TEACHER_KEY") as caught,
    ):
        list(engine.generate(problems(9), GREEDY))
    assert secret not in str(caught.value) and secret not in repr(found)
    assert all(secret.encode() not in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    monkeypatch.delenv("TEACHER_KEY")
    with (
        pytest.raises(UserError, match="TEACHER_KEY is not set"),
        engine_at(tmp_path, right.url, api_key_env="TEACHER_KEY"),
    ):
        pass


def test_the_limit_follows_the_server(serve: Serve, tmp_path: Path) -> None:
    """It grows with good replies and is halved by a 429: all is answered, with few refusals."""
    server = serve("--faults", "0", "--capacity", "12", "--latency", "0.05")
    with engine_at(tmp_path, server.url, in_flight=128, tries=50) as engine:
        assert len(list(engine.generate(problems(200), GREEDY))) == 200
        cost = engine.cost()
    assert 12 <= cost["most_in_flight"] < 128
    assert cost["faults"].get("status 429", 0) < 200


def test_a_caller_that_stops_reading_stops_the_requests(serve: Serve, tmp_path: Path) -> None:
    """Requests in flight are booked as lost, and the next call requests the rest."""
    server = serve("--faults", "0", "--latency", "0.05")
    with engine_at(tmp_path, server.url, in_flight=8) as engine:
        stream = engine.generate(problems(100), GREEDY)
        next(stream)
        stream.close()
        assert len(list(engine.generate(problems(100), GREEDY))) == 100
    assert server.count()["outcomes"]["good"] <= 100 + 16
