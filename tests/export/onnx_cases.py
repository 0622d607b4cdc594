"""The cases of the ONNX backend test suite: one for each operator and setting, by ONNX itself.

The library generates them: models with inputs and expected outputs. `EXCLUDED` says which are left
out, and why.
"""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import smelt
from smelt.tensor import Tensor

HALF = {"float16": 4e-3, "bfloat16": 3e-2}  # relative errors, of sums that are rounded otherwise

# why, and a pattern that the names of cases match as a whole, or the operators of their models
EXCLUDED: list[tuple[str, str, str]] = [
    ("text", "name", r"test_equal_string.*"),
    ("text", "operator", r"String.*|RegexFullMatch|TfIdfVectorizer|LabelEncoder"),
    ("trees and other classical models", "operator", r"TreeEnsemble|ArrayFeature.*|Binarizer"),
    ("floats of 8 bits and fewer, integers of 4 and fewer", "type", r"FLOAT[48].*|U?INT[24]"),
    ("integers of 64 bits without a sign", "type", r"UINT64"),
    (
        "bits of integers that are held in wider ones",
        "name",
        r"test_bitcast_.*(int8|int16|uint32).*",
    ),
    ("random numbers", "operator", r"Bernoulli|Random.*"),
    ("random numbers", "name", r"test_training_dropout(_default)?(_mask)?"),
    ("expected numbers beside 0 are rounded in float32", "name", r"test_dft_inverse(_opset19)?"),
    ("pictures are decoded", "operator", r"ImageDecoder"),
    ("a function of the user's own within attention", "operator", r"FlexAttention"),
    ("optional values that a graph makes", "operator", r"Optional"),
    ("the largest of weighted corners", "name", r"test_roialign_mode_max"),
    ("the form of before version 9", "name", r"test_scan_sum"),
]


@dataclass(frozen=True)
class Case:
    """A model, what it is called with, and what it gives."""

    name: str
    model: bytes
    inputs: list[Any]
    outputs: list[Any]
    operators: frozenset[str]
    types: frozenset[str]
    tolerance: tuple[float, float]

    @property
    def reason(self) -> str:
        """Why the case is left out; "" where it is not."""
        for reason, what, pattern in EXCLUDED:
            subjects = {"name": {self.name}, "operator": self.operators, "type": self.types}[what]
            if any(re.fullmatch(pattern, subject) for subject in subjects):
                return reason
        return ""


def _nodes(graph: Any) -> list[Any]:
    inner = [one.g for node in graph.node for one in node.attribute if one.type == one.GRAPH]
    return [*graph.node, *(node for body in inner for node in _nodes(body))]


def _types(graph: Any) -> set[str]:
    """Returns the types that a graph mentions: of inputs, outputs, and what is cast to."""
    numbers = {one.type.tensor_type.elem_type for one in (*graph.input, *graph.output)}
    for node in _nodes(graph):
        for one in node.attribute:
            if one.name in ("to", "output_dtype") and node.op_type != "Constant":
                numbers.add(one.i)
    return {onnx.TensorProto.DataType.Name(number) for number in numbers if number}


@functools.cache
def cases() -> list[Case]:
    """Returns all cases of operators."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy's, where expected results overflow
        given = load_model_tests(kind="node")
    for case in given:
        model = case.model
        ((inputs, outputs),) = case.data_sets
        operators = frozenset(node.op_type for node in _nodes(model.graph))
        types = frozenset(_types(model.graph))
        found.append(
            Case(
                case.name, model.SerializeToString(), list(inputs), list(outputs), operators, types,
                (case.rtol, case.atol),
            )
        )  # fmt: skip
    return found


def given(value: Any) -> Any:
    """Returns an input as Smelt takes it."""
    if isinstance(value, list):
        return [given(item) for item in value]
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if isinstance(value, np.ndarray) and value.dtype.name == "bfloat16":
        return smelt.tensor(value.astype(np.float32)).to(smelt.bfloat16)
    return value


def assert_gives(found: Any, expected: Any, tolerance: tuple[float, float]) -> None:
    """Fails unless an output is what a case expects."""
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for got, want in zip(found, expected, strict=True):
            assert_gives(got, want, tolerance)
        return
    if isinstance(expected, onnx.TensorProto):
        expected = numpy_helper.to_array(expected)
    assert isinstance(found, Tensor)
    want = np.asarray(expected)
    assert found.shape == want.shape
    if want.dtype.name in ("float16", "bfloat16", "float32", "float64", "bool", "int64"):
        assert found.dtype.name == want.dtype.name
    relative, absolute = tolerance
    relative = max(relative, HALF.get(want.dtype.name, 0.0))
    got = found.float().numpy() if found.dtype is smelt.bfloat16 else found.numpy()
    if want.dtype.kind != "b":
        got, want = got.astype(np.float64), want.astype(np.float64)
    np.testing.assert_allclose(got, want, relative, absolute)
