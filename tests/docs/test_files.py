"""The files and functions that the pages about the code name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (ROOT, ROOT / "smelt", ROOT / "smelt" / "compiler")
PAGES = [
    ROOT / "docs" / name
    for name in ("architecture.md", "trips.md", "adding_an_op.md", "changing_the_compiler.md")
]
FILE = re.compile(r"`((?:\w+/)*\w+\.py)`")
NAME = re.compile(r"`((?:\w+/)*\w+\.py)`,\s+`(\w+)`")  # of what stands in a file
EXCERPT = re.compile(r"^```python excerpt\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def path_of(name: str) -> Path | None:
    """Returns the file of a name, which may leave out folders if there is one file of it only."""
    paths = [room / name for room in ROOMS if (room / name).is_file()]
    paths += (ROOT / "smelt").rglob(name) if "/" not in name else ()
    return paths[0] if paths else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_is_there(page: Path) -> None:
    assert [name for name in FILE.findall(page.read_text("utf-8")) if path_of(name) is None] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_function_stands_in_its_file(page: Path) -> None:
    for file, name in NAME.findall(page.read_text("utf-8")):
        path = path_of(file)
        assert path is not None, file
        code = path.read_text("utf-8")
        assert re.search(rf"^(def |class |){name}\b", code, re.MULTILINE), (file, name)


def test_the_card_in_the_architecture_page_stands_in_the_code() -> None:
    (card,) = EXCERPT.findall(PAGES[0].read_text("utf-8"))
    assert card in (ROOT / "smelt" / "ops" / "elementwise.py").read_text("utf-8")
