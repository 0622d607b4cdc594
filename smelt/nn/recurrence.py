"""The common base of recurrent layers and cells: their weights, and the form of the state."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import smelt.functional as F
from smelt.errors import ShapeError
from smelt.nn import init
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor
from smelt.tensor.apply import full

__all__ = ["Recurrence", "State"]

State = tuple[Tensor, ...]


class Recurrence(Module):
    """The base of recurrent layers (recurrent.py) and cells (cells.py): one step, repeated.

    `num_gates` is how many maps of H rows a weight holds, `num_states` how many tensors form the
    state. Unless `bias_hh_in_step`, b_hh is added to the input, outside of a loop over time.
    """

    num_gates: ClassVar[int] = 1
    num_states: ClassVar[int] = 1
    bias_hh_in_step: ClassVar[bool] = False
    input_size: int
    hidden_size: int
    nonlinearity: str  # of an RNN

    def _step(self, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor | None) -> State:
        """Returns the next state; `x` is W_ih x + b_ih (and + b_hh)."""
        raise NotImplementedError

    def _input_projection(
        self, x: Tensor, weight_ih: Tensor, bias_ih: Tensor | None, bias_hh: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns W_ih x + b_ih, and the bias that is left for `_step`.

        It is b_hh where that must be added to W_hh h (a GRU's, which r multiplies); else None,
        since b_hh is in the projection already: added once for all steps, not in each.
        """
        if bias_ih is None or bias_hh is None or self.bias_hh_in_step:
            return F.linear(x, weight_ih, bias_ih), bias_hh
        return F.linear(x, weight_ih, bias_ih) + bias_hh, None

    def _new_parameters(
        self, input_size: int, bias: bool, dtype: Any
    ) -> tuple[Parameter, Parameter, Parameter | None, Parameter | None]:
        """Returns new weight_ih, weight_hh, bias_ih, bias_hh."""
        rows = self.num_gates * self.hidden_size
        bias_ih, bias_hh = (empty_parameter(rows, dtype=dtype) if bias else None for _ in range(2))
        weight_ih = empty_parameter(rows, input_size, dtype=dtype)
        weight_hh = empty_parameter(rows, self.hidden_size, dtype=dtype)
        return weight_ih, weight_hh, bias_ih, bias_hh

    def reset_parameters(self) -> None:
        """Draws new initial values from U(-r, r) with r = 1 / sqrt(hidden_size)."""
        limit = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -limit, limit)

    def _initial_state(self, given: Any, shape: tuple[int, ...], x: Tensor) -> State:
        """Returns the state that was given, or zeros; each tensor must have `shape`."""
        if given is None:
            return (full(shape, 0, x.dtype),) * self.num_states
        state = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        shapes = [getattr(tensor, "shape", type(tensor).__name__) for tensor in state]
        if shapes != [shape] * self.num_states:
            needed = str(shape) if self.num_states == 1 else f"a pair (h, c) of {shape} each"
            got = " and ".join(map(str, shapes))
            raise ShapeError(f"{type(self).__name__}: the state must be {needed}, got {got}")
        return state

    def _final_state(self, state: State) -> Any:
        """Returns the state in the form that PyTorch gives it: a tensor, or a pair."""
        return state[0] if self.num_states == 1 else state

    def _check_width(self, x: Tensor, axes: str, counts: tuple[int, ...]) -> None:
        if x.ndim not in counts or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__} needs an input {axes} with I = input_size = "
                f"{self.input_size}, got shape {x.shape}"
            )
