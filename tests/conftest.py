from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # tests that run side by side share the cores; those about threads ask for their own
    os.environ.setdefault("SMELT_THREADS", "1")

# a runner in the background may have these ignored, and its children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of its name in the folder `golden` beside the test."""
    folder = pathlib.Path(request.fspath).parent / "golden"

    def compare(name: str, text: str) -> None:
        path = folder / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            folder.mkdir(exist_ok=True)
            path.write_text(text + "\n")
        assert path.exists(), f"{path} is missing; make it with --update-golden"
        assert text + "\n" == path.read_text(), f"{path} differs; look, then use --update-golden"

    return compare
