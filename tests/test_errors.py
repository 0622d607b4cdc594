"""Whose line an error names: the user's, and nobody's between."""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
import pickle

import pytest

import smelt
from smelt import nn
from smelt.compiler.frontend.tracer import MANY_NODES, trace
from smelt.errors import ShapeError
from smelt.location import user_line

BETWEEN = [os.path.join(os.sep, "there", "bin", "smelt"), "<frozen runpy>", functools.__file__]


def test_the_line_is_the_callers() -> None:
    assert user_line().startswith(f"{__file__}:")


@pytest.mark.parametrize("file", BETWEEN)
def test_what_starts_or_wraps_a_program_is_no_users_line(file: str) -> None:
    found: dict[str, str] = {}
    exec(compile("line = user_line()", file, "exec"), {"user_line": user_line}, found)
    assert found["line"].startswith(f"{__file__}:")


def test_a_users_program_called_smelt_is_the_users() -> None:
    found: dict[str, str] = {}
    exec(compile("line = user_line()", "smelt", "exec"), {"user_line": user_line}, found)
    assert found["line"] == "smelt:1"


def test_a_decorated_function_of_smelt_names_the_line_that_calls_it() -> None:
    shifted = smelt.no_grad()(smelt.atan2)
    with pytest.raises(ShapeError) as caught:
        shifted(smelt.ones(2), smelt.ones(3))
    assert str(caught.value).splitlines()[-1].startswith(f"  at {__file__}:")


def test_an_error_says_where_it_was_raised_beside_its_message() -> None:
    error = ShapeError("a and b differ")
    assert error.message == "a and b differ"
    assert str(error).startswith(f"a and b differ\n  at {__file__}:")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert str(ShapeError(str(error))) == str(error)  # not located twice


class Tagger(nn.Module):
    """Makes a layer as a user's own layer does, some frames deep."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = self.made()

    def made(self) -> nn.Module:
        return nn.LSTM(2, 3, dropout=0.5)  # the line that is to be named


def long_step(x: smelt.Tensor) -> smelt.Tensor:
    for _ in range(MANY_NODES + 1):
        x = x.neg()
    return x


def test_a_warning_is_given_at_the_users_line_however_deep() -> None:
    with pytest.warns(UserWarning, match="dropout is applied between layers") as caught:
        Tagger()
    line = caught[0].filename, caught[0].lineno
    assert line == (__file__, inspect.getsourcelines(Tagger.made)[1] + 1)
    with pytest.warns(UserWarning, match="will take long to compile") as caught:
        trace(lambda _: ([long_step(smelt.ones(2))], lambda results: results))
    line = caught[0].filename, caught[0].lineno
    assert line == (__file__, inspect.getsourcelines(long_step)[1] + 2)


def test_no_warning_counts_frames() -> None:
    """`smelt.location.warn` finds the user's line; a number of frames is wrong sooner or later."""
    package = pathlib.Path(smelt.__file__).parent
    counting = [path.name for path in package.rglob("*.py") if "warnings.warn(" in path.read_text()]
    assert counting == ["location.py"]
