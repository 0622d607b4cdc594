"""What makes the site: docstrings as reStructuredText, public names, and errors before a build."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))
INTERNAL = {  # rooms with a list of names for other rooms only
    "smelt.autodiff", "smelt.bench", "smelt.book", "smelt.cli", "smelt.compiler", "smelt.control",
    "smelt.functional", "smelt.ops", "smelt.pages", "smelt.tensor", "smelt.utils",
}  # fmt: skip

docstrings = importlib.import_module("docstrings")


def translated(text: str, **options: object) -> str:
    return "\n".join(docstrings.translated(text.split("\n"), **options))


def test_code_becomes_a_literal_and_markup_is_escaped() -> None:
    assert translated("Returns `a b` times |x|, x_ and *y.") == (
        r"Returns ``a b`` times \|x\|, x\_ and \*y."
    )


def test_a_name_that_follows_code_stays_apart() -> None:
    assert translated("the `x y`s of all") == "the ``x y``\\ s of all"


def test_a_line_that_goes_on_with_a_sign_is_no_list() -> None:
    assert translated("y = a\n+ b") == "y = a\n\\+ b"
    assert translated("Kinds:\n\n- one\n- two") == "Kinds:\n\n- one\n- two"


def test_what_is_set_off_becomes_a_block_of_its_language() -> None:
    text = translated("First.\n\n    import smelt\n\nLast.")
    assert text.split("\n")[2:5] == [".. code-block:: python", "", "    import smelt"]
    assert ".. code-block:: text" in translated("First.\n\n    h = W x + b ;; y\n\nLast.")


def test_arguments_keep_their_names_and_are_explained() -> None:
    text = translated("A.\n\nArgs:\n    **options: those of `a b`.\n    x, y: |x|.")
    assert "    **options: those of ``a b``." in text
    assert r"    x, y: \|x\|." in text


def test_a_public_name_becomes_a_reference_unless_it_is_an_argument() -> None:
    pytest.importorskip("sklearn")
    assert translated("see `empty`.", module="smelt") == "see :py:obj:`empty <smelt.empty>`."
    assert translated("see `empty`.", module="smelt", arguments=frozenset({"empty"})) == (
        "see ``empty``."
    )


def test_every_room_with_public_names_is_in_the_reference() -> None:
    public = importlib.import_module("public_names")
    rooms = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "smelt").glob("*/__init__.py")
        if "__all__" in path.read_text("utf-8")
    }
    assert rooms - INTERNAL <= set(public.MODULES)
    assert not INTERNAL & set(public.MODULES)


def test_an_alias_refers_to_what_the_thing_calls_itself() -> None:
    pytest.importorskip("sklearn")
    public = importlib.import_module("public_names")
    assert public.aliases()["smelt.concatenate"].path == "smelt.cat"
    assert public.aliases()["smelt.double"].path == "smelt.float64"
    assert public.public_name_of("smelt.nn.module.Module") == "smelt.nn.Module"
    assert public.public_name_of("smelt.no_such_name") is None


def test_a_build_without_the_extra_says_what_to_install() -> None:
    code = (
        "import runpy, sys; sys.modules['furo'] = None; "
        "runpy.run_path('script/build_docs.py', run_name='__main__')"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stderr.rstrip().endswith("pip install 'smelt-learn[docs]'")
    assert "furo" in found.stderr
    assert "Traceback" not in found.stderr
