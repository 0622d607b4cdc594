"""Every claim of chapter 1 holds."""

from __future__ import annotations

import pytest

from smelt.book.entry import entries, run


@pytest.mark.parametrize("number", [entry.number for entry in entries(1)])
def test_the_claims_hold(number: str) -> None:
    page = run(number)
    assert page.holds, page.claims
