"""The check of the house finds what it is there to find."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "script" / "check_structure.py"
specification = importlib.util.spec_from_file_location("check_structure", SCRIPT)
assert specification is not None
assert specification.loader is not None
check_structure = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check_structure)


def house(folder: Path, **files: str) -> list[str]:
    """Returns the problems of a package with those files; `__` in a name stands for a folder."""
    for name, text in files.items():
        path = folder / "smelt" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return check_structure.problems(folder)


def test_this_house_is_in_order():
    assert check_structure.problems(ROOT) == []


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"ir": "import smelt.ops", "ops": ""}, "lies above ir"),
        ({"ir": "from smelt import ops", "ops": ""}, "lies above ir"),
        ({"nn__a": "from smelt.nn.b import x", "nn__b": "import smelt.nn.a"}, "circle: "),
        (
            {"compiler__graph__a": "from smelt.compiler.lower import b", "compiler__lower__b": ""},
            "lies above graph",
        ),
        ({"tensor": "if op.name == 'add': pass"}, "compares an operation's name"),
        ({"nn__a": "x = node.op.name in ('add', 'mul')"}, "compares an operation's name"),
        ({"nn__a": "import smelt.compiler.a", "compiler__a": ""}, "should not know of it"),
        ({"attic": ""}, "stands on no floor"),
    ],
)
def test_what_leaks_is_found(files, problem, tmp_path):
    assert any(problem in line for line in house(tmp_path, **files))


def test_what_waits_inside_a_function_or_is_a_type_only_is_fine(tmp_path):
    late = "def f():\n    import smelt.ops\n"
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import smelt.ops\n"
    assert house(tmp_path, ir__a=late, ir__b=types, ops="") == []


def test_the_compilers_tests_lie_by_stage():
    assert folders(ROOT / "tests" / "compiler") == folders(ROOT / "smelt" / "compiler")


def folders(parent: Path) -> set[str]:
    """Returns the names of the folders with Python files in a folder."""
    return {path.parent.name for path in parent.glob("*/*.py")}
