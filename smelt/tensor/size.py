"""`x.size`: the number of elements, as in NumPy; when called, the sizes, as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

from smelt.ops.op import Shape, normal_axis

__all__ = ["Size"]


class Size(int):
    """The number of elements; calling it returns the sizes: `x.size(0)` is `x.shape[0]`."""

    shape: Shape

    def __new__(cls, shape: Shape) -> Size:
        result = int.__new__(cls, math.prod(shape))
        result.shape = shape
        return result

    def __call__(self, dim: int | None = None) -> Any:
        """Returns the extents, or that of axis `dim`."""
        return self.shape if dim is None else self.shape[normal_axis(dim, len(self.shape), "size")]

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)
