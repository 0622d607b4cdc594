"""What a person sees while training runs."""

from __future__ import annotations

import io
import math
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.train import Callback, Epoch, History, Progress, progress
from smelt.train.outlook import amount, duration
from smelt.train.progress import CellProgress, LiveProgress, PlainProgress, described, moment


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watch(callback: Callback, epochs: int) -> None:
    callback.start(epochs)
    for number in range(1, epochs + 1):
        callback.epoch(Epoch(number, 1 / number, {"accuracy": 0.5}, 0.01))
    callback.end(History())


def test_a_file_gets_about_ten_plain_lines() -> None:
    file = io.StringIO()
    callback = progress(file)
    assert isinstance(callback, PlainProgress)
    watch(callback, 100)
    lines = file.getvalue().splitlines()
    assert lines[0] == "epoch   1/100  loss 1.0000  held out: accuracy 0.5000"
    assert lines[-1].startswith("epoch 100/100  loss 0.0100")
    assert len(lines) == 11


def test_the_moment_within_an_epoch_is_told() -> None:
    progress = Progress(2, 120, 900, 0.03125, 1.0, 0.02, 2300.4, 72.3)
    assert moment(progress) == "step 120/900  loss 0.0312  2,300 samples/s  1:12 left"
    assert moment(Progress(1, 5, None, 2.0, 1.0)) == "step 5  loss 2.0000"


def test_a_long_epoch_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    callback = progress(file)
    callback.start(2)
    callback.step(Progress(1, 3, 9, 0.5, 1.0))
    monkeypatch.setattr(sys.modules["smelt.train.progress"], "SELDOM", -1.0)
    callback.step(Progress(1, 4, 9, 0.5, 1.0))
    callback.end(History(stopped="the loss is low"))
    lines = file.getvalue().splitlines()
    assert lines == ["epoch 1/2  step 4/9  loss 0.5000", "stopped: the loss is low"]


def test_live_lines_move_within_an_epoch() -> None:
    pytest.importorskip("rich")
    file = Terminal()
    callback = progress(file)
    callback.start(2)
    callback.step(Progress(2, 3, 9, 0.5, 1.0))
    callback.end(History(stopped="enough"))
    assert "epoch 2/2" in file.getvalue()
    assert "step 3/9  loss 0.5000  stopped: enough" in file.getvalue()


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_short_training_gets_every_line(epochs: int) -> None:
    file = io.StringIO()
    watch(progress(file), epochs)
    assert len(file.getvalue().splitlines()) == epochs


def test_a_terminal_gets_a_live_line() -> None:
    pytest.importorskip("rich")
    file = Terminal()
    callback = progress(file)
    assert isinstance(callback, LiveProgress)
    watch(callback, 5)
    assert "epoch 5/5" in file.getvalue()
    assert "held out: accuracy 0.5000" in file.getvalue()


class Cell:
    """What IPython gives to change a display with."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, shown: object) -> None:
        self.shown.append(shown._repr_html_())  # type: ignore[attr-defined]


def test_a_notebook_gets_a_live_line_in_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell()

    def display(shown: object, display_id: bool) -> Cell:
        assert display_id
        cell.update(shown)
        return cell

    ipython = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=1), display=SimpleNamespace(display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert isinstance(progress(io.StringIO()), PlainProgress)
    callback = progress()
    assert isinstance(callback, CellProgress)
    watch(callback, 1000)
    assert len(cell.shown) < 50
    assert '<progress value="0" max="1000">' in cell.shown[0]
    assert "compiling" in cell.shown[0]
    assert '<progress value="1000" max="1000">' in cell.shown[-1]
    assert "epoch 1000/1000  loss 0.0010  held out: accuracy 0.5000" in cell.shown[-1]
    callback.end(History(interrupted=True))
    assert "interrupted" in cell.shown[-1]


def test_without_rich_a_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert isinstance(progress(Terminal()), PlainProgress)


def test_a_small_loss_is_no_zero() -> None:
    shown = [moment(Progress(1, 5, None, loss, 1.0)) for loss in (0.0, 0.00123, 0.000163, 3.25e-7)]
    assert shown == [
        f"step 5  loss {loss}" for loss in ("0.0000", "0.0012", "0.000163", "3.25e-07")
    ]


def test_a_huge_loss_stays_a_short_figure() -> None:
    shown = described(Epoch(1, 1.23456e30, {"loss": math.inf, "error": 12345.678}, 0.01))
    assert shown == "loss 1.235e+30  held out: loss inf, error 12345.6780"


def test_what_a_training_takes_is_said_when_it_is_known() -> None:
    file = io.StringIO()
    x = np.ones((640, 4), np.float32)
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    train.fit(
        model, F.mse_loss, optimizer, (x, x[:, :1]), epochs=3, progress=False,
        callbacks=[progress(file)],
    )  # fmt: skip
    assert file.getvalue().count("model 5 parameters, 20 bytes; step 64 samples, ") == 1
    assert re.search(r"B at its peak, [\d.e+-]+ m?s; epoch 10 steps, ", file.getvalue())


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.00018, "0.18 ms"), (4.12, "4.1 s"), (125.3, "2:05 min")]
)
def test_times_have_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("size", "shown"), [(12, "12 bytes"), (41_000, "41 kB"), (2.5e6, "2.5 MB"), (3e9, "3 GB")]
)
def test_sizes_have_the_unit_that_fits(size: float, shown: str) -> None:
    assert amount(size) == shown


def test_what_a_step_prints_stands_above_the_live_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    file = Terminal()
    monkeypatch.setattr(sys, "stdout", file)
    callback = progress()
    callback.start(2)
    print("printed by a step")
    callback.step(Progress(1, 3, 9, 0.5, 1.0))
    print("without an end", end="")
    callback.end(History())
    print("afterwards")
    erased = "\x1b[2K"  # the line that was there
    assert re.search(rf"{re.escape(erased)}printed by a step *\n", file.getvalue())
    assert re.search(rf"{re.escape(erased)}without an end *\n", file.getvalue())
    assert file.getvalue().endswith("\nafterwards\n") or file.getvalue().endswith("hafterwards\n")
