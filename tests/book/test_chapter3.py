"""Every claim of chapter 3 holds."""

from __future__ import annotations

import pytest

from smelt.book.entry import entries, run


@pytest.mark.parametrize("number", [entry.number for entry in entries(3)])
def test_the_claims_hold(number: str) -> None:
    page = run(number)
    assert page.holds, page.claims
