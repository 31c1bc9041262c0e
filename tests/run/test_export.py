"""Export: what the hub's own library loads, a card that tells the truth, and an upload only when it is asked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from acemath.cli.export import export
from acemath.curate.card import CardFacts, card
from acemath.errors import UserError
from acemath.recipe.load import load_recipe
from acemath.run.display import Display
from acemath.run.run import run_until

CHANGES = {
    "problems.seeds.worksheets.count": 150,
    "problems.benchmarks.worksheets.count": 70,
    "curate.decontaminate.drop": ["near-copy"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has its data."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    found = run_until(load_recipe("laptop", CHANGES), folder, Display(quiet=True), "data")
    assert all(found["conversations"].values())
    return folder


def test_an_export_loads_and_its_card_says_what_it_holds(made: Path, tmp_path: Path) -> None:
    """`datasets` loads each blend by name; TRL takes its rows; counts, licences and hits stand in the card."""
    out = tmp_path / "data"
    found = export(made, out, None, False, 1)
    for name, count in found["conversations"].items():
        rows = load_dataset(str(out), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == count and set(rows.column_names) == {
            "messages",
            "problem_id",
            "source",
            "license",
            "pool",
        }
    from trl import is_conversational

    assert is_conversational(rows[0]) and [turn["role"] for turn in rows[0]["messages"]] == [
        "user",
        "assistant",
    ]
    text = (out / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert [c["config_name"] for c in header["configs"]] == list(found["conversations"])
    assert f"{sum(found['conversations'].values()):,} conversations" in text
    assert found["hits"]["leak"] == 0 and "**0 leak**" in text and "| decontaminate |" in text
    assert json.loads((out / "acemath.json").read_text())["hits"] == found["hits"]


def test_an_earlier_export_is_replaced_and_nothing_else(made: Path, tmp_path: Path) -> None:
    """The same bytes a second time; a folder with other things in it is left alone; no run, no export."""
    out = tmp_path / "data"
    export(made, out, None, False, 1)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.parquet"))}
    export(made, out, None, False, 1)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.parquet"))} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="name a new folder"):
        export(made, tmp_path / "mine", None, False, 1)
    with pytest.raises(UserError, match="is not a run's folder"):
        export(tmp_path, tmp_path / "new", None, False, 1)
    with pytest.raises(UserError, match="--push"):
        export(made, out, None, True, 1)


def test_data_of_another_recipe_is_not_exported(made: Path, tmp_path: Path) -> None:
    """A card would name the new recipe's rule and teachers for the old rows: the line says what to do."""
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["curate"]["decontaminate"]["ngram"] = 8
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(UserError, match="prompts was not made by the folder's recipe; run it again"):
        export(folder, tmp_path / "data", None, False, 1)
    assert not (tmp_path / "data").exists()


def test_a_licence_that_forbids_commercial_use_is_loud() -> None:
    """In bold, and no licence of one kind in the header where there are several."""
    blend = {
        "conversations": 2,
        "pools": {"math": 2},
        "sources": {"a|b": 2},
        "licences": {"MIT": 1, "CC-BY-NC-4.0": 1},
    }
    facts = CardFacts(
        "x", {"math": blend}, {"gsm8k": 9}, {"leak": 0}, {}, {"ngram": 13, "lcs": 0.6}, {"main": "t"}, []
    )
    text = card(facts)
    assert "**CC-BY-NC-4.0 forbid commercial use**" in text and "license: other" in text and "a\\|b 2" in text
    alone = card(CardFacts("x", {"math": {**blend, "licences": {"MIT": 2}}}, {}, {}, {}, facts.rule, {}, []))
    assert "license: mit" in alone and "forbid" not in alone


class Hub(BaseHTTPRequestHandler):
    """What the hub answers to a new data set and one commit of small files; it keeps what it is sent."""

    seen: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        """Make a repository, say how files go up, take the commit."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.path, body))
        answer: dict[str, object] = {"url": "http://127.0.0.1/datasets/me/mine", "id": "me/mine"}
        if "/preupload/" in self.path:
            files = [
                {**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]
            ]
            answer = {"files": files}
        elif "/commit/" in self.path:
            answer = {
                "commitUrl": "http://127.0.0.1/datasets/me/mine/commit/1",
                "commitOid": "1" * 40,
                "success": True,
            }
        self._say(answer)

    def do_GET(self) -> None:
        """The new repository is empty."""
        self.seen.append((self.path, b""))
        self._say([] if "/tree/" in self.path else {"id": "me/mine", "sha": "0" * 40, "siblings": []})

    def _say(self, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def hub() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A stand-in for the hub on this machine: its address and what it was sent."""
    handler = type("Handler", (Hub,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.seen
    server.shutdown()
    thread.join(10)


def test_it_is_pushed_when_asked_and_the_token_stays_out(
    made: Path, tmp_path: Path, hub: tuple[str, list[tuple[str, bytes]]]
) -> None:
    """One repository, private, with the card and every Parquet file; offline mode ends in one line."""
    address, seen = hub
    token = "hf_" + "x" * 30
    env = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path),
    }
    command = [
        sys.executable,
        "-m",
        "acemath",
        "export",
        str(made),
        "--out",
        str(tmp_path / "data"),
        "--json",
    ]

    def call(offline: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=120, env={**env, "HF_HUB_OFFLINE": offline})  # fmt: skip

    assert call("0").returncode == 0 and not seen
    done = call("0", "--push", "me/mine")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pushed"].endswith("me/mine")
    created = json.loads(next(body for path, body in seen if path.endswith("/repos/create")))
    assert True in created.values() or "private" in created.values(), created
    assert created["type"] == "dataset"
    sent = b"".join(body for path, body in seen if "/commit/" in path)
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert path.relative_to(tmp_path / "data").as_posix().encode() in sent
    assert token not in done.stdout + done.stderr
    offline = call("1", "--push", "me/mine")
    # A slow machine also shows how far it is.
    assert offline.returncode == 2 and "offline" in offline.stderr.splitlines()[-1]
    assert "Traceback" not in offline.stderr
