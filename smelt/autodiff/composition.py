"""A composition of operations as one operation of the eager history.

It is defined by a function of Tensors. Its value, and its gradient if that needs no history, are
computed in NumPy in ways that the single operations do not offer: a whole sequence in one loop, all
edges of a padded tensor in one array. Everything else (forward mode, higher derivatives, batches of
cotangents) runs the function and walks its history. Code that applies a composition checks
`is_plain` first, since a trace, or `check_nan`, needs the single operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.autodiff.record import tracked
from smelt.dtypes import float32, float64
from smelt.ops.op import Gradients, Needs, Op
from smelt.tensor import Tensor
from smelt.tracing.apply import tensor_of
from smelt.tracing.engine import EAGER, array_of, context, enable_grad, quietly
from smelt.tracing.walk import forward_walk, reverse_walk


def is_plain(*given: Any) -> bool:
    """Returns whether this thread computes eagerly, without checks, on tensors with values."""
    return context.engine is EAGER and all(isinstance(x, Tensor) and not x.is_traced for x in given)


def of_one_float(tensors: Sequence[Tensor]) -> bool:
    """Returns whether all tensors have one dtype, float32 or float64."""
    kind = tensors[0].dtype
    return kind in (float32, float64) and all(x.dtype is kind for x in tensors)


class Composition(Op):
    """A composition with one result. It lives as long as the result and saves what its gradient
    needs, so each call makes its own.

    A subclass implements `infer`, `value`, and either `gradients` or a `vjp` by `differentiated`.
    """

    def __init__(self, name: str, definition: Callable[..., Tensor]) -> None:
        self.name = name  # not in the registry
        self._types = {}
        self.definition = definition

    def gradients(
        self, g: np.ndarray, needs: Needs, arrays: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray | None, ...]:
        """Returns the gradient of each input, computed in NumPy; None where it is not needed."""
        raise NotImplementedError(f"{self.name}: gradients")

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        if context.engine is EAGER and not context.grad_enabled:
            arrays = tuple(map(array_of, inputs))
            found = quietly(self.gradients, array_of(g), needs, arrays)
            return tuple([None if x is None else tensor_of(x, output.dtype) for x in found])
        return self.differentiated(g, needs, inputs)

    def differentiated(self, g: Any, needs: Needs, inputs: tuple[Any, ...]) -> Gradients:
        """Returns the gradient of each input, by the history of the definition."""
        result, primals = self._recorded(inputs)
        wanted = {id(x) for x, needed in zip(primals, needs, strict=True) if needed}
        known = reverse_walk((result,), (g,), wanted)
        return tuple([known.get(id(x)) if id(x) in wanted else None for x in primals])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        result, primals = self._recorded(inputs)
        pairs = zip(primals, tangents, strict=True)
        return forward_walk((result,), {id(x): t for x, t in pairs if t is not None})[0]

    def _recorded(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Runs the definition; returns its result, and each input's stand-in in its history."""
        with enable_grad():
            primals = [tracked(x, self.name) if x.dtype.is_float else x for x in inputs]
            return self.definition(*primals), primals
