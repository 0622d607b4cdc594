"""The cells RNNCell, LSTMCell, GRUCell: one step of a recurrent layer, for your own loops.

Weights, gates and their order are PyTorch's; the equations are those of the layer (recurrent.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from smelt.nn.checks import sizes
from smelt.nn.recurrence import Recurrence
from smelt.nn.recurrent import GRU, LSTM, RNN, check_nonlinearity
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.nn.parameter import Parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(Recurrence):
    """A recurrence that is stepped by hand."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        sizes(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        parameters = self._new_parameters(input_size, bias, dtype)
        self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh = parameters
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
        before = self._initial_state(state, (*x.shape[:-1], self.hidden_size), x)
        x, bias_hh = self._input_projection(x, self.weight_ih, self.bias_ih, self.bias_hh)
        return self._final_state(self._step(x, before, self.weight_hh, bias_hh))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, bias={self.bias_ih is not None}"


class RNNCell(_Cell):
    """`h' = act(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size: size I of the last axis of the input.
        hidden_size: size H of the last axis of the state.
        bias: whether there are biases.
        nonlinearity: act, "tanh" or "relu".
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (H, I), weight_hh (H, H), bias_ih (H), bias_hh (H), initially drawn from
    U(-r, r) with r = 1 / sqrt(H).
    """

    _step = RNN._step

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity(self, nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype=dtype)


class LSTMCell(_Cell):
    """One step of `LSTM` (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
        f = sigmoid(W_if x + b_if + W_hf h + b_hf)
        g =    tanh(W_ig x + b_ig + W_hg h + b_hg)
        o = sigmoid(W_io x + b_io + W_ho h + b_ho)
        c' = f * c + i * g
        h' = o * tanh(c')

    The rows of weight_ih are W_ii, W_if, W_ig, W_io, stacked in this order; so are those of the
    others. The state is the pair (h, c).

    Args:
        input_size: size I of the last axis of the input.
        hidden_size: size H of the last axis of h and c.
        bias: whether there are biases.
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (4 H, I), weight_hh (4 H, H), bias_ih (4 H), bias_hh (4 H), initially
    drawn from U(-r, r) with r = 1 / sqrt(H).
    """

    num_gates: ClassVar[int] = LSTM.num_gates
    num_states: ClassVar[int] = LSTM.num_states
    _step = LSTM._step


class GRUCell(_Cell):
    """One step of `GRU` (Cho et al., 2014), with the reset gate after the product.

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n =    tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - z) * n + z * h

    The rows of weight_ih are W_ir, W_iz, W_in, stacked in this order; so are those of the others.

    Args:
        input_size: size I of the last axis of the input.
        hidden_size: size H of the last axis of the state.
        bias: whether there are biases.
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih (3 H, I), weight_hh (3 H, H), bias_ih (3 H), bias_hh (3 H), initially
    drawn from U(-r, r) with r = 1 / sqrt(H).
    """

    num_gates: ClassVar[int] = GRU.num_gates
    bias_hh_in_step: ClassVar[bool] = GRU.bias_hh_in_step
    _step = GRU._step
