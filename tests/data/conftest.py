from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def published() -> Path:
    """A folder with the published data sets, for tests that read them."""
    if not SHARED.is_dir():
        pytest.skip(f"the data sets are not in {SHARED}")
    return SHARED
