"""The notebook of the docs runs, and every cell that ends in a value has something to show."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from smelt.errors import SmeltError

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
LARGEST = 200_000  # bytes


def run(source: str, number: int, names: dict[str, Any]) -> Any:
    """Runs a cell; returns the value of its last line, or None."""
    parsed = ast.parse(source)
    last = parsed.body.pop() if isinstance(parsed.body[-1], ast.Expr) else None
    exec(compile(parsed, f"cell {number}", "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)


def test_the_cells_run() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("safetensors")
    assert NOTEBOOK.stat().st_size < LARGEST
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    names: dict[str, Any] = {}
    for number, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        source = "".join(cell["source"])
        kinds = {kind for output in cell["outputs"] for kind in output.get("data", {})}
        if "raises-exception" in cell["metadata"].get("tags", ()):
            with pytest.raises(SmeltError):
                run(source, number, names)
            assert cell["outputs"][0]["output_type"] == "error"
            continue
        value = run(source, number, names)
        assert hasattr(value, "_repr_html_") == ("text/html" in kinds) or hasattr(
            value, "_repr_png_"
        )
