"""PyTorch's answers to samples of every function that both have: value, first, second derivative.

The record is made by `script/test-oracle PYTHON_WITH_TORCH --record`; see tests/oracle/record.py.
"""

from __future__ import annotations

import json
import pathlib
from functools import reduce

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import dtypes
from smelt.tensor import Tensor
from tests.oracle.sums import gradient_function, leaves

FOUND = np.load(pathlib.Path(__file__).parents[1] / "references" / "operators.npz")
CASES = json.loads(str(FOUND["cases"]))
NAMES = sorted({case["name"] for case in CASES})
ROOMS = {"smelt": smelt, "F": F, "Tensor": Tensor}
# what a trace cannot give: Python's numbers, and new contents of statistics that are arguments
EAGER_ONLY = {"item", "allclose", "equal"}
EAGER_ONLY |= {"nn.functional.batch_norm", "nn.functional.instance_norm"}
# nor shapes that depend on values
EAGER_ONLY |= {"argwhere", "nonzero", "unique", "nn.functional.one_hot"}


def decoded(tree, tensors):
    """Returns recorded arguments with the next of `tensors` wherever a tensor stands."""
    if isinstance(tree, list):
        return [decoded(one, tensors) for one in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return next(tensors)
    if kind == "dtype":
        return dtypes.as_dtype(getattr(smelt, "bool_" if value == "bool" else value))
    return tuple(decoded(one, tensors) for one in value)


def numbers_in(tree):
    """Yields the numbers of the tensors' arrays, in order."""
    if isinstance(tree, list):
        for one in tree:
            yield from numbers_in(one)
    elif isinstance(tree, dict):
        ((kind, value),) = tree.items()
        yield from [value] if kind == "tensor" else numbers_in(value) if kind == "tuple" else []


def function_of(case):
    """Returns the call as a function of its tensors, and these."""
    room, name = case["form"].split(".")
    trees = [case["arguments"], list(case["options"].values())]
    tensors = [smelt.tensor(FOUND[f"array{number}"]) for number in numbers_in(trees)]

    def call(*given):
        standing = iter(given)
        arguments = decoded(case["arguments"], standing)
        options = [decoded(one, standing) for one in case["options"].values()]
        found = getattr(ROOMS[room], name)
        if isinstance(found, property):
            return getattr(arguments[0], name)
        return found(*arguments, **dict(zip(case["options"], options, strict=True)))

    return call, tensors


def differentiable(call, tensors, places):
    """Returns the call as a function of the tensors at `places`, and those."""

    def function(*given):
        return call(*reduce(replaced, zip(places, given, strict=True), list(tensors)))

    return function, [tensors[place] for place in places]


def replaced(standing, pair):
    return [*standing[: pair[0]], pair[1], *standing[pair[0] + 1 :]]


def check(results, numbers, what):
    found = leaves(results)
    assert len(found) == len(numbers), what
    for got, number in zip(found, numbers, strict=True):
        expected = FOUND[f"array{number}"]
        array = np.asarray(got.numpy() if isinstance(got, Tensor) else got)
        assert array.shape == expected.shape, what
        np.testing.assert_allclose(
            array.astype(float), expected.astype(float), 2e-6, 2e-6, err_msg=what
        )


def compare(case, wrap):
    """Holds the value and the derivatives, each of a call that `wrap` made, against the record."""
    call, tensors = function_of(case)
    what = f"{case['form']} {case['arguments']} {case['options']}"
    check(wrap(call)(*tensors), case["value"], what)
    function, inputs = differentiable(call, tensors, case["by"])
    for order, numbers in enumerate(case["gradients"]):
        gradients = wrap(gradient_function(function, len(inputs), order))(*inputs)
        check(gradients, numbers, f"derivative {order + 1} of {what}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_eager_answers_are_pytorchs(name):
    for case in CASES:
        if case["name"] == name:
            compare(case, lambda call: call)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EAGER_ONLY])
@pytest.mark.filterwarnings("ignore")
def test_compiled_answers_are_pytorchs(name):
    compare(next(case for case in CASES if case["name"] == name), smelt.compile)


def test_the_record_covers_the_names_of_both():
    assert len(NAMES) > 180
    assert sum(len(case["gradients"]) == 2 for case in CASES) > 200
