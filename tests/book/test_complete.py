"""Every number of the book has an entry, and entries use what a reader can use."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smelt
from smelt.book.entry import entries
from smelt.book.source import program

NUMBERS = {
    1: "T1.1 P1.1 P1.2 P1.3",
    2: "E2.a E2.b E2.c E2.d E2.e E2.f A2.1 F2.1 F2.2 F2.3 F2.4 F2.5 P2.1 P2.2 P2.3 P2.4",
    3: "E3.1 E3.2 E3.3 E3.4 E3.5 E3.6 E3.7 E3.8 E3.9 E3.10 E3.11 E3.12 E3.13 E3.14 E3.15 E3.16"
    " E3.17 E3.18 E3.19 E3.20 E3.21 E3.22 E3.23 E3.24 E3.25 E3.26 E3.27 E3.28 E3.29"
    " P3.1 P3.2 P3.3 P3.4 P3.5",
    4: "E4.a E4.1 E4.2 E4.b T4.1 T4.2 P4.1 P4.2 P4.3",
    5: "E5.1 E5.2 E5.3 E5.4 E5.5 E5.6 E5.7 E5.7+ E5.d E5.m E5.p1 E5.p2 T5.1 T5.2 T5.3 F5.1 F5.2"
    " P5.1 P5.2 P5.3 P5.4",
    6: "E6.0 E6.1 E6.2 E6.3 E6.4 F6.1 F6.2 P6.1 P6.2",
    7: "E7.0 E7.1 E7.c E7.c+ E7.c++ E7.2 E7.3 E7.4 E7.5 E7.6 E7.7 E7.8 E7.8+"
    " F7.1 F7.2 F7.3 F7.4 F7.5 F7.6 F7.7 F7.8 F7.9 P7.1 P7.2 P7.3",
    8: "E8.g E8.g+ E8.p E8.m E8.1 E8.1+ E8.2 E8.t E8.n E8.n+ F8.1 F8.2 P8.1 P8.2",
}
BOOK = Path(smelt.__file__).parent / "book"
FILES = sorted(BOOK.rglob("*.py"))
PUBLIC = {  # the modules whose public names a reader imports from
    "smelt",
    "smelt.data",
    "smelt.dual",
    "smelt.errors",
    "smelt.nn",
    "smelt.nn.functional",
    "smelt.nn.init",
    "smelt.optim",
    "smelt.optim.lr_scheduler",
    "smelt.pages",
    "smelt.plot",
    "smelt.train",
    "smelt.version",
}
LIBRARIES = {"numpy", "matplotlib"}

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BOOK)))


@pytest.mark.parametrize("chapter", NUMBERS)
def test_every_number_has_an_entry(chapter: int) -> None:
    found = [entry.number for entry in entries(chapter)]
    assert sorted(set(NUMBERS[chapter].split()) - set(found)) == []


def test_numbers_that_the_book_does_not_have_are_cured_versions() -> None:
    book = {number for numbers in NUMBERS.values() for number in numbers.split()}
    added = {entry.number for entry in entries()} - book
    assert {number for number in added if number.rstrip("+") not in book} == set()


def test_every_entry_says_what_it_does_and_shows_a_program_that_compiles() -> None:
    for entry in entries():
        assert entry.text, entry.number
        compile(program(entry), entry.number, "exec")


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields module and name of each import; the name is empty where the module itself is meant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written from the root"
            yield from ((str(node.module), alias.name) for alias in node.names)


def is_public(module: str, name: str) -> bool:
    if f"{module}.{name}" in PUBLIC or (not name and module in PUBLIC):
        return True
    return module in PUBLIC and name in importlib.import_module(module).__all__


@by_file
def test_files_import_what_a_reader_can(path: Path) -> None:
    for module, name in imported(ast.parse(path.read_text("utf-8"))):
        root = module.split(".")[0]
        if root == "smelt" and not module.startswith("smelt.book"):
            assert is_public(module, name), f"{module}.{name} is not public"
        elif root != "smelt":
            assert root in LIBRARIES | sys.stdlib_module_names, f"{path.name} imports {module}"


@by_file
def test_files_leave_private_attributes_alone(path: Path) -> None:
    private = [
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert private == []
