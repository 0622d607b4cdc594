"""Sorting: `argsort`, from which `sort` and `topk` are compositions with `take`."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import int64
from smelt.errors import ShapeError
from smelt.ir.operation import Pattern
from smelt.ops.op import Op, Type, Typed, check_not_half
from smelt.ops.order import places_in_order


class Argsort(Op):
    """The indices that sort `x` along its last axis, smallest first; equal ones keep their order.

    nan counts as larger than everything, as in NumPy.
    """

    pattern = Pattern.STANDALONE
    rereads_operands = True
    writes_before_reading = True
    needs_workspace = True
    is_worth_saving = True
    linear_operands: ClassVar[int] = 0

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        check_not_half("argsort", types[0].dtype)
        if not types[0].shape:
            raise ShapeError("argsort: a tensor of shape () has no axis to sort along")
        return Type(types[0].shape, int64)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return places_in_order(arrays[0])

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0])


argsort: Final = Argsort("argsort")
