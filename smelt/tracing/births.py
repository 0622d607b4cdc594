"""Births: which operation made a nan or an infinity.

An engine that computes one operation after another, in NumPy, passes each result to a `Births`. If
a result is not finite, its nan or infinity came from an operand whose birth is known, from the
operation itself, or from the program's inputs. Infinities among the inputs (a mask's -inf, the
padding of a maximum) are intended and have no birth. A birth is forgotten when an operation makes
finite numbers of it again, as when `where` does not select a log(0).
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.dtypes import DType, bfloat16, decode, encode
from smelt.errors import NumericsError
from smelt.ir.graph import Origin
from smelt.tracing.engine import quietly

if TYPE_CHECKING:
    from smelt.ops.op import Op

Values = tuple[np.ndarray, DType]  # as stored


@dataclass(frozen=True, slots=True)
class Birth:
    """Where a nan or an infinity was made; births are numbered in order."""

    number: int
    what: str  # a sentence, then a line for each operand
    origin: Origin

    def error(self, reached: str) -> NumericsError:
        """Returns the error to raise; `reached` says where the number arrived."""
        lines = [self.what, f"  it reached {reached}"]
        if self.origin.derivative:
            lines.append(f"  in {self.origin.derivative}")
        if self.origin.module:
            lines.append(f"  in module {self.origin.module}")
        if self.origin.line:
            lines.append(f"  at {self.origin.line}")
        return NumericsError("\n".join(lines))


class Births:
    """The births of the arrays that are alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[np.ndarray], Birth]] = {}
        self._numbers = itertools.count()

    def of(self, array: Any) -> Birth | None:
        """Returns where the nans or infinities in this array were made, if that is known."""
        found = self._known.get(id(array))
        return None if found is None else found[1]

    def keep(self, array: np.ndarray, birth: Birth | None) -> None:
        """Remembers the birth of an array for as long as it lives; None forgets it.

        It is called again when the array gets new contents.
        """
        key = id(array)
        if birth is None:
            self._known.pop(key, None)
        else:
            forget = weakref.ref(array, lambda _: self._known.pop(key, None))
            self._known[key] = forget, birth

    def follow(self, part: np.ndarray, dtype: DType, whole: np.ndarray) -> None:
        """Remembers the birth of a part of an array, or of a copy of it."""
        birth = self.of(whole)
        if birth is not None and not is_finite(part, dtype):
            self.keep(part, birth)

    def given(self, array: np.ndarray, dtype: DType, name: str) -> None:
        """Notes a value that the program starts with; a nan in it has its birth there."""
        if dtype.is_float and np.isnan(decode(array, dtype)).any():
            what = f"a nan came in with {name}: {summary(array, dtype)}"
            self.keep(array, Birth(next(self._numbers), what, Origin()))

    def examine(
        self,
        op: Op,
        operands: Sequence[Values],
        attributes: dict[str, Any],
        result: Values,
        origin: Origin,
    ) -> None:
        """Finds the birth of an operation's result, if it is not finite."""
        if is_finite(*result):
            return
        arrays = [array for array, _ in operands]
        inherited = self._inherited(op, operands, attributes, result)
        if inherited is None:
            what = self._own(op, operands, attributes, result)
            if what is not None:
                inherited = Birth(next(self._numbers), what, origin)
        if inherited is not None or not any(result[0] is array for array in arrays):
            self.keep(result[0], inherited)

    def _inherited(
        self, op: Op, operands: Sequence[Values], attributes: dict[str, Any], result: Values
    ) -> Birth | None:
        """Returns the first birth among the operands that the result's numbers come from."""
        births = [self.of(array) for array, _ in operands]
        if not any(births):
            return None
        suspects = [k for k, values in enumerate(operands) if not is_finite(*values)]
        if len(suspects) > 1:
            causes = [k for k in suspects if _changes(op, operands, attributes, result, k)]
            suspects = causes or suspects
        found = [birth for k in suspects if (birth := births[k]) is not None]
        return min(found, key=lambda birth: birth.number, default=None)

    def _own(
        self, op: Op, operands: Sequence[Values], attributes: dict[str, Any], result: Values
    ) -> str | None:
        """Returns the message if the operation itself made a nan or an infinity.

        None means that it passes on infinities that it was given.
        """
        made = _computed(op, [_finite(values) for values in operands], attributes)
        if not is_finite(made, result[1]):
            return _sentence(op, operands, decode(made, result[1]), "out of finite numbers")
        if not np.isnan(decode(*result)).any():
            return None
        made = _computed(op, [_without_nan(values) for values in operands], attributes)
        numbers = decode(made, result[1])
        if np.isnan(numbers).any():
            given = np.where(np.isnan(numbers), np.nan, 0)  # infinities in it were given
            return _sentence(op, operands, given, "out of infinities")
        return _sentence(op, operands, decode(*result), "out of a nan that it was given")


def is_finite(array: np.ndarray, dtype: DType) -> bool:
    """Returns whether all numbers of an array, as stored, are finite; integers always are."""
    if not array.ndim and dtype is not bfloat16:
        return math.isfinite(array)
    return not dtype.is_float or bool(np.isfinite(decode(array, dtype)).all())


def summary(array: np.ndarray, dtype: DType) -> str:
    """Returns dtype, shape and range of an array: "float32 (4, 3), -1.2 to 3.4, 2 nan"."""
    numbers = decode(array, dtype)
    parts = [f"{dtype.name} {array.shape}"]
    finite = numbers[np.isfinite(numbers)] if dtype.is_float else numbers
    if finite.size:
        low, high = finite.min(), finite.max()
        ends = [f"{end:.6g}" if dtype.kind != "bool" else str(end) for end in (low, high)]
        parts.append(" to ".join(dict.fromkeys(ends)))
    if dtype.is_float:
        parts += [f"{count} {name}" for name, count in _counts(numbers).items() if count]
    return ", ".join(parts)


def _sentence(op: Op, operands: Sequence[Values], numbers: np.ndarray, of: str) -> str:
    """Returns the message: what was made from what, with a line for each operand."""
    bad = ~np.isfinite(numbers)
    kinds = [name for name, count in _counts(numbers).items() if count]
    size = "1 number" if bad.size == 1 else f"{bad.size} numbers"
    first = [int(i) for i in np.argwhere(bad)[0]]
    place = f", the first at {first}" if first else ""
    lines = [f"{op.name} made {' and '.join(kinds)} {of}, in {bad.sum()} of {size}{place}"]
    lines += [f"  operand {k} is {summary(*values)}" for k, values in enumerate(operands, 1)]
    return "\n".join([*lines, _ADVICE])


def _counts(numbers: np.ndarray) -> dict[str, int]:
    """Returns the number of nans, infinities and negative infinities."""
    return {
        "nan": int(np.isnan(numbers).sum()),
        "inf": int((numbers == np.inf).sum()),
        "-inf": int((numbers == -np.inf).sum()),
    }


def _changes(
    op: Op, operands: Sequence[Values], attributes: dict[str, Any], result: Values, which: int
) -> bool:
    """Returns whether the result would be different if one operand were finite."""
    changed = [_finite(x) if k == which else x for k, x in enumerate(operands)]
    made = decode(_computed(op, changed, attributes), result[1])
    return not np.array_equal(made, decode(*result), equal_nan=True)


def _finite(values: Values) -> Values:
    """Returns an operand with 1 in place of each nan and infinity."""
    return _with_ones(values, ~np.isfinite(decode(*values))) if values[1].is_float else values


def _without_nan(values: Values) -> Values:
    """Returns an operand with 1 in place of each nan."""
    return _with_ones(values, np.isnan(decode(*values))) if values[1].is_float else values


def _with_ones(values: Values, where: np.ndarray) -> Values:
    array, dtype = values
    return (
        (encode(np.where(where, 1, decode(array, dtype)), dtype), dtype) if where.any() else values
    )


def _computed(op: Op, operands: Sequence[Values], attributes: dict[str, Any]) -> np.ndarray:
    return np.asarray(quietly(op.value, *[array for array, _ in operands], **attributes))


_ADVICE = (
    "  keep the operands out of this range: clamp them, or add a small number to a divisor or to "
    "the argument of a root or a logarithm; if they grew from step to step, lower the learning "
    "rate or clip the gradient"
)
