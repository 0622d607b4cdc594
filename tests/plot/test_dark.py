"""Figures on dark pages, in print, and with more than six curves."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest

from smelt import plot
from smelt.errors import ArgumentError
from smelt.pages import pictured
from smelt.plot.dark import DARK_PAPER, dark, with_dark_colors
from smelt.plot.style import COLORS, GRAY, INK, color_of, line_of

pytest.importorskip("matplotlib")


def luminance(color: str) -> float:
    """Returns the relative luminance of WCAG 2."""
    encoded = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_curves_can_be_read_on_dark_paper() -> None:
    assert luminance(DARK_PAPER) < 0.02
    assert contrast(dark(INK), DARK_PAPER) > 7
    assert contrast(dark(GRAY), DARK_PAPER) > 4.5
    for index in range(6):
        assert contrast(dark(color_of(index)), DARK_PAPER) > 4.5, color_of(index)


def test_hues_stay() -> None:
    red, _, blue = (int(dark(COLORS[0])[start : start + 2], 16) for start in (1, 3, 5))
    assert blue > red  # blue stays blue
    red, _, blue = (int(dark(COLORS[1])[start : start + 2], 16) for start in (1, 3, 5))
    assert red > blue  # orange stays orange


def test_every_color_of_a_figure_has_one_for_dark_pages() -> None:
    svg = plot.to_svg(plot.confusion(np.array([[5, 1], [2, 9]])))
    turned = with_dark_colors(svg)
    (rules,) = re.findall(r"<style>@media screen and \(.*?dark\) (.*?)</style>", turned)
    for name, color in set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", svg)):
        assert f'[style*="{name}: {color}"] {{ {name}: {dark(color)} !important }}' in rules
    assert turned.replace(re.search(r"\n <style>@media.*?</style>", turned)[0], "", 1) == svg  # type: ignore[index]


def test_a_figure_with_pixels_keeps_its_paper() -> None:
    svg = plot.to_svg(plot.images(np.ones((1, 2, 2))))
    assert with_dark_colors(svg) is svg


def test_colors_and_dashes_differ_beyond_six() -> None:
    assert len({color_of(index) for index in range(36)}) == 36
    lines = [line_of(index) for index in range(60)]
    assert len({(line["color"], str(line["linestyle"])) for line in lines[:36]}) == 36
    assert len({str(line["linestyle"]) for line in lines[:5]}) == 5


def test_curves_are_told_apart_without_color() -> None:
    runs = {f"run {index}": [float(index), index + 1.0] for index in range(9)}
    (axes,) = plot.loss_curves(runs).axes
    styles = [(line.get_color(), line._dash_pattern) for line in axes.lines]
    assert len(set(map(str, styles))) == 9
    assert len({str(pattern) for _, pattern in styles[:5]}) == 5


def test_points_of_many_classes_differ_in_color_and_mark() -> None:
    (axes,) = plot.scatter([[0.0, n] for n in range(20)], list(range(20))).axes
    looks = {(line.get_color(), line.get_marker()) for line in axes.lines}
    assert len(looks) == 20
    assert len({line.get_color() for line in axes.lines}) == 20


ROWS = [
    {
        "epoch": n,
        "loss": 1 / n,
        "held_out_loss": 2 / n,
        "held_out_accuracy": 0.5,
        "held_out_f1": 0.4,
    }
    for n in (1, 2, 3)
]


def test_every_metric_has_a_panel_with_named_axes() -> None:
    figure = plot.curves(ROWS)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles == ["Loss", "Held-out accuracy", "Held-out f1"]
    assert [axes.get_ylabel() for axes in shown] == ["loss", "accuracy", "f1"]
    assert all(axes.get_xlabel() == "epoch" for axes in shown)
    (alone,) = plot.curves(ROWS, ["held_out_f1"]).axes
    assert alone.get_title(loc="left") == "Held-out f1"


def test_a_figure_that_is_missing_or_not_finite_in_some_epochs_is_drawn() -> None:
    rows = [{"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": 0.5, "held_out_f1": 0.3}]
    loss, f1 = plot.curves(rows).axes
    assert list(loss.lines[0].get_xdata()) == [1, 2]
    assert list(f1.lines[0].get_xdata()) == [2]


@pytest.mark.parametrize("figures", [["held_out_mae"], ["epoch"], []])
def test_a_figure_that_the_epochs_do_not_have_is_refused(figures: list[str]) -> None:
    with pytest.raises(ArgumentError, match="curves: the epochs have no"):
        plot.curves(ROWS, figures)


@pytest.mark.parametrize(("names", "rotation"), [(["a", "b"], 0), (["a long name", "b"], 45)])
def test_long_names_of_classes_are_turned(names: list[str], rotation: int) -> None:
    (axes,) = plot.confusion(np.array([[5, 1], [2, 9]]), names).axes
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {rotation}


def test_nothing_of_a_matrix_with_long_names_is_cut_off() -> None:
    figure = plot.confusion(np.array([[70812, 20401], [12345, 78699]]), ["x" * 60, "y" * 60])
    figure.canvas.draw()
    (axes,) = figure.axes
    box = axes.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert all(len(label.get_text()) < 30 for label in axes.get_yticklabels())


def test_a_matrix_of_many_classes_stays_of_a_size_to_look_at() -> None:
    figure = plot.confusion(np.eye(100, dtype=int))
    (axes,) = figure.axes
    assert max(figure.get_size_inches()) < 20
    assert not axes.texts
    assert len(axes.get_xticklabels()) <= 30


def test_a_figure_of_very_many_shapes_is_dark_on_a_dark_page() -> None:
    random = np.random.default_rng(0)
    figure = plot.scatter(random.normal(size=(3000, 2)), random.integers(0, 2, 3000))
    shown = pictured(figure, "points")
    assert not shown.is_paper
    light, dark_one = (_pixels_of(one) for one in (shown.address, shown.dark_address))
    assert light.shape == dark_one.shape
    assert (light[0, 0, :3] == 1).all()
    paper = [int(DARK_PAPER[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    assert dark_one[0, 0, :3] == pytest.approx(paper)


def test_a_photograph_keeps_its_paper_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smelt.pages.LARGE", 0)
    shown = pictured(plot.images(np.ones((1, 2, 2))), "white")
    assert (shown.is_paper, shown.dark_address) == (True, "")


def _pixels_of(address: str) -> np.ndarray:
    from matplotlib.image import imread

    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return imread(io.BytesIO(content), "png")
