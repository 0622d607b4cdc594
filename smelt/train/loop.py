"""The loop of a training: steps until an epoch is full, its validation, and who is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smelt.errors import NumericsError
from smelt.train.history import Callback, Progress, StopTraining
from smelt.train.interrupt import uninterrupted
from smelt.train.run import RunFolder
from smelt.train.training import Training

__all__ = ["Loop"]

CALL = 0.2  # seconds of steps in one native call, after which those who wait are told
GROWTH = 8  # times as many steps in the next call, at most


@dataclass
class Loop:
    """The epochs of a training, and who is told of them."""

    training: Training
    epochs: int | None
    steps: int | None
    steps_per_epoch: int | None
    validate: Callable[[], Mapping[str, float]] | None
    run: RunFolder | None
    is_torn: bool = False  # whether a step was begun and not ended
    at_once: int = 1  # steps in the next native call
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def steps_an_epoch(self) -> int | None:
        """How many steps an epoch has; None where that is not known beforehand."""
        batches = self.training.feed.batches
        if self.steps_per_epoch is not None or batches is None:
            return self.steps_per_epoch
        return -(-batches // self.training.update.accumulate)

    def train(self) -> None:
        """Runs the epochs; however they end, everything is kept and the callbacks hear of it."""
        training, history = self.training, self.training.history
        self.kept = training.snapshot()
        for callback in reversed(training.callbacks):  # the run folder before those it is not for
            callback.start(self._all_epochs())
        if training.step and self._is_over():
            history.stopped = "all of it was done before"
        try:
            while not self._is_over():
                self._epoch()
        except StopTraining as stop:
            history.stopped = str(stop) or "stopped"
        except NumericsError:
            self.is_torn = True
            raise
        except KeyboardInterrupt:
            history.interrupted = True
        finally:
            with uninterrupted():  # a second Ctrl-C too waits until everything is saved
                self._end()

    def _end(self) -> None:
        training = self.training
        training.feed.close()
        if self.is_torn:
            training.restore(self.kept)
        if self.run is not None:
            self.run.save_checkpoint()
        for callback in training.callbacks:
            callback.end(training.history)

    def _all_epochs(self) -> int:
        if self.epochs is not None:
            return self.epochs
        assert self.steps is not None
        return math.ceil(self.steps / (self.steps_an_epoch or self.steps or 1))

    def _is_over(self) -> bool:
        finished, done = len(self.training.history.epochs), self.training.step
        by_epochs = self.epochs is not None and finished >= self.epochs
        by_steps = self.steps is not None and done >= self.steps and not self.training.losses
        return by_epochs or by_steps

    def _epoch(self) -> None:
        training = self.training
        while not self._epoch_is_done():
            self._advance()
        self._check_weights()
        held_out = dict(self.validate()) if self.validate else {}
        with uninterrupted():
            epoch = training.finish_epoch(held_out)
            self.kept = training.snapshot()
            self._tell_all(lambda callback: callback.epoch(epoch))

    def _epoch_is_done(self) -> bool:
        training, done = self.training, len(self.training.losses)
        if self.steps is not None and training.step >= self.steps:
            return True
        if self.steps_per_epoch is not None:
            return done >= self.steps_per_epoch
        return done > 0 and training.place is not None and training.place.is_over

    def _advance(self) -> None:
        """Makes some steps, as many as take a moment, and tells of them."""
        training = self.training
        left = [self.at_once]
        if self.steps is not None:
            left.append(self.steps - training.step)
        if self.steps_an_epoch is not None:
            left.append(self.steps_an_epoch - len(training.losses))
        before, versions = training.seconds, training.update.versions
        with uninterrupted():
            self.is_torn = True
            losses = training.advance(max(1, min(left)))
            self.is_torn = False
        self._check_losses(losses)
        if len(losses):
            a_step = (training.seconds - before) / len(losses)
            wanted = int(CALL / max(a_step, 1e-9))
            self.at_once = max(1, min(wanted, GROWTH * self.at_once))
            progress = self._progress(None if training.update.versions > versions else a_step)
            self._tell_all(lambda callback: callback.step(progress))

    def _progress(self, a_step: float | None) -> Progress:
        training, losses = self.training, self.training.losses
        size, left = training.feed.batch_size, self._steps_left()
        samples = None if size is None else size * training.update.accumulate
        return Progress(
            epoch=len(training.history.epochs) + 1,
            step=len(losses),
            steps=self.steps_an_epoch,
            loss=float(np.mean(losses)),
            seconds=training.seconds,
            step_seconds=a_step,
            samples_per_second=samples and a_step and samples / a_step,
            seconds_left=None if left == math.inf or a_step is None else left * a_step,
        )

    def _steps_left(self) -> float:
        """Returns how many steps there will be yet; infinity where that is not known."""
        training, an_epoch = self.training, self.steps_an_epoch
        left = [math.inf if self.steps is None else self.steps - training.step]
        if self.epochs is not None and an_epoch is not None:
            epochs = self.epochs - len(training.history.epochs)
            left.append(epochs * an_epoch - len(training.losses))
        return min(left)

    def _tell_all(self, tell: Callable[[Callback], object]) -> None:
        """Tells every callback, also when one of them wants the training to stop."""
        stops = []
        for callback in self.training.callbacks:
            try:
                tell(callback)
            except StopTraining as stop:
                stops.append(stop)
        if stops:
            raise stops[0]

    def _check_losses(self, losses: np.ndarray) -> None:
        bad = ~np.isfinite(losses)
        if bad.any():
            first = int(np.argmax(bad))
            number = len(self.training.losses) - len(losses) + first + 1
            raise NumericsError(
                f"fit: in epoch {len(self.training.history.epochs) + 1} the loss is "
                f"{losses[first]}, first in step {number}{_NOT_FINITE}"
            )

    def _check_weights(self) -> None:
        before = self.kept["parts"]["model"]
        for name, after in self.training.update.model.state_dict().items():
            if not _is_finite(after) and _is_finite(before[name]):
                epoch = len(self.training.history.epochs) + 1
                raise NumericsError(f"fit: after epoch {epoch} {name} is not finite{_NOT_FINITE}")


def _is_finite(tensor: Any) -> bool:
    return bool(np.isfinite(np.asarray(tensor.numpy())).all())


_NOT_FINITE = (
    ". The training goes back to the end of the epoch before. To see which operation made it, in "
    "which module and line, train once more with smelt.settings(check_nan=True) around fit. Often "
    "the learning rate is too large, or a logarithm, a root or a division comes too near 0"
)
