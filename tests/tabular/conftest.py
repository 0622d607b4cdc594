"""Tables that are small enough to be learned within a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smelt.data import Table

QUICK: dict[str, Any] = {"members": 2, "width": 8, "bins": 4, "max_epochs": 3, "random_state": 0}


@pytest.fixture
def quick() -> dict[str, Any]:
    """Settings of a training that takes a moment."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def table() -> Table:
    """Columns of every kind; "label" follows from x and kind, "size" from x."""
    random = np.random.default_rng(0)
    x, whole = random.normal(size=120), random.integers(0, 4, 120)
    kinds = [("red", "green", "blue")[n % 3] for n in range(120)]
    gaps: list[str | None] = [None if n % 7 == 0 else kind for n, kind in enumerate(kinds)]
    names = ("high", "low")
    return Table(
        {
            "row_id": np.arange(120),
            "x": np.where(np.arange(120) % 10 == 0, np.nan, x),
            "whole": whole,
            "flag": x > 1,
            "kind": gaps,
            "day": [f"2024-{1 + n % 12:02}-{1 + n % 28:02}" for n in range(120)],
            "note": [f"the row number {n} is a {kind} one" for n, kind in enumerate(kinds)],
            "ticket": [f"A{n}" for n in range(120)],
            "nothing": np.full(120, np.nan),
            "same": np.ones(120),
            "label": [
                names[0] if v + (k == "red") > 0.3 else names[1]
                for v, k in zip(x, kinds, strict=True)
            ],
            "size": 3 * x + 5 + whole,
        }
    )
