from __future__ import annotations

from pathlib import Path
from weakref import WeakValueDictionary

import pytest

from smelt.compiler import pipeline
from smelt.compiler.runtime import step_cache
from tests.compiler.runtime.steps import Counted


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts the runs of the passes; gives the test a folder, and what is linked, of its own."""
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "objects"))
    monkeypatch.setattr(step_cache, "_linked", WeakValueDictionary())
    counted = Counted()
    monkeypatch.setattr(pipeline, "run_pipeline", counted)
    return counted
