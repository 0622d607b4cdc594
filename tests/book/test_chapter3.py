"""Every claim of chapter 3 holds."""

from __future__ import annotations

import pytest

from smelt.book.entry import entries, run


@pytest.mark.parametrize("number", [entry.number for entry in entries(3)])
def test_the_claims_hold(number: str) -> None:
    page = run(number)
    assert page.holds, page.claims


def test_errors_name_the_line_of_the_program() -> None:
    assert "chapter3/ownership.py:" in run("E3.23").printed.replace("\\", "/")
