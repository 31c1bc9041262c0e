"""Every code block of README and docs, as it stands: commands run in a folder with small inputs of the names that the
docs use; those that cannot run here are parsed, each for a reason that is written down."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from acemath.cli.app import command_tree
from acemath.models.score.settings import settings_from
from acemath.recipe.load import load_recipe
from acemath.recipe.sources import Source

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What is only parsed, by what its line holds, and why.
PARSED = {
    "acemath run ": "a whole run: test_strangers_hour.py makes one",
    "fetch numinamath-cot": "the hub",
    "fetch acemath-rm": "the hub",
    "fetch gsm8k": "the hub",
    "--benchmarks ": "the hub",
    "rm train groups.parquet --base my-policy": "the groups come from the hub",
    "--push": "the hub",
    "--engine endpoint": "a server: tests/models has real ones",
    " part.": "a part of the data: minutes with a real model",
    "--base qwen2.5-coder-0.5b": "a real model",
    "sft chats.parquet": "minutes: test_strangers_hour.py trains",
    "accelerate launch": "several GPUs: tests/train trains in two processes",
    "acemath view": "a page until Ctrl-C: tests/serve opens it",
}
RUN = (
    "acemath run acemath-72b --dry-run",
    "acemath run acemath-7b --dry-run",
    "acemath run acemath-7b-released --dry-run",
    "--dry-run            #",
    "--until data",
)
OTHERS = ("python -m vllm.", "transformers serve ")  # other people's programs


class Block(NamedTuple):
    """A code block: where it begins, what kind it is (as its fence says), and its text."""

    place: str
    kind: str
    text: str


def blocks() -> Iterator[Block]:
    """All code blocks, fenced and indented."""
    for page in PAGES:
        fence, kind, text, start = False, "", list[str](), 0
        for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
            if line.startswith("```"):
                if fence:
                    yield Block(f"{page.name}:{start}", kind, "\n".join(text))
                fence, kind, text, start = not fence, line.strip("` "), [], number + 1
            elif fence or line.startswith("    "):
                start = start if text else number
                text.append(line if fence else line[4:])
            elif text and line.strip():
                yield Block(f"{page.name}:{start}", "", "\n".join(text).strip())
                text = []
            elif text:
                text.append("")


ALL = list(blocks())
SHELL = [
    b for b in ALL if b.kind == "bash" or re.match(r"(acemath|make|python|accelerate|transformers) ", b.text)
]
SCRIPT = re.compile(r"^for |\| | > ", re.MULTILINE)  # needs a real shell
PYTHON = [b for b in ALL if b.kind == "python"]
YAML = [b for b in ALL if b not in SHELL and b not in PYTHON]


def lines_of(text: str) -> list[str]:
    """The commands of a shell block, with their comments."""
    joined = text.replace("\\\n", " ")
    return [part.strip() for line in joined.splitlines() if line.strip() for part in line.split(" && ")]


def parse(words: list[str]) -> None:
    """Parse `acemath …` without running it; fails the test with click's message where it is wrong."""
    found, arguments = command_tree(), words[1:]
    context = found.make_context("acemath", list(arguments))
    while hasattr(found, "commands"):
        name, found, arguments = found.resolve_command(context, [*context._protected_args, *context.args])
        context = found.make_context(name, list(arguments), parent=context)


def examples() -> list[str]:
    """Every example in the help of every command."""
    found, waiting = [], [command_tree()]
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        found += re.findall(r": (acemath .*)", one.help or "")
        if not hasattr(one, "commands"):
            assert "Example: acemath " in one.help, f"{one.name} shows no example"
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Small files of the names that the docs use."""
    from acemath.cli.fetch import fetch
    from acemath.cli.reading import read_problems
    from acemath.cli.sample import sample
    from acemath.demo.teacher import WorksheetTeacher
    from acemath.models.engine import Sampling

    folder = tmp_path_factory.mktemp("inputs")
    for name, count, split in (
        ("prompts", 40, "train"),
        ("gsm8k_test", 20, "test"),
        ("math500_test", 20, "test"),
    ):
        given = {"count": count, "split": split}
        fetch("worksheets", given, {"levels": [1, 2]}, len(name), folder / f"{name}.jsonl")
    for name in ("clean", "problems"):
        (folder / f"{name}.jsonl").write_bytes((folder / "prompts.jsonl").read_bytes())
    teacher = WorksheetTeacher("teacher", 0.5, malformed=0.1)
    problems = read_problems(folder / "clean.jsonl")
    sample("responses", problems, teacher, Sampling(n=1), folder / "responses.jsonl")
    sample("check", problems, teacher, Sampling(n=2, seed=1), folder / "check.jsonl")
    sample("samples", problems, teacher, Sampling(n=8, seed=2), folder / "samples.jsonl")
    (folder / "outputs.jsonl").write_text('{"response": "So \\\\boxed{4}.", "answer": "4", "label": true}\n')
    recipe = yaml.safe_load((ROOT / "recipes" / "laptop.yaml").read_text())
    recipe["name"] = "mine"
    recipe["problems"]["seeds"]["worksheets"]["count"] = 200
    recipe["problems"]["benchmarks"]["worksheets"]["count"] = 42
    (folder / "my-recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture
def beside(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with the inputs in it."""
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_shell_blocks(page: str, command: Callable[..., Any], beside: Path) -> None:
    """Down a page, in one folder: each command ends with exit code 0, or is parsed where it cannot run here."""
    for block in SHELL:
        if not block.place.startswith(f"{page}:"):
            continue
        if SCRIPT.search(block.text):
            run_script(block, beside)
            continue
        for line in lines_of(block.text):
            check_line(line, command)


def run_script(block: Block, folder: Path) -> None:
    """Run a block by a real shell, which finds `acemath`."""
    shim = folder / "bin" / "acemath"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m acemath "$@"\n')
    shim.chmod(0o755)
    path = f"{shim.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", block.text], capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, f"{block.place}: {done.stderr}"


def check_line(line: str, command: Callable[..., Any]) -> None:
    """Run a command of the docs, or parse it where it is long or needs what is not here."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), line
    elif line.startswith("python perf/"):
        script = (ROOT / words[1]).read_text()
        assert all(f'"{word}"' in script for word in words if word.startswith("--")), line
    elif line.startswith("accelerate launch"):
        assert (ROOT / words[words.index("--config_file") + 1]).is_file()
        parse(words[words.index("-m") + 1 :])
    elif not line.startswith(OTHERS):
        assert words[0] == "acemath", f"{line}: neither ours nor listed in OTHERS"
        if any(part in f"{line} " for part in PARSED) and not any(part in line for part in RUN):
            parse(words)
        else:
            done = command(*words[1:])
            assert done.code == 0, f"{line}: {done.err}"


@pytest.mark.parametrize("block", PYTHON, ids=lambda b: b.place)
def test_python_blocks(block: Block, beside: Path, request: pytest.FixtureRequest) -> None:
    """They run, and a value in a comment behind a line is the line's value."""
    if "runs/laptop" in block.text:  # what `make demo` trains, by tiny models with random weights
        for name, fixture in (("sft-math", "tiny_policy"), ("reward", "random_reward_model")):
            (beside / "runs" / "laptop" / name).mkdir(parents=True)
            (beside / "runs" / "laptop" / name / "model").symlink_to(request.getfixturevalue(fixture))
    names: dict[str, Any] = {}
    lines = block.text.splitlines()
    for statement in ast.parse(block.text).body:
        source = ast.get_source_segment(block.text, statement) or ""
        if not isinstance(statement, ast.Expr):
            exec(compile(source, block.place, "exec"), names)
            continue
        value = eval(compile(source, block.place, "eval"), names)  # noqa: S307
        rest = lines[(statement.end_lineno or 0) - 1][statement.end_col_offset or 0 :]
        told = (rest or next(iter(lines[statement.end_lineno or 0 :]), "")).strip()
        if re.match(r"# ([\"'\d\[]|True|False|None|[A-Z]\w+\()", told):
            said = repr(value).replace("'", '"')
            assert told[2:].replace("'", '"').startswith(said), f"{source} is {value!r}, not {told}"


@pytest.mark.parametrize("block", YAML, ids=lambda b: b.place)
def test_recipe_blocks(block: Block, tmp_path: Path) -> None:
    """Recipes, parts of them and judges are valid."""
    found = yaml.safe_load(block.text)
    if "kind" in found:
        settings_from(found)
        return
    if "extends" in found:
        (tmp_path / "mine.yaml").write_text(block.text)
        assert load_recipe(tmp_path / "mine.yaml").name == "mine"
        return
    assert list(found) == ["seeds"], f"{block.place}: no known part of a recipe; add its check here"
    assert [Source.model_validate(source) for source in found["seeds"].values()]


def test_commands_within_sentences(beside: Path) -> None:
    """`acemath …` in a sentence or a table is a command that exists, with options that exist."""
    told = [(page, text) for page in PAGES for text in re.findall(r"`(acemath [^`]+)`", page.read_text())]
    assert len(told) > 15
    for page, text in told:
        words = shlex.split(text.replace("[", "").replace("]", ""))
        if page.name == "README.md" and len(words) > 2:
            parse(words)  # to be typed as it stands
            continue
        found, rest = command_tree(), words[1:]
        while rest and hasattr(found, "commands"):
            found = found.commands[rest.pop(0)]
        known = {name for parameter in found.params for name in parameter.opts}
        assert {word for word in rest if re.match("--?[a-z]", word)} <= known, text


@pytest.mark.parametrize("example", examples())
def test_examples_of_the_help(example: str, beside: Path) -> None:
    """Each parses as it stands; test_strangers_hour.py runs them."""
    parse(shlex.split(example))


def test_what_is_only_parsed_is_there() -> None:
    """A reason that nothing needs any more is removed."""
    text = "\n".join(line for block in SHELL for line in lines_of(block.text))
    assert [part for part in PARSED if part not in text] == []


def test_every_page_is_linked_from_the_readme() -> None:
    """A page that nothing links to is read by nobody; a link leads to a page that is there."""
    links = {page.name: set(re.findall(r"\]\(([\w./-]+\.md)", page.read_text())) for page in PAGES}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= links["README.md"]
    for page in PAGES:
        assert all((page.parent / target).is_file() for target in links[page.name]), page
