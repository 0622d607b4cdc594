"""Reductions: sums, extremes, statistics, running sums, and what stands in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from smelt.dtypes import DType
from smelt.export.torch.program import Rule
from smelt.tensor import Tensor, reductions, sorting
from smelt.tensor.indexing import gather_known

Dims = int | Sequence[int] | None


def _axes(dim: Dims) -> Any:
    """Returns the axes that PyTorch means: none named are all of them."""
    return None if dim is None or dim == [] else tuple(dim) if isinstance(dim, Sequence) else dim


def _summed(function: Callable[..., Tensor]) -> Rule:
    def rule(
        x: Tensor, dim: Dims = None, keepdim: bool = False, dtype: DType | None = None
    ) -> Tensor:
        return function(x, _axes(dim), keepdim, dtype=dtype)

    return rule


def _reduced(function: Callable[..., Tensor]) -> Rule:
    def rule(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return function(x, _axes(dim), keepdim)

    return rule


def _running(function: Callable[..., Tensor]) -> Rule:
    def rule(x: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
        return function(x, dim, dtype=dtype)

    return rule


def _extreme(places: Callable[..., Tensor]) -> Rule:
    """Returns the rule of a pair; the gradient goes to the element at the index, as in PyTorch."""

    def rule(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
        if not x.ndim:
            return x, places(x, dim, keepdim)
        index = places(x, dim, True)
        value = gather_known(x, dim, index)
        return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))

    return rule


def _statistic(function: Callable[..., Any]) -> Rule:
    """Returns the rule of a variance: also of the overloads whose second argument is a bool."""

    def rule(
        x: Tensor,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        correction: float | None = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if correction is None:
            correction = 1 if unbiased else 0
        return function(x, _axes(dim), correction, keepdim)

    return rule


def _corrected(function: Callable[..., Any]) -> Rule:
    def rule(
        x: Tensor, dim: Dims = None, correction: float | None = None, keepdim: bool = False
    ) -> Any:
        return function(x, _axes(dim), 1 if correction is None else correction, keepdim)

    return rule


def _norm(
    x: Tensor,
    ord: float | None = 2,
    dim: Dims = None,
    keepdim: bool = False,
    dtype: DType | None = None,
) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    return reductions.norm(x, 2 if ord is None else ord, _axes(dim), keepdim)


def _sort(x: Tensor, dim: int = -1, descending: bool = False) -> Any:
    return tuple(sorting.sort(x, dim, bool(descending)))


def _stable_sort(
    x: Tensor, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> Any:
    return _sort(x, dim, descending)


def _top(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    return tuple(sorting.topk(x, k, dim, largest))


def _argsort(x: Tensor, *given: Any, **options: Any) -> Tensor:
    options.pop("stable", None)
    return sorting.argsort(x, *given, **options)


def _stable_argsort(
    x: Tensor, stable: bool = True, dim: int = -1, descending: bool = False
) -> Tensor:
    return sorting.argsort(x, dim, descending)


def _median(x: Tensor, dim: int, keepdim: bool = False) -> Any:
    return tuple(sorting.median(x, dim, keepdim))


def _mean_and_variance(function: Callable[..., Any]) -> Callable[..., Any]:
    def both(x: Tensor, *given: Any) -> Any:
        return tuple(function(x, *given))

    return both


def _logsumexp(x: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    return reductions.logsumexp(x, _axes(dim), keepdim)


def _count_nonzero(x: Tensor, dim: Dims = None) -> Tensor:
    return reductions.count_nonzero(x, _axes(dim))


def _numel(x: Tensor) -> int:
    return math.prod(x.shape)


RULES: Final[dict[str, Rule]] = {
    "sum": _summed(reductions.sum),
    "mean": _summed(reductions.mean),
    "prod": _summed(reductions.prod),
    "amax": _reduced(reductions.amax),
    "amin": _reduced(reductions.amin),
    "max": reductions.amax,
    "min": reductions.amin,
    "max.dim": _extreme(reductions.argmax),
    "min.dim": _extreme(reductions.argmin),
    "argmax": _reduced(reductions.argmax),
    "argmin": _reduced(reductions.argmin),
    "any": _reduced(reductions.any),
    "all": _reduced(reductions.all),
    "count_nonzero": _count_nonzero,
    "var": _statistic(reductions.var),
    "std": _statistic(reductions.std),
    "var_mean": _statistic(_mean_and_variance(reductions.var_mean)),
    "std_mean": _statistic(_mean_and_variance(reductions.std_mean)),
    "var.correction": _corrected(reductions.var),
    "std.correction": _corrected(reductions.std),
    "var_mean.correction": _corrected(_mean_and_variance(reductions.var_mean)),
    "std_mean.correction": _corrected(_mean_and_variance(reductions.std_mean)),
    "linalg_vector_norm": _norm,
    "logsumexp": _logsumexp,
    "cumsum": _running(reductions.cumsum),
    "cumprod": _running(reductions.cumprod),
    "sort": _sort,
    "sort.stable": _stable_sort,
    "argsort": _argsort,
    "argsort.stable": _stable_argsort,
    "topk": _top,
    "median": sorting.median,
    "median.dim": _median,
    "numel": _numel,
}
