"""Builds the wheel and installs it into a new environment of each Python: does it work, and how large is it?

    python perf/wheels.py            (make bench-wheels)

It uses python3.11, python3.12 and python3.13 if they start here, or the interpreters given with `--python`. For each
Python it checks that the light installation (no extra) grades, curates and names the extra that training needs. It
measures its size without pip, the five largest packages, and the time of an import and of the help (best of ten). With
`--resolve` it also prints the versions that pip chooses for each extra; with `--tests` it also runs the tests of the
grader, metrics and curation in that environment. Prints Markdown; docs/performance.md holds a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
EXTRAS = ("parquet", "train", "lora", "liger", "vllm", "all")
SHOWN = ("torch", "transformers", "trl", "pyarrow", "vllm")
NOT_OURS = ("pip", "setuptools")  # packages of a new environment
LIMIT_MB, LIMIT_SECONDS, TIMES = 300, 0.3, 10
LIGHT_TESTS = ("tests/grade", "tests/metrics", "tests/curate")
BUILT = shutil.ignore_patterns("__pycache__", "*.egg-info")
GRADING = r"""
import acemath
assert acemath.grade(r"\boxed{(x+1)^2}", "x^2+2x+1").correct and not acemath.equal("2", "3").correct
assert acemath.pass_at_k([True, False], 1) == 0.5
"""
ROWS = {
    "problems": [
        {"id": str(n), "prompt": f"What is {n} plus {n}, and why?", "answer": str(2 * n)} for n in (7, 8)
    ],
    "responses": [
        {"problem_id": "7", "text": "It is \\boxed{14}."},
        {"problem_id": "8", "text": "It is 17."},
    ],
    "test": [
        {
            "id": "t",
            "prompt": "A train goes 60 miles in an hour. How far does it go in three?",
            "answer": "180",
        }
    ],
    "chats": [{"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]}],
}
COMMANDS = {  # a command of the light installation, with its exit code
    "--help": 0,
    "grade responses.jsonl --problems problems.jsonl": 0,
    "curate problems.jsonl --against test.jsonl --out clean.jsonl": 0,
    "sft chats.jsonl --out sft": 2,
    "curate problems.jsonl --against test.jsonl --out clean.parquet": 2,
}


def started() -> list[str]:
    """The interpreters of VERSIONS that are installed and start (pyenv's shims for versions that are not installed do not start)."""
    found = [shutil.which(f"python{version}") for version in VERSIONS]
    return [p for p in found if p and subprocess.run([p, "-V"], capture_output=True).returncode == 0]


def build(folder: Path) -> Path:
    """Build the wheel from a clean copy, without files of earlier builds, and check that it has every file of the package."""
    copy = folder / "source"
    shutil.copytree(ROOT / "src", copy / "src", ignore=BUILT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=True)
    lacking = {line.removeprefix("src/") for line in tracked.stdout.splitlines()} - packed
    assert not lacking, f"the wheel lacks {sorted(lacking)}"
    return wheel


def sizes(site: Path) -> Counter[str]:
    """Bytes on disk of each folder and file of site-packages, without the packages of a new environment."""
    found: Counter[str] = Counter()
    for path in site.rglob("*"):
        top = path.relative_to(site).parts[0]
        if not top.startswith(NOT_OURS) and not path.is_symlink():
            found[top] += path.lstat().st_blocks * 512
    return found


def seconds(command: Sequence[str | Path]) -> float:
    """Wall time of a command, the best of ten."""
    best = float("inf")
    for _ in range(TIMES):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best


def check(environment: Path) -> None:
    """Grade, measure and curate with the light installation; a command that needs an extra says so in one line."""
    subprocess.run([environment / "bin" / "python", "-c", GRADING], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in ROWS.items():
            Path(folder, f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for line, code in COMMANDS.items():
            command = [environment / "bin" / "acemath", *line.split()]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            said = done.stderr.splitlines()
            assert done.returncode == code, f"acemath {line}: {done.returncode}, {done.stderr}"
            assert code == 0 or "pip install 'acemath[" in said[-1], done.stderr


def resolved(pip: Path, wheel: Path, extra: str) -> str:
    """The versions that pip would install with an extra, or the last line of pip's error."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [
            pip,
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            report,
            f"{wheel}[{extra}]",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return f"pip finds none: {done.stderr.strip().splitlines()[-1]}"
        packages = {
            p["metadata"]["name"].lower(): p["metadata"]["version"]
            for p in json.loads(report.read_text())["install"]
        }
    return f"{len(packages)} packages, " + ", ".join(
        f"{name} {packages[name]}" for name in SHOWN if name in packages
    )


def measure(python: str, wheel: Path, folder: Path, arguments: argparse.Namespace) -> bool:
    """Print the row of one Python; whether it is within the limits."""
    environment = folder / "environment"
    subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
    pip, run = environment / "bin" / "pip", environment / "bin" / "python"
    subprocess.run([pip, "install", "--quiet", wheel], check=True)
    check(environment)
    (site,) = (environment / "lib").glob("python*/site-packages")
    found = sizes(site)
    whole = sum(found.values()) / 2**20
    largest = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in found.most_common(5))
    empty, imported = seconds([run, "-c", "pass"]), seconds([run, "-c", "import acemath"])
    shown = seconds([environment / "bin" / "acemath", "--help"])
    version = subprocess.run([run, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    print(f"| {version} | {whole:.0f} | {largest} | {imported - empty:.3f} | {shown:.2f} |", flush=True)
    if arguments.resolve:
        for extra in EXTRAS:
            print(f"  acemath[{extra}]: {resolved(pip, wheel, extra)}", flush=True)
    if arguments.tests:
        subprocess.run([pip, "install", "--quiet", "pytest", "hypothesis", "pandas", "pyarrow"], check=True)
        where = os.environ | {"PYTHONPATH": ""}
        subprocess.run(
            [run, "-m", "pytest", "-p", "no:cacheprovider", *LIGHT_TESTS], cwd=ROOT, env=where, check=True
        )
    return whole < LIMIT_MB and imported - empty < LIMIT_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", nargs="+", default=started(), help="interpreters")
    parser.add_argument("--resolve", action="store_true", help="the versions that pip chooses for each extra")
    parser.add_argument(
        "--tests", action="store_true", help="the tests of grader, metrics and curation in each"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MB\n")
        print("| Python | light installation (MB) | largest (MB) | import acemath (s) | acemath --help (s) |")
        print("| --- | ---: | --- | ---: | ---: |")
        within = [measure(python, wheel, Path(folder), arguments) for python in arguments.python]
    if not all(within):
        raise SystemExit(f"beyond {LIMIT_MB} MB or {LIMIT_SECONDS} s")


if __name__ == "__main__":
    main()
