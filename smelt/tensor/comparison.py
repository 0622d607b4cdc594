"""Exact comparisons of an integer tensor with numbers of any size.

A number that the integers of a dtype do not reach, or that lies between two of them, is not brought
into the dtype. What it says of every element alike is known without looking at one (nothing is
2.5, all is below 2 ** 70, nothing compares with nan); otherwise an integer says the same:
x < 2.5 is x < 3.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.ops import elementwise
from smelt.tracing.apply import as_tensor, is_tensor, repeated
from smelt.tracing.engine import current_engine

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["compared_exactly"]

_NUMBERS = (bool, int, float, np.generic)
_IN_PYTHON: dict[elementwise.Elementwise, Callable[[Any, Any], bool]] = {
    elementwise.eq: operator.eq,
    elementwise.ne: operator.ne,
    elementwise.lt: operator.lt,
    elementwise.le: operator.le,
    elementwise.gt: operator.gt,
    elementwise.ge: operator.ge,
}
_FROM_THE_OTHER_SIDE = {
    elementwise.eq: elementwise.eq,
    elementwise.ne: elementwise.ne,
    elementwise.lt: elementwise.gt,
    elementwise.le: elementwise.ge,
    elementwise.gt: elementwise.lt,
    elementwise.ge: elementwise.le,
}
_UPWARD = (elementwise.lt, elementwise.ge)  # a fraction counts as the integer above it


def compared_exactly(op: elementwise.Elementwise, operands: tuple[Any, ...]) -> Tensor | None:
    """Returns a comparison of an integer or bool tensor with numbers, or nested lists of them.

    Args:
        op: any elementwise operation.
        operands: what it was given.

    Returns:
        A bool tensor; None where the operation or the operands are others.
    """
    if op not in _IN_PYTHON:
        return None
    x, numbers = operands
    if not is_tensor(x):
        op, x, numbers = _FROM_THE_OTHER_SIDE[op], numbers, x
    if not is_tensor(x) or x.dtype.is_float:
        return None
    if isinstance(numbers, np.ndarray) and numbers.shape == () and numbers.dtype == np.uint64:
        current_engine().note_array(numbers)
        numbers = numbers.item()  # what NumPy makes of its scalars; no dtype of Smelt's holds them
    if isinstance(numbers, _NUMBERS):
        return _beside_number(op, _integers(x), numbers)
    return _beside_list(op, _integers(x), numbers) if isinstance(numbers, (list, tuple)) else None


def _integers(x: Tensor) -> Tensor:
    return x.to(dtypes.int64 if x.dtype is dtypes.bool_ else x.dtype.compute)


def _beside_number(op: elementwise.Elementwise, x: Tensor, number: Any) -> Tensor:
    answer, integer = _answer_or_integer(op, number, x.dtype)
    if integer is None:
        return repeated(answer, x.shape, dtypes.bool_)
    return op(x, as_tensor(integer, x.dtype))


def _beside_list(op: elementwise.Elementwise, x: Tensor, numbers: Any) -> Tensor | None:
    """None where the list holds something else than Python's and NumPy's numbers."""
    array = np.array(numbers, dtype=object)
    if not all(isinstance(number, _NUMBERS) for number in array.flat):
        return None
    known = [_answer_or_integer(op, number, x.dtype) for number in array.flat]
    integers = _shaped([integer or 0 for _, integer in known], array.shape, x.dtype)
    compared = op(x, integers)
    if all(integer is not None for _, integer in known):
        return compared
    answers = _shaped([answer for answer, _ in known], array.shape, dtypes.bool_)
    decided = _shaped([integer is None for _, integer in known], array.shape, dtypes.bool_)
    return elementwise.where(decided, answers, compared)


def _shaped(numbers: list[Any], shape: tuple[int, ...], dtype: dtypes.DType) -> Tensor:
    return as_tensor(np.array(numbers, dtype.storage).reshape(shape).tolist(), dtype)


def _answer_or_integer(
    op: elementwise.Elementwise, number: Any, dtype: dtypes.DType
) -> tuple[bool, int | None]:
    """Returns what holds for all elements alike, or the integer that stands for the number."""
    number = number.item() if isinstance(number, np.generic) else number
    limits = np.iinfo(dtype.storage)
    answer = _IN_PYTHON[op](0, number)  # as for any element, if the number is beyond them all
    if not limits.min <= number <= limits.max:
        return answer, None
    integer = math.ceil(number) if op in _UPWARD else math.floor(number)
    if integer != number and op in (elementwise.eq, elementwise.ne):
        return answer, None
    return answer, integer
