"""The rules of ONNX, one by one: every primitive, against what its card computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

from smelt import dtypes, export  # noqa: E402
from smelt.control.cond_op import cond_op  # noqa: E402
from smelt.control.scan_op import scan_op  # noqa: E402
from smelt.control.tuple import GET_ELEMENT  # noqa: E402
from smelt.control.while_op import while_op  # noqa: E402
from smelt.errors import CompileError  # noqa: E402
from smelt.export.onnx.table import MISSING, RULES  # noqa: E402
from smelt.ops import REGISTRY  # noqa: E402
from smelt.tensor import Tensor  # noqa: E402
from tests.ops.cases import CASES, Case  # noqa: E402

NEWEST = onnx.defs.onnx_opset_version()
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# cases that a file refuses, and what it says
REFUSED = {
    "pow": "powers of integers",
    "convolution": "Conv takes floats",
    "window_argmax": "MaxPool takes floats",
}


def test_every_operation_has_a_rule_or_a_reason() -> None:
    regions = {scan_op, cond_op, while_op, GET_ELEMENT}
    assert set(RULES) | set(MISSING) == {*REGISTRY.values(), *regions}
    assert not set(RULES) & set(MISSING)
    assert all(len(why) > 20 for why in MISSING.values())


def dtypes_of(case: Case) -> list[dtypes.DType]:
    wanted = (dtypes.float32, dtypes.int64, dtypes.bool_)
    return [dtype for dtype in wanted if dtype in case.accepts]


def exported(case: Case, arrays: list[np.ndarray], path: Path, opset: int) -> Any:
    def apply(*tensors: Tensor) -> Tensor:
        return case.op(*tensors, **case.attributes)

    export.save_onnx(apply, path, *arrays, opset_version=opset)
    return onnx.load(path)
