"""How a tensor shows itself: as text, and as a small table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.markup import GAP, cut, note, preformatted, table

if TYPE_CHECKING:
    from smelt.tensor.tensor import Tensor

__all__ = ["as_html", "as_text"]

PLAIN = (dtypes.float32, dtypes.int64, dtypes.bool_)  # which the values themselves show
EDGE = 10  # rows and columns of a table
LONG = 1000  # elements from which on a text leaves some out, as NumPy does


def as_text(tensor: Tensor) -> str:
    """Returns values, and what they do not show: a dtype; the shape of many, or of none."""
    body = np.array2string(
        dtypes.decode(tensor.stored, tensor.dtype),
        separator=", ",
        precision=4,
        prefix="tensor(",
        threshold=LONG,
    )
    hidden = tensor.size > LONG or (not tensor.size and tensor.shape != (0,))
    plain = PLAIN if tensor.size else PLAIN[:1]
    parts = [
        body,
        f"shape={tensor.shape}" if hidden else "",
        f"dtype={tensor.dtype!r}" if tensor.dtype not in plain else "",
        "requires_grad=True" if tensor.requires_grad else "",
    ]
    return f"tensor({', '.join(part for part in parts if part)})"


def as_html(tensor: Tensor, name: str) -> str:
    """Returns shape and dtype, and the values of up to two axes as a table, cut in the middle.

    Args:
        tensor: one that has values.
        name: what to call it.
    """
    grad = "requires grad" if tensor.requires_grad else ""
    head = note(f"{name} {tensor.shape}", tensor.dtype.name, grad)
    if not tensor.size:
        return head
    if tensor.ndim not in (1, 2):
        values = dtypes.decode(tensor.stored, tensor.dtype)
        return head + preformatted(np.array2string(values, precision=4, threshold=LONG))
    rows = tensor.stored if tensor.ndim == 2 else tensor.stored[None]
    columns = cut(rows.shape[1], EDGE)
    lines = []
    for row in cut(len(rows), EDGE):
        label = _place(row) if tensor.ndim == 2 else ""
        lines.append([label, *(_cell(rows, row, column, tensor.dtype) for column in columns)])
    return head + table(["", *map(_place, columns)], lines, numbers=range(len(columns) + 1))


def _place(place: int | None) -> str:
    return GAP if place is None else str(place)


def _cell(rows: np.ndarray, row: int | None, column: int | None, dtype: DType) -> str:
    if row is None or column is None:
        return GAP
    value = dtypes.decode(rows[row : row + 1, column], dtype)[0]
    return f"{value:.4g}" if dtype.is_float else str(value)
