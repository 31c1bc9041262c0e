"""What is installed: dependencies are those that are imported, and the light installation works without the rest."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import acemath
from acemath.errors import EXTRAS, MissingExtra, needing, require

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTED_AS = {
    "pyyaml": "yaml",
    "huggingface-hub": "huggingface_hub",
    "liger-kernel": "liger_kernel",
    "math-verify": "math_verify",
}
OWN = {"acemath", *(path.stem for folder in ("tests", "perf") for path in (ROOT / folder).rglob("*.py"))}
# Packages of `dev` that are commands, plugins or types, and those that perf/curation.py asks for itself.
TOOLS, PEERS = {"mypy", "pytest-xdist", "ruff", "types-psutil", "types-pyyaml", "tensorboard"}, {"datatrove", "spacy", "xxhash"}

LIGHT = f"""
import sys
from importlib.machinery import PathFinder


class Without:
    '''Finds what is installed, except the packages that only an extra installs.'''

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {set(EXTRAS)!r} else PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


def declared(*extras: str) -> set[str]:
    """The packages of the light installation, or of some extras, by the names that are imported."""
    lists = [PROJECT["optional-dependencies"][extra] for extra in extras] or [PROJECT["dependencies"]]
    names = {re.match(r"[\w-]+", line)[0].lower() for lines in lists for line in lines}  # type: ignore[index]
    return {IMPORTED_AS.get(name, name) for name in names} - {"acemath"}


def modules(node: ast.AST) -> Iterator[str]:
    """The modules that a tree imports, wherever it does and for types too, and those that it requires by name."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.level == 0:
            yield str(part.module)
        elif isinstance(part, ast.Call) and ast.unparse(part.func) == "require":
            yield from (str(a.value) for a in part.args if isinstance(a, ast.Constant) and a.value in EXTRAS)


def imported(*folders: str) -> set[str]:
    """The packages that the Python files below some folders import, without Python's own and ours."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {
        name.partition(".")[0]
        for path in paths
        for name in modules(ast.parse(path.read_text(encoding="utf-8")))
    }
    return found - sys.stdlib_module_names - OWN


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """Each package in one list of pyproject.toml; errors.py knows the extra of each."""
    extras = {name: declared(name) for name in ("parquet", "train", "lora", "liger", "vllm")}
    assert declared() | set[str]().union(*extras.values()) == imported("src")
    assert {module: name for name, modules in extras.items() for module in modules} == EXTRAS
    assert declared().isdisjoint(EXTRAS)


def test_what_tests_and_measurements_import_is_declared() -> None:
    known = declared() | declared("dev") | declared("train") | declared("parquet") | declared("vllm")
    assert imported("tests", "perf") - PEERS <= known
    assert declared("dev") - TOOLS - {"peft"} <= imported("tests", "perf")


def light(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program run in a folder, in a Python that has no package of any extra."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", LIGHT + program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An `acemath` command in such a Python."""
    return light(f"sys.argv = {['acemath', *arguments]!r}\nfrom acemath.__main__ import main\nmain()", folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with problems, a benchmark, responses, responses with rewards, and conversations."""
    folder = tmp_path_factory.mktemp("light")
    rows: dict[str, list[dict[str, Any]]] = {
        "problems": [{"id": str(n), "prompt": f"What is {n} plus {n}, and why?", "answer": str(2 * n)} for n in (7, 8, 9)],
        "test": [{"id": "t", "prompt": "A train goes 60 miles in an hour. How far does it go in three hours?", "answer": "180"}],
        "responses": [
            {"problem_id": str(n), "sample": s, "model": "m", "text": f"It is \\boxed{{{2 * n + s}}}.", "finish_reason": "stop"}
            for n in (7, 8, 9)
            for s in (0, 1)
        ],
    }  # fmt: skip
    rows["scored"] = [
        row | {"reward": 1.0 - row["sample"], "extracted": row["text"], "status": ("correct", "wrong")[row["sample"]]}
        for row in rows["responses"]
    ]
    rows["chats"] = [
        {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]}
    ]
    for name, records in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    return folder


def test_a_light_installation_grades_and_measures(files: Path) -> None:
    """The public functions, with sympy, and no package of an extra."""
    done = light(
        r"""
import acemath
assert acemath.grade(r"So it is \boxed{\frac{2}{4}}.", "0.5").correct
assert acemath.grade(r"\boxed{(x+1)^2}", "x^2+2x+1").correct and not acemath.equal("2", "3").correct
assert [v.status for v in acemath.grade_many([("\\boxed{1}", "1"), ("\\boxed{2}", "1")])] == ["correct", "wrong"]
assert acemath.pass_at_k([True, False], 1) == 0.5
try:
    from acemath import RewardModel
except ImportError as error:
    print(error)
""",
        files,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"acemath\.RewardModel needs \w+, which is not installed: pip install 'acemath\[train\]'\n",
        done.stdout,
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--help", "Answering"),
        ("grade responses.jsonl --problems problems.jsonl --json", '"correct"'),
        ("curate problems.jsonl --against test.jsonl --out clean.jsonl --json", '"kept": 3'),
        ("decontaminate problems.jsonl --against test.jsonl --json", '"n": 3'),
        ("filter responses.jsonl --problems problems.jsonl --out kept.jsonl --json", '"kept": 6'),
        ("rewardbench scored.jsonl -k 2 --json", "rm@2"),
        ("run laptop --dry-run", "GPU hours"),
        ("doctor", "pip install 'acemath[train]'"),
    ],
)
def test_commands_of_a_light_installation(files: Path, line: str, expected: str) -> None:
    done = command(files, *line.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("sft chats.jsonl --out sft", "train"),
        ("score responses.jsonl --problems problems.jsonl --model m --out s.jsonl", "train"),
        ("solve 1+1 --policy m --reward r", "train"),
        ("run --out runs/laptop", "train"),
        ("curate problems.jsonl --against test.jsonl --out clean.parquet", "parquet"),
    ],
)
def test_commands_that_need_an_extra_name_it(files: Path, line: str, extra: str) -> None:
    """The last line is the command to type; exit code 2, and nothing begun."""
    before = sorted(files.rglob("*"))
    done = command(files, *line.split())
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.fullmatch(
        rf"acemath: .* needs \w+, which is not installed: pip install 'acemath\[{extra}\]'", last
    )
    assert sorted(files.rglob("*")) == before


def test_a_module_that_no_extra_brings_is_no_missing_extra() -> None:
    """A fault of ours must not look like the user's."""
    with pytest.raises(ModuleNotFoundError) as caught, needing("this"):
        import acemath.nothing_of_this_name  # noqa: F401
    assert not isinstance(caught.value, MissingExtra)


def test_require_imports_nothing() -> None:
    code = "import sys; from acemath.errors import require; require('x', 'torch', 'trl'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    require("this", "pyarrow")


def test_the_wheel_names_its_version_once() -> None:
    assert PROJECT["version"] == acemath.__version__
