"""Progress: one live line in a terminal, a line from time to time elsewhere."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import TextIO

from smelt.markup import escaped
from smelt.train.history import Callback, Epoch, History, Progress
from smelt.train.outlook import outlook

__all__ = ["CellProgress", "LiveProgress", "PlainProgress", "progress"]

LINES = 10  # that a whole training prints where there is no terminal
BETWEEN = 0.1  # seconds between two looks at a cell
SELDOM = 30.0  # seconds without a line, where there is no terminal
SMALL, LONG = 1e-3, 1e5  # beyond these a figure is shown by four digits and its power of ten


def progress(file: TextIO | None = None) -> Callback:
    """Returns a callback that shows the progress of training: live in a notebook cell, and in a
    terminal if rich is installed.
    """
    if file is None and _in_notebook():
        return CellProgress()
    target = sys.stdout if file is None else file
    live = target.isatty() and find_spec("rich") is not None
    return LiveProgress(target) if live else PlainProgress(target)


def is_progress(callback: Callback) -> bool:
    """Returns whether a callback shows the progress of training."""
    return isinstance(callback, _Following)


class _Following(Callback):
    """What all have in common: how far the training is, and how that is said."""

    def __init__(self) -> None:
        self._epochs = self._done = 0
        self._part = 0.0  # of the epoch after those that are done
        self._text = "compiling"
        self._outlook_is_due = True
        self._started = time.monotonic()

    def start(self, epochs: int) -> None:
        """Remembers how many epochs there will be."""
        self._epochs, self._started = epochs, time.monotonic()
        training = getattr(self, "training", None)  # a loop of the user's may have none
        if training is not None and training.step:
            self._done = len(training.history.epochs)
            self._went_on(training.step)

    def _went_on(self, step: int) -> None:
        """Says that the training goes on from a step."""

    def step(self, progress: Progress) -> None:
        """Says what the training will take, once that is known."""
        if self._outlook_is_due and progress.step_seconds is not None and hasattr(self, "training"):
            self._outlook_is_due = False
            self._say(outlook(self.training, progress))

    def _say(self, line: str) -> None:
        """Shows a line that stays."""

    def _follow(self, progress: Progress) -> None:
        self._done = progress.epoch - 1
        self._part = progress.step / progress.steps if progress.steps else 0.0
        self._text = moment(progress)

    def _finish(self, epoch: Epoch) -> None:
        self._done, self._part, self._text = epoch.number, 0.0, described(epoch)


class PlainProgress(_Following):
    """Prints about ten lines in total: the first epoch, the last, and some in between; in long
    epochs one line every half minute.
    """

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self.file = file
        self._printed = time.monotonic()

    def _say(self, line: str) -> None:
        self._printed = time.monotonic()
        print(line, file=self.file, flush=True)

    def _went_on(self, step: int) -> None:
        self._say(f"resumed after epoch {self._done}, step {step:,}")

    def step(self, progress: Progress) -> None:
        """Prints a line if there was none for a while."""
        super().step(progress)
        if time.monotonic() - self._printed > SELDOM and progress.step != progress.steps:
            self._say(f"epoch {self._number(progress.epoch)}  {moment(progress)}")

    def epoch(self, epoch: Epoch) -> None:
        """Prints a line when it is time for one."""
        every = max(1, self._epochs // LINES)
        is_late = time.monotonic() - self._printed > SELDOM
        if epoch.number in (1, self._epochs) or epoch.number % every == 0 or is_late:
            self._say(f"epoch {self._number(epoch.number)}  {described(epoch)}")

    def _number(self, number: int) -> str:
        return f"{number:{len(str(self._epochs))}}/{self._epochs}"

    def end(self, history: History) -> None:
        """Says why the training ended early."""
        if history.stopped:
            self._say(f"stopped: {history.stopped}")


class LiveProgress(_Following):
    """Keeps one line of a terminal up to date, with a bar, using rich."""

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        super().__init__()
        self._progress = Bars(
            TextColumn("epoch {task.fields[epoch]}/{task.total}"),
            BarColumn(bar_width=8),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(),
            console=Console(file=file),
        )

    def _went_on(self, step: int) -> None:
        self._text = f"resumed after epoch {self._done}, step {step:,}"

    def start(self, epochs: int) -> None:
        """Shows the line."""
        super().start(epochs)
        self._progress.start()
        self._task = self._progress.add_task(
            self._text, total=epochs, completed=self._done, epoch=self._done
        )

    def _say(self, line: str) -> None:
        self._progress.console.print(line, highlight=False)

    def step(self, progress: Progress) -> None:
        """Updates the line."""
        super().step(progress)
        self._follow(progress)
        self._show()

    def epoch(self, epoch: Epoch) -> None:
        """Updates the line."""
        self._finish(epoch)
        self._show()

    def _show(self) -> None:
        self._progress.update(
            self._task,
            completed=self._done + self._part,
            epoch=min(self._done + (self._part > 0), self._epochs),
            description=self._text,
        )

    def end(self, history: History) -> None:
        """Leaves the line in place; says why the training ended early."""
        if history.stopped:
            self._text += f"  stopped: {history.stopped}"
            self._show()
        self._progress.stop()


class CellProgress(_Following):
    """Keeps one line below the cell of a notebook up to date, with a bar."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = self._started

    def start(self, epochs: int) -> None:
        """Shows the line."""
        super().start(epochs)
        self._cell = sys.modules["IPython"].display.display(self, display_id=True)

    def step(self, progress: Progress) -> None:
        """Updates the line, but not more often than an eye can follow."""
        self._follow(progress)
        self._show_now_and_then()

    def epoch(self, epoch: Epoch) -> None:
        """Updates the line, but not more often than an eye can follow."""
        self._finish(epoch)
        self._show_now_and_then()

    def end(self, history: History) -> None:
        """Leaves the line in place; says why the training ended early."""
        ended = "interrupted" if history.interrupted else history.stopped
        self._text += f"  {ended}" if ended else ""
        self._show()

    def _show_now_and_then(self) -> None:
        if time.monotonic() - self._shown > BETWEEN:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._cell.update(self)

    def __repr__(self) -> str:
        seconds = f"{time.monotonic() - self._started:.1f} s"
        return f"epoch {self._done}/{self._epochs}  {self._text}  {seconds}"

    def _repr_html_(self) -> str:
        value = f"{self._done + self._part:.4g}"
        bar = f'<progress value="{value}" max="{max(self._epochs, 1)}"></progress>'
        return f'{bar} <span style="white-space: pre-wrap">{escaped(repr(self))}</span>'


def _in_notebook() -> bool:
    """Returns whether this program is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def described(epoch: Epoch) -> str:
    """Returns the metrics of an epoch: `loss 0.0312  held out: loss 0.0984, accuracy 0.9806`."""
    loss = f"loss {_figure(epoch.loss)}"
    held_out = ", ".join(f"{name} {_figure(value)}" for name, value in epoch.held_out.items())
    return f"{loss}  held out: {held_out}" if held_out else loss


def moment(progress: Progress) -> str:
    """Returns the progress of an epoch: `step 120/900  loss 0.0312  2,300 samples/s  0:12 left`."""
    steps = "" if progress.steps is None else f"/{progress.steps:,}"
    parts = [f"step {progress.step:,}{steps}", f"loss {_figure(progress.loss)}"]
    if progress.samples_per_second is not None:
        parts.append(f"{progress.samples_per_second:,.0f} samples/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)


def _figure(value: float) -> str:
    """Returns four decimals; of a number too long or too small for that four digits."""
    fits = not value or SMALL <= abs(value) < LONG
    return f"{value:.4f}" if fits else f"{value:.4g}"
