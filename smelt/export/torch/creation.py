"""Tensors made anew: of one number, of numbers in order, and random ones from Smelt's generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt import creation, random
from smelt.dtypes import DType, float32
from smelt.export.torch.program import Rule
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

Sizes = Sequence[int]


def _full(size: Sizes, value: Any, dtype: DType | None = None) -> Tensor:
    return creation.full(tuple(size), value, dtype)


def _full_like(x: Tensor, value: Any, dtype: DType | None = None) -> Tensor:
    return creation.full_like(x, value, dtype)


def _of(value: int) -> Rule:
    def rule(size: Sizes, dtype: DType | None = None) -> Tensor:
        return creation.full(tuple(size), value, dtype or float32)

    return rule


def _like(value: int) -> Rule:
    def rule(x: Tensor, dtype: DType | None = None) -> Tensor:
        return creation.full_like(x, value, dtype)

    return rule


def _new(value: int) -> Rule:
    def rule(x: Tensor, size: Sizes, dtype: DType | None = None) -> Tensor:
        return creation.full(tuple(size), value, dtype or x.dtype)

    return rule


def _new_full(x: Tensor, size: Sizes, value: Any, dtype: DType | None = None) -> Tensor:
    return creation.full(tuple(size), value, dtype or x.dtype)


def _permuted(size: Sizes, physical_layout: Sizes, dtype: DType | None = None) -> Tensor:
    return creation.zeros(tuple(size), dtype=dtype or float32)


def _scalar(value: Any, dtype: DType | None = None) -> Tensor:
    return creation.full((), value, dtype)


def _arange(end: Any, dtype: DType | None = None) -> Tensor:
    return creation.arange(end, dtype=dtype)


def _arange_from(start: Any, end: Any, step: Any = 1, dtype: DType | None = None) -> Tensor:
    return creation.arange(start, end, step, dtype)


def _linspace(start: Any, end: Any, steps: int, dtype: DType | None = None) -> Tensor:
    return creation.linspace(start, end, steps, dtype or float32)


def _eye(n: int, m: int | None = None, dtype: DType | None = None) -> Tensor:
    return creation.eye(n, m, dtype or float32)


# --- random numbers -------------------------------------------------------------------------------


def _rand(size: Sizes, dtype: DType | None = None) -> Tensor:
    return random.rand(tuple(size), dtype=dtype or float32)


def _randn(size: Sizes, dtype: DType | None = None) -> Tensor:
    return random.randn(tuple(size), dtype=dtype or float32)


def _rand_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    return random.rand_like(x, dtype)


def _randn_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    return random.randn_like(x, dtype)


def _randint(high: int, size: Sizes, dtype: DType | None = None) -> Tensor:
    return _integers(0, high, size, dtype)


def _randint_from(low: int, high: int, size: Sizes, dtype: DType | None = None) -> Tensor:
    return _integers(low, high, size, dtype)


def _integers(low: int, high: int, size: Sizes, dtype: DType | None) -> Tensor:
    drawn = random.randint(low, high, tuple(size))
    return drawn if dtype is None else drawn.to(dtype)


def _randperm(n: int, dtype: DType | None = None) -> Tensor:
    order = random.randperm(n)
    return order if dtype is None else order.to(dtype)


def _bernoulli(p: Tensor) -> Tensor:
    return random.bernoulli(p)


def _bernoulli_of(x: Tensor, p: Any = 0.5) -> Tensor:
    """As many as x has, with one probability, or one for each."""
    wide = p.expand(x.shape) if isinstance(p, Tensor) else creation.full(x.shape, p, float32)
    return random.bernoulli(wide).to(x.dtype)


def _uniform(x: Tensor, start: float = 0.0, end: float = 1.0) -> Tensor:
    return random.uniform(start, end, x.shape, x.dtype)


def _normal(x: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return random.randn(x.shape, dtype=x.dtype) * std + mean


def _exponential(x: Tensor, rate: float = 1.0) -> Tensor:
    return random.exponential(rate, x.shape, x.dtype)


def _normal_around(mean: Any, std: Any) -> Tensor:
    around, spread = as_tensor(mean), as_tensor(std)
    noise = random.randn_like(around + spread)
    return noise * spread + around


def _multinomial(weights: Tensor, count: int, replacement: bool = False) -> Tensor:
    return random.multinomial(weights, count, replacement)


RULES: Final[dict[str, Rule]] = {
    "full": _full,
    "full_like": _full_like,
    "zeros": _of(0),
    "ones": _of(1),
    "empty": _of(0),
    "empty_permuted": _permuted,
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "empty_like": _like(0),
    "new_zeros": _new(0),
    "new_ones": _new(1),
    "new_empty": _new(0),
    "new_full": _new_full,
    "scalar_tensor": _scalar,
    "arange": _arange,
    "arange.start": _arange_from,
    "arange.start_step": _arange_from,
    "linspace": _linspace,
    "eye": _eye,
    "rand": _rand,
    "randn": _randn,
    "rand_like": _rand_like,
    "randn_like": _randn_like,
    "randint": _randint,
    "randint.low": _randint_from,
    "randperm": _randperm,
    "bernoulli": _bernoulli,
    "bernoulli.p": _bernoulli_of,
    "bernoulli.Tensor": _bernoulli_of,
    "uniform": _uniform,
    "normal_functional": _normal,
    "normal.Tensor_Tensor": _normal_around,
    "normal.Tensor_float": _normal_around,
    "normal.float_Tensor": _normal_around,
    "exponential": _exponential,
    "multinomial": _multinomial,
}
