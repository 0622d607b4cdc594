"""Every claim of chapter 2 holds."""

from __future__ import annotations

import pytest

from smelt.book.chapter2.environment import allows
from smelt.book.entry import entries, run


@pytest.mark.parametrize("number", [entry.number for entry in entries(2)])
def test_the_claims_hold(number: str) -> None:
    page = run(number)
    assert page.holds, page.claims


@pytest.mark.parametrize(
    ("rule", "version", "allowed"),
    [
        ("==1.*", "1.99.3", True),
        ("==1.*", "10.0", False),
        (">1.9,<2", "1.10", True),
        (">1.9,<2", "2.0", False),
        ("<=2.0", "2.0.1", False),
        ("<=2.0", "2", True),
        ("==2", "2.0.0", True),
        ("", "3.0", True),
    ],
)
def test_rules_of_versions(rule: str, version: str, allowed: bool) -> None:
    assert allows(rule, version) is allowed
