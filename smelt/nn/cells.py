"""One step of a recurrence: what RNN, LSTM and GRU do at each place, and the cells that do it once.

Weights, gates and their order are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import smelt.functional as F
from smelt.errors import ArgumentError, ShapeError
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor
from smelt.tensor.apply import filled

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "Recurrence"]

State = tuple[Tensor, ...]
NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": F.tanh, "relu": F.relu}


class Recurrence(Module):
    """What a cell and the layers made of it share: the step, and the form of the state.

    `gates` is how many maps of H rows a weight holds, `tensors` how many tensors form the state.
    Unless `inner_bias`, b_hh can be added to the input, outside of a loop over time.
    """

    gates: ClassVar[int]
    tensors: ClassVar[int] = 1
    inner_bias: ClassVar[bool] = False
    input_size: int
    hidden_size: int

    def _advance(
        self, projected: Tensor, state: State, weight: Tensor, bias: Tensor | None
    ) -> State:
        """Returns the next state; `projected` is W_ih x + b_ih (and + b_hh)."""
        raise NotImplementedError

    def _project(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, inner: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the input's share of the gates, and the bias that is left for `_advance`.

        It is b_hh where that must be added to W_hh h (a GRU's, which r multiplies); else None,
        since b_hh is in the share already: added once for all places, not once a turn.
        """
        if bias is None or inner is None or self.inner_bias:
            return F.linear(x, weight, bias), inner
        return F.linear(x, weight, bias) + inner, None

    def _weights(self, input_size: int, bias: bool, dtype: Any) -> list[Parameter | None]:
        """Returns new weight_ih, weight_hh, bias_ih, bias_hh."""
        rows = self.gates * self.hidden_size
        biases = [empty_parameter(rows, dtype=dtype) if bias else None for _ in range(2)]
        extents = input_size, self.hidden_size
        return [*(empty_parameter(rows, columns, dtype=dtype) for columns in extents), *biases]

    def reset_parameters(self) -> None:
        """Draws first values anew from U(-r, r) with r = 1 / sqrt(hidden_size)."""
        limit = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -limit, limit)

    def _state(self, given: Any, shape: tuple[int, ...], x: Tensor) -> State:
        """Returns the state that was given, or zeros; each tensor must have `shape`."""
        if given is None:
            return (filled(shape, 0, x.dtype),) * self.tensors
        state = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        shapes = [getattr(part, "shape", type(part).__name__) for part in state]
        if shapes != [shape] * self.tensors:
            needed = str(shape) if self.tensors == 1 else f"a pair (h, c) of {shape} each"
            got = " and ".join(map(str, shapes))
            raise ShapeError(f"{type(self).__name__}: the state must be {needed}, got {got}")
        return state

    def _result(self, state: State) -> Any:
        """Returns the state in the form that PyTorch gives it: a tensor, or a pair."""
        return state[0] if self.tensors == 1 else state

    def _check_width(self, x: Tensor, axes: str, counts: tuple[int, ...]) -> None:
        if x.ndim not in counts or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__} needs {axes} with I = input_size = {self.input_size}, "
                f"got {x.shape}"
            )


class Elman(Recurrence):
    """`h' = act(W_ih x + b_ih + W_hh h + b_hh)` (Elman, 1990)."""

    gates = 1
    nonlinearity: str

    def _choose(self, nonlinearity: str) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ArgumentError(
                f"{type(self).__name__}: nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}"
            )
        self.nonlinearity = nonlinearity

    def _advance(
        self, projected: Tensor, state: State, weight: Tensor, bias: Tensor | None
    ) -> State:
        act = NONLINEARITIES[self.nonlinearity]
        return (act(projected + F.linear(state[0], weight, bias)),)


class LongShortTerm(Recurrence):
    """`c' = f * c + i * g; h' = o * tanh(c')`, the gates i, f, g, o in this order."""

    gates = 4
    tensors = 2

    def _advance(
        self, projected: Tensor, state: State, weight: Tensor, bias: Tensor | None
    ) -> State:
        h, c = state
        i, f, g, o = (projected + F.linear(h, weight, bias)).chunk(4, -1)
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
        return F.sigmoid(o) * F.tanh(c), c


class Gated(Recurrence):
    """`n = tanh(n_x + r * n_h); h' = (1 - z) * n + z * h`, the gates r, z, n in this order."""

    gates = 3
    inner_bias = True  # that of n_h is multiplied by r

    def _advance(
        self, projected: Tensor, state: State, weight: Tensor, bias: Tensor | None
    ) -> State:
        (h,) = state
        r_x, z_x, n_x = projected.chunk(3, -1)
        r_h, z_h, n_h = F.linear(h, weight, bias).chunk(3, -1)
        r, z = F.sigmoid(r_x + r_h), F.sigmoid(z_x + z_h)
        n = F.tanh(n_x + r * n_h)
        return (n + z * (h - n),)


class _Cell(Recurrence):
    """A recurrence that is stepped by hand."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        sizes(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        weights = self._weights(input_size, bias, dtype)
        self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh = weights
        self.reset_parameters()

    def forward(self, x: Tensor, state: Any = None) -> Any:
        """Returns the next state.

        Args:
            x: (B, input_size) or (input_size).
            state: (B, hidden_size) or (hidden_size), for an LSTMCell a pair (h, c) of them; zeros
                when None.

        Raises:
            ShapeError: the input or the state does not fit.
        """
        self._check_width(x, "(B, I) or (I)", (1, 2))
        assert self.weight_ih is not None
        assert self.weight_hh is not None
        before = self._state(state, (*x.shape[:-1], self.hidden_size), x)
        projected, bias = self._project(x, self.weight_ih, self.bias_ih, self.bias_hh)
        return self._result(self._advance(projected, before, self.weight_hh, bias))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias_ih is not None}"


class RNNCell(Elman, _Cell):
    """`h' = act(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size: extent I of the last axis of the input.
        hidden_size: extent H of the last axis of the state.
        bias: whether there are biases.
        nonlinearity: act, "tanh" or "relu".
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (H, I), weight_hh (H, H), bias_ih (H), bias_hh (H), first drawn from
    U(-r, r) with r = 1 / sqrt(H).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
    ) -> None:
        self._choose(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype)


class LSTMCell(LongShortTerm, _Cell):
    """`c' = f * c + i * g; h' = o * tanh(c')` (Hochreiter and Schmidhuber, 1997; Gers, 1999).

    i, f, o = sigmoid and g = tanh of the parts of W_ih x + b_ih + W_hh h + b_hh, in the order i, f,
    g, o. The state is the pair (h, c).

    Args:
        input_size: extent I of the last axis of the input.
        hidden_size: extent H of the last axis of h and c.
        bias: whether there are biases.
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (4 H, I), weight_hh (4 H, H), bias_ih (4 H), bias_hh (4 H), first drawn
    from U(-r, r) with r = 1 / sqrt(H).
    """


class GRUCell(Gated, _Cell):
    """`n = tanh(n_x + r * n_h); h' = (1 - z) * n + z * h` (Cho et al., 2014).

    r, z = sigmoid of the first two parts of the sum of W_ih x + b_ih and W_hh h + b_hh; n_x, n_h
    their third parts.

    Args:
        input_size: extent I of the last axis of the input.
        hidden_size: extent H of the last axis of the state.
        bias: whether there are biases.
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (3 H, I), weight_hh (3 H, H), bias_ih (3 H), bias_hh (3 H), first drawn
    from U(-r, r) with r = 1 / sqrt(H).
    """
