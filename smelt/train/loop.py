"""The loop of a training: the steps of an epoch, its validation, and callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from smelt.errors import NumericsError
from smelt.train.beside import BesideValidation
from smelt.train.history import Callback, Progress, StopTraining
from smelt.train.interrupt import uninterrupted
from smelt.train.run import RunFolder
from smelt.train.training import Training

__all__ = ["Loop"]

CALL = 0.2  # seconds of steps in one native call, after which those who wait are told
GROWTH = 8  # times as many steps in the next call, at most


@dataclass
class Loop:
    """The epochs of a training, and its callbacks."""

    training: Training
    epochs: int | None
    steps: int | None
    steps_per_epoch: int | None
    validate: Callable[[], Mapping[str, float]] | None
    run: RunFolder | None
    beside: BesideValidation | None = None  # in the place of `validate`
    is_torn: bool = False  # whether what the steps have made is not to be kept
    at_once: int = 1  # steps in the next native call
    kept: dict[str, Any] = field(default_factory=dict)
    begun: list[Callback] = field(default_factory=list)  # who heard of the start

    @property
    def steps_an_epoch(self) -> int | None:
        """How many steps an epoch has; None if that is not known beforehand."""
        batches = self.training.feed.batches
        if self.steps_per_epoch is not None or batches is None:
            return self.steps_per_epoch
        return -(-batches // self.training.update.accumulate)

    def train(self) -> None:
        """Runs the epochs; however they end, everything is saved and the callbacks are called."""
        self.kept = self.training.snapshot()
        for callback in self.training.callbacks:
            callback._check()
        failure: BaseException | None = None
        try:
            self._begin()
            self._all_of_it()
        except BaseException as error:
            failure = error
            raise
        finally:
            with uninterrupted():  # a second Ctrl-C too waits until everything is saved
                self._end(failure)

    def _begin(self) -> None:
        training = self.training
        for callback in reversed(training.callbacks):  # the run folder before those it is not for
            callback.start(self._all_epochs())
            self.begun.append(callback)
        if training.step and self._is_over() and training.open_epoch is None:
            training.history.stopped = "the training was complete before"
        if self.beside is not None and training.open_epoch is not None:
            self.beside.submit(training.open_epoch)

    def _all_of_it(self) -> None:
        history = self.training.history
        try:
            try:
                while not self._is_over():
                    self._epoch()
                self._finish_open_epoch()
            except StopTraining as stop:
                history.stopped = str(stop) or "stopped"
                with suppress(StopTraining):  # of an epoch that was trained meanwhile
                    self._finish_open_epoch()
        except NumericsError:
            self.is_torn = True
            raise
        except KeyboardInterrupt:
            history.interrupted = True

    def _end(self, failure: BaseException | None) -> None:
        """Closes, saves and tells, each of it whatever becomes of the rest.

        Args:
            failure: what the training ended with; what goes wrong here is noted there, and raised
                where there is none.
        """
        training, run = self.training, self.run
        todo: list[Callable[[], object]] = [training.feed.close]
        has_failed_at_once = isinstance(failure, Exception) and not training.step
        if self.beside is not None:
            todo.append(self.beside.close)
        if self.is_torn or not training.is_whole:
            todo.append(lambda: training.restore(self.kept))
        told = [callback for callback in training.callbacks if callback in self.begun]
        if run is not None and run in told:
            if has_failed_at_once and not run.resume:
                told.remove(run)
                todo.append(run.abandon)
            elif not self._is_behind(run):
                todo.append(run.save_checkpoint)
        todo += [partial(callback.end, training.history) for callback in told]
        first: Exception | None = None
        for do in todo:
            try:
                do()
            except Exception as error:
                known = failure or first
                if known is None:
                    first = error
                elif str(error) != str(known):
                    known.add_note(f"and at the end: {type(error).__name__}: {error}")
        if first is not None:
            raise first

    def _is_behind(self, run: RunFolder) -> bool:
        """Whether a step has failed, so that the training goes back to before what is on disk."""
        has_failed = self.training.feed.is_stepping and not self.is_torn
        return has_failed and run.saved_step > self.kept["step"]

    def _all_epochs(self) -> int:
        if self.epochs is not None:
            return self.epochs
        assert self.steps is not None
        return math.ceil(self.steps / (self.steps_an_epoch or self.steps or 1))

    def _is_over(self) -> bool:
        finished, done = self.training.epochs, self.training.step
        by_epochs = self.epochs is not None and finished >= self.epochs
        by_steps = self.steps is not None and done >= self.steps and not self.training.losses
        return by_epochs or by_steps

    def _epoch(self) -> None:
        training = self.training
        while not self._epoch_is_done():
            self._advance()
        self._check_weights()
        if self.beside is not None:
            self._close_beside(self.beside)
            return
        with training.spent.on("validating"):
            held_out = dict(self.validate()) if self.validate else {}
        with uninterrupted():
            training.close_epoch()
            epoch = training.finish_epoch(held_out)
            self.kept = training.snapshot()
            self._tell_all(lambda callback: callback.epoch(epoch))

    def _close_beside(self, beside: BesideValidation) -> None:
        """Finishes the epoch before, whose figures must be known by now, and has this one measured.

        So what happens when does not depend on how long a validation takes. What wants to stop the
        training stops it after this epoch, which is measured as well.
        """
        training, stop = self.training, None
        try:
            self._finish_open_epoch()
        except StopTraining as found:
            stop = found
        with uninterrupted():
            open_epoch = training.close_epoch(keep=True)
            self.kept = training.snapshot()
            beside.submit(open_epoch)
        if stop is not None:
            raise stop

    def _finish_open_epoch(self) -> None:
        """Waits for the figures of an epoch that is measured beside the training, and tells."""
        training, open_epoch = self.training, self.training.open_epoch
        if open_epoch is None or self.beside is None:
            return
        with training.spent.on("validating"):
            held_out = self.beside.result(open_epoch)
        with uninterrupted():
            epoch = training.finish_epoch(held_out)
            self.kept = training.snapshot()
            with training.weights_of(open_epoch):
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
        if self.beside is not None:
            self.beside.check()
        before, versions = training.seconds, training.update.versions
        with uninterrupted():
            losses = training.advance(max(1, min(left)))
        self._check_losses(losses)
        if len(losses):
            a_step = (training.seconds - before) / len(losses)
            if training.update.ranks is not None:
                a_step = training.update.ranks.meet(a_step)
            wanted = int(CALL / max(a_step, 1e-9))
            self.at_once = max(1, min(wanted, GROWTH * self.at_once))
            progress = self._progress(None if training.update.versions > versions else a_step)
            self._tell_all(lambda callback: callback.step(progress))

    def _progress(self, a_step: float | None) -> Progress:
        training, losses = self.training, self.training.losses
        size, left = training.feed.batch_size, self._steps_left()
        samples = None if size is None else size * training.update.accumulate
        return Progress(
            epoch=training.epochs + 1,
            step=len(losses),
            steps=self.steps_an_epoch,
            loss=training.loss_sum / len(losses),
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
            epochs = self.epochs - training.epochs
            left.append(epochs * an_epoch - len(training.losses))
        return min(left)

    def _tell_all(self, tell: Callable[[Callback], object]) -> None:
        """Tells every callback, also when one of them wants the training to stop."""
        stops = []
        with self.training.spent.on("telling"):
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
            gap = self.training.feed.not_finite()
            raise NumericsError(
                f"fit: in epoch {self.training.epochs + 1} the loss is "
                f"{losses[first]}, first in step {number}{gap or _NOT_FINITE}"
            )

    def _check_weights(self) -> None:
        before = self.kept["parts"]["model"]
        for name, after in self.training.update.model.state_dict().items():
            if not _is_finite(after) and _is_finite(before[name]):
                epoch = self.training.epochs + 1
                raise NumericsError(f"fit: after epoch {epoch} {name} is not finite{_NOT_FINITE}")


def _is_finite(tensor: Any) -> bool:
    return bool(np.isfinite(np.asarray(tensor.numpy())).all())


_NOT_FINITE = (
    ". Model and optimizer are as they were at the end of the epoch before. To see which "
    "operation, module and line it comes from, run fit again within "
    "smelt.settings(check_nan=True). Often the learning rate is too large, or a logarithm, a root "
    "or a division comes too close to 0"
)
