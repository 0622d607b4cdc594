"""Reductions, running sums, and order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import full
from smelt.export.onnx.load.card import INT, INTS, Call, Card, Cards
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.tensor import Tensor, elementary, reductions
from smelt.tensor.shaping import cat
from smelt.tensor.sorting import topk

Reduce = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _axes(call: Call, count: int, axes: np.ndarray | None) -> tuple[int, ...] | None:
    """Returns the axes to reduce; None where nothing is to be done to the tensor."""
    given = list(call["axes"] or ()) if axes is None else axes.reshape(-1).tolist()
    if given:
        return axes_from_front(given, count)
    return None if call["noop_with_empty_axes"] else tuple(range(count))


def _reduction(
    reduce: Reduce, before: Callable[[Tensor], Tensor] | None = None, fold: Any = None
) -> Card:
    """Returns the card of a reduction; `before` is what it does to each element first."""

    def rule(call: Call, x: Tensor, axes: np.ndarray | None = None) -> Tensor:
        x = x if before is None else before(x)
        chosen = _axes(call, x.ndim, axes)
        if chosen is None:
            return x
        return reduce(x, chosen, bool(call["keepdims"])).to(x.dtype)

    def folded(call: Call, x: np.ndarray, axes: np.ndarray | None = None) -> Any:
        chosen = _axes(call, x.ndim, axes)
        return x if chosen is None else fold(x, axis=chosen, keepdims=bool(call["keepdims"]))

    settings = {"axes": INTS, "keepdims": 1, "noop_with_empty_axes": 0}
    return Card(rule, settings, numbers=(1,), first=1, fold=None if fold is None else folded)


def _sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return reductions.sum(x, axes, keep) if axes else x


def _over_any(reduce: Reduce, empty: Callable[[Tensor], Any], of_bools: Reduce) -> Reduce:
    """Returns a reduction of the largest or smallest, which of nothing is the other end."""

    def extreme(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
        if not axes:
            return x
        if any(x.shape[axis] == 0 for axis in axes):
            kept = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
            shape = kept if keep else [n for axis, n in enumerate(x.shape) if axis not in axes]
            return full(tuple(shape), empty(x), x.dtype)
        return (of_bools if x.dtype is dtypes.bool_ else reduce)(x, axes, keep)

    return extreme


def _least(x: Tensor) -> Any:
    return (
        -math.inf
        if x.dtype.is_float
        else x.dtype is not dtypes.bool_ and int(np.iinfo(x.dtype.storage).min)
    )


def _greatest(x: Tensor) -> Any:
    return (
        math.inf
        if x.dtype.is_float
        else x.dtype is dtypes.bool_ or int(np.iinfo(x.dtype.storage).max)
    )


def _log_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return elementary.log(_sum(x, axes, keep))


def _log_sum_exp(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    if any(x.shape[axis] == 0 for axis in axes):
        return elementary.log(_sum(x, axes, keep))
    return reductions.logsumexp(x, axes, keep)


def _root_of_sum(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return reductions.norm(x, 2, axes, keep)


def _mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return reductions.mean(x, axes, keep) if axes else x


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return reductions.prod(x, axes, keep) if axes else x


def _square(x: Tensor) -> Tensor:
    return x * x


# --- places ---------------------------------------------------------------------------------------


def _place_of(find: Callable[[Tensor, int, bool], Tensor]) -> Card:
    """Returns the card of ArgMax or ArgMin."""

    def rule(call: Call, x: Tensor) -> Tensor:
        (axis,), keep = axes_from_front([call["axis"]], x.ndim), bool(call["keepdims"])
        if not call["select_last_index"]:
            return find(x, axis, keep)
        return x.shape[axis] - 1 - find(x.flip(axis), axis, keep)

    return Card(rule, {"axis": 0, "keepdims": 1, "select_last_index": 0}, first=1)


def _top(call: Call, x: Tensor, k: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
    count = call["k"] if k is None else k.reshape(()).item()
    if count is None:
        raise call.wrong("has no k")
    values, places = topk(x, count, call["axis"], bool(call["largest"]))
    return values, places


# --- running sums and products --------------------------------------------------------------------


def _running(function: Callable[..., Tensor], first: float) -> Card:
    """Returns the card of a running sum or product that begins with a number."""

    def rule(call: Call, x: Tensor, axis: np.ndarray) -> Tensor:
        (place,) = axes_from_front([int(axis.reshape(()))], x.ndim)
        x = x.flip(place) if call["reverse"] else x
        if call["exclusive"]:
            edge = full((*x.shape[:place], 1, *x.shape[place + 1 :]), first, x.dtype)
            x = cat([edge, x.narrow(place, 0, x.shape[place] - 1)], place)
        y = function(x, place, dtype=x.dtype)
        return y.flip(place) if call["reverse"] else y

    return Card(rule, {"exclusive": 0, "reverse": 0}, numbers=(1,), first=11)


CARDS: Final[Cards] = {
    "ReduceSum": _reduction(_sum, fold=np.sum),
    "ReduceProd": _reduction(_product, fold=np.prod),
    "ReduceMean": _reduction(_mean),
    "ReduceMax": _reduction(_over_any(reductions.amax, _least, reductions.any)),
    "ReduceMin": _reduction(_over_any(reductions.amin, _greatest, reductions.all)),
    "ReduceL1": _reduction(_sum, elementary.abs),
    "ReduceL2": _reduction(_root_of_sum),
    "ReduceSumSquare": _reduction(_sum, _square),
    "ReduceLogSum": _reduction(_log_sum),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ArgMax": _place_of(reductions.argmax),
    "ArgMin": _place_of(reductions.argmin),
    "TopK": Card(_top, {"axis": -1, "largest": 1, "sorted": 1, "k": INT}, numbers=(1,), first=1),
    "CumSum": _running(reductions.cumsum, 0),
    "CumProd": _running(reductions.cumprod, 1),
}
