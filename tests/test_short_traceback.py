"""An error that ends a program, or a cell of a notebook, ends in the user's own line."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import smelt
from smelt import errors, nn
from smelt.errors import SmeltError
from smelt.short_traceback import rendered, shortened

PACKAGE = str(Path(smelt.__file__).parent)
PROGRAM = """
import sys
import smelt
from smelt import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)

    def forward(self, x):
        return self.first(x)

network = Network()

@smelt.compile
def step(x):
    return network(x)
"""
ENDS = {
    "network": "step(smelt.ones(2, 2))",
    "operator": "smelt.ones(2) + smelt.ones(3)",
    "raw": "smelt.zeros('a')",
    "method": "smelt.ones(2).reshape(7)",
}


def printed(tmp_path: Path, end: str, **environment: str) -> str:
    """Returns what a program prints as it ends in an error."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM + end + "\n")
    process = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(PACKAGE).parent), **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    return process.stderr


def caught(call: Callable[[], Any]) -> SmeltError:
    with pytest.raises(SmeltError) as found:
        call()
    return found.value


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_in_the_users_line(end: str, tmp_path: Path) -> None:
    text = printed(tmp_path, ENDS[end])
    assert PACKAGE not in text
    assert f"    {ENDS[end]}\n" in text
    assert text.count("Traceback") == 1
    assert "within Smelt not shown; smelt.settings(full_traceback=True) shows all)" in text
    if end == "network":
        assert text.index("step(smelt") < text.index("network(x)") < text.index("self.first(x)")


@pytest.mark.parametrize(
    ("end", "environment"),
    [
        ("with smelt.settings(full_traceback=True):\n    step(smelt.ones(2, 2))", {}),
        ("step(smelt.ones(2, 2))", {"SMELT_FULL_TRACEBACK": "1"}),
    ],
)
def test_all_frames_are_shown_on_request(
    end: str, environment: dict[str, str], tmp_path: Path
) -> None:
    text = printed(tmp_path, end, **environment)
    assert PACKAGE in text
    assert "not shown" not in text


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("{}['key']", "KeyError: 'key'"),
        ("import smelt.atomic\nsmelt.atomic.read_bytes(None)", "atomic.py"),
        ("sys.excepthook = lambda *_: print('mine', file=sys.stderr)\nsmelt.load('x')", "mine"),
    ],
)
def test_other_errors_and_other_hooks_are_left_alone(end: str, words: str, tmp_path: Path) -> None:
    assert words in printed(tmp_path, end)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("smelt.vmap(lambda x: 1 / 0)(smelt.ones(2))", "ZeroDivisionError: division by zero"),
        ("smelt.compile(lambda x: {}['key'])(smelt.ones(2))", "KeyError: 'key'"),
        ("smelt.compile(lambda x: x.shape.foo)(smelt.ones(2))", "AttributeError"),
        ("smelt.scan(lambda c, x: [][1], 0.0, smelt.ones(2))", "IndexError"),
    ],
)
def test_an_error_of_the_users_own_function_is_shown_without_smelts_frames(
    end: str, words: str, tmp_path: Path
) -> None:
    text = printed(tmp_path, end)
    assert PACKAGE not in text
    assert words in text
    assert text.count("program.py") == 2
    assert "within Smelt not shown" in text
    assert PACKAGE in printed(tmp_path, end, SMELT_FULL_TRACEBACK="1")


def test_such_an_error_is_left_as_it_was() -> None:
    def fail(x: smelt.Tensor) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError) as found:
        smelt.compile(fail)(smelt.ones(1))
    before = traceback.format_exception(found.value)
    assert PACKAGE in "".join(before)
    assert PACKAGE not in "".join(rendered(found.value))
    assert traceback.format_exception(found.value) == before


def test_ipython_is_told_of_such_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    with pytest.raises(ZeroDivisionError) as found:
        smelt.compile(lambda x: 1 / 0)(smelt.ones(1))
    lines: list[str] = found.value._render_traceback_()  # type: ignore[attr-defined]
    assert PACKAGE not in "".join(lines)
    assert "ZeroDivisionError" in lines[-2]


def test_a_hook_that_was_there_before_stays(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import sys\nhook = sys.excepthook = lambda *_: None\nimport smelt\n"
                      "assert sys.excepthook is hook\n")  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(PACKAGE).parent)}
    subprocess.run([sys.executable, str(script)], env=environment, check=True)


def test_the_error_itself_keeps_every_frame() -> None:
    error = caught(lambda: nn.Linear(3, 4)(smelt.ones(2, 2)))
    before = traceback.format_exception(error)
    short = traceback.format_exception(shortened(error))
    assert PACKAGE in "".join(before)
    assert PACKAGE not in "".join(short)
    assert traceback.format_exception(error) == before
    assert not hasattr(error, "__notes__")


def test_the_copy_is_the_same_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if not issubclass(kind, SmeltError):
            continue
        arguments = ("plotting", "plot") if kind is errors.MissingExtra else ("a message",)

        def fail(kind: Any = kind, arguments: Any = arguments) -> None:
            raise kind(*arguments)

        error = caught(lambda fail=fail: _through_smelt(fail))
        error.add_note("a note")
        short = shortened(error)
        assert short is not error
        assert (type(short), str(short), short.args) == (kind, str(error), error.args)
        assert short.__notes__[0] == "a note"
        assert error.__notes__ == ["a note"]


def _through_smelt(call: Callable[[], Any]) -> None:
    smelt.vmap(lambda x: call() or x)(smelt.ones(2))


def test_a_cause_in_the_users_code_is_kept_and_one_within_smelt_is_not() -> None:
    def chained() -> None:
        try:
            raise LookupError("mine")
        except LookupError as mine:
            try:
                smelt.ones(2).reshape(7)
            except SmeltError as error:
                raise error from mine

    assert isinstance(shortened(caught(chained)).__cause__, LookupError)
    raw = caught(lambda: smelt.zeros("a"))
    assert shortened(raw).__cause__ is None
    both = caught(lambda: _reraised())
    assert isinstance(both.__cause__, SmeltError)
    assert PACKAGE not in "".join(traceback.format_exception(shortened(both)))


def _reraised() -> None:
    try:
        smelt.ones(2).reshape(7)
    except SmeltError as error:
        raise errors.ArgumentError("of mine") from error


def test_ipython_is_given_the_short_error(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def structured(kind: type, error: Any, frames: Any, tb_offset: int) -> list[str]:
        given.extend([kind, error, tb_offset])
        return traceback.format_exception(kind, error, frames)

    compiler = SimpleNamespace(
        format_code_name=lambda name: ("Cell", "In[7]") if name == __file__ else None
    )
    shell = SimpleNamespace(
        InteractiveTB=SimpleNamespace(structured_traceback=structured), compile=compiler
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    error = caught(lambda: smelt.ones(2).reshape(7))
    assert "\n  at In[7]:" in str(error)
    lines = error._render_traceback_()
    assert PACKAGE not in "".join(lines)
    assert (given[0], given[2]) == (errors.ShapeError, 1)
    with smelt.settings(full_traceback=True):
        assert PACKAGE in "".join(error._render_traceback_())


def test_without_ipython_the_text_is_pythons() -> None:
    lines = rendered(caught(lambda: smelt.ones(2).reshape(7)))
    assert lines[0].startswith("Traceback")
    assert PACKAGE not in "".join(lines)
