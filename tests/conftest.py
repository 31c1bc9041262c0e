"""Small real models for the tests, made once a session."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Any, NamedTuple

import pytest

# The tests that take longest, which make whole runs and trainings. They start first, so that no process ends long after
# the others.
LONGEST = (
    "run/rehearsal/test_rehearse.py",
    "run/test_run.py",
    "test_strangers_hour.py",
    "run/test_launchers.py",
    "train/reward/test_train.py",
    "run/test_stage.py",
    "run/test_measuring.py",
    "train/test_processes.py",
)
# Servers of tests answer at once. Python's defaults let a sixth of several new connections wait for a second, and a body,
# which is written after its headers, for 40 ms.
ThreadingHTTPServer.request_queue_size = 128
StreamRequestHandler.disable_nagle_algorithm = True
os.fsync = lambda descriptor: None  # it guards against a loss of power alone; commands in processes of their own call it
SHARED = Path(__file__).resolve().parents[2] / "shared"


class Done(NamedTuple):
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of LONGEST first, in that order."""
    items.sort(
        key=lambda item: next(
            (at for at, name in enumerate(LONGEST) if item.path.as_posix().endswith(f"tests/{name}")),
            len(LONGEST),
        )
    )


def pytest_collection_finish() -> None:
    """Take what is imported out of garbage collections: closing a model starts one, and it would walk over a million objects."""
    gc.freeze()


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command line in this process, in a fresh folder: `command("grade", "--gold", "1", …)`.

    What is no mistake of the user's (a traceback) fails the test.
    """
    from acemath.cli.app import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["acemath", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Done(int(end.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real development data beside the checkout; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the development data (../shared) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Qwen2 of random weights and nano's tokenizer: real to load, quick to run."""
    from acemath.demo.nano.pretrain import PretrainSettings, new_model, new_tokenizer

    settings = PretrainSettings(
        hidden=64, layers=2, heads=4, kv_heads=1, intermediate=96, tokenizer_pages=300
    )
    folder = tmp_path_factory.mktemp("tiny-policy")
    tokenizer = new_tokenizer(settings)
    new_model(settings, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_reward_model(tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reward model with a random head on the tiny policy."""
    from acemath.models.score.model import tokenizer_of
    from acemath.train.reward.start import new_reward_model

    folder = tmp_path_factory.mktemp("reward")
    tokenizer = tokenizer_of(tiny_policy)
    new_reward_model(tiny_policy, tokenizer, None, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture()
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()
