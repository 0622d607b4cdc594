"""The public face, and the rules of the house that can be checked by reading."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smelt

PACKAGE = Path(smelt.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 500  # lines a file
EXTRAS = {
    "PIL", "cyclopts", "h5py", "jinja2", "matplotlib", "pandas", "polars", "pooch", "pyarrow",
    "rich", "sacrebleu", "safetensors", "sklearn", "tokenizers", "tqdm",
}  # fmt: skip
ROOMS_OF_EXTRAS = {"cli": "cyclopts", "sklearn": "sklearn"}  # rooms that are of no use without one

by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields the full name of what a file imports, and whether it does so as it is loaded."""

    def walk(node: ast.AST, at_load: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, at_load) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield from ((f"{child.module}.{alias.name}", at_load) for alias in child.names)
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                yield from walk(child, at_load and not inside)

    yield from walk(ast.parse(path.read_text("utf-8")), True)


def order(name: str) -> tuple[int, list[str | int]]:
    """Returns the key by which lists of names are sorted: constants, classes, the rest; 2 before
    10.
    """
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def test_the_public_names_are_sorted_and_exist() -> None:
    assert smelt.__all__ == sorted(set(smelt.__all__), key=order)
    for name in smelt.__all__:
        assert hasattr(smelt, name), name


def test_the_package_shows_nothing_that_is_not_public() -> None:
    shown = {
        name
        for name, value in vars(smelt).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert shown <= set(smelt.__all__)


@by_name
def test_every_public_list_is_sorted_and_exists(path: Path) -> None:
    if path.name == "__main__.py":
        return
    room = path.relative_to(PACKAGE).parts[0]
    if room in ROOMS_OF_EXTRAS:
        pytest.importorskip(ROOMS_OF_EXTRAS[room])
    module = importlib.import_module(module_name(path))
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(set(names), key=order)
    assert [name for name in names if not hasattr(module, name)] == []


@by_name
def test_other_libraries_stay_where_they_belong(path: Path) -> None:
    for name, at_load in imports(path):
        library = name.split(".")[0]
        if library == "llvmlite":
            assert path.relative_to(PACKAGE).as_posix() == "compiler/codegen/machine.py"
        room = path.relative_to(PACKAGE).parts[0]
        if library in EXTRAS and ROOMS_OF_EXTRAS.get(room) != library:
            assert not at_load, f"{path.name} imports {library} as it is loaded"


@by_name
def test_no_file_outgrows_one_sitting(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


@by_name
def test_what_is_public_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []
    assert ast.get_docstring(tree)


def test_importing_smelt_loads_no_extra_and_no_compiler() -> None:
    code = "import smelt, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (EXTRAS | {"llvmlite"}) & set(found.stdout.split())
