"""Losses, learning rates, moving averages, and gradients through time."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt import nn, plot
from smelt.errors import ArgumentError, ShapeError

pytest.importorskip("matplotlib")


def labels(axes: object) -> list[str]:
    return [line.get_label() for line in axes.lines]  # type: ignore[attr-defined]


def test_each_run_has_a_curve_and_each_level_a_line() -> None:
    runs = {"RNN": [2.0, 1.5, 1.0], "LSTM": smelt.tensor([2.0, 1.0])}
    (axes,) = plot.loss_curves(runs, every=10, start=10, levels={"chance": 1.79}).axes
    assert labels(axes) == ["RNN", "LSTM", "chance"]
    assert axes.lines[0].get_xdata().tolist() == [10, 20, 30]
    assert axes.lines[1].get_ydata().tolist() == [2, 1]
    assert set(axes.lines[2].get_ydata()) == {1.79}


def test_a_running_mean_stands_where_its_window_ends() -> None:
    (axes,) = plot.loss_curves({"a": [1.0, 2.0, 3.0, 4.0]}, smooth=3).axes
    faint, mean = axes.lines
    assert faint.get_ydata().tolist() == [1, 2, 3, 4]
    assert mean.get_xdata().tolist() == [2, 3]
    assert mean.get_ydata() == pytest.approx([2, 3])


@pytest.mark.parametrize(
    ("losses", "log", "scale"),
    [
        ([1000.0, 1.0], None, "log"),
        ([2.0, 1.0], None, "linear"),
        ([1000.0, -1.0], None, "linear"),
        ([1000.0, 1.0], False, "linear"),
        ([2.0, 1.0], True, "log"),
    ],
)
def test_the_scale_is_logarithmic_where_losses_span_much(
    losses: list[float], log: bool | None, scale: str
) -> None:
    (axes,) = plot.loss_curves({"a": losses}, log=log).axes
    assert axes.get_yscale() == scale


def test_a_loss_that_is_not_finite_can_be_drawn() -> None:
    (axes,) = plot.loss_curves({"a": [1.0, np.nan, np.inf]}).axes
    assert axes.get_yscale() == "linear"


def test_learning_rates_are_sorted_and_divergence_leaves_the_frame() -> None:
    runs = {1.1: [1.0, 10.0, 100.0], 0.1: [1.0, 0.9, 0.8]}
    (axes,) = plot.learning_rates(runs).axes
    assert labels(axes) == ["learning rate 0.1", "learning rate 1.1"]
    assert axes.lines[0].get_color() == "#2563a8"
    assert axes.get_ylim()[1] < 10


def test_an_average_ends_with_its_series() -> None:
    series = np.arange(10.0)
    mean = np.convolve(series, np.full(5, 0.2), "valid")
    (axes,) = plot.moving_average(series, {"5 days": mean}).axes
    assert labels(axes) == ["series", "5 days"]
    assert axes.lines[1].get_xdata().tolist() == [4, 5, 6, 7, 8, 9]
    assert plot.moving_average(series).axes[0].get_legend() is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.loss_curves({}),
        lambda: plot.loss_curves([1.0, 2.0]),
        lambda: plot.loss_curves({"a": [-1.0, 0.0]}, log=True),
        lambda: plot.loss_curves({"a": [1.0]}, every=0),
        lambda: plot.loss_curves({"a": [1.0]}, smooth=0),
        lambda: plot.learning_rates({}),
        lambda: plot.gradient_flow({"a": [-1.0]}),
    ],
)
def test_settings_out_of_range_are_refused(call: object) -> None:
    with pytest.raises(ArgumentError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.loss_curves({"a": [[1.0]]}),
        lambda: plot.loss_curves({"a": []}),
        lambda: plot.loss_curves({"a": [[1.0], [1.0, 2.0]]}),
        lambda: plot.moving_average([1.0, 2.0], {"a": [1.0, 2.0, 3.0]}),
        lambda: plot.moving_average([1.0, 2.0], dates=[1]),
        lambda: plot.moving_average(3.0),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ShapeError):
        call()  # type: ignore[operator]


def test_gradient_flow_is_logarithmic_and_keeps_zeros() -> None:
    (axes,) = plot.gradient_flow({"RNN": [0.0, 1.0], "LSTM": [1.0, 1.0]}, floor=1e-9).axes
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_xdata().tolist() == [1, 2]
    assert axes.lines[0].get_ydata().tolist() == [1e-9, 1]


def test_gradients_through_time_of_a_linear_recurrence() -> None:
    inputs = smelt.ones(4, 2).to(smelt.float64)
    norms = plot.gradients_through_time(
        lambda x, h: 0.5 * h + x, smelt.zeros(2, dtype=smelt.float64), inputs, lambda h: h.sum()
    )
    assert norms == pytest.approx(np.sqrt(2) * 0.5 ** np.arange(3, -1, -1))


def test_gradients_through_time_count_the_whole_state() -> None:
    def step(x: smelt.Tensor, state: tuple[smelt.Tensor, smelt.Tensor]) -> object:
        cell = state[1]
        return smelt.tanh(cell), 0.9 * cell + x

    zero = smelt.zeros(1, dtype=smelt.float64)
    inputs = smelt.zeros(3, 1, dtype=smelt.float64)
    norms = plot.gradients_through_time(step, (zero, zero), inputs, lambda state: state[0].sum())
    assert norms == pytest.approx([0.9, 1.0, 1.0])  # at the end the loss reads h, before it c


def test_an_empty_sequence_has_no_gradients() -> None:
    with pytest.raises(ArgumentError, match="empty"):
        plot.gradients_through_time(
            lambda x, h: h, smelt.zeros(1), smelt.zeros(0, 1), lambda h: h.sum()
        )


def test_a_layer_over_time_is_no_step() -> None:
    with pytest.raises(ArgumentError, match=r"nn\.LSTMCell"):
        plot.gradients_through_time(
            nn.RNN(2, 3), smelt.zeros(1, 3), smelt.ones(4, 1, 2), lambda h: h.sum()
        )
