"""The state of a training: everything its next step depends on, to be saved and restored."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

import numpy as np

from smelt import tree
from smelt.errors import ArgumentError, StateError
from smelt.location import warn
from smelt.optim.lr_scheduler import ReduceLROnPlateau
from smelt.random import get_rng_state, set_rng_state
from smelt.tensor import Tensor
from smelt.tracing.engine import array_of
from smelt.train.feed import Feed, Pass
from smelt.train.history import Callback, Epoch, History
from smelt.train.spent import Spent
from smelt.train.step import Scheduler, Update

__all__ = ["OpenEpoch", "Training"]

FORMAT = 1
WEIGHTS = ("model", "averaged")  # the parts that are measured


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """An epoch whose steps are done and whose metrics are not known yet.

    Attributes:
        number: counted from 1.
        loss: mean over its steps.
        seconds: how long these took.
        weights: copies of the weights of the model, and of its average, at its end: part -> name ->
            Tensor; none if it is measured before the next step.
    """

    number: int
    loss: float
    seconds: float
    weights: dict[str, dict[str, Any]]


class Training:
    """A model in training, between two steps.

    Args:
        update: how a batch changes the model: model, optimizer, scheduler, averaged weights.
        feed: where batches come from.
        scheduler: one that is stepped after each epoch; None if it is stepped within the steps.
        callbacks: their state is part of the training.
        plan: what must be the same for a training to resume from another one's state.
        higher_is_better: for the metrics of held-out data, as far as it is known.
        figures: the names of what is measured on held-out data; None if that is not known.

    Attributes:
        place: the position in the data; None before the first step.
        step: number of steps so far.
        losses: of the steps since the end of the last epoch.
        loss_sum: their sum; its rounding depends on how many steps a call ran.
        seconds: how long these steps took.
        history: the finished epochs.
        open_epoch: the one after them, if it is measured while the next one trains.
        spent: where the time has gone since this training was created or restored.
    """

    def __init__(
        self,
        update: Update,
        feed: Feed,
        scheduler: Scheduler | None,
        callbacks: Sequence[Callback],
        plan: Mapping[str, Any],
        higher_is_better: Mapping[str, bool],
        figures: Sequence[str] | None = None,
    ) -> None:
        self.update = update
        self.feed = feed
        self.scheduler = scheduler
        self.callbacks: list[Callback] = list(callbacks)
        self.figures = figures
        self.plan: dict[str, Any] = dict(plan)
        self.higher_is_better: dict[str, bool] = dict(higher_is_better)
        self.place: Pass | None = None
        self.step: int = 0
        self.losses: list[float] = []
        self.loss_sum: float = 0.0
        self.seconds: float = 0.0
        self.history: History = History()
        self.open_epoch: OpenEpoch | None = None
        self.spent: Spent = Spent(update, feed)
        self._present: dict[str, Any] = {}  # states of parts that hold an earlier epoch's just now
        for callback in callbacks:
            callback.training = self

    def advance(self, steps: int) -> np.ndarray:
        """Runs up to that many steps, within one pass over the data; returns their losses."""
        start = time.perf_counter()
        if self.place is None or self.place.is_over:
            self.place = self.feed.begin(0 if self.place is None else self.place.number + 1)
            self.feed.go_to(self.place)
        before = len(self.losses)
        try:
            for losses in self.feed.run(self.update, self.place, steps):
                self.losses.extend(np.ravel(losses).tolist())
        finally:  # what was made before the data failed is made
            made = np.asarray(self.losses[before:], np.float64)
            self.step += len(made)
            self.loss_sum += float(made.sum())
            seconds = time.perf_counter() - start
            self.seconds += seconds
            self.spent.stepping += seconds
        if not self.place.done:
            raise ArgumentError("fit: the data have no batch")
        return made

    @property
    def stop_training(self) -> NoReturn:
        """Keras's name for ending a training.

        Raises:
            ArgumentError: always; a callback ends a training by an exception.
        """
        raise ArgumentError("training.stop_training: raise train.StopTraining('why') instead")

    @stop_training.setter
    def stop_training(self, stop: bool) -> NoReturn:
        raise ArgumentError(
            f"training.stop_training = {stop}: raise train.StopTraining('why') in the callback"
        )

    @property
    def is_whole(self) -> bool:
        """Whether the last step was completed with a finite loss."""
        return not self.feed.is_stepping and bool(np.isfinite(self.losses).all())

    @property
    def epochs(self) -> int:
        """How many epochs were trained, including the one whose metrics are not known yet."""
        return len(self.history.epochs) + (self.open_epoch is not None)

    def close_epoch(self, keep: bool = False) -> OpenEpoch:
        """Ends an epoch after its last step; returns it.

        Args:
            keep: whether to keep its weights, since it is measured later.
        """
        if self.scheduler is not None and not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
        loss = float(np.mean(self.losses))
        weights = {name: _copy_of(part) for name, part in self._measured().items()} if keep else {}
        self.open_epoch = OpenEpoch(self.epochs + 1, loss, self.seconds, weights)
        self.losses, self.loss_sum, self.seconds = [], 0.0, 0.0
        return self.open_epoch

    def finish_epoch(self, held_out: dict[str, float]) -> Epoch:
        """Gives the closed epoch its metrics on held-out data; returns it."""
        assert self.open_epoch is not None
        done, self.open_epoch = self.open_epoch, None
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(held_out.get("loss", done.loss))
        epoch = Epoch(done.number, done.loss, held_out, done.seconds)
        self.history.epochs.append(epoch)
        return epoch

    @contextmanager
    def weights_of(self, epoch: OpenEpoch) -> Iterator[None]:
        """Within the block the model, and its average, hold the weights at the end of an epoch. The
        state that is saved meanwhile is still the current one.

        Raises:
            StateError: the block has changed them, and the changes would be lost.
        """
        parts = {name: self._parts()[name] for name in epoch.weights}
        present = {name: _copy_of(part) for name, part in parts.items()}
        try:
            self._present = present
            for name, part in parts.items():
                part.load_state_dict(epoch.weights[name])
            yield
            if any(_differ(part.state_dict(), epoch.weights[name]) for name, part in parts.items()):
                raise StateError(
                    "a callback has changed the model after an epoch, and the next epoch was "
                    "trained meanwhile; train without background_validation"
                )
        finally:
            for name, part in parts.items():
                part.load_state_dict(present[name])
            self._present = {}

    # --- keeping --------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        """Returns what a step changes and what has a state of its own, by name."""
        update = self.update
        named = {
            "model": update.model,
            "optimizer": update.optimizer,
            "scheduler": update.scheduler or self.scheduler,
            "averaged": update.averaged,
        }
        return {name: part for name, part in named.items() if part is not None}

    def _measured(self) -> dict[str, Any]:
        """Returns the parts that callbacks find as they were when an epoch ended."""
        return {name: part for name, part in self._parts().items() if name in WEIGHTS}

    def _remembering(self) -> dict[str, Callback]:
        """Returns the callbacks that have something to remember, by class and, of several, number;
        others may come and go.
        """
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            if callback.state_dict():
                kind = type(callback).__name__
                count = sum(name.split()[0] == kind for name in named)
                named[f"{kind} {count + 1}" if count else kind] = callback
        return named

    def _moment(self) -> dict[str, Any]:
        """Returns all but the past: what the next step depends on."""
        return {
            "parts": {
                name: self._present.get(name) or part.state_dict()
                for name, part in self._parts().items()
            },
            "generator": get_rng_state(),
            "place": None if self.place is None else _by_name(self.place),
            "step": self.step,
            "seconds": self.seconds,
            "losses": np.asarray(self.losses, np.float64),
            "open_epoch": None if self.open_epoch is None else _by_name(self.open_epoch),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns everything as a tree of tensors and plain values; the tensors are the live ones:
        copy, or save, what must stay.
        """
        remembered = {name: part.state_dict() for name, part in self._remembering().items()}
        return {
            "format": FORMAT,
            "kinds": {name: type(part).__name__ for name, part in self._parts().items()},
            "plan": self.plan,
            **self._moment(),
            "callbacks": remembered,
            "epochs": [asdict(epoch) for epoch in self.history.epochs],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state of a training.

        Args:
            state: what `state_dict` returned, here or in another process.

        Raises:
            StateError: it belongs to another model, optimizer or plan, or is not the state of a
                training; nothing has been changed then.
        """
        self._check(state)
        before, own = self.snapshot(), self._settings()
        try:
            self.restore(state)
            for name, callback in self._remembering().items():
                callback.load_state_dict(state["callbacks"][name])
        except BaseException:
            self.restore(before)
            raise
        self.history.epochs[:] = [Epoch(**row) for row in state["epochs"]]
        self._warn_of_other_settings(own)

    def snapshot(self) -> dict[str, Any]:
        """Returns a copy of the current state, for `restore`."""
        moment = self._moment()
        open_epoch = moment.pop("open_epoch")  # holds copies that nobody changes
        own = tree.map(lambda leaf: _copied(leaf) if isinstance(leaf, Tensor) else leaf, moment)
        return {**own, "open_epoch": open_epoch}

    def restore(self, moment: Mapping[str, Any]) -> None:
        """Restores an earlier state of this training; epochs and callbacks are not changed."""
        for name, part in self._parts().items():
            part.load_state_dict(moment["parts"][name])
        self.step, self.seconds = moment["step"], moment["seconds"]
        self.feed.is_stepping = False
        self.losses = np.asarray(moment["losses"]).tolist()
        self.loss_sum = math.fsum(self.losses)
        open_epoch = moment.get("open_epoch")  # older files have none
        self.open_epoch = None if open_epoch is None else OpenEpoch(**open_epoch)
        self.place = None if moment["place"] is None else Pass(**moment["place"])
        if self.place is not None:  # also at its end: the next pass is drawn behind it
            self.feed.go_to(self.place)
        set_rng_state(moment["generator"])

    def _check(self, state: Any) -> None:
        if not isinstance(state, Mapping) or state.get("format") != FORMAT:
            raise StateError(
                "this is not the state of a training that this version of Smelt can resume"
            )
        for kind, own in (("parts", self._parts()), ("callbacks", self._remembering())):
            if set(own) != set(state[kind]):
                raise StateError(
                    f"the training had the {kind} {_listed(state[kind])}, and this one has "
                    f"{_listed(own)}"
                )
        for name, part in self._parts().items():
            is_now, was = type(part).__name__, state.get("kinds", {}).get(name)
            if was not in (None, is_now) and name != "model":  # None: of an older file
                raise StateError(
                    f"the training had the {name} {was}, and this one has {is_now}; it can be "
                    "resumed with the same kind only"
                )
        for name, value in self.plan.items():
            if state["plan"].get(name) != value:
                raise StateError(
                    f"the training had {name}={state['plan'].get(name)}, and this one has "
                    f"{value}; it can be resumed with the same data and batches only"
                )

    def _settings(self) -> dict[str, float]:
        """Returns the numbers in the optimizer's state that a user has chosen, and no schedule
        changes.
        """
        schedule = self.update.scheduler or self.scheduler
        return {
            name: float(array_of(value))
            for name, value in self._parts()["optimizer"].state_dict().items()
            if name.startswith("param_groups.")
            and (schedule is None or name.endswith((".initial_lr", ".weight_decay")))
            and value.dtype.is_float
            and not value.shape
        }

    def _warn_of_other_settings(self, given: Mapping[str, float]) -> None:
        """Warns where the optimizer was made with other settings than it has got back."""
        for name, value in self._settings().items():
            if given.get(name, value) != value:
                setting = name.rpartition(".")[2]
                warn(
                    f"the run is resumed with {setting}={value:.6g}, with which it was begun, not "
                    f"with {given[name]:.6g}; to train its weights with other settings, load them "
                    "by train.read_model and begin a new run"
                )


def _copied(tensor: Tensor) -> Tensor:
    return Tensor(np.array(array_of(tensor)), tensor.dtype)


def _copy_of(part: Any) -> dict[str, Tensor]:
    """Returns the state of a part in memory of its own."""
    return {name: _copied(tensor) for name, tensor in part.state_dict().items()}


def _differ(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states have other bits."""
    return any(
        array_of(tensor).tobytes() != array_of(other[name]).tobytes()
        for name, tensor in state.items()
    )


def _by_name(place: Pass | OpenEpoch) -> dict[str, Any]:
    """Returns the fields of a place or an epoch; what they hold is the same."""
    return {field.name: getattr(place, field.name) for field in fields(place)}


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
