"""The package as a user imports it."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import acemath

ORDERS = {
    "twice": "import acemath; g = acemath.grade; g('1', '1'); verdict = acemath.grade('1', '1')",
    "part first": "from acemath.grade import equal; import acemath; verdict = acemath.grade('1', '1')",
    "submodule first": "import acemath.grade.core as c; import acemath; verdict = acemath.grade('1', '1')",
    "from": "from acemath import grade; import acemath; verdict = grade('1', '1')",
    "package too": "import acemath; verdict = acemath.grade.grade('1', '1'); from acemath.grade import STRICT",
    "pickled": "import acemath, pickle; verdict = pickle.loads(pickle.dumps(acemath.grade))('1', '1')",
}


@pytest.mark.parametrize("order", ORDERS)
def test_grade_can_be_called_whatever_was_imported(order: str) -> None:
    """`acemath.grade` is a function and a package; both stand after any import, in a fresh process each."""
    done = subprocess.run(
        [sys.executable, "-c", f"{ORDERS[order]}; print(verdict.status)"], capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("correct", "")


def test_grade_shows_its_arguments() -> None:
    """Those of the function: a package that is called would lose the first one."""
    assert list(inspect.signature(acemath.grade).parameters) == [
        "response_text",
        "reference",
        "conventions",
        "finish_reason",
    ]


def test_every_public_name_is_shown_and_found() -> None:
    """`dir` lists them before they are imported, and each can be had."""
    assert set(acemath.__all__) <= set(dir(acemath))
    assert all(getattr(acemath, name) is not None for name in acemath.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        acemath.nosuch  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    """So that `import acemath` takes no time."""
    heavy = "{'torch', 'numpy', 'transformers', 'sympy', 'rich', 'pydantic'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, acemath; print({heavy})"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"
