"""PyTorch's dtypes and tensors as Smelt's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import DTypeError
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

if TYPE_CHECKING:
    import torch

__all__ = ["dtype_of", "tensor_of"]

SAME = {
    "bool": dtypes.bool_,
    "int32": dtypes.int32,
    "int64": dtypes.int64,
    "float16": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "float32": dtypes.float32,
    "float64": dtypes.float64,
}
WIDER = {  # as NumPy's arrays of these dtypes
    "uint8": dtypes.int32,
    "int8": dtypes.int32,
    "int16": dtypes.int32,
    "uint16": dtypes.int32,
    "uint32": dtypes.int64,
}


def dtype_of(dtype: torch.dtype, may_widen: bool = False) -> DType:
    """Returns the dtype that a tensor of PyTorch's has in Smelt.

    Args:
        dtype: of PyTorch.
        may_widen: whether small integers become int32, which holds their values, but wraps around
            elsewhere.

    Raises:
        DTypeError: Smelt has no such dtype.
    """
    name = str(dtype).removeprefix("torch.")
    known = {**SAME, **WIDER} if may_widen else SAME
    if name not in known:
        raise DTypeError(f"from_torch: Smelt has no tensors of {dtype}; it has {', '.join(SAME)}")
    return known[name]


def tensor_of(tensor: torch.Tensor) -> Tensor:
    """Returns a copy of a tensor of PyTorch's; small integers become int32.

    Raises:
        DTypeError: Smelt has no such dtype.
    """
    dtype = dtype_of(tensor.dtype, may_widen=True)
    dense = tensor.detach().cpu()
    dense = dense.to_dense() if not str(dense.layout).endswith("strided") else dense
    if dtype is dtypes.bfloat16:
        return as_tensor(dense.float().numpy().copy()).to(dtype)
    return as_tensor(np.array(dense.contiguous().numpy(), dtype=dtype.storage))
