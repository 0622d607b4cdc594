"""The functions that are methods of Tensor too: `x.exp()` is `exp(x)`, with the same arguments.

This is a table and nothing else: each line gives a method its function.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from smelt.dtypes import (
    DType,
    as_dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
)
from smelt.errors import ArgumentTypeError
from smelt.ops import elementwise
from smelt.tensor import (
    activations,
    arithmetic,
    elementary,
    indexing,
    products,
    reductions,
    sets,
    shaping,
    sorting,
)
from smelt.tensor.apply import as_tensor, extents_of, full, is_tensor
from smelt.tensor.checked import checked, described
from smelt.tensor.device import check_device, is_cpu

if TYPE_CHECKING:
    from smelt.tensor import Tensor


def to(
    x: Tensor,
    target: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    *,
    device: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """Returns the tensor in another dtype; floats become integers by truncation.

    Args:
        x: any shape.
        target: a dtype, the device "cpu", or a tensor of the desired dtype.
        dtype: the dtype, if `target` is a device.
        non_blocking: without effect.
        copy: whether the result always has its own memory.
        device: "cpu".
        memory_format: without effect.

    Raises:
        ArgumentError: a device other than the CPU.
        DTypeError: Smelt has no such dtype.
    """
    if type(target) is not DType:
        target = _target(x, target, dtype, device)
    elif device is not None:
        check_device(device)
    if not isinstance(copy, bool):
        raise ArgumentTypeError(f"to: copy must be True or False, got {described(copy)}")
    if x.dtype is target:
        return clone(x) if copy else x
    return elementwise.cast(x, dtype=target)


def _target(x: Tensor, target: Any, dtype: Any, device: Any) -> DType:
    """Returns the dtype that the arguments of `to` mean."""
    check_device(device)
    if dtype is not None and not isinstance(dtype, bool):  # a bool is PyTorch's `non_blocking`
        if target is not None:
            check_device(target)
        return as_dtype(dtype)
    if target is None or is_cpu(target):
        return x.dtype
    if isinstance(target, int) and not isinstance(target, bool):
        check_device(target)
    return target.dtype if is_tensor(target) else as_dtype(target)


def type_of(x: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Returns the tensor in another dtype; without an argument, the name of its type."""
    return f"smelt.{KIND_NAMES[x.dtype]}" if dtype is None else to(x, dtype)


def type_as(x: Tensor, other: Tensor) -> Tensor:
    """Returns the tensor in the dtype of `other`."""
    return to(x, other.dtype)


def is_floating_point(x: Tensor) -> bool:
    """Returns whether the elements are floats."""
    return x.dtype.is_float


def element_size(x: Tensor) -> int:
    """Returns how many bytes an element takes."""
    return x.dtype.itemsize


def new_tensor(x: Tensor, data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns a tensor of the given data, by default in the dtype of x."""
    result = as_tensor(data, None if dtype is None else as_dtype(dtype)).detach()
    result = to(result, x.dtype if dtype is None else dtype, copy=True)
    return result.requires_grad_() if requires_grad else result


def new_full(
    x: Tensor, size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Returns a tensor of shape `size` that repeats a number, by default in the dtype of x."""
    result = full(extents_of((size,)), fill_value, as_dtype(x.dtype if dtype is None else dtype))
    return result.requires_grad_() if requires_grad else result


def new_zeros(x: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns zeros, by default in the dtype of x."""
    return new_full(x, extents_of(size), 0, dtype, requires_grad)


def new_ones(x: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns ones, by default in the dtype of x."""
    return new_full(x, extents_of(size), 1, dtype, requires_grad)


def new_empty(x: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Returns zeros, by default in the dtype of x; see `smelt.empty`."""
    return new_full(x, extents_of(size), 0, dtype, requires_grad)


def clone(x: Tensor) -> Tensor:
    """Returns a copy with its own memory; the gradient passes through."""
    return elementary.where(True, x, x.detach())


def contiguous(x: Tensor, memory_format: Any = None) -> Tensor:
    """Returns the tensor itself: the memory layout is internal."""
    return x


def cpu(x: Tensor) -> Tensor:
    """Returns the tensor itself: everything is on the CPU."""
    return x


def numel(x: Tensor) -> int:
    """Returns the number of elements."""
    return math.prod(x.shape)


def dim(x: Tensor) -> int:
    """Returns the number of axes."""
    return x.ndim


def is_contiguous(x: Tensor, memory_format: Any = None) -> bool:
    """Returns True: the tensor behaves as if contiguous, whatever its memory layout."""
    return True


def to_bfloat16(x: Tensor) -> Tensor:
    """Returns the tensor as bfloat16."""
    return to(x, bfloat16)


def to_double(x: Tensor) -> Tensor:
    """Returns the tensor as float64."""
    return to(x, float64)


def to_float(x: Tensor) -> Tensor:
    """Returns the tensor as float32."""
    return to(x, float32)


def to_half(x: Tensor) -> Tensor:
    """Returns the tensor as float16."""
    return to(x, float16)


def to_long(x: Tensor) -> Tensor:
    """Returns the tensor as int64."""
    return to(x, int64)


def to_int(x: Tensor) -> Tensor:
    """Returns the tensor as int32."""
    return to(x, int32)


def to_bool(x: Tensor) -> Tensor:
    """Returns whether each element is not 0."""
    return to(x, bool_)


KIND_NAMES = {
    bool_: "BoolTensor",
    int8: "CharTensor",
    int32: "IntTensor",
    int64: "LongTensor",
    float16: "HalfTensor",
    bfloat16: "BFloat16Tensor",
    float32: "FloatTensor",
    float64: "DoubleTensor",
}


class Methods:
    """A base class of Tensor."""

    __slots__ = ()

    bfloat16 = to_bfloat16
    bool = to_bool
    clone = clone
    contiguous = contiguous
    cpu = cpu
    dim = dim
    double = to_double
    element_size = element_size
    float = to_float
    half = to_half
    int = to_int
    is_contiguous = is_contiguous
    is_floating_point = is_floating_point
    long = to_long
    ndimension = dim
    nelement = numel
    new_empty = new_empty
    new_full = new_full
    new_ones = new_ones
    new_tensor = new_tensor
    new_zeros = new_zeros
    numel = numel
    to = to
    type = type_of
    type_as = type_as

    # the same elements under another shape
    broadcast_to: Final = shaping.expand
    chunk: Final = shaping.chunk
    diff: Final = shaping.diff
    expand: Final = shaping.expand
    expand_as: Final = shaping.expand_as
    flatten: Final = shaping.flatten
    flip: Final = shaping.flip
    fliplr: Final = shaping.fliplr
    flipud: Final = shaping.flipud
    movedim: Final = shaping.movedim
    narrow: Final = shaping.narrow
    permute: Final = shaping.permute
    ravel: Final = shaping.ravel
    repeat: Final = shaping.repeat
    reshape: Final = shaping.reshape
    roll: Final = shaping.roll
    select: Final = shaping.select
    split: Final = shaping.split
    squeeze: Final = shaping.squeeze
    swapaxes: Final = shaping.transpose
    swapdims: Final = shaping.transpose
    t: Final = shaping.t
    tile: Final = shaping.tile
    transpose: Final = shaping.transpose
    unbind: Final = shaping.unbind
    unflatten: Final = shaping.unflatten
    unsqueeze: Final = shaping.unsqueeze
    view: Final = shaping.reshape
    view_as: Final = shaping.view_as
    reshape_as: Final = shaping.view_as
    moveaxis: Final = shaping.movedim

    # what operators do
    add: Final = arithmetic.add
    div: Final = arithmetic.div
    divide: Final = arithmetic.div
    eq: Final = arithmetic.eq
    floor_divide: Final = arithmetic.floor_divide
    fmod: Final = arithmetic.fmod
    ge: Final = arithmetic.ge
    greater_equal: Final = arithmetic.ge
    gt: Final = arithmetic.gt
    greater: Final = arithmetic.gt
    isclose: Final = arithmetic.isclose
    le: Final = arithmetic.le
    less_equal: Final = arithmetic.le
    lt: Final = arithmetic.lt
    less: Final = arithmetic.lt
    mul: Final = arithmetic.mul
    multiply: Final = arithmetic.mul
    ne: Final = arithmetic.ne
    not_equal: Final = arithmetic.ne
    neg: Final = arithmetic.neg
    negative: Final = arithmetic.neg
    remainder: Final = arithmetic.remainder
    sub: Final = arithmetic.sub
    subtract: Final = arithmetic.sub
    true_divide: Final = arithmetic.div

    # each element by itself
    abs: Final = elementary.abs
    absolute: Final = elementary.abs
    acos: Final = elementary.acos
    arccos: Final = elementary.acos
    addcdiv: Final = elementary.addcdiv
    addcmul: Final = elementary.addcmul
    asin: Final = elementary.asin
    arcsin: Final = elementary.asin
    atan: Final = elementary.atan
    arctan: Final = elementary.atan
    atan2: Final = elementary.atan2
    arctan2: Final = elementary.atan2
    ceil: Final = elementary.ceil
    clamp: Final = elementary.clamp
    clamp_max: Final = elementary.clamp_max
    clamp_min: Final = elementary.clamp_min
    clip: Final = elementary.clamp
    cos: Final = elementary.cos
    cosh: Final = elementary.cosh
    erf: Final = elementary.erf
    exp: Final = elementary.exp
    exp2: Final = elementary.exp2
    expm1: Final = elementary.expm1
    floor: Final = elementary.floor
    frac: Final = elementary.frac
    hypot: Final = elementary.hypot
    isfinite: Final = elementary.isfinite
    isinf: Final = elementary.isinf
    isnan: Final = elementary.isnan
    lerp: Final = elementary.lerp
    log: Final = elementary.log
    log10: Final = elementary.log10
    log1p: Final = elementary.log1p
    log2: Final = elementary.log2
    logaddexp: Final = elementary.logaddexp
    logical_and: Final = elementary.logical_and
    logical_not: Final = elementary.logical_not
    logical_or: Final = elementary.logical_or
    logical_xor: Final = elementary.logical_xor
    logit: Final = elementary.logit
    maximum: Final = elementary.maximum
    minimum: Final = elementary.minimum
    nan_to_num: Final = elementary.nan_to_num
    positive: Final = elementary.positive
    pow: Final = elementary.pow
    reciprocal: Final = elementary.reciprocal
    round: Final = elementary.round
    rsqrt: Final = elementary.rsqrt
    sign: Final = elementary.sign
    sin: Final = elementary.sin
    sinh: Final = elementary.sinh
    sqrt: Final = elementary.sqrt
    square: Final = elementary.square
    tan: Final = elementary.tan
    tanh: Final = elementary.tanh
    trunc: Final = elementary.trunc
    fix: Final = elementary.trunc

    # activations
    log_softmax: Final = activations.log_softmax
    relu: Final = activations.relu
    sigmoid: Final = activations.sigmoid
    softmax: Final = activations.softmax

    # many elements to one
    all: Final = reductions.all
    allclose: Final = reductions.allclose
    amax: Final = reductions.amax
    amin: Final = reductions.amin
    any: Final = reductions.any
    argmax: Final = reductions.argmax
    argmin: Final = reductions.argmin
    count_nonzero: Final = reductions.count_nonzero
    cumprod: Final = reductions.cumprod
    cumsum: Final = reductions.cumsum
    equal: Final = reductions.equal
    logsumexp: Final = reductions.logsumexp
    max: Final = reductions.max
    mean: Final = reductions.mean
    min: Final = reductions.min
    norm: Final = reductions.norm
    prod: Final = reductions.prod
    std: Final = reductions.std
    sum: Final = reductions.sum
    var: Final = reductions.var

    # sums of products
    addmm: Final = products.addmm
    bmm: Final = products.bmm
    diag: Final = products.diag
    diagonal: Final = products.diagonal
    dot: Final = products.dot
    inner: Final = products.inner
    kron: Final = products.kron
    matmul: Final = products.matmul
    mm: Final = products.mm
    mv: Final = products.mv
    outer: Final = products.outer
    ger: Final = products.outer
    trace: Final = products.trace
    tril: Final = products.tril
    triu: Final = products.triu

    # by place, and in order
    argsort: Final = sorting.argsort
    argwhere: Final = sets.argwhere
    gather: Final = indexing.gather
    index_select: Final = indexing.index_select
    isin: Final = sets.isin
    masked_fill: Final = indexing.masked_fill
    median: Final = sorting.median
    nonzero: Final = sets.nonzero
    quantile: Final = sorting.quantile
    repeat_interleave: Final = indexing.repeat_interleave
    scatter: Final = indexing.scatter
    scatter_add: Final = indexing.scatter_add
    sort: Final = sorting.sort
    take: Final = indexing.take
    take_along_dim: Final = indexing.take_along_dim
    topk: Final = sorting.topk
    unique: Final = sets.unique


_UNCHECKED = ("to",)  # what internal code calls most says itself what is wrong
for _name, _method in list(vars(Methods).items()):
    if isinstance(_method, FunctionType) and _name not in _UNCHECKED:
        setattr(Methods, _name, checked(_method, __name__, f"Methods.{_name}"))
