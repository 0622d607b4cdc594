"""Overflow counts: how many results became infinite, zero or subnormal, by operation and line.

Within `count_overflow` every operation runs in NumPy, also in compiled steps, and is computed a
second time in a wider dtype; a result counts if the two differ. This is slow but exact. It shows
whether the range of float16 is sufficient, or where gradients vanish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.dtypes import DType, decode, smallest_normal
from smelt.ir.graph import Origin
from smelt.ir.operation import Pattern
from smelt.ops.elementwise import Cast
from smelt.settings import settings
from smelt.tracing.engine import Eager, in_place_of_eager
from smelt.tracing.origin import current_origin

if TYPE_CHECKING:
    from smelt.ops.op import Op, Type
    from smelt.tensor import Tensor

__all__ = ["OverflowCount", "OverflowCounts", "count_overflow"]


@dataclass(slots=True)
class OverflowCount:
    """Counts for the results of one operation at one line.

    Attributes:
        operation: its name, such as "mul"; "cast" is a conversion between dtypes.
        dtype: of the results.
        module: the path of the module, or "".
        line: the user's line.
        derivative: the derivative that the operation is a part of, such as "the backward of mul at
            train.py:7", or "".
        results: how many numbers it computed.
        overflowed: how many are infinite, though the exact result is a finite number.
        to_zero: how many are 0, though the exact result is not.
        subnormal: how many others are so small that they have lost digits.
    """

    operation: str
    dtype: DType
    module: str
    line: str
    derivative: str
    results: int = 0
    overflowed: int = 0
    to_zero: int = 0
    subnormal: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every result was in the range of its dtype."""
        return not (self.overflowed or self.to_zero or self.subnormal)

    def add(self, result: np.ndarray, exact: np.ndarray, operands: Sequence[np.ndarray]) -> None:
        """Counts a result, compared with the result in a wider dtype."""
        small = (result != 0) & (np.abs(result) < smallest_normal(self.dtype))
        for operand in operands:  # what only hands a number on does not count
            if small.any() and np.broadcast_shapes(operand.shape, result.shape) == result.shape:
                small &= np.abs(operand) != np.abs(result)
        self.results += result.size
        self.overflowed += int((np.isinf(result) & np.isfinite(exact)).sum())
        self.to_zero += int(((result == 0) & (exact != 0)).sum())
        self.subnormal += int(small.sum())


class OverflowCounts:
    """The counts of a block, by operation and line; printing shows those that are not zero."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, DType, Origin], OverflowCount] = {}

    @property
    def rows(self) -> list[OverflowCount]:
        """One count for each operation at a line, in the order of their first results."""
        return list(self._rows.values())

    def row(self, operation: str, dtype: DType, origin: Origin) -> OverflowCount:
        """Returns the count of an operation at a line, a new one if there is none."""
        key = operation, dtype, origin
        if key not in self._rows:
            place = origin.module, origin.line, str(origin.derivative or "")
            self._rows[key] = OverflowCount(operation, dtype, *place)
        return self._rows[key]

    def __str__(self) -> str:
        found = [row for row in self.rows if not row.is_clean]
        if not found:
            total = sum(row.results for row in self.rows)
            return f"no overflow and no underflow in {total} results"
        lines = ["overflowed     to 0  subnormal  of results  operation"]
        for row in found:
            counts = f"{row.overflowed:10} {row.to_zero:8} {row.subnormal:10} {row.results:11}"
            place = " ".join(part for part in (row.derivative, row.module, row.line) if part)
            lines.append(f"{counts}  {row.operation} {row.dtype.name} {place}")
        return "\n".join(lines)


@contextmanager
def count_overflow() -> Iterator[OverflowCounts]:
    """Counts, within the block, the results that leave the range of their dtype.

    Operations run in NumPy, one by one and twice, also those of compiled steps. float16 and
    bfloat16 are storage formats, so values leave their range in a "cast".

    Returns:
        The counts, which grow while the block runs. `print` shows a line for each operation with an
        overflow or underflow.

    "Exact" is NumPy's longdouble, which on most CPUs reaches from 1e-4951 to 1e4932, and float64
    for sums and products of float32. For those of float64 there is no wider dtype: infinite results
    of finite operands count, and subnormal ones.

    Example:
        >>> import smelt
        >>> with smelt.count_overflow() as counts:
        ...     half = smelt.tensor([1e-9, 1.0, 7e4]).half()
        >>> [(row.overflowed, row.to_zero) for row in counts.rows if not row.is_clean]
        [(1, 1)]
    """
    counts = OverflowCounts()
    with settings(compile=False), in_place_of_eager(CountingEager(counts)):
        yield counts


class CountingEager(Eager):
    """The eager engine, which counts."""

    def __init__(self, counts: OverflowCounts) -> None:
        self.counts = counts

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> np.ndarray:
        """Returns the NumPy value, and counts it."""
        result = super().evaluate(op, operands, attributes, kind)
        if kind.dtype.is_float and operands and not op.is_movement:
            row = self.counts.row(op.name, kind.dtype, current_origin())
            given = [decode(operand.stored, operand.dtype) for operand in operands]
            with np.errstate(all="ignore"):
                numbers = decode(result, kind.dtype)
                row.add(numbers, _exact(op, given, attributes, numbers), given)
        return result


def _exact(
    op: Op, operands: list[np.ndarray], attributes: dict[str, Any], result: np.ndarray
) -> np.ndarray:
    """Returns an operation's result in a wider dtype.

    Where there is none, it is 1 in place of an infinity that was made of finite numbers, and else
    the result itself.
    """
    if isinstance(op, Cast):
        return operands[0]
    if op.pattern is Pattern.POINTWISE:
        return np.asarray(op.value(*_widened(operands, np.longdouble), **attributes))
    if result.dtype != np.float64:
        return np.asarray(op.value(*_widened(operands, np.float64), **attributes))
    made_here = all(np.isfinite(operand).all() for operand in operands)
    return np.where(np.isinf(result) & made_here, 1, result)


def _widened(operands: list[np.ndarray], dtype: type) -> list[np.ndarray]:
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in operands]
