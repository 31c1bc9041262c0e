"""The house's rules that a program can check: which package may import which, no circular imports, sizes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import acemath

HOME = Path(acemath.__file__).parent
# From the top down, as CONTRIBUTING.md has them; a package imports only from those that come after it.
ORDER = (
    "__main__", "cli", "serve", "run", "recipe", "report", "benchmarks", "train", "curate", "demo", "models", "grade", "files",
    "metrics", "records", "notices", "errors",
)  # fmt: skip
# The order inside two packages, from the bottom up: each module or room imports only from those before it.
INSIDE = {
    "grade": (
        "base", "conventions", "read", "extract", "values", "compare", "symbolic", "workers", "cache", "references", "core",
        "batch", "records", "reward", "stored",
    ),
    "curate.decontaminate": (
        "runs", "features", "instructions", "reworded", "index", "arrays", "screen", "scan", "page", "changes", "selftest",
    ),
}  # fmt: skip
LINES, FUNCTION_LINES = 400, 50


@cache
def sources() -> dict[str, ast.Module]:
    """The syntax tree of every module, by its full name."""
    return {
        module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(HOME.rglob("*.py"))
    }


def module_name(path: Path) -> str:
    """The full name of the module in a file."""
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(("acemath", *(part for part in parts if part != "__init__")))


def imports(tree: ast.AST, names: set[str]) -> Iterator[str]:
    """The modules of acemath that a tree imports, also inside functions and for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in names else str(node.module)


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_imports_point_downward() -> None:
    """No package imports from one above it, not even inside a function."""
    trees = sources()
    rank = {name: number for number, name in enumerate(ORDER)}
    assert {package(name) for name in trees} - {"acemath"} == set(ORDER)
    wrong = [
        f"{module} imports {other}"
        for module, tree in trees.items()
        for other in imports(tree, set(trees))
        if "acemath" not in (module, other) and rank[package(other)] < rank[package(module)]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", INSIDE)
def test_packages_are_in_order_inside(name: str) -> None:
    """No module or room of the package imports from a later one, not even inside a function or for types alone."""
    home = f"acemath.{name}."
    trees = {module: tree for module, tree in sources().items() if module.startswith(home)}
    rank = {room: number for number, room in enumerate(INSIDE[name])}
    found = {module: module.removeprefix(home).split(".")[0] for module in trees}
    assert set(found.values()) == set(rank)
    wrong = [
        f"{module} imports {other}"
        for module, tree in trees.items()
        for other in imports(tree, set(trees))
        if rank[found[other]] > rank[found[module]]
    ]
    assert not wrong


def test_the_order_is_the_documented_one() -> None:
    """The chain in CONTRIBUTING.md names these packages in this order."""
    text = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    chain = text.split("points only downward:")[1].split("Tests mirror")[0]
    assert tuple(re.findall(r"\w+", chain)) == ORDER[1:]


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports have an order; `TopologicalSorter` raises CycleError if they have none."""
    trees = sources()
    graph = {name: set(imports(tree, set(trees))) for name, tree in trees.items()}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("acemath.errors") < order.index("acemath.cli.app") and len(order) == len(trees)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body, without its docstring."""
    first = function.body[1] if ast.get_docstring(function) is not None and function.body[1:] else function.body[0]
    return (function.body[-1].end_lineno or 0) - first.lineno + 1


def test_files_and_functions_are_short() -> None:
    """Files have fewer than 400 lines, function bodies fewer than 50."""
    long = []
    for path in sorted(HOME.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lengths = {
            node.name: length(node)
            for node in ast.walk(sources()[module_name(path)])
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        long += [f"{path.name}, {name}: {count} lines" for name, count in lengths.items() if count >= FUNCTION_LINES]
        if text.count("\n") >= LINES:
            long.append(path.name)
    assert not long
