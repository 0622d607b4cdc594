"""What a training leaves behind, and who is told while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from smelt.markup import note, table

__all__ = ["Callback", "Epoch", "History"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training data.

    Attributes:
        number: counted from 1.
        loss: mean over the steps of the epoch.
        held_out: name -> value on held-out data after the epoch: the loss, and every metric.
        seconds: how long training took, without the validation on held-out data.
    """

    number: int
    loss: float
    held_out: dict[str, float]
    seconds: float

    def row(self) -> dict[str, float]:
        """Returns everything as one flat row, as `metrics.jsonl` keeps it."""
        held_out = {f"held_out_{name}": value for name, value in self.held_out.items()}
        return {"epoch": self.number, "loss": self.loss, **held_out, "seconds": self.seconds}


@dataclass(slots=True)
class History:
    """All finished epochs, and whether Ctrl-C ended the training before its time."""

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        """How long training took, without validation on held-out data."""
        return sum(epoch.seconds for epoch in self.epochs)

    def _repr_html_(self) -> str:
        rows = [epoch.row() for epoch in self.epochs]
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_shown(row.get(name)) for name in names] for row in rows]
        epochs = f"{len(rows):,} epoch{'s' * (len(rows) != 1)}"
        head = note(epochs, f"{self.seconds:.1f} s", "interrupted" if self.interrupted else "")
        titles = [name.replace("_", " ") for name in names]
        return head + (table(titles, cells, numbers=range(len(names))) if rows else "")


def _shown(value: float | None) -> str:
    """Returns a figure of an epoch; nothing where it has none of this name."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


class Callback:
    """Whoever wants to be told: a subclass answers to what it cares about."""

    def start(self, epochs: int) -> None:
        """The training of so many epochs begins."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is finished."""

    def end(self, history: History) -> None:
        """The training is over; the model is that of the last finished epoch."""
