"""`x.data`: a tensor without history through which another one is changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.errors import ShapeError
from smelt.tensor.tensor import Tensor
from smelt.tracing.engine import Data, no_grad

__all__ = ["StateView"]


class StateView(Tensor):
    """`x.data`: the current values of x, without history.

    In-place changes go to x, eagerly and in a trace.
    """

    __slots__ = ("_source",)
    is_variable = True

    def __init__(self, source: Tensor) -> None:
        self._source = source
        super().__init__(source.lifted, source.dtype)
        self._version = source._version

    @property
    def _data(self) -> Data:
        source = self._source
        return source._data if source.is_traced else source.lifted

    @_data.setter
    def _data(self, data: Data) -> None:
        """What the view shows is the source's."""

    def copy_(self, value: Any) -> Tensor:
        """Overwrites the contents of the source; returns the view."""
        with no_grad():
            self._source.copy_(value)
        return self

    def replace(self, values: Tensor) -> None:
        """Gives the source other values of its shape; of another dtype outside a trace only."""
        source = self._source
        if values.shape != source.shape:
            raise ShapeError(
                f"x.data = y: a tensor of shape {source.shape} keeps its shape, got "
                f"{values.shape}; make a new tensor"
            )
        if values.dtype is source.dtype or values.is_traced or source.is_traced:
            self.copy_(values)
        else:
            source.replace_storage(np.array(values.stored), values.dtype)

    def detach(self) -> Tensor:
        """Returns the view itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self._source.detach().__reduce__()
