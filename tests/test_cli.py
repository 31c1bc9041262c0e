"""The command line: its help, its mistakes in one line, its output in a pipe, and Ctrl-C."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from acemath.cli import app
from acemath.cli.app import GROUPS, command_tree
from acemath.cli.output import show
from acemath.errors import EXTRAS
from acemath.grade import PRESETS

Command = Callable[..., Any]
# Modules that are no commands.
SHARED = {
    "--init--", "app", "details", "dry-run", "engines", "options", "output", "reading", "rewardbench-build", "rewardbench-table",
    "training",
}  # fmt: skip
HEAVY = {*EXTRAS, "pyarrow", "pydantic", "numpy"}


def interrupted(arguments: list[str], ready: Callable[[psutil.Process], object]) -> tuple[int, str]:
    """Exit code and last line on standard error of a command that gets Ctrl-C, as a terminal sends it to all of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acemath", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_interruptible,
    )
    deadline = time.monotonic() + 120
    while not ready(psutil.Process(process.pid)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    members = [p for p in psutil.process_iter() if p.pid != process.pid and _group(p.pid) == process.pid]
    psutil.wait_procs(members, timeout=20)
    assert not [p for p in members if p.is_running()]
    return process.returncode, said.strip().splitlines()[-1]


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test in the background inherits that it is ignored


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_ctrl_c_stops_a_run_that_goes_on_later(tmp_path: Path, command: Command) -> None:
    """In the middle of the data; the same command again ends with all of it."""
    arguments = ["run", "laptop", "--out", str(tmp_path / "run"), "--until", "data", "--json"]
    arguments += [
        "--set",
        "problems.seeds.worksheets.count=400",
        "--set",
        "problems.benchmarks.worksheets.count=42",
    ]
    code, said = interrupted(arguments, lambda _: (tmp_path / "run" / "seeds" / "manifest.json").exists())
    assert (code, said) == (130, "acemath: stopped; the same command continues from what is on disk")
    assert json.loads(command(*arguments).out)["conversations"]["math"] > 0


def test_ctrl_c_stops_grading_with_its_workers(tmp_path: Path) -> None:
    """While workers are at hard pairs."""
    rows = [
        {"response": f"\\boxed{{\\int_0^\\infty \\frac{{\\sin(x^{n % 7 + 2})}}{{x+{n}}} dx}}", "answer": f"\\sum_{{n=1}}^\\infty \\frac{{1}}{{n^3+{n}}}"}
        for n in range(1, 400)
    ]  # fmt: skip
    path = tmp_path / "hard.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said = interrupted(["grade", str(path)], lambda process: process.children(recursive=True))
    assert (code, said) == (130, "acemath: stopped")


def test_every_command_is_in_one_group_of_the_help(command: Command) -> None:
    """And the help names the version, the completion and each command, none of them cut."""
    listed = [name for names in GROUPS.values() for name in names]
    modules = {path.stem.replace("_", "-") for path in Path(app.__file__).parent.glob("*.py")}
    assert sorted(listed) == sorted(modules - SHARED) and set(listed) == set(command_tree().commands)
    said = command("--help")
    assert said.code == 0 and all(f"\n  {name} " in said.out for name in listed)
    assert "--install-completion" in said.out and "..." not in said.out.replace("[ARGS]...", "")
    assert command("--version").out == "acemath 0.1.0\n"


def test_the_overview_is_quick_and_says_what_the_commands_say() -> None:
    """`acemath --help` imports no command, as it has their first sentences; no command imports torch to show its help."""
    for name, one in command_tree().commands.items():
        summary = next(group[name] for group in GROUPS.values() if name in group)
        assert one.get_short_help_str(limit=200) == summary
    code = "import sys, time; sys.argv = ['acemath', {}]\nfrom acemath.cli.app import main\ntry: main()\n"
    code += "except SystemExit: print(time.process_time(), *sys.modules, file=sys.stderr)"
    for arguments, absent in (
        ("'--help'", HEAVY),
        *((f"{name!r}, '--help'", set(EXTRAS) - {"pyarrow"}) for name in ("rm", "sft")),
    ):
        done = subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True)
        seconds, *modules = done.stderr.split()
        assert done.stdout.startswith("Usage: acemath") and not absent & set(modules), arguments
        assert absent != HEAVY or float(seconds) < 0.5


def test_every_argument_and_option_says_what_it_is() -> None:
    """In the help, in words."""
    waiting, silent = [command_tree()], []
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        silent += [f"{one.name} {parameter.name}" for parameter in one.params if not parameter.help]
    assert silent == []


def test_choices_are_types(command: Command) -> None:
    """What is fixed is told by the help and refused by name; all of the grader's conventions are there."""
    assert "[strict|lenient|qwen2.5-math]" in command("grade", "--help").out.replace("<", "[").replace(
        ">", "]"
    )
    assert list(PRESETS) == ["strict", "lenient", "qwen2.5-math"]
    for arguments in (
        ["run", "--until", "nosuch"],
        ["grade", "--conventions", "nosuch"],
        ["synthesize", "p.jsonl", "--engine", "nosuch"],
        ["run", "--budget", "-1"],
    ):
        done = command(*arguments)
        assert (
            done.code == 2
            and done.err.startswith("acemath: Invalid value for '--")
            and done.err.count("\n") == 1
        )


def test_python_m_and_completion() -> None:
    """`python -m acemath` is the command; a shell asks it for the names that complete a word."""
    module = [sys.executable, "-m", "acemath"]
    assert subprocess.run([*module, "--version"], capture_output=True, text=True).stdout == "acemath 0.1.0\n"
    asks = {"_ACEMATH_COMPLETE": "complete_bash", "COMP_WORDS": "acemath cros", "COMP_CWORD": "1"}
    done = subprocess.run(module, capture_output=True, text=True, env=os.environ | asks)
    assert done.stdout.split() == ["cross-check"]


def test_a_closed_pipe_ends_quietly() -> None:
    """As with `acemath sources | head -1`: no traceback, and not exit code 0."""
    reading, writing = os.pipe()
    os.close(reading)
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "acemath", "sources", *more], stdout=writing, stderr=subprocess.PIPE
        )
        assert (done.returncode, done.stderr) == (1, b"")
    os.close(writing)


def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    """As with `acemath sources > results.txt` on a full disk."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "acemath", "sources", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2 and done.stderr.startswith(
        "acemath: cannot write standard output: No space left"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_within_an_import(presses: int, tmp_path: Path) -> None:
    """The module is loaded to its end, and what comes after it is not done. A second Ctrl-C does not wait."""
    (tmp_path / "half.py").write_text(
        f"import os, signal\nfor _ in range({presses}):\n    os.kill(os.getpid(), signal.SIGINT)\nprint('whole', flush=True)"
    )
    program = (
        "import time, acemath.__main__ as start, acemath.cli.app as app\n"
        "def command():\n    import half\n    time.sleep(60)\n    print('done')\n"
        "app.main = command\nstart.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        preexec_fn=_interruptible,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "whole\n" if presses == 1 else "", "")


def test_little_is_imported_before_ctrl_c_is_handled() -> None:
    """Until then Python prints a traceback."""
    source = Path(app.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(source)!r}); import acemath.__main__; print('typing' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_ctrl_c_while_torch_is_loaded() -> None:
    """One line, no traceback and no abort, when the library of torch is there and its package is not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acemath", "doctor"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_interruptible,
    )
    while "libtorch_cpu" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, "acemath: stopped\n")


def test_tables_are_whole_in_a_pipe(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a row, whatever the terminal's width; what looks like markup is text."""
    said = command("sources").out
    assert len({len(line) for line in said.splitlines()}) == 1
    row = next(line for line in said.splitlines() if "acemath-general-1" in line)
    assert "nvidia/AceMath-Instruct-Training-Data" in row and "CC-BY-NC-4.0 (no commercial use)" in row
    show({}, False, ("answer",), [("[bold]x[/bold] " * 20,)])
    assert "[bold]x[/bold] " * 20 in capsys.readouterr().out


MISTAKES = {
    "YAML": (["run", "--set", "bench.k=[1"], "'[1' is not valid YAML"),
    "no setting": (["run", "--set", "bench.k"], "'bench.k' is not a setting"),
    "a folder as recipe": (["run", "."], "recipe '.' is a folder"),
    "a binary recipe": (["run", "binary.jsonl"], "binary.jsonl is not a recipe: a recipe is YAML text in UTF-8"),
    "a deep recipe": (["run", "deep.json"], "deep.json is not a recipe"),
    "no recipe": (["run", "nosuch"], "'nosuch' is neither a file nor one of the built-in recipes"),
    "a file as run": (["run", "--out", "empty.jsonl"], "cannot write the folder 'empty.jsonl': it is a file"),
    "a file as model": (["sft", "c.jsonl", "--out", "empty.jsonl"], "it is a file"),
    "an ending": (["fetch", "worksheets", "--out", "rows.txt"], "must end in .parquet or .jsonl"),
    "a folder to write": (["fetch", "worksheets", "--out", "folder.jsonl"], "it is a folder; name a file"),
    "no folder": (["fetch", "worksheets", "--out", "no/rows.jsonl"], "there is no folder 'no'"),
    "a bad level": (["fetch", "worksheets", "--set", "levels=[9]"], "levels.0"),
    "no pair": (["grade", "--gold", "1"], "give a file, or both --gold and --answer"),
    "an empty reference": (["grade", "--gold", " ", "--answer", "1"], "--gold is empty"),
    "both": (["grade", "empty.jsonl", "--gold", "1", "--answer", "1"], "a file and --gold or --answer"),
    "shares": (["vote", "a", "--responses", "b", "--at-least", "0.9", "--at-most", "0.5"], "--at-least 0.9 is above"),
    "k above n": (["eval", "p.jsonl", "--model", "nosuch", "-n", "4", "-k", "8"], "k is 8, but each problem gets n = 4"),
    "nothing to rank": (["eval", "p.jsonl", "--model", "nosuch", "--reward", "r"], "has one greedy response"),
    "an engine's key": (["sample", "p.jsonl", "--model", "m", "--set", "in_flight=2"], "'in_flight' is no key of engine transformers (it belongs to endpoint)"),
    "a model for worksheets": (["synthesize", "p.jsonl", "--model", "m"], "engine 'worksheets' has no model 'm'"),
    "an old recipe": (["run", "--set", "teachers.main.skill=1"], "is of an older acemath; describe models under models:"),
    "no command": (["grad"], "Did you mean 'grade'?"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line(kind: str, command: Command, tmp_path: Path) -> None:
    """Exit code 2, nothing on standard output, one line that names what is wrong."""
    nonsense(tmp_path)
    arguments, message = MISTAKES[kind]
    done = command(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("acemath: ") and message in done.err


def nonsense(folder: Path) -> list[Path]:
    """Files that are no rows of any kind, and paths that are no files."""
    texts = {
        "empty.jsonl": "", "list.json": "[1, 2]", "number.json": "5", "null.json": "null", "none.json": "[]",
        "object.jsonl": "{}\n", "other.jsonl": '{"colour": {"red": [1]}}\n', "torn.jsonl": '{"prompt": "What is',
        "deep.json": "[" * 90_000 + "]" * 90_000, "header.csv": "prompt,answer\n", "ragged.csv": "prompt\na,b\n",
        "nulls.jsonl": '{"id": null, "prompt": null, "text": null, "problem_id": null, "answer": null}\n',
        "bom.jsonl": "\ufeff{\"colour\": 1}\r\n", "text.docx": "PK\x03\x04", "torn.parquet": "PAR1 and no more PAR1",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    (folder / "binary.jsonl").write_bytes(random.Random(0).randbytes(300))
    (folder / "utf16.jsonl").write_text('{"prompt": "a"}', encoding="utf-16")
    (folder / "torn.jsonl.gz").write_bytes(gzip.compress(b"{}" * 500)[:20])
    (folder / "folder.jsonl").mkdir(exist_ok=True)
    return [*sorted(folder.glob("*.*")), folder / "missing.jsonl", folder / "no" / "where.parquet"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good files: problems, and a teacher's responses to them."""
    from acemath.cli.fetch import fetch
    from acemath.cli.reading import read_problems
    from acemath.cli.sample import sample
    from acemath.demo.teacher import WorksheetTeacher
    from acemath.models.engine import Sampling

    folder = tmp_path_factory.mktemp("rows")
    fetch("worksheets", {"count": 20}, {"levels": [1]}, 0, folder / "problems.jsonl")
    problems = read_problems(folder / "problems.jsonl")
    sample("sample", problems, WorksheetTeacher("teacher", 0.9), Sampling(n=2), folder / "responses.jsonl")
    return folder


# A file that is wrong stands at @; what the others need is good. `acemath sft`, `rm train`, `score`, `eval` and `solve`
# read their rows with the same functions.
READERS = (
    "curate @ --against P", "curate P --against @", "decontaminate @ --against P", "decontaminate P --against @",
    "decontaminate @ --against P --self-test", "vote @ --responses R", "vote P --responses @",
    "fetch numinamath-cot --file @", "fetch acemath-math --file @", "fetch acemath-rm --file @",
    "synthesize @", "sample @ --engine worksheets", "filter @ --problems P", "filter R --problems @",
    "cross-check @ --check R --problems P", "cross-check R --check @ --problems P", "cross-check R --check R --problems @",
    "blend @ --problems P", "blend R --problems @", "blend R --problems P --checked @ --pool math.checked", "export @",
    "report @", "run @ --dry-run", "grade @", "grade R --problems @", "rm groups @ --problems P",
    "rm groups R --problems @", "rm card @ R", "parity nano @", "parity nano R --problems @",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_nonsense_is_refused_by_every_command(
    reader: str, rows: Path, command: Command, tmp_path: Path
) -> None:
    """No traceback, no exit code 0 with nothing done: one line that says what is wrong."""
    good = {"P": str(rows / "problems.jsonl"), "R": str(rows / "responses.jsonl")}
    for wrong in nonsense(tmp_path):
        done = command(*(good.get(word, str(wrong) if word == "@" else word) for word in reader.split()))
        last = done.err.splitlines()[-1]
        assert (done.code, done.out) == (2, ""), wrong.name
        assert last.startswith("acemath: ") and len(last) < 600, wrong.name


def test_files_of_windows_are_read(rows: Path, command: Command, tmp_path: Path) -> None:
    """A byte-order mark and CRLF change nothing."""
    text = (rows / "problems.jsonl").read_text()
    (tmp_path / "w.jsonl").write_text("\ufeff" + text, encoding="utf-8", newline="\r\n")
    command("synthesize", "w.jsonl", "--out", "a.jsonl")
    command("synthesize", rows / "problems.jsonl", "--out", "b.jsonl")
    assert Path("a.jsonl").read_text() == Path("b.jsonl").read_text()


def test_verdicts_go_into_a_file(rows: Path, command: Command) -> None:
    """One line a response with its verdict; `rm groups` and `rewardbench` read it as it is."""
    done = command(
        "grade",
        rows / "responses.jsonl",
        "--problems",
        rows / "problems.jsonl",
        "--out",
        "verdicts.jsonl",
        "--json",
    )
    told = [json.loads(line) for line in Path("verdicts.jsonl").read_text().splitlines()]
    found = json.loads(done.out)
    assert len(told) == found["n"] == 40 and sum(r["status"] == "correct" for r in told) == found["correct"]
    assert all(r["tier"] and r["rule"] and r["reason"] for r in told if r["status"] == "correct")
    stored = [json.loads(line) for line in (rows / "responses.jsonl").read_text().splitlines()]
    assert [(r["problem_id"], r["sample"], r["text"]) for r in told] == [
        (r["problem_id"], r["sample"], r["text"]) for r in stored
    ]
    bench = json.loads(command("rewardbench", "verdicts.jsonl", "-k", "2", "--json").out)
    random_pick = next(r["value"] for r in bench["rows"] if r["selector"] == "random")
    assert random_pick == pytest.approx(100 * found["correct"] / 40)


def test_a_step_that_keeps_nothing_says_so(rows: Path, command: Command) -> None:
    """One response a problem is too few to check by: all were dropped, and the command ended as if all were well."""
    main = rows / "main.jsonl"
    command("synthesize", rows / "problems.jsonl", "--out", main)
    done = command(
        "cross-check",
        main,
        "--check",
        main,
        "--problems",
        rows / "problems.jsonl",
        "--out",
        "checked.jsonl",
        "--json",
    )
    found = json.loads(done.out)
    assert found["kept"] == 0 and Path("checked.jsonl").read_text() == ""
    assert f"nothing was kept, so checked.jsonl is empty; dropped: unchecked {found['n']}" in done.err
