"""The functions that are methods of Tensor too: `x.exp()` is `exp(x)`, with the same arguments.

This is a table and nothing else: each line gives a method its function.
"""

from __future__ import annotations

import math
from types import FunctionType
from typing import TYPE_CHECKING, Any

from smelt.dtypes import DType, as_dtype, bfloat16, bool_, float16, float32, float64, int32, int64
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
        target: a dtype, the device "cpu", or a tensor of the dtype that is wanted.
        dtype: the dtype, behind a device.
        non_blocking: without effect.
        copy: whether the result has memory of its own in any case.
        device: "cpu".
        memory_format: without effect.

    Raises:
        ArgumentError: another device than the CPU.
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
    """Returns the tensor in another dtype; without one, the name of its kind."""
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
    """Returns a copy with memory of its own; the gradient passes."""
    return elementary.where(True, x, x.detach())


def contiguous(x: Tensor, memory_format: Any = None) -> Tensor:
    """Returns the tensor itself: how it lies in memory is the library's affair."""
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
    """Returns True: the tensor behaves so, however it lies in memory."""
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
    broadcast_to = shaping.expand
    chunk = shaping.chunk
    diff = shaping.diff
    expand = shaping.expand
    expand_as = shaping.expand_as
    flatten = shaping.flatten
    flip = shaping.flip
    fliplr = shaping.fliplr
    flipud = shaping.flipud
    movedim = shaping.movedim
    narrow = shaping.narrow
    permute = shaping.permute
    ravel = shaping.ravel
    repeat = shaping.repeat
    reshape = shaping.reshape
    roll = shaping.roll
    select = shaping.select
    split = shaping.split
    squeeze = shaping.squeeze
    swapaxes = shaping.transpose
    swapdims = shaping.transpose
    t = shaping.t
    tile = shaping.tile
    transpose = shaping.transpose
    unbind = shaping.unbind
    unflatten = shaping.unflatten
    unsqueeze = shaping.unsqueeze
    view = shaping.reshape
    view_as = shaping.view_as
    reshape_as = shaping.view_as
    moveaxis = shaping.movedim

    # what operators do
    add = arithmetic.add
    div = arithmetic.div
    divide = arithmetic.div
    eq = arithmetic.eq
    floor_divide = arithmetic.floor_divide
    fmod = arithmetic.fmod
    ge = greater_equal = arithmetic.ge
    gt = greater = arithmetic.gt
    isclose = arithmetic.isclose
    le = less_equal = arithmetic.le
    lt = less = arithmetic.lt
    mul = arithmetic.mul
    multiply = arithmetic.mul
    ne = not_equal = arithmetic.ne
    neg = arithmetic.neg
    negative = arithmetic.neg
    remainder = arithmetic.remainder
    sub = arithmetic.sub
    subtract = arithmetic.sub
    true_divide = arithmetic.div

    # each element by itself
    abs = absolute = elementary.abs
    acos = arccos = elementary.acos
    addcdiv = elementary.addcdiv
    addcmul = elementary.addcmul
    asin = arcsin = elementary.asin
    atan = arctan = elementary.atan
    atan2 = arctan2 = elementary.atan2
    ceil = elementary.ceil
    clamp = elementary.clamp
    clamp_max = elementary.clamp_max
    clamp_min = elementary.clamp_min
    clip = elementary.clamp
    cos = elementary.cos
    cosh = elementary.cosh
    erf = elementary.erf
    exp = elementary.exp
    exp2 = elementary.exp2
    expm1 = elementary.expm1
    floor = elementary.floor
    frac = elementary.frac
    hypot = elementary.hypot
    isfinite = elementary.isfinite
    isinf = elementary.isinf
    isnan = elementary.isnan
    lerp = elementary.lerp
    log = elementary.log
    log10 = elementary.log10
    log1p = elementary.log1p
    log2 = elementary.log2
    logaddexp = elementary.logaddexp
    logical_and = elementary.logical_and
    logical_not = elementary.logical_not
    logical_or = elementary.logical_or
    logical_xor = elementary.logical_xor
    logit = elementary.logit
    maximum = elementary.maximum
    minimum = elementary.minimum
    nan_to_num = elementary.nan_to_num
    positive = elementary.positive
    pow = elementary.pow
    reciprocal = elementary.reciprocal
    round = elementary.round
    rsqrt = elementary.rsqrt
    sign = elementary.sign
    sin = elementary.sin
    sinh = elementary.sinh
    sqrt = elementary.sqrt
    square = elementary.square
    tan = elementary.tan
    tanh = elementary.tanh
    trunc = fix = elementary.trunc

    # activations
    log_softmax = activations.log_softmax
    relu = activations.relu
    sigmoid = activations.sigmoid
    softmax = activations.softmax

    # many elements to one
    all = reductions.all
    allclose = reductions.allclose
    amax = reductions.amax
    amin = reductions.amin
    any = reductions.any
    argmax = reductions.argmax
    argmin = reductions.argmin
    count_nonzero = reductions.count_nonzero
    cumprod = reductions.cumprod
    cumsum = reductions.cumsum
    equal = reductions.equal
    logsumexp = reductions.logsumexp
    max = reductions.max
    mean = reductions.mean
    min = reductions.min
    norm = reductions.norm
    prod = reductions.prod
    std = reductions.std
    sum = reductions.sum
    var = reductions.var

    # sums of products
    addmm = products.addmm
    bmm = products.bmm
    diag = products.diag
    diagonal = products.diagonal
    dot = products.dot
    inner = products.inner
    kron = products.kron
    matmul = products.matmul
    mm = products.mm
    mv = products.mv
    outer = ger = products.outer
    trace = products.trace
    tril = products.tril
    triu = products.triu

    # by place, and in order
    argsort = sorting.argsort
    argwhere = sets.argwhere
    gather = indexing.gather
    index_select = indexing.index_select
    isin = sets.isin
    masked_fill = indexing.masked_fill
    median = sorting.median
    nonzero = sets.nonzero
    quantile = sorting.quantile
    repeat_interleave = indexing.repeat_interleave
    scatter = indexing.scatter
    scatter_add = indexing.scatter_add
    sort = sorting.sort
    take = indexing.take
    take_along_dim = indexing.take_along_dim
    topk = sorting.topk
    unique = sets.unique


_UNCHECKED = ("to",)  # what internal code calls most says itself what is wrong
for _name, _method in list(vars(Methods).items()):
    if isinstance(_method, FunctionType) and _name not in _UNCHECKED:
        setattr(Methods, _name, checked(_method, __name__, f"Methods.{_name}"))
