from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Returns how many functions were compiled since the fixture was made or last asked."""
    from smelt.compiler.frontend.builder import Builder

    made: list[Any] = []
    compile_one = Builder.executable

    def counted(self: Builder, *arguments: Any) -> Any:
        made.append(self)
        return compile_one(self, *arguments)

    monkeypatch.setattr(Builder, "executable", counted)

    def count() -> int:
        found = len(made)
        made.clear()
        return found

    return count
