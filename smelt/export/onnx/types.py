"""The types of ONNX tensors: their numbers in a file, which ONNX fixes once for all."""

from __future__ import annotations

from typing import Final

TYPES: Final = {  # onnx.TensorProto.FLOAT and so on
    "float32": 1,
    "int8": 3,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "bfloat16": 16,
}
