"""Creating tensors: from data, filled with a number, as a range, or like another one.

Inside a compiled step a filled tensor is one repeated number and a range is computed from the
index, so that nothing large is stored in the program.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType, as_dtype
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.ir.symbolic import as_int
from smelt.memory import aligned_copy
from smelt.ops.iota import iota
from smelt.tensor import Tensor, dlpack
from smelt.tensor.apply import as_tensor as tensor_from
from smelt.tensor.apply import extents_of
from smelt.tensor.apply import full as full_tensor
from smelt.tensor.device import check_device, is_cpu, no_device
from smelt.tensor.elementary import where
from smelt.tensor.indexing import check_bounds
from smelt.tensor.methods import KIND_NAMES
from smelt.tracing.engine import Eager, current_engine, literal_array

__all__ = [
    "BoolTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor",
    "TensorType", "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy",
    "full", "full_like", "linspace", "meshgrid", "one_hot", "ones", "ones_like", "scalar_tensor",
    "tensor", "zeros", "zeros_like",
]  # fmt: skip

MOST_AXES = 64  # that NumPy's arrays can have


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns a new tensor with a copy of `data`.

    Args:
        data: a number, nested lists of numbers, a NumPy array, or a Tensor.
        dtype: of the tensor; by default Python floats become float32, ints int64, bools bool, and
            arrays keep their dtype.
        requires_grad: whether gradients are computed for it.

    Raises:
        DTypeError: the data are not numbers, or of a dtype that Smelt does not have.
    """
    kind = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Tensor):
        source = data.detach() if kind is None else data.detach().to(kind)
        # a copy of a traced tensor is that tensor: it is a value, not memory
        result = source if source.is_traced else Tensor(aligned_copy(source.stored), source.dtype)
    elif isinstance(data, np.ndarray) and isinstance(current_engine(), Eager):
        array, dtype = literal_array(data, kind)
        result = Tensor(aligned_copy(array), dtype)
    else:
        result = tensor_from(_stacked(data), kind)
    return result.requires_grad_() if requires_grad else result


def _stacked(data: Any, depth: int = 0) -> Any:
    """Lists of eager tensors are lists of arrays; other data stay as they are."""
    if isinstance(data, (list, tuple)):
        if depth == MOST_AXES:
            raise ShapeError(
                f"tensor: lists are nested more than {MOST_AXES} deep, the largest number of axes"
            )
        return [_stacked(item, depth + 1) for item in data]
    return data.numpy() if isinstance(data, Tensor) else data


scalar_tensor = tensor


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """Returns a tensor itself, or in another dtype, and other data as a new tensor.

    Args:
        data: a Tensor, a number, nested lists of numbers, or a NumPy array.
        dtype: of the tensor; by default as in `tensor`.
    """
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return tensor(data, dtype)


class TensorType:
    """PyTorch's `FloatTensor` and similar types: a dtype that creates tensors when called.

    `FloatTensor(2, 3)` is zeros of a shape, `FloatTensor([2, 3])` a tensor with these elements.
    """

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType) -> None:
        self.dtype: DType = dtype

    def __call__(self, *given: Any, device: Any = None) -> Tensor:
        """Returns zeros of a shape, or a tensor of the given data.

        Raises:
            ArgumentError: another device than the CPU.
        """
        check_device(device)
        if len(given) == 1 and not isinstance(given[0], (int, np.integer)):
            return tensor(given[0], self.dtype)
        return zeros(*given if given else (0,), dtype=self.dtype)

    def __repr__(self) -> str:
        return f"smelt.{KIND_NAMES[self.dtype]}"


BoolTensor: Final = TensorType(dtypes.bool_)
DoubleTensor: Final = TensorType(dtypes.float64)
FloatTensor: Final = TensorType(dtypes.float32)
HalfTensor: Final = TensorType(dtypes.float16)
IntTensor: Final = TensorType(dtypes.int32)
LongTensor: Final = TensorType(dtypes.int64)


def from_numpy(array: np.ndarray) -> Tensor:
    """Returns a tensor that shares the array's memory, without a copy.

    Tensors are values, so the array is marked read-only: do not change it, or use `smelt.tensor`.

    Raises:
        DTypeError: the array's dtype is not one of Smelt's.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy needs a NumPy array, got a {type(array).__name__}")
    if isinstance(array, np.ma.MaskedArray):
        raise DTypeError(
            "from_numpy cannot share a masked array: write array.filled(number), and pass the mask "
            "as a separate tensor"
        )
    dtype = as_dtype(array.dtype)
    if dtype.storage != array.dtype:
        raise DTypeError(
            f"from_numpy cannot share {array.dtype} memory; smelt.tensor(array) copies it"
        )
    array.flags.writeable = False
    return Tensor(array, dtype)


def from_dlpack(source: Any, device: Any = None, copy: bool | None = None) -> Tensor:
    """Returns the contents of anything with `__dlpack__` (PyTorch, JAX, NumPy) as a tensor.

    It shares the memory if possible: do not change the source, or set `copy=True`.

    Args:
        source: an array or tensor on the CPU, of any library.
        device: the CPU, or None.
        copy: True for a copy, False for the source's memory, None for a copy only if a dtype that
            Smelt does not have is widened.

    Raises:
        ArgumentError: `source` does not support DLPack, or is on another device.
        DTypeError: its dtype is not one of Smelt's.
    """
    if device is not None and not is_cpu(device) and device != dlpack.CPU:
        raise no_device(str(device))
    array, dtype = dlpack.imported(source, copy)
    array.flags.writeable = array.flags.writeable and array.flags.owndata
    return Tensor(array, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns a tensor of `shape` that repeats `fill_value`, in its own dtype unless one is
    given.
    """
    extents = _shape(shape if isinstance(shape, (tuple, list)) else (shape,))
    if isinstance(fill_value, Tensor):
        value = fill_value if dtype is None else fill_value.to(dtype)
        return value.expand(extents)
    kind = literal_array(fill_value)[1] if dtype is None else as_dtype(dtype)
    result = full_tensor(extents, fill_value, kind)
    return result.requires_grad_() if requires_grad else result


def zeros(*shape: Any, dtype: Any = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Returns zeros: `zeros(2, 3)` and `zeros((2, 3))` alike."""
    return full(extents_of(shape), 0, dtype, requires_grad)


def ones(*shape: Any, dtype: Any = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Returns ones: `ones(2, 3)` and `ones((2, 3))` alike."""
    return full(extents_of(shape), 1, dtype, requires_grad)


def empty(*shape: Any, dtype: Any = dtypes.float32, requires_grad: bool = False) -> Tensor:
    """Returns zeros: memory with undefined contents would make results depend on the past."""
    return zeros(*shape, dtype=dtype, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    """Returns a tensor with the shape (and, by default, the dtype) of x that repeats a number."""
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype)


def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Returns zeros with the shape (and, by default, the dtype) of x."""
    return full_like(x, 0, dtype)


def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Returns ones with the shape (and, by default, the dtype) of x."""
    return full_like(x, 1, dtype)


def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Returns zeros with the shape (and, by default, the dtype) of x; see `empty`."""
    return zeros_like(x, dtype)


def arange(start: float, end: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """Returns start, start + step, ... below `end`; with one argument 0, 1, ... below it.

    The dtype is int64 when all arguments are ints, else float32, unless one is given. Element i is
    start + i * step, each rounded separately; for an integer dtype the arguments become integers
    first.
    """
    start, end = (0, start) if end is None else (start, end)
    integral = all(isinstance(bound, int) for bound in (start, end, step))
    if dtype is not None and not as_dtype(dtype).is_float and not integral:
        return arange(math.trunc(start), math.trunc(end), math.trunc(step), dtype)
    if step == 0:
        raise ArgumentError("arange: the step must not be 0")
    # of ints the exact number, however large they are
    count = max(0, -((start - end) // step) if integral else math.ceil((end - start) / step))
    kind = as_dtype(dtype) if dtype is not None else dtypes.int64 if integral else dtypes.float32
    numbers = iota(shape=(count,), axis=0)
    if integral:
        if count:
            _require_room(kind, start, start + (count - 1) * step)
        return (numbers * step + start).to(kind)
    return (numbers.to(dtypes.float64) * float(step) + float(start)).to(kind)


def linspace(start: float, end: float, steps: int, dtype: Any = dtypes.float32) -> Tensor:
    """Returns `steps` evenly spaced numbers from start to end, both included.

    They are computed in float64 from the nearer end; for an integer dtype the ends become integers
    first.
    """
    if steps < 0:
        raise ArgumentError(f"linspace: steps must not be negative, got {steps}")
    numbers = iota(shape=(steps,), axis=0).to(dtypes.float64)
    whole = not as_dtype(dtype).is_float
    if whole:
        _require_room(dtype, *(math.trunc(b) for b in (start, end) if isinstance(b, (int, float))))
    ends = [as_tensor(bound, dtypes.float64).to(dtypes.float64) for bound in (start, end)]
    for name, bound in zip(("start", "end"), ends, strict=True):
        if bound.ndim:
            raise ShapeError(f"linspace: {name} must be one number, got shape {bound.shape}")
    first, last = (bound.trunc() if whole else bound for bound in ends)
    gap = (last - first) / max(1, steps - 1)
    from_last = last - (steps - 1 - numbers) * gap
    return where(numbers < max(1, steps // 2), first + numbers * gap, from_last).to(dtype)


def _require_room(dtype: Any, *numbers: float) -> None:
    """Raises DTypeError for a number that a dtype does not have."""
    for number in numbers:
        as_tensor(number, as_dtype(dtype))


def eye(n: int, m: int | None = None, dtype: Any = dtypes.float32) -> Tensor:
    """Returns the n x m matrix (n x n when m is None) with ones on the diagonal."""
    shape = _shape((n, n if m is None else m))
    return (iota(shape=shape, axis=0) == iota(shape=shape, axis=1)).to(dtype)


def one_hot(labels: Any, num_classes: int = -1, dtype: Any = dtypes.int64) -> Tensor:
    """Returns 1 at each label's index along a new last axis of size `num_classes`, else 0.

    Args:
        labels: integers, any shape.
        num_classes: number of classes; -1 for one more than the largest label, which is known only
            eagerly.
        dtype: of the result.

    Raises:
        ArgumentError: there is neither a label nor a number of classes.
        TraceError: -1 inside a compiled step.
        BoundsError: a label outside 0..num_classes - 1.
        DTypeError: the labels are not integers.
    """
    labels = tensor_from(labels)
    if num_classes == -1:
        if not labels.numel():
            raise ArgumentError("one_hot: there are no labels; give the number of classes")
        num_classes = int(labels.amax()) + 1
    check_bounds("one_hot", labels, num_classes)
    shape = (*labels.shape, num_classes)
    return (iota(shape=shape, axis=labels.ndim) == labels.unsqueeze(-1)).to(dtype)


def meshgrid(*vectors: Tensor | Sequence[Tensor], indexing: str = "ij") -> tuple[Tensor, ...]:
    """Returns the vectors broadcast over a common grid; "xy" exchanges the first two axes.

    The vectors may be given in one list.
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    only = vectors[0] if len(vectors) == 1 else None
    axes: Sequence[Any] = only if isinstance(only, (list, tuple)) else vectors
    shape = tuple(vector.size for vector in axes)
    grids = []
    for axis, vector in enumerate(axes):
        column = vector.reshape([-1 if dim == axis else 1 for dim in range(len(shape))])
        grids.append(column.expand(shape))
    swap = indexing == "xy" and len(shape) > 1
    return tuple(grid.transpose(0, 1) if swap else grid for grid in grids)


def _shape(extents: Any) -> tuple[int, ...]:
    shape = tuple(map(as_int, extents))
    if any(extent < 0 for extent in shape):
        raise ShapeError(f"the extents of a shape must not be negative, got {shape}")
    return shape
