"""A training at a moment: all that its next step depends on, to be kept and brought back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from smelt import tree
from smelt.errors import ArgumentError, StateError
from smelt.optim.lr_scheduler import ReduceLROnPlateau
from smelt.random import get_rng_state, set_rng_state
from smelt.tensor import Tensor
from smelt.tracing.engine import array_of
from smelt.train.feed import Feed, Pass
from smelt.train.history import Callback, Epoch, History
from smelt.train.step import Scheduler, Update

__all__ = ["Training"]

FORMAT = 1


class Training:
    """A model in training, between two steps.

    Args:
        update: how a batch changes the model: model, optimizer, scheduler, averaged weights.
        feed: where batches come from.
        scheduler: what goes on after each epoch, None where it goes on with the steps.
        callbacks: whom to tell; what they remember is part of the training.
        plan: what must be the same for a training to go on from another one's state.
        higher_is_better: of the figures of held-out data, as far as it is known.

    Attributes:
        place: in the data; None before the first step.
        step: how many steps were made.
        losses: of the steps since the last finished epoch.
        seconds: how long these steps took.
        history: the finished epochs.
    """

    def __init__(
        self,
        update: Update,
        feed: Feed,
        scheduler: Scheduler | None,
        callbacks: Sequence[Callback],
        plan: Mapping[str, Any],
        higher_is_better: Mapping[str, bool],
    ) -> None:
        self.update, self.feed, self.scheduler = update, feed, scheduler
        self.callbacks = list(callbacks)
        self.plan, self.higher_is_better = dict(plan), dict(higher_is_better)
        self.place: Pass | None = None
        self.step = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        self.history = History()
        for callback in callbacks:
            callback.training = self

    def advance(self, steps: int) -> np.ndarray:
        """Makes up to so many steps, within one pass over the data; returns their losses."""
        start = time.perf_counter()
        if self.place is None or self.place.is_over:
            self.place = self.feed.begin(0 if self.place is None else self.place.number + 1)
            self.feed.go_to(self.place)
        losses = self.feed.run(self.update, self.place, steps)
        if not self.place.done:
            raise ArgumentError("fit: the data gave no batch")
        self.step += len(losses)
        self.losses.extend(losses.tolist())
        self.seconds += time.perf_counter() - start
        return losses

    def finish_epoch(self, held_out: dict[str, float]) -> Epoch:
        """Ends an epoch with the figures of held-out data; returns it."""
        number, loss = len(self.history.epochs) + 1, float(np.mean(self.losses))
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(held_out.get("loss", loss))
        elif self.scheduler is not None:
            self.scheduler.step()
        epoch = Epoch(number, loss, held_out, self.seconds)
        self.history.epochs.append(epoch)
        self.losses, self.seconds = [], 0.0
        return epoch

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
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "generator": get_rng_state(),
            "place": None if self.place is None else _by_name(self.place),
            "step": self.step,
            "seconds": self.seconds,
            "losses": np.asarray(self.losses, np.float64),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns everything as a tree of tensors and plain values; the tensors are the live ones:
        copy, or save, what must stay.
        """
        remembered = {name: part.state_dict() for name, part in self._remembering().items()}
        return {
            "format": FORMAT,
            "plan": self.plan,
            **self._moment(),
            "callbacks": remembered,
            "epochs": [asdict(epoch) for epoch in self.history.epochs],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where a training was.

        Args:
            state: what `state_dict` returned, here or in another process.

        Raises:
            StateError: it is of another model, optimizer or plan, or of no training; nothing has
                been changed then.
        """
        self._check(state)
        before = self.snapshot()
        try:
            self.restore(state)
            for name, callback in self._remembering().items():
                callback.load_state_dict(state["callbacks"][name])
        except BaseException:
            self.restore(before)
            raise
        self.history.epochs[:] = [Epoch(**row) for row in state["epochs"]]

    def snapshot(self) -> dict[str, Any]:
        """Returns the present moment in memory of its own, for `restore`."""
        return tree.map(
            lambda leaf: _copied(leaf) if isinstance(leaf, Tensor) else leaf, self._moment()
        )

    def restore(self, moment: Mapping[str, Any]) -> None:
        """Goes back to a moment of this training; epochs and callbacks stay as they are."""
        for name, part in self._parts().items():
            part.load_state_dict(moment["parts"][name])
        self.step, self.seconds = moment["step"], moment["seconds"]
        self.losses = np.asarray(moment["losses"]).tolist()
        self.place = None if moment["place"] is None else Pass(**moment["place"])
        if self.place is not None:  # also at its end: the next pass is drawn behind it
            self.feed.go_to(self.place)
        set_rng_state(moment["generator"])

    def _check(self, state: Any) -> None:
        if not isinstance(state, Mapping) or state.get("format") != FORMAT:
            raise StateError("this is not the state of a training that this Smelt can go on from")
        for kind, own in (("parts", self._parts()), ("callbacks", self._remembering())):
            if set(own) != set(state[kind]):
                raise StateError(
                    f"the training had the {kind} {_listed(state[kind])}, and this one has "
                    f"{_listed(own)}"
                )
        for name, value in self.plan.items():
            if state["plan"].get(name) != value:
                raise StateError(
                    f"the training had {name}={state['plan'].get(name)}, and this one has {value}; "
                    "it goes on with the same data and batches only"
                )


def _copied(tensor: Tensor) -> Tensor:
    return Tensor(np.array(array_of(tensor)), tensor.dtype)


def _by_name(place: Pass) -> dict[str, Any]:
    """Returns the fields of a place; its tensors are the same ones."""
    return {field.name: getattr(place, field.name) for field in fields(place)}


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
