"""Smelt: deep learning whose whole training step is one native function.

    import smelt
    from smelt import nn, optim
    import smelt.nn.functional as F

What is named here is public: it is for everyone, and is kept.
"""

from smelt import starting as _starting  # noqa: F401  # isort: skip  # before what takes time

import typing as _typing

from smelt import data, dtypes, dual, errors, nn, optim, random
from smelt.autodiff import (
    checkpoint,
    grad,
    gradcheck,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)
from smelt.compiler import CompiledStep, compile
from smelt.control import cond, scan, while_loop
from smelt.creation import (
    BoolTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    meshgrid,
    one_hot,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from smelt.dtypes import DType, bfloat16, bool_, float16, float32, float64, int8, int32, int64
from smelt.dtypes import float16 as half
from smelt.dtypes import float64 as double
from smelt.dtypes import int64 as long
from smelt.einops_backend import register as _register_with_einops
from smelt.functional import log_softmax, relu, sigmoid, softmax
from smelt.nn.explain import explain
from smelt.nn.summary import summary
from smelt.overflow import count_overflow
from smelt.pytorch_names import install as _install
from smelt.random import (
    Generator,
    bernoulli,
    default_generator,
    exponential,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    permutation,
    poisson,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    set_rng_state,
    uniform,
)
from smelt.settings import settings
from smelt.short_traceback import install as _install_short_tracebacks
from smelt.tensor import Tensor
from smelt.tensor.arithmetic import (
    add,
    div,
    eq,
    floor_divide,
    fmod,
    ge,
    gt,
    isclose,
    le,
    lt,
    mul,
    ne,
    neg,
    remainder,
    sub,
)
from smelt.tensor.checked import checked_names as _checked_names
from smelt.tensor.device import Device as device
from smelt.tensor.einsum import einsum
from smelt.tensor.elementary import (
    abs,
    acos,
    addcdiv,
    addcmul,
    asin,
    atan,
    atan2,
    ceil,
    clamp,
    clamp_max,
    clamp_min,
    cos,
    cosh,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    frac,
    hypot,
    isfinite,
    isinf,
    isnan,
    lerp,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logit,
    maximum,
    minimum,
    nan_to_num,
    positive,
    pow,
    reciprocal,
    round,
    rsqrt,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
    where,
)
from smelt.tensor.indexing import (
    gather,
    index_select,
    masked_fill,
    repeat_interleave,
    scatter,
    scatter_add,
    take,
    take_along_dim,
)
from smelt.tensor.methods import is_floating_point, numel
from smelt.tensor.products import (
    addmm,
    bmm,
    diag,
    diagonal,
    dot,
    inner,
    kron,
    matmul,
    mm,
    mv,
    outer,
    tensordot,
    trace,
    tril,
    triu,
)
from smelt.tensor.reductions import (
    all,
    allclose,
    amax,
    amin,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumprod,
    cumsum,
    equal,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from smelt.tensor.sets import argwhere, isin, nonzero, unique
from smelt.tensor.shaping import (
    cat,
    chunk,
    concatenate,
    diff,
    expand,
    flatten,
    flip,
    fliplr,
    flipud,
    hstack,
    movedim,
    narrow,
    permute,
    ravel,
    repeat,
    reshape,
    roll,
    select,
    split,
    squeeze,
    stack,
    t,
    tile,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
    vstack,
)
from smelt.tensor.sorting import (
    argsort,
    median,
    quantile,
    sort,
    topk,
)
from smelt.tracing.apply import is_tensor
from smelt.tracing.engine import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from smelt.version import __version__ as __version__

if _typing.TYPE_CHECKING:  # loaded when they are first asked for: `pytorch_names.py`
    from smelt.export import load, save

_register_with_einops()
_install_short_tracebacks()
Size = tuple  # what x.shape is

__all__ = [
    "BoolTensor", "CompiledStep", "DType", "DoubleTensor", "FloatTensor", "Generator",
    "HalfTensor", "IntTensor", "LongTensor", "Size", "Tensor", "abs", "acos", "add", "addcdiv",
    "addcmul", "addmm", "all", "allclose", "amax", "amin", "any", "arange", "argmax", "argmin",
    "argsort", "argwhere", "as_tensor", "asin", "atan", "atan2", "bernoulli", "bfloat16", "bmm",
    "bool_", "cat", "ceil", "checkpoint", "chunk", "clamp", "clamp_max", "clamp_min", "compile",
    "concatenate", "cond", "cos", "cosh", "count_nonzero", "count_overflow", "cumprod", "cumsum",
    "data", "default_generator", "device", "diag", "diagonal", "diff", "div", "dot", "double",
    "dtypes", "dual", "einsum", "empty", "empty_like", "enable_grad", "eq", "equal", "erf",
    "errors", "exp", "exp2", "expand", "explain", "expm1", "exponential", "eye", "flatten", "flip",
    "fliplr", "flipud", "float16", "float32", "float64", "floor", "floor_divide", "fmod", "frac",
    "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "get_rng_state", "grad",
    "gradcheck", "gt", "half", "hessian", "hstack", "hypot", "index_select", "inference_mode",
    "initial_seed", "inner", "int8", "int32", "int64", "is_floating_point", "is_grad_enabled",
    "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "jacfwd", "jacrev", "jvp", "kron",
    "le", "lerp", "linspace", "load", "log", "log1p", "log2", "log10", "log_softmax", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "long", "lt",
    "manual_seed", "masked_fill", "matmul", "max", "maximum", "mean", "median", "meshgrid", "min",
    "minimum", "mm", "movedim", "mul", "multinomial", "mv", "nan_to_num", "narrow", "ne", "neg",
    "nn", "no_grad", "nonzero", "norm", "normal", "numel", "one_hot", "ones", "ones_like", "optim",
    "outer", "permutation", "permute", "poisson", "positive", "pow", "prod", "quantile", "rand",
    "rand_like", "randint", "randn", "randn_like", "random", "randperm", "ravel", "reciprocal",
    "relu", "remainder", "repeat", "repeat_interleave", "reshape", "roll", "round", "rsqrt",
    "save", "scalar_tensor", "scan", "scatter", "scatter_add", "select", "set_grad_enabled",
    "set_rng_state", "settings", "sigmoid", "sign", "sin", "sinh", "softmax", "sort", "split",
    "sqrt", "square", "squeeze", "stack", "std", "std_mean", "sub", "sum", "summary", "t", "take",
    "take_along_dim", "tan", "tanh", "tensor", "tensordot", "tile", "topk", "trace", "transpose",
    "tril", "triu", "trunc", "unbind", "unflatten", "uniform", "unique", "unsqueeze",
    "value_and_grad", "var", "var_mean", "vjp", "vmap", "vstack", "where", "while_loop", "zeros",
    "zeros_like",
]  # fmt: skip

_checked_names(globals(), __all__, "smelt")
_install(__name__)
