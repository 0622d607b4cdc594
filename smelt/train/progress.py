"""Progress, as it happens: one live line in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TextIO

from smelt.markup import escaped
from smelt.train.history import Callback, Epoch, History

__all__ = ["CellProgress", "LiveProgress", "PlainProgress", "progress"]

LINES = 10  # that a whole training prints where there is no terminal
BETWEEN = 0.1  # seconds between two looks at a cell
LONG = 1e5  # from here on a figure is shown by its power of ten


def progress(file: TextIO | None = None) -> Callback:
    """Returns a callback that shows how far training is: live in the cell of a notebook, and in a
    terminal if rich is there.
    """
    if file is None and _in_notebook():
        return CellProgress()
    target = sys.stdout if file is None else file
    live = target.isatty() and find_spec("rich") is not None
    return LiveProgress(target) if live else PlainProgress(target)


def is_progress(callback: Callback) -> bool:
    """Returns whether a callback shows how far the training is."""
    return isinstance(callback, (PlainProgress, LiveProgress, CellProgress))


class PlainProgress(Callback):
    """Prints about ten lines in all: the first epoch, the last, and some between."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.epochs = 0

    def start(self, epochs: int) -> None:
        """Remembers how many epochs there will be."""
        self.epochs = epochs

    def epoch(self, epoch: Epoch) -> None:
        """Prints a line when it is time for one."""
        every = max(1, self.epochs // LINES)
        if epoch.number in (1, self.epochs) or epoch.number % every == 0:
            width = len(str(self.epochs))
            print(f"epoch {epoch.number:{width}}/{self.epochs}  {described(epoch)}", file=self.file)


class LiveProgress(Callback):
    """Keeps one line of a terminal up to date, with a bar, by means of rich."""

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("epoch {task.completed}/{task.total}"),
            BarColumn(bar_width=8),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(),
            console=Console(file=file),
        )

    def start(self, epochs: int) -> None:
        """Shows the line."""
        self._progress.start()
        self._task = self._progress.add_task("compiling", total=epochs)

    def epoch(self, epoch: Epoch) -> None:
        """Brings the line up to date."""
        self._progress.update(self._task, completed=epoch.number, description=described(epoch))

    def end(self, history: History) -> None:
        """Leaves the line as it stands."""
        self._progress.stop()


class CellProgress(Callback):
    """Keeps one line below the cell of a notebook up to date, with a bar."""

    def __init__(self) -> None:
        self._epochs = self._done = 0
        self._text = "compiling"
        self._started = self._shown = time.monotonic()

    def start(self, epochs: int) -> None:
        """Shows the line."""
        self._epochs, self._started = epochs, time.monotonic()
        self._cell = sys.modules["IPython"].display.display(self, display_id=True)

    def epoch(self, epoch: Epoch) -> None:
        """Brings the line up to date, but not more often than an eye can follow."""
        self._done, self._text = epoch.number, described(epoch)
        if time.monotonic() - self._shown > BETWEEN:
            self._show()

    def end(self, history: History) -> None:
        """Leaves the line as it stands."""
        self._text += "  interrupted" if history.interrupted else ""
        self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._cell.update(self)

    def __repr__(self) -> str:
        seconds = f"{time.monotonic() - self._started:.1f} s"
        return f"epoch {self._done}/{self._epochs}  {self._text}  {seconds}"

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{max(self._epochs, 1)}"></progress>'
        return f'{bar} <span style="white-space: pre-wrap">{escaped(repr(self))}</span>'


def _in_notebook() -> bool:
    """Returns whether this program is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def described(epoch: Epoch) -> str:
    """Returns the figures of an epoch: `loss 0.0312  held out: loss 0.0984, accuracy 0.9806`."""
    loss = f"loss {_figure(epoch.loss)}"
    held_out = ", ".join(f"{name} {_figure(value)}" for name, value in epoch.held_out.items())
    return f"{loss}  held out: {held_out}" if held_out else loss


def _figure(value: float) -> str:
    """Returns four decimals; of a number too long for that four digits and its power of ten."""
    return f"{value:.4f}" if abs(value) < LONG else f"{value:.4g}"
