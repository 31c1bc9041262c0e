"""Progress while work is silent, as plain lines and on a terminal."""

from __future__ import annotations

import re
import time

import pytest

from acemath.run.display import Display


def wait_for(lines: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The plain lines on standard error, once there are so many of them (at most five seconds)."""
    said, until = "", time.monotonic() + 5
    while said.count("\n") < lines and time.monotonic() < until:
        time.sleep(0.01)
        said += capsys.readouterr().err
    return said.splitlines()


def test_a_silent_step_is_seen_to_be_alive(capsys: pytest.CaptureFixture[str]) -> None:
    """It reports nothing, and still a line comes every `every` seconds; none after the end."""
    display = Display(every=0.05)
    with display.during("curate"):
        lines = wait_for(3, capsys)
    assert len(lines) >= 3 and all(re.fullmatch(r"  curate: \d+ s so far", line) for line in lines)
    time.sleep(0.15)
    assert capsys.readouterr().err == ""


def test_the_last_report_stands_in_every_line_uncut(capsys: pytest.CaptureFixture[str]) -> None:
    """How far, how long, and a long note with brackets, in one line."""
    note = "loss [0.31], " + "a long note " * 30
    display = Display(every=0.05)
    display.start("sft", "a reason in [brackets] " * 10)
    display.progress(0, 10)
    display.progress(3, 10, note)
    lines = wait_for(3, capsys)
    display.end("done")
    assert lines[0] == "sft: " + "a reason in [brackets] " * 10
    begins = re.compile(r"  sft: 3/10, \d+ s so far, \d+ s left, ")
    assert all(begins.match(line) and line.endswith(note) for line in lines[1:])


def test_the_time_left_is_of_this_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run did took no time in this one; before a second report there is no pace; a new total has its own."""
    now = 1000.0
    monkeypatch.setattr("acemath.run.display.time.monotonic", lambda: now)
    display = Display()
    display.start("sft")

    def after(seconds: float, done: int, total: int) -> str:
        nonlocal now
        now += seconds
        display.progress(done, total)
        return display._how_far()

    assert after(60, 20, 22) == "20/22, 60 s so far"
    assert after(200, 21, 22) == "21/22, 260 s so far, 200 s left"
    now += 50
    assert display._how_far() == "21/22, 310 s so far, 150 s left"
    assert after(0, 0, 5) == "0/5, 310 s so far"
    assert after(10, 2, 5) == "2/5, 320 s so far, 15 s left"
    assert after(20, 5, 5) == "5/5, 340 s so far"
    display.stop()


def test_an_inner_step_speaks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A command's own progress pauses while a step inside it shows its own, and goes on afterwards."""
    outer, inner = Display(every=0.05), Display(every=0.05)
    with outer.during("eval"):
        with inner.during("samples"):
            assert {line.split(":")[0] for line in wait_for(3, capsys)} == {"  samples"}
        assert {line.split(":")[0] for line in wait_for(2, capsys)} == {"  eval"}


def test_a_quick_command_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """So that an error is the only line of a command that fails at once."""
    with Display().during("grade"):
        pass
    assert capsys.readouterr().err == ""


def test_the_clock_moves_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar is drawn again while the step reports nothing."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    display = Display()
    display.bars = True
    with display.during("score"):
        time.sleep(1.3)
    said = capsys.readouterr().err
    assert "0:00:00" in said and re.search(r"0:00:0[1-9]", said)


def test_lines_are_not_drawn_into_an_outer_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a stage's lines stand alone, also while the whole run's bar is shown."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    outer, inner = Display(), Display()
    outer.bars = inner.bars = True
    with outer.during("laptop"):
        inner.start("problems", "new")
        inner.stop()
        inner.end("400 prompts")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err).replace("\r", "\n").split("\n")
    assert "problems: new" in plain and any(re.fullmatch(r"  400 prompts \(\d+\.\d s\)", line) for line in plain)
