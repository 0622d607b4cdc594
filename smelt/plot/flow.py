"""How far back along a sequence a loss has an effect: the vanishing gradient made visible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import tree
from smelt.autodiff import grad
from smelt.autodiff.record import expected_zeros
from smelt.creation import zeros_like
from smelt.errors import ArgumentError
from smelt.plot.lines import Curves, named_rows
from smelt.plot.style import framed, legend, line_of, new_figure
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gradient_flow", "gradients_through_time"]


def gradient_flow(
    norms: Curves, *, title: str = "How far the loss is felt", floor: float = 1e-12
) -> Figure:
    """Returns a figure of |dL/dh(t)| for each step t of a sequence, on a logarithmic scale.

    The loss is at the last step; where a curve falls toward the left, gradients vanish.

    Args:
        norms: from the name of a network to its norms (T,), t = 1 first.
        title: above the figure.
        floor: smaller norms are drawn here.

    Raises:
        ShapeError: a network's norms are not a vector of numbers.
        ArgumentError: there is no network, or a norm is negative.
        MissingExtra: matplotlib is not installed.
    """
    rows = named_rows("gradient_flow", norms)
    if min(row.min() for row in rows.values()) < 0:
        raise ArgumentError("gradient_flow: a norm is negative")
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    framed(axes, title, "step t of the sequence", "|dL / dh(t)|")
    for index, (name, row) in enumerate(rows.items()):
        steps = np.arange(1, len(row) + 1)
        axes.plot(steps, np.maximum(row, floor), **line_of(index), linewidth=2, label=name)
    axes.set_yscale("log")
    axes.margins(x=0.02)
    legend(axes)
    return figure


def gradients_through_time(
    step: Callable[[Tensor, Any], Any],
    state: Any,
    inputs: Tensor,
    loss: Callable[[Any], Tensor],
) -> np.ndarray:
    """Returns |dL/dh(t)| for t = 1 to T, the norm over everything that the state holds.

    A zero d(t) is added to each state h(t); the derivative with respect to it is dL/dh(t), which
    counts all paths from h(t) to the loss.

    Args:
        step: takes x(t) and h(t - 1) and returns h(t): a recurrent cell.
        state: h(0), a tensor or a tree of them (an LSTM's hidden and cell state).
        inputs: x(1) to x(T), stacked along the first axis.
        loss: takes h(T) and returns a tensor of shape ().

    Returns:
        (T,), float64.

    Raises:
        ArgumentError: the sequence is empty, or `step` does not return a state, for example because
            it is a layer over time (`nn.LSTM`; use `nn.LSTMCell`).
    """
    length = len(inputs)
    if not length:
        raise ArgumentError("gradients_through_time: the sequence is empty")
    nudges = [tree.map(zeros_like, state) for _ in range(length)]

    def final(nudges: list[Any]) -> Tensor:
        here = state
        for index, nudge in enumerate(nudges):
            after = step(inputs[index], here)
            _check_same_state(after, here)
            here = tree.map(lambda h, d: h + d, after, nudge)
        return loss(here)

    with expected_zeros():  # the loss need not look at all of the last state
        slopes = grad(final)(nudges)
    return np.array([_norm(slope) for slope in slopes])


def _check_same_state(after: Any, before: Any) -> None:
    shapes = [[leaf.shape for leaf in tree.flatten(state)[0]] for state in (after, before)]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"gradients_through_time: the step made {shapes[0]} of a state {shapes[1]}; it must "
            "return the next state, as a cell does (nn.LSTMCell) and a layer (nn.LSTM) does not"
        )


def _norm(slope: Any) -> float:
    leaves, _ = tree.flatten(slope)
    return float(np.sqrt(sum(np.square(leaf.numpy(), dtype=np.float64).sum() for leaf in leaves)))
