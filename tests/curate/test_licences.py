"""Licences that forbid commercial use."""

from __future__ import annotations

import pytest

from acemath.curate.licences import combined, non_commercial


@pytest.mark.parametrize(
    "name",
    [
        "CC-BY-NC-4.0",
        "cc-by-nc-sa-4.0",
        "Non-Commercial",
        "other (research only)",
        "for academic purposes only",
    ],
)
def test_it_forbids(name: str) -> None:
    assert non_commercial(["MIT", name, "unknown"]) == [name]


def test_others_do_not() -> None:
    assert non_commercial(["MIT", "Apache-2.0", "CC-BY-SA-4.0", "Licence of encyclopedias", ""]) == []


@pytest.mark.parametrize("name", ["", "N/A", "Not stated", "No License", "null", "other"])
def test_values_that_name_no_licence_are_unknown(name: str) -> None:
    """In any spelling, alone or beside a known licence."""
    assert combined(["MIT", name]) == ("unknown", "")
