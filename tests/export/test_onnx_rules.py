"""The rules of ONNX, one by one: every primitive, against what its card computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt import dtypes, export
from smelt.control.cond_op import cond_op
from smelt.control.scan_op import scan_op
from smelt.control.tuple import GET_ELEMENT
from smelt.control.while_op import while_op
from smelt.errors import CompileError
from smelt.ir.loops import Expression, Select, Unary
from smelt.ops import REGISTRY
from smelt.ops.elementwise import FLOAT, Elementwise
from smelt.tensor import Tensor
from tests.ops.cases import CASES, Case

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

from smelt.export.onnx.operators import ONNX_OPERATOR  # noqa: E402
from smelt.export.onnx.table import MISSING, RULES, rule_of  # noqa: E402

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

NEWEST = onnx.defs.onnx_opset_version()
NAMES = sorted(name for name, op in REGISTRY.items() if op not in MISSING)
REFUSED = {  # for integers
    "pow": "powers of integers",
    "convolution": "Conv takes floats",
    "window_argmax": "MaxPool takes floats",
}


def test_every_operation_has_a_rule_or_a_reason() -> None:
    operations = {*REGISTRY.values(), scan_op, cond_op, while_op, GET_ELEMENT, ONNX_OPERATOR}
    assert set(RULES) | set(MISSING) <= operations
    without = {op for op in operations if rule_of(op) is None}
    assert without == set(MISSING)
    assert {op.name for op in without} == {"shl", "shr", "bitcast", "random_bits"}


def test_a_new_elementwise_operation_is_written_as_its_expression(tmp_path: Path) -> None:
    def expression(x: Expression, y: Expression) -> Expression:
        flag = ~(x < y) & (x * 2.0 > y).equals(True)
        return Select(flag, abs(x) + Unary("log1p", y * y, y.dtype), -y)

    def value(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(~(x < y) & (x * 2 > y), np.abs(x) + np.log1p(y * y), -y)

    own = Elementwise("own", value, (None, None), accepts=FLOAT, expression=expression)
    try:
        x, y = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
        path = tmp_path / "model.onnx"
        export.save_onnx(lambda x, y: own(x, y), path, x, y)
        (got,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x, "y": y})
        np.testing.assert_allclose(got, value(x, y), 1e-5)
    finally:
        del REGISTRY["own"]


def write(case: Case, arrays: list[np.ndarray], path: Path, opset: int) -> Any:
    """Returns the file of one operation."""

    def apply(*tensors: Tensor) -> Tensor:
        return case.op(*tensors, **case.attributes)

    export.save_onnx(apply, path, *arrays, opset_version=opset)
    return onnx.load(path)


def assert_right(reader: Any, case: Case, arrays: list[np.ndarray]) -> None:
    is_reference = isinstance(reader, ReferenceEvaluator)
    names = reader.input_names if is_reference else [one.name for one in reader.get_inputs()]
    with np.errstate(all="ignore"):
        (got,) = reader.run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))
    want = case.expected(arrays)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=str(case))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int64, dtypes.bool_], ids=str)
def test_rules_say_what_the_operation_computes(
    name: str, dtype: dtypes.DType, tmp_path: Path
) -> None:
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    cases = [case for case in CASES if case.name == name and dtype in case.accepts]
    for case in cases:
        arrays = case.operands(dtype, random)
        made = case.attributes.get("dtype", dtype)
        if dtype is dtypes.int64 and name in REFUSED and case.expected(arrays).size:
            with pytest.raises(CompileError, match=REFUSED[name]):
                write(case, arrays, path, 18)
            continue
        model = write(case, arrays, path, 18)
        if onnxruntime is not None and made is not dtypes.bfloat16:
            assert_right(onnxruntime.InferenceSession(str(path)), case, arrays)
        if not name.startswith("window") and made is not dtypes.bfloat16:
            # of windows that reach beyond the array the reference evaluator reads too much
            assert_right(ReferenceEvaluator(model), case, arrays)


@pytest.mark.parametrize("opset", [17, NEWEST])
def test_rules_of_other_opsets(opset: int, tmp_path: Path) -> None:
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    firsts = {case.name: case for case in reversed(CASES) if dtypes.float32 in case.accepts}
    for name, case in firsts.items():
        if case.op in MISSING or name.startswith("window"):
            continue
        arrays = case.operands(dtypes.float32, random)
        assert_right(ReferenceEvaluator(write(case, arrays, path, opset)), case, arrays)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_not"])
def test_bits_of_integers_take_opset_18(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    arrays = case.operands(dtypes.int64, np.random.default_rng(0))
    with pytest.raises(CompileError, match=f"cannot write {name}.*opset_version=18 or later"):
        write(case, arrays, tmp_path / "model.onnx", 17)


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 1e-9, -3e-6, 80.0, -80.0, 2.5, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", ["expm1", "log1p", "trunc", "exp2", "sigmoid", "log2", "log10"])
def test_functions_that_are_composed_hold_at_the_ends(name: str, tmp_path: Path) -> None:
    path, x = tmp_path / "model.onnx", SPECIAL.astype(np.float32)
    op = REGISTRY[name]
    export.save_onnx(lambda x: op(x), path, x)
    with np.errstate(all="ignore"):
        (got,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})
        want = op.value(x)
    np.testing.assert_allclose(got, want, 1e-6)


@pytest.mark.parametrize("name", ["mod", "floordiv", "atan2"])
def test_quotients_and_angles_hold_at_the_ends(name: str, tmp_path: Path) -> None:
    path, op = tmp_path / "model.onnx", REGISTRY[name]
    values = np.array([0.0, -0.0, 1.0, -1.0, 0.1, -7.5, 3.0, -3.0], np.float32)
    a, b = (x.ravel() for x in np.meshgrid(values, values))
    export.save_onnx(lambda a, b: op(a, b), path, a, b)
    with np.errstate(all="ignore"):
        (got,) = ReferenceEvaluator(onnx.load(path)).run(None, {"a": a, "b": b})
        want = op.value(a, b)
    np.testing.assert_allclose(got, want, 1e-6)
    if name != "atan2":
        whole = np.array([7, -7, 5, -5, 3, 0], np.int64)
        a, b = (x.ravel() for x in np.meshgrid(whole, np.array([3, -3, 1, 0], np.int64)))
        export.save_onnx(lambda a, b: op(a, b), path, a, b)
        with np.errstate(all="ignore"):
            (got,) = ReferenceEvaluator(onnx.load(path)).run(None, {"a": a, "b": b})
            want = op.value(a, b)
        np.testing.assert_array_equal(got, want)
