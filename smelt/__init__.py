"""Smelt: deep learning whose whole training step is one native function.

    import smelt
    from smelt import nn, optim
    import smelt.nn.functional as F

This file is the public face and nothing else: what is named here is for everyone, and is kept.
"""

from smelt import starting as _starting  # noqa: F401  # isort: skip  # before what takes time
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
    arange,
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
    tensor,
    zeros,
    zeros_like,
)
from smelt.dtypes import DType, bfloat16, bool_, float16, float32, float64, int32, int64
from smelt.einops_backend import register as _register_with_einops
from smelt.functional import log_softmax, relu, sigmoid, softmax
from smelt.nn.explain import explain
from smelt.nn.summary import summary
from smelt.overflow import count_overflow
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
from smelt.tensor import Tensor
from smelt.tensor.arithmetic import add, div, eq, ge, gt, isclose, le, lt, mul, ne, neg, sub
from smelt.tensor.checked import checked_names as _checked_names
from smelt.tensor.einsum import einsum
from smelt.tensor.elementary import (
    abs,
    acos,
    asin,
    atan,
    atan2,
    ceil,
    clamp,
    cos,
    cosh,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    lerp,
    log,
    log1p,
    log2,
    log10,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    nan_to_num,
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
    scatter_add,
    take,
    take_along_dim,
)
from smelt.tensor.products import addmm, bmm, diagonal, dot, matmul, outer, tril, triu
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
    sum,
    var,
)
from smelt.tensor.shaping import (
    cat,
    chunk,
    concatenate,
    expand,
    flatten,
    flip,
    movedim,
    narrow,
    permute,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    transpose,
    unbind,
    unsqueeze,
)
from smelt.tensor.sorting import argsort, sort, topk
from smelt.tracing.engine import enable_grad, no_grad
from smelt.version import __version__ as __version__

_register_with_einops()

__all__ = [
    "CompiledStep", "DType", "Generator", "Tensor", "abs", "acos", "add", "addmm", "all",
    "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "argsort", "asin", "atan",
    "atan2", "bernoulli", "bfloat16", "bmm", "bool_", "cat", "ceil", "checkpoint", "chunk",
    "clamp", "compile", "concatenate", "cond", "cos", "cosh", "count_nonzero",
    "count_overflow", "cumprod", "cumsum", "data", "default_generator", "diagonal",
    "div", "dot", "dtypes", "dual", "einsum",
    "enable_grad", "eq", "equal", "erf", "errors", "exp", "exp2", "expand", "explain", "expm1",
    "exponential", "eye", "flatten", "flip", "float16", "float32", "float64", "floor",
    "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "get_rng_state", "grad",
    "gradcheck", "gt", "hessian", "index_select", "initial_seed", "int32", "int64", "isclose",
    "isfinite", "isinf", "isnan", "jacfwd", "jacrev", "jvp", "le", "lerp", "linspace", "log",
    "log1p", "log2", "log10", "log_softmax", "logical_and", "logical_not", "logical_or",
    "logsumexp", "lt", "manual_seed", "masked_fill", "matmul", "max", "maximum", "mean",
    "meshgrid", "min", "minimum", "movedim", "mul", "multinomial", "nan_to_num", "narrow", "ne",
    "neg", "nn", "no_grad", "norm", "normal", "one_hot", "ones", "ones_like", "optim", "outer",
    "permutation", "permute", "poisson", "pow", "prod", "rand", "rand_like", "randint", "randn",
    "randn_like", "random", "randperm", "reciprocal", "relu", "repeat", "reshape", "roll",
    "round", "rsqrt", "scan", "scatter_add", "set_rng_state", "settings", "sigmoid", "sign",
    "sin", "sinh", "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "sub", "sum", "summary", "take", "take_along_dim", "tan", "tanh", "tensor", "topk",
    "transpose", "tril", "triu", "trunc", "unbind", "uniform", "unsqueeze", "value_and_grad",
    "var", "vjp", "vmap", "where", "while_loop", "zeros", "zeros_like",
]  # fmt: skip

_checked_names(globals(), __all__, "smelt")
