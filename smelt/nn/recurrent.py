"""Recurrent layers: RNN, LSTM, GRU. They are loops over time (`smelt.scan`) of one step each.

Each class has its equations in `_step`; what surrounds them is `_Layers`. Weights, gates and their
order are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import smelt.functional as F
from smelt.autodiff.composition import is_plain, of_one_float
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from smelt.location import warn
from smelt.nn.checks import sizes, switches
from smelt.nn.recurrence import Recurrence, State
from smelt.nn.recurrence_loop import Loop
from smelt.nn.recurrence_value import (
    ElmanSequence,
    GRUSequence,
    LSTMSequence,
    RectifiedSequence,
    Sequence,
)
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.shaping import cat, stack
from smelt.tracing.engine import current_engine

__all__ = ["GRU", "LSTM", "RNN"]

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": F.tanh, "relu": F.relu}
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Layers(Recurrence):
    """Recurrences over time, one on top of the other, in one direction or both.

    Each layer and direction has an index, layer * D + direction.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        sizes(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        switches(self, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        self._check_settings(input_size, hidden_size, num_layers, dropout)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        for index in range(num_layers * self._directions):
            width = input_size if index < self._directions else hidden_size * self._directions
            parameters = self._new_parameters(width, bias, dtype)
            for name, parameter in zip(PARAMETERS, parameters, strict=True):
                setattr(self, name + self._suffix(index), parameter)
        self.reset_parameters()

    def _check_settings(
        self, input_size: int, hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        name = type(self).__name__
        given = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        for what, size in given.items():
            if size < 1:
                raise ArgumentError(f"{name}: {what} must be at least 1")
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"{name}: dropout must lie in [0, 1], got {dropout}")
        if dropout and num_layers == 1:
            warn(f"{name}: dropout is applied between layers, so with num_layers=1 it does nothing")

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffix(self, index: int) -> str:
        layer, backward = divmod(index, self._directions)
        return f"_l{layer}_reverse" if backward else f"_l{layer}"

    def _parameters_of(self, index: int) -> list[Any]:
        return [getattr(self, name + self._suffix(index)) for name in PARAMETERS]

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """Runs over the sequences.

        Args:
            x: (T, B, I), or (B, T, I) with batch_first, or (T, I) for one sequence.
            state: what the recurrence starts from, (L * D, B, H), or (L * D, H) without a batch; L
                layers of D directions each, layer by layer. For an LSTM a pair (h, c) of them.
                Zeros when None.
            lengths: ints (B): how many places of each sequence count. Behind them the output is 0,
                the state stays as it is, and the backward direction begins at the last place that
                counts. (PyTorch: pack_padded_sequence.)

        Returns:
            The last layer's h at each place, (T, B, D * H) in the layout of `x`, both directions
            side by side; and the final state, in the form of the initial one.

        Raises:
            ShapeError: the input, the state or `lengths` does not fit.
            BoundsError: a length outside 0..T.
            DTypeError: lengths that are no integers.
            ArgumentError: integers in the place of the state.
        """
        axes = "(B, T, I) or (T, I)" if self.batch_first else "(T, B, I) or (T, I)"
        self._check_width(x, axes, (2, 3))
        self._check_state_kind(state)
        count = self.num_layers * self._directions
        if x.ndim == 2:
            state = self._initial_state(state, (count, self.hidden_size), x)
            batch_of_one = tuple(tensor.unsqueeze(1) for tensor in state)
            y, final = self._run(x.unsqueeze(1), batch_of_one, lengths)
            return y.squeeze(1), self._final_state(tuple(tensor.squeeze(1) for tensor in final))
        x = x.transpose(0, 1) if self.batch_first else x
        state = self._initial_state(state, (count, x.shape[1], self.hidden_size), x)
        y, final = self._run(x, state, lengths)
        return y.transpose(0, 1) if self.batch_first else y, self._final_state(final)

    def _check_state_kind(self, state: Any) -> None:
        """Raises for integers in the place of the state."""
        tensors = state if isinstance(state, (tuple, list)) else (state,)
        if any(map(_is_integer, tensors)):
            raise ArgumentError(
                f"{type(self).__name__}: the second argument must be the state, float tensors, "
                "got integers; did you mean lengths=?"
            )

    def _run(self, x: Tensor, state: State, lengths: Any) -> tuple[Tensor, State]:
        """Runs all layers over x (T, B, I)."""
        if not x.shape[0]:
            raise ShapeError(
                f"{type(self).__name__}: the sequences have length 0, input shape {x.shape}"
            )
        mask = None if lengths is None else self._mask(lengths, x)
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for index in range(layer * self._directions, (layer + 1) * self._directions):
                initial = tuple(tensor[index] for tensor in state)
                final, y = self._over_time(x, initial, mask, index)
                finals.append(final)
                outputs.append(y)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
        return x, tuple(stack(tensors) for tensors in zip(*finals, strict=True))

    def _over_time(
        self, x: Tensor, initial: State, mask: Tensor | None, index: int
    ) -> tuple[State, Tensor]:
        """Runs one layer in one direction; the inputs' projection is one product for all steps."""
        weight_ih, weight_hh, *biases = self._parameters_of(index)
        x, bias_hh = self._input_projection(x, weight_ih, *biases)  # (T, B, gates * H)
        loop = Loop(self._step, bool(index % self._directions), mask)
        kind = self._sequence()
        given = [tensor for tensor in (x, *initial, weight_hh, bias_hh) if tensor is not None]
        if kind is None or not (is_plain(*given) and of_one_float(given)):
            return loop.scanned(x, initial, weight_hh, bias_hh)
        sequence = kind(loop.all_states, loop.reverse, bias_hh is not None, mask is not None)
        return loop.ends_of(sequence(*given, *loop.masks))

    def _sequence(self) -> type[Sequence] | None:
        """Returns what computes such steps at once; None for a class with a step of its own."""
        return SEQUENCES.get(type(self)._step)

    def _mask(self, lengths: Any, x: Tensor) -> Tensor:
        """Which steps of each sequence count: bool (T, B, 1)."""
        lengths, (steps, batch, _) = as_tensor(lengths), x.shape
        name = type(self).__name__
        if lengths.dtype.kind != "int":
            raise DTypeError(f"{name}: lengths must be integers, got {lengths.dtype.name}")
        if lengths.shape != (batch,):
            raise ShapeError(
                f"{name}: lengths must have shape ({batch},), one number per sequence, got "
                f"{lengths.shape}"
            )
        outside = (lengths < 0) | (lengths > steps)
        message = f"{name}: a length lies outside 0..{steps}; the sequences have length {steps}"
        current_engine().require(outside, message, BoundsError, lengths)
        return (iota(shape=(steps, batch), axis=0) < lengths).unsqueeze(-1)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Runs all layers for one place: an iteration of a loop of one's own, such as a decoder's.

        Args:
            x: (B, I).
            state: (L, B, H), for an LSTM a pair of them; zeros when None.

        Returns:
            The last layer's h (B, H), and the next state. There is no dropout between layers.

        Raises:
            ArgumentError: the layers are bidirectional.
            ShapeError: the input or the state does not fit.
        """
        if self.bidirectional:
            raise ArgumentError(
                f"{type(self).__name__}: a bidirectional layer cannot run step by step; use "
                "bidirectional=False"
            )
        self._check_width(x, "(B, I)", (2,))
        before = self._initial_state(state, (self.num_layers, x.shape[0], self.hidden_size), x)
        finals = []
        for layer in range(self.num_layers):
            weight_ih, weight_hh, *biases = self._parameters_of(layer)
            x, bias_hh = self._input_projection(x, weight_ih, *biases)
            state = tuple(tensor[layer] for tensor in before)
            finals.append(self._step(x, state, weight_hh, bias_hh))
            x = finals[-1][0]
        return x, self._final_state(tuple(stack(tensors) for tensors in zip(*finals, strict=True)))

    def extra_repr(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, "
            f"bias={self.bias}, batch_first={self.batch_first}, dropout={self.dropout}, "
            f"bidirectional={self.bidirectional}"
        )


def _is_integer(value: Any) -> bool:
    """Whether it is an integer, or an array or a tensor of such."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return isinstance(value, int) or kind in ("int", "i", "u")


def check_nonlinearity(layer: object, nonlinearity: str) -> None:
    """Raises ArgumentError for a nonlinearity that an RNN does not have."""
    if nonlinearity not in NONLINEARITIES:
        raise ArgumentError(
            f"{type(layer).__name__}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}"
        )


class RNN(_Layers):
    """`h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)` (Elman, 1990).

    Args:
        input_size: I, size of the last axis of the input.
        hidden_size: H, size of the last axis of the state.
        num_layers: L; each layer runs over the outputs of the layer below.
        nonlinearity: act, "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether inputs are (B, T, I) instead of (T, B, I).
        dropout: the probability that an element is dropped between layers, in training.
        bidirectional: whether each layer also runs from the last position to the first.
        dtype: of the parameters; float32 when None.

    Parameters: weight_ih_l0 (H, I), weight_hh_l0 (H, H), bias_ih_l0 (H), bias_hh_l0 (H); further
    layers l1, l2, ...; backward directions l0_reverse, ...; initially drawn from U(-r, r) with r =
    1 / sqrt(H).

    Raises:
        ArgumentError: an unknown nonlinearity, no layer, or `dropout` is not a probability.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity(self, nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype,
        )  # fmt: skip

    def _step(
        self: Recurrence, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor | None
    ) -> State:
        (h,) = state
        act = NONLINEARITIES[self.nonlinearity]
        return (act(x + F.linear(h, weight_hh, bias_hh)),)

    def _sequence(self) -> type[Sequence] | None:
        kind = super()._sequence()
        return RectifiedSequence if kind and self.nonlinearity == "relu" else kind


class LSTM(_Layers):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
        f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)
        g_t =    tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
        o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    The rows of weight_ih are W_ii, W_if, W_ig, W_io, stacked in this order; so are those of the
    others.

    Args and parameters: as for `RNN`, without `nonlinearity`; weights of 4 H rows. The state is the
    pair (h, c).

    Args:
        proj_size: must be 0: projections are not supported; put a Linear after the layer.
    """

    num_gates = 4
    num_states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = None,
    ) -> None:
        if proj_size:
            raise ArgumentError("LSTM: proj_size is not supported; put a Linear after the layer")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype,
        )  # fmt: skip

    def _step(
        self: Recurrence, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor | None
    ) -> State:
        h, c = state
        i, f, g, o = (x + F.linear(h, weight_hh, bias_hh)).chunk(4, -1)
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
        return F.sigmoid(o) * F.tanh(c), c


class GRU(_Layers):
    """Gated recurrent units (Cho et al., 2014), with the reset gate after the product.

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
        n_t =    tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    The rows of weight_ih are W_ir, W_iz, W_in, stacked in this order; so are those of the others.

    Args and parameters: as for `RNN`, without `nonlinearity`; weights of 3 H rows.
    """

    num_gates = 3
    bias_hh_in_step = True  # that of n_h is multiplied by r

    def _step(
        self: Recurrence, x: Tensor, state: State, weight_hh: Tensor, bias_hh: Tensor | None
    ) -> State:
        (h,) = state
        r_x, z_x, n_x = x.chunk(3, -1)
        r_h, z_h, n_h = F.linear(h, weight_hh, bias_hh).chunk(3, -1)
        r, z = F.sigmoid(r_x + r_h), F.sigmoid(z_x + z_h)
        n = F.tanh(n_x + r * n_h)
        return (n + z * (h - n),)


SEQUENCES: dict[Any, type[Sequence]] = {
    RNN._step: ElmanSequence,
    LSTM._step: LSTMSequence,
    GRU._step: GRUSequence,
}
