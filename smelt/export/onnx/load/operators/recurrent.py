"""Recurrent layers: RNN, GRU and LSTM, as a scan along time.

All products with the inputs are one before the loop. A sequence that is shorter keeps its state at
the times behind its end, where the outputs are 0; so the direction "reverse" begins at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from smelt import dtypes
from smelt.control import scan
from smelt.creation import arange, zeros
from smelt.export.onnx.load.card import FLOAT, FLOATS, INT, TEXTS, Call, Card, Cards, Node
from smelt.export.onnx.load.operators.activations import hard_sigmoid, softplus
from smelt.tensor import Tensor
from smelt.tensor import activations as A
from smelt.tensor.elementary import clamp, where
from smelt.tensor.shaping import stack

Function = Callable[..., Tensor]
State = tuple[Tensor, ...]

# by name: the function, and the defaults of alpha and beta
FUNCTIONS: Final[dict[str, tuple[Function, tuple[float, ...]]]] = {
    "relu": (A.relu, ()),
    "tanh": (A.tanh, ()),
    "sigmoid": (A.sigmoid, ()),
    "softsign": (A.softsign, ()),
    "softplus": (softplus, ()),
    "affine": (lambda x, alpha, beta: x * alpha + beta, (1.0, 0.0)),
    "leakyrelu": (lambda x, alpha: A.leaky_relu(x, alpha), (0.01,)),
    "thresholdedrelu": (lambda x, alpha: where(x >= alpha, x, 0.0), (1.0,)),
    "scaledtanh": (lambda x, alpha, beta: A.tanh(x * beta) * alpha, (1.0, 1.0)),
    "hardsigmoid": (hard_sigmoid, (0.2, 0.5)),
    "elu": (A.elu, (1.0,)),
}


class Weights(NamedTuple):
    """What one direction computes with.

    `inputs` (T, B, G H) are the products with the inputs and their bias, `recurrent` (G H, H) and
    `bias` (G H) are for the state, `peepholes` (3 H) are those of an LSTM.
    """

    inputs: Tensor
    recurrent: Tensor
    bias: Tensor | None
    peepholes: Tensor | None
    functions: list[Function]


Step = Callable[[Call, Tensor, State, Weights], State]


def _gates(x: Tensor, count: int) -> tuple[Tensor, ...]:
    return x.chunk(count, -1)


def _from_state(h: Tensor, weights: Weights) -> Tensor:
    y = h @ weights.recurrent.T
    return y if weights.bias is None else y + weights.bias


def _rnn(call: Call, x: Tensor, state: State, weights: Weights) -> State:
    """H = f(X W' + H R' + b)"""
    (h,), (f,) = state, weights.functions
    return (f(x + _from_state(h, weights)),)


def _gru(call: Call, x: Tensor, state: State, weights: Weights) -> State:
    """H = (1 - z) g(X W' + r (H R' + b)) + z H; or with (r H) R' + b"""
    (h,), (f, g) = state, weights.functions
    z_in, r_in, n_in = _gates(x, 3)
    recurrent = _gates(weights.recurrent.T, 3)
    biases = (None,) * 3 if weights.bias is None else _gates(weights.bias, 3)

    def product(value: Tensor, gate: int) -> Tensor:
        y, bias = value @ recurrent[gate], biases[gate]
        return y if bias is None else y + bias

    if call["linear_before_reset"]:
        z_state, r_state, n_state = _gates(_from_state(h, weights), 3)
        z, r = f(z_in + z_state), f(r_in + r_state)
        n = g(n_in + r * n_state)
    else:
        z, r = f(z_in + product(h, 0)), f(r_in + product(h, 1))
        n = g(n_in + product(r * h, 2))
    return ((1.0 - z) * n + z * h,)


def _lstm(call: Call, x: Tensor, state: State, weights: Weights) -> State:
    """C = f C + i c, H = o h(C)"""
    (h, c), (f, g, last) = state, weights.functions
    i_all, o_all, f_all, c_all = _gates(x + _from_state(h, weights), 4)
    peepholes = weights.peepholes
    i_hole, o_hole, f_hole = (None,) * 3 if peepholes is None else _gates(peepholes, 3)

    def opened(gate: Tensor, hole: Tensor | None, seen: Tensor) -> Tensor:
        return f(gate if hole is None else gate + hole * seen)

    i = opened(i_all, i_hole, c)
    kept = 1.0 - i if call["input_forget"] else opened(f_all, f_hole, c)
    c = kept * c + i * g(c_all)
    o = opened(o_all, o_hole, c)
    return o * last(c), c


class Kind(NamedTuple):
    """A layer: its step, how many gates and states it has, and its usual activations."""

    step: Step
    gates: int
    states: int
    activations: tuple[str, ...]


KINDS: Final = {
    "RNN": Kind(_rnn, 1, 1, ("Tanh",)),
    "GRU": Kind(_gru, 3, 1, ("Sigmoid", "Tanh")),
    "LSTM": Kind(_lstm, 4, 2, ("Sigmoid", "Tanh", "Tanh")),
}


def _functions(settings: Any, kind: Kind, directions: int) -> list[list[Function]]:
    """Returns the activations of each direction, which take alpha and beta from common lists."""
    names = settings["activations"] or kind.activations * directions
    alphas = list(settings["activation_alpha"] or ())
    betas = list(settings["activation_beta"] or ())
    limit = settings["clip"]
    made: list[Function] = []
    for name in names:
        function, defaults = FUNCTIONS[name.lower()]
        given = [
            source.pop(0) if source else default
            for source, default in zip((alphas, betas), defaults, strict=False)
        ]
        made.append(_limited(function, given, limit))
    each = len(kind.activations)
    return [made[number * each : (number + 1) * each] for number in range(directions)]


def _limited(function: Function, given: Sequence[float], limit: float | None) -> Function:
    if limit is None:
        return lambda x: function(x, *given)
    return lambda x: function(clamp(x, -limit, limit), *given)


def _refused(node: Node) -> str:
    kind, settings = KINDS[node.op_type], node.settings
    if settings["direction"] not in ("forward", "reverse", "bidirectional"):
        return f"direction {settings['direction']!r}"
    directions = 2 if settings["direction"] == "bidirectional" else 1
    names = settings["activations"] or kind.activations * directions
    unknown = [name for name in names if name.lower() not in FUNCTIONS]
    if unknown:
        return f"activation {unknown[0]!r}"
    expected = len(kind.activations) * directions
    return "" if len(names) == expected else f"{len(names)} activations"


def _layer(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    lengths: Tensor | None,
    initial: Sequence[Tensor | None],
    peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    kind = KINDS[call.node.op_type]
    directions, size = r.shape[0], r.shape[-1]
    if call["layout"]:
        x = x.transpose(0, 1)
        initial = [None if one is None else one.transpose(0, 1) for one in initial]
    functions = _functions(call.node.settings, kind, directions)
    outputs, lasts = [], []
    for number in range(directions):
        rows = x @ w[number].T
        bias = None
        if b is not None:
            ahead, bias = b[number].chunk(2)
            rows = rows + ahead
        holes = None if peepholes is None else peepholes[number]
        weights = Weights(rows, r[number], bias, holes, functions[number])
        nothing = zeros(x.shape[1], size, dtype=x.dtype)
        state = tuple([nothing if one is None else one[number] for one in initial])
        reverse = call["direction"] == "reverse" or number == 1
        last, every = _along_time(call, kind, weights, state, lengths, reverse)
        outputs.append(every)
        lasts.append(last)
    every = stack(outputs, 1)
    states = [stack([last[place] for last in lasts]) for place in range(kind.states)]
    if call["layout"]:
        every = every.permute(2, 0, 1, 3)
        states = [one.transpose(0, 1) for one in states]
    return (every, *states)


def _along_time(
    call: Call,
    kind: Kind,
    weights: Weights,
    state: State,
    lengths: Tensor | None,
    reverse: bool,
) -> tuple[State, Tensor]:
    times = arange(weights.inputs.shape[0])

    def iteration(state: State, given: tuple[Tensor, ...]) -> tuple[State, Tensor]:
        following = kind.step(call, given[0], state, weights)
        if lengths is None:
            return following, following[0]
        runs = (given[1] < lengths.to(dtypes.int64)).unsqueeze(1)
        kept = tuple([where(runs, new, old) for new, old in zip(following, state, strict=True)])
        return kept, where(runs, following[0], 0.0)

    given = (weights.inputs,) if lengths is None else (weights.inputs, times)
    last, every = scan(iteration, state, given, reverse=reverse)
    return last, every


def _one_state(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    initial_h: Tensor | None = None,
) -> tuple[Tensor, ...]:
    return _layer(call, x, w, r, b, lengths, [initial_h])


def _two_states(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    peepholes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    return _layer(call, x, w, r, b, lengths, [initial_h, initial_c], peepholes)


SETTINGS: Final[dict[str, Any]] = {
    "activation_alpha": FLOATS, "activation_beta": FLOATS, "activations": TEXTS, "clip": FLOAT,
    "direction": "forward", "hidden_size": INT, "layout": 0,
}  # fmt: skip

CARDS: Final[Cards] = {
    "RNN": Card(_one_state, SETTINGS, first=7, refused=_refused),
    "GRU": Card(_one_state, {**SETTINGS, "linear_before_reset": 0}, first=7, refused=_refused),
    "LSTM": Card(_two_states, {**SETTINGS, "input_forget": 0}, first=7, refused=_refused),
}
