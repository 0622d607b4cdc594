"""The history of a training, and the callbacks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from smelt.errors import ArgumentError, ArgumentTypeError, MissingName
from smelt.markup import note, table
from smelt.names import hint

if TYPE_CHECKING:
    from smelt.train.training import Training

__all__ = ["Callback", "Epoch", "History", "Progress", "StopTraining"]


class _NoDict:
    """Says what to write in the place of what the result of a training has in other libraries."""

    __slots__ = ()
    _instead: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # so that a type checker still sees misspelled attributes

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self)
            message = f"{kind.__name__} has no attribute {name!r}"
            if name.startswith("_"):  # a protocol of Python's asks
                raise AttributeError(message)
            public = frozenset(known for known in dir(kind) if not known.startswith("_"))
            raise MissingName(message + hint(name, public, kind.__name__, kind._instead))

    def __getitem__(self, name: Any) -> NoReturn:
        raise ArgumentTypeError(f"{type(self).__name__} is not a dict: {self._instead['history']}")


@dataclass(frozen=True, slots=True)
class Epoch(_NoDict):
    """One pass over the training data.

    Attributes:
        number: counted from 1.
        loss: mean over the steps of the epoch.
        held_out: name -> value on held-out data after the epoch: the loss, and every metric.
        seconds: how long training took, without the validation on held-out data.
    """

    _instead: ClassVar[Mapping[str, str]] = {
        "history": "write epoch.loss, and epoch.held_out['accuracy'] for figures of held-out data"
    }
    number: int
    loss: float
    held_out: dict[str, float]
    seconds: float

    def row(self) -> dict[str, float]:
        """Returns everything as one flat row, as `metrics.jsonl` keeps it."""
        held_out = {f"held_out_{name}": value for name, value in self.held_out.items()}
        return {"epoch": self.number, "loss": self.loss, **held_out, "seconds": self.seconds}


@dataclass(slots=True)
class History(_NoDict):
    """All finished epochs, and why the training ended early.

    Attributes:
        epochs: in order, including those of the training that was resumed.
        interrupted: whether Ctrl-C ended it.
        stopped: the reason that a callback gave for ending it; else empty.
    """

    _instead: ClassVar[Mapping[str, str]] = {
        "best": "write min(history.epochs, key=lambda epoch: epoch.held_out['loss'])",
        "history": "write history.epochs[-1].loss and .held_out['accuracy'], or a list of them all",
    }
    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False
    stopped: str = ""

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epoch)"
        last, count = self.epochs[-1], len(self.epochs)
        figures = {"loss": last.loss, **{f"held out {n}": x for n, x in last.held_out.items()}}
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in figures.items())
        end = "interrupted" if self.interrupted else self.stopped
        return f"History({count} epoch{'s' * (count != 1)}; last: {shown}{end and '; ' + end})"

    @property
    def seconds(self) -> float:
        """How long training took, without validation on held-out data."""
        return sum(epoch.seconds for epoch in self.epochs)

    def _repr_html_(self) -> str:
        rows = [epoch.row() for epoch in self.epochs]
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_shown(row.get(name)) for name in names] for row in rows]
        epochs = f"{len(rows):,} epoch{'s' * (len(rows) != 1)}"
        end = "interrupted" if self.interrupted else self.stopped
        head = note(epochs, f"{self.seconds:.1f} s", end)
        titles = [name.replace("_", " ") for name in names]
        return head + (table(titles, cells, numbers=range(len(names))) if rows else "")


def _shown(value: float | None) -> str:
    """Returns a figure of an epoch; nothing where it has none of this name."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is within an epoch.

    Attributes:
        epoch: the number of the epoch, counted from 1.
        step: steps made in it.
        steps: steps that it will have; None if the length of the data is not known.
        loss: mean over the steps of this epoch so far.
        seconds: how long these steps took.
        step_seconds: how long each of the last steps took; None if one was compiled.
        samples_per_second: of the last steps; None if the number of samples in a batch is not
            known.
        seconds_left: of training, at this pace; None if its end is not known.
    """

    epoch: int
    step: int
    steps: int | None
    loss: float
    seconds: float
    step_seconds: float | None = None
    samples_per_second: float | None = None
    seconds_left: float | None = None


class StopTraining(Exception):
    """Raised by a callback to end the training after this epoch or step; its text is the reason."""


_OTHERS = re.compile(
    r"on_(train|fit|epoch|batch|step|test|validation|train_batch)_?\w*_(begin|start|end)"
)


_TOLD = {"start": "epochs", "step": "progress", "epoch": "epoch", "end": "history"}


def _check_takes(cls: type, name: str, given: str) -> None:
    """Raises for a method of a callback that could not be called with what it is told."""
    method = vars(cls).get(name)
    if not isinstance(method, FunctionType):
        return
    signature = inspect.signature(method)
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ArgumentTypeError(
            f"{cls.__name__}.{name}{signature} is called with one argument ({error}); write "
            f"def {name}(self, {given})"
        ) from None


class Callback:
    """Code that is called during a training: a subclass overrides the methods it needs.

    Attributes:
        training: the training that calls it; `fit` sets it before `start`.
    """

    training: Training

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuses the names of other libraries, which nobody would call.

        Raises:
            ArgumentError: a method has the name that Keras or Lightning gives it, or takes another
                number of arguments than it is called with.
        """
        super().__init_subclass__(**options)
        for name in vars(cls):
            if _OTHERS.fullmatch(name):
                raise ArgumentError(
                    f"{cls.__name__}.{name} is never called: the methods of a callback are start, "
                    "step, epoch and end"
                )
        for name, given in _TOLD.items():
            _check_takes(cls, name, given)

    def _check(self) -> None:
        """Raises, before anything has begun, what would else be raised after the first epoch."""

    def start(self, epochs: int) -> None:
        """Called when the training, of that many epochs in total, begins or is resumed."""

    def step(self, progress: Progress) -> None:
        """Called after steps: after one, or after many in one native call."""

    def epoch(self, epoch: Epoch) -> None:
        """Called when an epoch is finished."""

    def end(self, history: History) -> None:
        """Called when the training is over."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the state that is needed to resume the training as if it had not been
        interrupted.
        """
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
