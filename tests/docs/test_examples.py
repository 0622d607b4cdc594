"""The Python examples in README.md and docs/ run, page by page, each page from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.export.torch_bytes import state_dict

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTRAS = {"sklearn.md": "sklearn"}  # pages whose examples are of no use without a library


def digits() -> bytes:
    """Returns what `torch.save` makes of the state_dict of the model in checkpoints.md."""
    shapes = {"1.weight": (32, 64), "1.bias": (32,), "3.weight": (10, 32), "3.bias": (10,)}
    return state_dict({name: np.ones(shape, np.float32) for name, shape in shapes.items()})


FILES = {"checkpoints.md": ("digits.pt", digits)}  # which another program has written
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name in EXTRAS:
        pytest.importorskip(EXTRAS[page.name])
    monkeypatch.chdir(tmp_path)
    if page.name in FILES:
        name, content = FILES[page.name]
        (tmp_path / name).write_bytes(content())
    text = page.read_text("utf-8")
    names: dict[str, object] = {"__name__": page.stem}
    for found in BLOCK.finditer(text):
        # blank lines in front, so that an error names the line of the page
        above = "\n" * (text.count("\n", 0, found.start(1)))
        exec(compile(above + found[1], str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
