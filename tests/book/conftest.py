from __future__ import annotations

from collections.abc import Callable

import pytest

import smelt.book.entry as book


@pytest.fixture
def own_book(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Gives `entry` for a book that holds nothing but what the test puts into it."""
    monkeypatch.setattr(book, "_ALL", {})
    monkeypatch.setattr(book, "_load", lambda chapter: None)
    return book.entry
