"""The types of values, as far as they must be known: which integers are narrower than Smelt's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from smelt.export.onnx.load.messages import NodeMessage

# operators whose results may not fit into the type of their inputs
WRAPS: Final = frozenset({
    "Abs", "Add", "BitShift", "BitwiseNot", "CumProd", "CumSum", "Div", "Einsum", "Gemm", "MatMul",
    "Mul", "Neg", "Pow", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Sub", "Sum",
})  # fmt: skip
# those whose result is of a type that no input has, or that is not known
_OTHERS: Final = frozenset({
    "And", "ArgMax", "ArgMin", "ConcatFromSequence", "ConvInteger", "DequantizeLinear", "Equal",
    "Greater", "GreaterOrEqual", "If", "IsInf", "IsNaN", "Less", "LessOrEqual", "Loop",
    "MatMulInteger", "NonZero", "Not", "Or", "Scan", "SequenceAt", "SequenceLength", "Shape",
    "Size", "Xor",
})  # fmt: skip
# those whose result is of the type of another input than the first
_INPUTS: Final = {"CastLike": 1, "OneHot": 2, "Where": 1}
UINT8: Final = 2


def output_type(message: NodeMessage, settings: Mapping[str, Any], types: Sequence[int]) -> int:
    """Returns the type of a node's first output, by ONNX's number; 0 where it is not known.

    Args:
        message: the node.
        settings: all that it has.
        types: of its inputs.
    """
    name = message.op_type
    if name in ("Cast", "BitCast"):
        return int(settings["to"])
    if name in ("Constant", "ConstantOfShape"):
        return next((one.t.data_type for one in message.attribute if one.t is not None), 0)
    if name in ("QuantizeLinear", "QLinearMatMul", "QLinearConv"):
        return quantized_type(settings, types, {"QuantizeLinear": 2}.get(name, 7))
    if name == "DynamicQuantizeLinear":
        return UINT8
    if name in _OTHERS:
        return 0
    place = _INPUTS.get(name, 0)
    return types[place] if place < len(types) else 0


def quantized_type(settings: Mapping[str, Any], types: Sequence[int], zero_point: int) -> int:
    """Returns the integers of a quantized result: those of its zero point, which is an input, or
    those that a setting names.
    """
    known = types[zero_point] if zero_point < len(types) else 0
    return known or int(settings.get("output_dtype") or 0) or UINT8
