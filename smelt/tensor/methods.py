"""The functions that are methods of Tensor too: `x.exp()` is `exp(x)`, with the same arguments.

This is a table and nothing else: each line gives a method its function.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from smelt.dtypes import as_dtype, bool_, float16, float32, float64, int32, int64
from smelt.ops import elementwise
from smelt.tensor import (
    activations,
    arithmetic,
    elementary,
    indexing,
    products,
    reductions,
    shaping,
    sorting,
)
from smelt.tensor.checked import checked
from smelt.tensor.unsupported import is_cpu

if TYPE_CHECKING:
    from smelt.tensor import Tensor


def to(x: Tensor, dtype: Any) -> Tensor:
    """Returns the tensor in another dtype; floats become integers by truncation.

    The device "cpu" changes nothing.

    Raises:
        ArgumentError: another device than the CPU.
        DTypeError: Smelt has no such dtype.
    """
    if x.dtype is dtype or is_cpu(dtype):
        return x
    return elementwise.cast(x, dtype=as_dtype(dtype))


def clone(x: Tensor) -> Tensor:
    """Returns a copy with memory of its own; the gradient passes."""
    return elementary.where(True, x, x.detach())


def contiguous(x: Tensor) -> Tensor:
    """Returns the tensor itself: how it lies in memory is the library's affair."""
    return x


def cpu(x: Tensor) -> Tensor:
    """Returns the tensor itself: everything is on the CPU."""
    return x


def numel(x: Tensor) -> int:
    """Returns the number of elements."""
    return x.size


def dim(x: Tensor) -> int:
    """Returns the number of axes."""
    return x.ndim


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


class Methods:
    """A base class of Tensor."""

    __slots__ = ()

    bool = to_bool
    clone = clone
    contiguous = contiguous
    cpu = cpu
    dim = dim
    double = to_double
    float = to_float
    half = to_half
    int = to_int
    long = to_long
    numel = numel
    to = to

    # the same elements under another shape
    broadcast_to = shaping.expand
    chunk = shaping.chunk
    expand = shaping.expand
    flatten = shaping.flatten
    flip = shaping.flip
    movedim = shaping.movedim
    narrow = shaping.narrow
    permute = shaping.permute
    repeat = shaping.repeat
    reshape = shaping.reshape
    roll = shaping.roll
    split = shaping.split
    squeeze = shaping.squeeze
    transpose = shaping.transpose
    unbind = shaping.unbind
    unsqueeze = shaping.unsqueeze
    view = shaping.reshape

    # what operators do
    add = arithmetic.add
    div = arithmetic.div
    eq = arithmetic.eq
    ge = arithmetic.ge
    gt = arithmetic.gt
    isclose = arithmetic.isclose
    le = arithmetic.le
    lt = arithmetic.lt
    mul = arithmetic.mul
    ne = arithmetic.ne
    neg = arithmetic.neg
    sub = arithmetic.sub

    # each element by itself
    abs = elementary.abs
    acos = elementary.acos
    asin = elementary.asin
    atan = elementary.atan
    atan2 = elementary.atan2
    ceil = elementary.ceil
    clamp = elementary.clamp
    clip = elementary.clamp
    cos = elementary.cos
    cosh = elementary.cosh
    erf = elementary.erf
    exp = elementary.exp
    exp2 = elementary.exp2
    expm1 = elementary.expm1
    floor = elementary.floor
    isfinite = elementary.isfinite
    isinf = elementary.isinf
    isnan = elementary.isnan
    lerp = elementary.lerp
    log = elementary.log
    log10 = elementary.log10
    log1p = elementary.log1p
    log2 = elementary.log2
    logical_and = elementary.logical_and
    logical_not = elementary.logical_not
    logical_or = elementary.logical_or
    maximum = elementary.maximum
    minimum = elementary.minimum
    nan_to_num = elementary.nan_to_num
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
    trunc = elementary.trunc

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
    diagonal = products.diagonal
    dot = products.dot
    matmul = products.matmul
    outer = products.outer
    tril = products.tril
    triu = products.triu

    # by place, and in order
    argsort = sorting.argsort
    gather = indexing.gather
    index_select = indexing.index_select
    masked_fill = indexing.masked_fill
    scatter_add = indexing.scatter_add
    sort = sorting.sort
    take = indexing.take
    take_along_dim = indexing.take_along_dim
    topk = sorting.topk


_UNCHECKED = ("to",)  # what internal code calls most says itself what is wrong
for _name, _method in list(vars(Methods).items()):
    if isinstance(_method, FunctionType) and _name not in _UNCHECKED:
        setattr(Methods, _name, checked(_method, __name__, f"Methods.{_name}"))
