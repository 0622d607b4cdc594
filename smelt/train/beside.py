"""Background validation: a thread measures a copy of the weights while the next epoch runs."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from smelt.data import DataLoader
from smelt.data.consumer import Consumer
from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.optim.lr_scheduler import ReduceLROnPlateau
from smelt.random import Generator, drawing_from
from smelt.train import held_out
from smelt.train.training import OpenEpoch
from smelt.train.validation import Validate

__all__ = ["BesideValidation", "check_beside"]


class BesideValidation:
    """Measures epochs in a thread, each with the weights at its end.

    Random numbers of the validation come from a generator of the thread, seeded by the epoch: they
    do not change the training, and a resumed training measures the same.

    Args:
        model: whose weights are measured; a copy of it is made.
        part: the name under which an `OpenEpoch` holds these weights.
        data: held-out data.
        make: (a model, data) -> the function that measures.

    """

    def __init__(
        self,
        model: Module,
        part: str,
        data: Any,
        make: Callable[[Module, Any], Validate | None],
    ) -> None:
        replica, generator = copy.deepcopy(model), Generator()
        self._ended = threading.Event()
        batches = held_out.batches(data, held_out.BATCH, "fit")
        validate = make(replica, _Interruptible(batches, self._ended))
        assert validate is not None
        self._results: dict[int, dict[str, float]] = {}
        results = self._results

        def measure(epoch: OpenEpoch) -> None:
            replica.load_state_dict(epoch.weights[part])
            generator.manual_seed(epoch.number)
            with drawing_from(generator):
                results[epoch.number] = dict(validate())

        self._measure = measure
        self._consumer: Consumer[OpenEpoch] | None = None  # a thread, from the first epoch on

    def submit(self, epoch: OpenEpoch) -> None:
        """Starts to measure an epoch."""
        if self._consumer is None:
            self._consumer = Consumer(self._measure, 1, "smelt validation")
        self._consumer.send(epoch)

    def check(self) -> None:
        """Raises the error of the thread, if there was one."""
        if self._consumer is not None:
            self._consumer.check()

    def result(self, epoch: OpenEpoch) -> dict[str, float]:
        """Waits for the results of an epoch that was submitted."""
        assert self._consumer is not None
        self._consumer.flush()
        return self._results.pop(epoch.number)

    def close(self) -> None:
        """Ends the thread after its current batch; results that are not known yet are lost.

        `check` and `result` raise the error of the thread.
        """
        self._ended.set()
        if self._consumer is not None:
            self._consumer.close(quiet=True)


class _Ended(Exception):
    """Nobody waits for the figures any more."""


class _Interruptible:
    """Batches that end with an exception when somebody says so."""

    def __init__(self, batches: Iterable[Any], ended: threading.Event) -> None:
        self.batches, self.ended = batches, ended

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            if self.ended.is_set():
                raise _Ended
            yield batch


def check_beside(data: Any, validation: Any, scheduler: Any) -> None:
    """Raises ArgumentError for a model that cannot be validated in the background."""
    if validation is None or callable(validation):
        raise ArgumentError(
            "fit: background_validation needs held-out data, validation=(x, y); a function would "
            "read the model while it is being trained"
        )
    if isinstance(data, DataLoader) and validation is data:
        raise ArgumentError(
            "fit: with background_validation, training and validation cannot read the same loader "
            "at the same time; create two loaders"
        )
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ArgumentError(
            "fit: a ReduceLROnPlateau needs the metrics of an epoch before the next one begins; "
            "leave out background_validation"
        )
