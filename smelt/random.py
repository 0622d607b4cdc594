"""Random numbers: one seed gives the same bits on every run, eagerly, compiled, on any threads.

A `Generator` is a seed and a counter, kept in a tensor, so that a compiled step reads and advances
it like any other state. Every distribution is a composition over `random_bits` (Philox 4x32-10)
from operations that IEEE arithmetic rounds exactly: + - * /, sqrt, comparisons, casts, bits; exp,
log and sin, which differ between NumPy and compiled code, are those of `smelt.exact_math`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt import dtypes, exact_math
from smelt.block import Block
from smelt.creation import arange
from smelt.dtypes import DType, as_dtype, int64
from smelt.errors import ArgumentError, ShapeError
from smelt.ir.symbolic import is_symbolic
from smelt.locks import reentrant_lock
from smelt.ops import elementwise
from smelt.ops.op import Shape
from smelt.ops.order import halves, places_in_order
from smelt.ops.random import random_bits
from smelt.pytorch_names import install as _install
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, common_dtype, extents_of, floating
from smelt.tensor.checked import checked_constructors, checked_names, described
from smelt.tensor.elementary import isinf, where
from smelt.tensor.reductions import wide
from smelt.tensor.sorting import argsort, places_along
from smelt.tracing.apply import tensor_of
from smelt.tracing.engine import EAGER, context, current_engine, no_grad

__all__ = [
    "Generator", "bernoulli", "default_generator", "exponential", "get_rng_state", "initial_seed",
    "manual_seed", "multinomial", "normal", "permutation", "poisson", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "set_rng_state", "uniform",
]  # fmt: skip

_WORD = 0xFFFFFFFF


def _checked(extents: Shape) -> Shape:
    if min(extents, default=0) < 0:
        raise ShapeError(f"the extents of a shape must not be negative, got {extents}")
    return extents


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63


class Generator:
    """A stream of random bits.

    `state` is a concrete int64 tensor [seed, counter], the same object for life: compiled steps
    capture it and advance it in place. Draws from one generator in several threads are each
    consistent, but their order depends on the threads; give each thread its own generator.
    """

    def __init__(self, seed: int = 0) -> None:
        self.state: Tensor = Tensor(np.zeros(2, np.int64), dtypes.int64)
        self._lock = reentrant_lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restarts the stream with `seed` (any int; its lowest 64 bits count)."""
        with no_grad():
            self.state.copy_(np.array([_signed(int(seed)), 0], np.int64))
        return self

    def bits(self, *shape: Any) -> Tensor:
        """Returns 32 random bits per element, as int32, and advances the stream.

        Raises:
            ShapeError: a size is negative.
        """
        extents = _checked(extents_of(shape))
        rows = None if context.rows is None else context.rows.of(extents)
        if rows is not None:
            return self._bits_of_rows(extents, *rows)
        blocks = -(-math.prod(extents) // 4)
        with self._lock:
            drawn = random_bits(self.state, shape=extents)
            with no_grad():
                self.state.copy_(self.state + _moved(blocks))
        return drawn

    def _bits_of_rows(self, extents: Shape, first: Any, total: int) -> Tensor:
        """Returns rows of a draw of `total` elements, from element `first` on."""
        count, skipped = math.prod(extents), first % 4
        with self._lock:
            start = self.state + _moved(first // 4)
            if isinstance(first, Tensor):  # 0 to 3 elements before them belong to their block
                drawn = random_bits(start, shape=(count + 3,))[skipped + arange(count)]
            else:
                drawn = random_bits(start, shape=(skipped + count,))[skipped:]
            with no_grad():
                self.state.copy_(self.state + _moved(-(-total // 4)))
        return drawn.reshape(extents)

    def words(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """Returns two independent draws of 32 bits per element."""
        pairs = self.bits((*_checked(shape), 2))
        return pairs[..., 0], pairs[..., 1]

    def get_state(self) -> Tensor:
        """Returns a copy of the state."""
        return self.state + 0

    def set_state(self, state: Tensor) -> None:
        """Restores a state that `get_state` returned."""
        with no_grad():
            self.state.copy_(state)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.state,)

    def __repr__(self) -> str:
        return f"Generator(state={self.state!r})"


def _moved(blocks: Any) -> Tensor:
    """Returns what a draw of so many blocks adds to the state of a generator."""
    if is_symbolic(blocks) or isinstance(blocks, Tensor):
        return as_tensor(blocks, int64) * np.array([0, 1], np.int64)
    return as_tensor(np.array([0, blocks], np.int64))


def _restored(state: Tensor) -> Generator:
    """A generator as `copy.deepcopy` and `pickle` restore it."""
    generator = Generator()
    generator.set_state(state)
    return generator


class Rows:
    """Which samples of a larger batch this process has: `count` of `total`, from `first` on.

    While it is the context's `rows`, a draw of `count` rows, or a multiple, is part of one for the
    whole batch. With `of_ranks` each rank has a part: means with weights are over all ranks.
    """

    def __init__(self, count: int, first: Any, total: int, of_ranks: bool = False) -> None:
        self.count: int = count
        self.first: Any = first
        self.total: int = total
        self.of_ranks: bool = of_ranks

    @property
    def is_empty(self) -> bool:
        """Whether there are none, so that what is computed meanwhile is ignored."""
        return not self.count

    def of(self, extents: Shape) -> tuple[Any, int] | None:
        """Returns the first element of a draw among that for all samples, and how many that has."""
        if not self.count or not extents or extents[0] % self.count:
            return None
        a_sample = math.prod(extents) // self.count
        return self.first * a_sample, self.total * a_sample


def drawing_rows(rows: Rows | None) -> Block:
    """Within the block draws of this thread are for these samples of a batch; None: for all."""
    return Block(context, rows=rows)


# made on import: one that is made while a step is traced would be a part of that step
_default = Generator(0)


def default_generator() -> Generator:
    """Returns the generator that is used when none is given; its initial seed is 0."""
    return context.generator or _default


def drawing_from(generator: Generator) -> Block:
    """Within the block a generator is this thread's default one; other threads are not affected."""
    return Block(context, generator=generator)


def manual_seed(seed: int) -> Generator:
    """Restarts the default generator's stream with `seed`; returns the generator."""
    return default_generator().manual_seed(seed)


def initial_seed() -> int:
    """Returns the seed of the default generator."""
    return int(default_generator().state.tolist()[0])


def get_rng_state() -> Tensor:
    """Returns a copy of the default generator's state."""
    return default_generator().get_state()


def set_rng_state(state: Tensor) -> None:
    """Restores a state of the default generator that `get_rng_state` returned."""
    default_generator().set_state(state)


# --- uniform -----------------------------------------------------------------------------------


def rand(
    *shape: Any,
    dtype: Any = dtypes.float32,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Returns numbers uniform in [0, 1): multiples of 2^-24 (float32) or 2^-53 (float64)."""
    unit = _uniform(extents_of(shape), as_dtype(dtype), generator or default_generator())
    return unit.requires_grad_() if requires_grad else unit


def _uniform(extents: Shape, dtype: DType, source: Generator) -> Tensor:
    if dtype is dtypes.float64:
        high, low = source.words(extents)
        integer = _unsigned(_shift(high, 5)) * 2**26 + _unsigned(_shift(low, 6))
        return integer.to(dtypes.float64) * 2.0**-53
    unit = _shift(source.bits(extents), 8).to(dtypes.float32) * 2.0**-24
    return unit.to(dtype)


def rand_like(x: Tensor, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Returns numbers uniform in [0, 1), as many as x has."""
    return rand(x.shape, dtype=x.dtype if dtype is None else dtype, generator=generator)


def uniform(
    low: float | Tensor,
    high: float | Tensor,
    size: Any = None,
    dtype: Any = dtypes.float32,
    generator: Generator | None = None,
) -> Tensor:
    """Returns numbers uniform in [low, high); `size` is by default the shape of low and high.

    Raises:
        ArgumentError: low is above high.
    """
    message = f"uniform: low must be at most high, got {described(low)} and {described(high)}"
    _require(low <= high, message)
    unit = rand(_size(size, low, high), dtype=dtype, generator=generator)
    return unit * (high - low) + low


def bernoulli(p: Any, size: Any = None, generator: Generator | None = None) -> Tensor:
    """Returns 1 with probability p (a number or tensor), else 0, in the dtype of p.

    Raises:
        ArgumentError: a probability is outside [0, 1].
    """
    p = p if isinstance(p, (int, float)) else as_tensor(p)
    _require((p >= 0) & (p <= 1), "bernoulli: a probability lies outside [0, 1]")
    p = as_tensor(p)
    p = p if p.dtype.is_float else p.to(dtypes.float32)
    unit = rand(_size(size, p), dtype=p.dtype.compute, generator=generator)
    return (unit < p).to(p.dtype)


def randint(
    low: int,
    high: Any = None,
    size: Any = (),
    dtype: Any = dtypes.int64,
    generator: Generator | None = None,
) -> Tensor:
    """Returns integers uniform in low..high - 1 (`randint(n, size)`: in 0..n - 1).

    64 random bits are scaled to the range, so that no number is more likely than another by more
    than one part in 2^64 / (high - low), or 2^63 / (high - low) for ranges beyond 2^31.

    Raises:
        ArgumentError: the range is empty or wider than 2^62.
        DTypeError: the dtype cannot represent one of the numbers.
    """
    if isinstance(high, (tuple, list)):  # PyTorch's randint(high, size)
        high, size = None, high
    low, high = (0, low) if high is None else (low, high)
    span = high - low
    if not 0 < span <= 2**62:
        raise ArgumentError(f"randint: the range {low}..{high} is empty or too wide")
    for end in (low, high - 1):
        as_tensor(end, as_dtype(dtype))  # an error where the dtype lacks it
    first, second = (generator or default_generator()).words(_size(size))
    wide, narrow = _unsigned(first), _unsigned(second)
    if span <= 2**31:  # the upper half of a 64-bit fraction times the span
        result = _shift(wide * span + _shift(narrow * span, 32), 32)
    else:
        result = (_shift(wide, 1) * 2**32 + narrow) % span
    return (result + low).to(dtype)


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """Returns the numbers 0..n - 1 in random order, as int64: the order of random 64-bit keys."""
    high, low = (generator or default_generator()).words((n,))
    if context.engine is EAGER:  # the same numbers, without a tensor for each step
        keys = np.empty(n, np.int64)
        for half, words in zip(halves(keys), (high, low), strict=True):
            half[...] = words.stored.view(np.uint32)
        return tensor_of(places_in_order(keys), dtypes.int64)
    return argsort(_unsigned(high) * 2**32 + _unsigned(low))


def permutation(x: Tensor | int, generator: Generator | None = None) -> Tensor:
    """Returns x with its first axis in random order; for a number, `randperm`."""
    return randperm(x, generator) if isinstance(x, int) else x[randperm(x.shape[0], generator)]


# --- other distributions -----------------------------------------------------------------------


def randn(
    *shape: Any,
    dtype: Any = dtypes.float32,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Returns standard normal numbers: the inverse distribution function of a uniform number.

    One bit gives the sign and 31 (float64: 63) the probability of the tail, so the tails reach
    6.3 (9.1) standard deviations.
    """
    result = _gaussian(extents_of(shape), as_dtype(dtype), generator or default_generator())
    return result.requires_grad_() if requires_grad else result


def _gaussian(extents: Shape, dtype: DType, source: Generator) -> Tensor:
    if dtype is dtypes.float64:
        high, low = source.words(extents)
        integer = (_unsigned(high) & 0x7FFFFFFF) * 2**32 + _unsigned(low)
        tail = (integer.to(dtypes.float64) + 0.5) * 2.0**-64
    else:
        high = source.bits(extents)
        tail = ((high & 0x7FFFFFFF).to(dtypes.float32) + 0.5) * 2.0**-32
    size = exact_math.normal_quantile(tail)
    return where(high < 0, -size, size).to(dtype)


def randn_like(x: Tensor, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Returns standard normal numbers, as many as x has."""
    return randn(x.shape, dtype=x.dtype if dtype is None else dtype, generator=generator)


def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Any = None,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Returns normal numbers; `size` is by default the shape of mean and std, `dtype` theirs.

    Raises:
        ArgumentError: a standard deviation is negative.
    """
    _require(std >= 0, f"normal: a standard deviation is negative, got {described(std)}")
    common = common_dtype((mean, std))
    kind = as_dtype(dtype) if dtype is not None else common if common.is_float else dtypes.float32
    unit = randn(_size(size, mean, std), dtype=kind, generator=generator)
    return (unit * std + mean).to(kind)


def exponential(
    rate: float | Tensor = 1.0,
    size: Any = None,
    dtype: Any = dtypes.float32,
    generator: Generator | None = None,
) -> Tensor:
    """Returns exponential numbers with mean 1 / rate: -log u / rate, u uniform in (0, 1].

    u has 32 (float64: 63) random bits, so the largest number is 22.9 (44.4) / rate.

    Raises:
        ArgumentError: a rate is not positive.
    """
    _require(rate > 0, "exponential: a rate is not positive")
    source, extents, dtype = generator or default_generator(), _size(size, rate), as_dtype(dtype)
    if dtype is dtypes.float64:
        high, low = source.words(extents)
        integer = (_unsigned(high) & 0x7FFFFFFF) * 2**32 + _unsigned(low)
        unit = (integer.to(dtypes.float64) + 0.5) * 2.0**-63
    else:
        unit = (_unsigned(source.bits(extents)).to(dtypes.float32) + 0.5) * 2.0**-32
    return (-exact_math.log(unit) / rate).to(dtype)


def poisson(
    rate: float | Tensor,
    size: Any = None,
    max_rate: float = 30.0,
    dtype: Any = dtypes.float32,
    generator: Generator | None = None,
) -> Tensor:
    """Returns Poisson counts: the number of arrivals, exponentially apart, before time `rate`.

    A compiled step needs to know beforehand how many arrivals to draw, for each count
    max_rate + 12 sqrt(max_rate) + 12 (126 by default); more of them have a probability below 1e-20.

    Args:
        rate: the mean, a number or tensor.
        size: by default the shape of `rate`.
        max_rate: an upper bound for every rate.
        dtype: of the counts.
        generator: the default generator when None.

    Raises:
        ArgumentError: a rate is negative or above `max_rate`.
    """
    rate, extents = as_tensor(rate), _size(size, rate)
    message = f"poisson: a rate lies outside 0..{max_rate}; raise max_rate, which costs time"
    _require((rate >= 0) & (rate <= max_rate), message)
    draws = math.ceil(max_rate + 12 * math.sqrt(max_rate) + 12)
    arrivals = exponential(1.0, (*extents, draws), generator=generator).cumsum(-1)
    return (arrivals < rate.unsqueeze(-1)).sum(-1).to(dtype)


def multinomial(
    probabilities: Tensor,
    num_samples: int,
    replacement: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Returns indices along the last axis, drawn in proportion to their weights.

    Args:
        probabilities: weights, not negative, (K) or (N, K); they need not sum to 1.
        num_samples: number of indices to draw per row.
        replacement: whether an index can be drawn again. Without replacement, index k arrives after
            an exponential time with rate p_k, and the first to arrive are taken.
        generator: the default generator when None.

    Returns:
        int64 (num_samples) or (N, num_samples).

    Raises:
        ArgumentError: a weight is negative, infinite or nan, all weights of a row are 0, or more
            samples are requested than there are positive weights.
    """
    weights = wide(floating(probabilities).detach())
    _require((weights >= 0) & ~isinf(weights), "multinomial: a weight is negative, infinite or nan")
    possible = (weights > 0).sum(-1)
    _require(possible > 0, "multinomial: all weights of a row are 0, so there is no distribution")
    if not replacement:
        if num_samples > weights.shape[-1]:
            raise ArgumentError(
                f"multinomial: cannot draw {num_samples} of {weights.shape[-1]} without replacement"
            )
        if num_samples > 1:
            message = f"multinomial: fewer than {num_samples} weights of a row are not 0"
            _require(possible >= num_samples, message)
        times = exponential(1.0, weights.shape, weights.dtype, generator) / weights
        return places_along(times, times.ndim - 1, descending=False, count=num_samples)
    edges = weights.cumsum(-1)
    total = edges.narrow(-1, weights.shape[-1] - 1, 1)
    shape = (*weights.shape[:-1], num_samples)
    point = rand(shape, dtype=weights.dtype, generator=generator) * total
    # a point may be rounded up to the total: what lies there has weight 0, or does not exist
    passed = (edges.unsqueeze(-2) <= point.unsqueeze(-1)) & (edges < total).unsqueeze(-2)
    return passed.sum(-1)


def _require(holds: Any, message: str) -> None:
    """Raises ArgumentError, or in a compiled step lets it raise, where something does not hold."""
    if isinstance(holds, Tensor):
        if context.engine is EAGER and not holds.is_traced and holds.stored.all():
            return
        current_engine().require((~holds).sum(), message, ArgumentError)
    elif not np.all(holds):
        raise ArgumentError(message)


def _size(size: Any, *parameters: float | Tensor) -> Shape:
    """The shape that was asked for, else the one that the parameters broadcast to."""
    if size is not None:
        return (size,) if isinstance(size, int) else tuple(size)
    shapes = [parameter.shape for parameter in parameters if isinstance(parameter, Tensor)]
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise ShapeError(f"the parameters' shapes {shapes} do not broadcast") from None


def _shift(bits: Tensor, count: int) -> Tensor:
    """Bits moved right, zeros coming in."""
    return elementwise.shr(bits, count)


def _unsigned(bits: Tensor) -> Tensor:
    """32 bits as a whole number from 0 on, in int64."""
    return bits.to(dtypes.int64) & _WORD


checked_names(globals(), __all__, __name__)
checked_constructors(globals(), __all__, every_kind=False)
_install(__name__)
