from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest


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
