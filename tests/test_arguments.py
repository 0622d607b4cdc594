"""Every public function and method with wrong arguments: no raw error of Python or NumPy."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.errors import ArgumentTypeError, SmeltError

SLOW = ("compile", "manual_seed", "set_rng_state", "poisson", "gradcheck")
WRONG: dict[str, Any] = {
    "None": None,
    "string": "a",
    "number": 1.5,
    "far": 99,
    "huge": 2**70,
    "nan": float("nan"),
    "infinite": float("inf"),
    "tuple": (0, 1),
    "nothing": (),
    "strings": ["a"],
    "object": object(),
    "dict": {"a": 1},
    "complex": 1j,
    "array": np.ones(3),
    "text array": np.array(["a"]),
    "object array": np.array([None, object()], dtype=object),
    "function": lambda *_: None,
    "shape ()": smelt.tensor(2.0),
    "empty": smelt.zeros(0, 3),
    "mask": smelt.tensor(True),
    "negative": smelt.tensor([-5, 7]),
}


def functions() -> Iterator[Any]:
    for module in (smelt, F, optim):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and name not in SLOW:
                yield pytest.param(function, id=f"{module.__name__}.{name}")
    for name in sorted(vars(smelt.tensor([1.0]).__class__.__mro__[2])):  # the table of methods
        if not name.startswith("_"):
            yield pytest.param(getattr(smelt.ones(2, 3), name), id=f"Tensor.{name}")


def classes() -> Iterator[Any]:
    for module in (nn, optim, optim.lr_scheduler):
        for name in module.__all__:
            kind = getattr(module, name)
            if inspect.isclass(kind) and name != "Module" and "Transformer" not in name:
                yield pytest.param(kind, id=f"{module.__name__}.{name}")


def fitting(parameter: inspect.Parameter) -> Any:
    """Returns something that the other arguments may be."""
    if parameter.default is not parameter.empty:
        return parameter.default
    if parameter.name in ("dim", "dim0", "dim1", "num_classes", "k", "chunks", "length"):
        return 1
    if parameter.name in ("index", "indices", "labels"):
        return smelt.tensor([0, 1])
    return smelt.ones(2, 3)


def calls(function: Callable[..., Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yields arguments of which one is wrong."""
    parameters = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.kind not in (one.VAR_KEYWORD, one.KEYWORD_ONLY)
    ]
    for place, wrong in itertools.product(range(len(parameters)), WRONG.values()):
        before = [fitting(one) for one in parameters[:place] if one.kind != one.VAR_POSITIONAL]
        later = [one for one in parameters[place + 1 :] if one.default is one.empty]
        after = [fitting(one) for one in later if one.kind != one.VAR_POSITIONAL]
        yield [*before, wrong, *after], {}
    if not inspect.isclass(function) and function.__name__ != "to":  # Python's own answer there
        yield [], {"no_such_keyword": 1}


@pytest.mark.parametrize("function", [*functions(), *classes()])
def test_no_raw_error_escapes(
    function: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some take the string for the name of a file, and write it
    for arguments, options in calls(function):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function(*arguments, **options)
            except SmeltError:
                pass
            except (MemoryError, NotImplementedError):
                pass  # an honest answer to 2**70 elements; a base class that says what to write


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: smelt.sum([1.0]), "sum: x must be a Tensor .* got a list"),
        (lambda x: x.sum("a"), "an axis must be an integer, got 'a'"),
        (lambda x: x.reshape("a"), "an extent must be a whole number, got 'a'"),
        (lambda x: smelt.softmax(x, dmi=0), "did you mean 'dim' for 'dmi'"),
        (lambda x: nn.Linear(2, 1, bais=True), "Linear: .* did you mean 'bias' for 'bais'"),
        (lambda x: smelt.cat(x), "cat: needs a list of tensors, got float32"),
    ],
)
def test_the_argument_that_is_wrong_is_named(call: Callable[..., Any], words: str) -> None:
    with pytest.raises(ArgumentTypeError, match=words) as caught:
        call(smelt.ones(2, 3))
    assert isinstance(caught.value, (TypeError, ValueError))
    assert "test_arguments.py" in str(caught.value)


def test_errors_of_the_users_own_code_are_left_alone() -> None:
    with pytest.raises(ZeroDivisionError):
        smelt.grad(lambda x: x * (1 // 0))(smelt.ones(()))
    with pytest.raises(KeyError):
        smelt.vmap(lambda x: {}["a"])(smelt.ones(2))
