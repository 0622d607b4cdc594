"""Evaluation in the background of training: another thread validates copies of the model."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from smelt.data.consumer import Consumer
from smelt.errors import ArgumentError
from smelt.locks import reentrant_lock
from smelt.nn.module import Module
from smelt.train.history import Callback, Epoch, History

__all__ = ["BackgroundEvaluator", "Evaluation"]

Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation of the model.

    Attributes:
        step: the number that was given with the copy.
        values: name -> value.
        seconds: how long it took.
    """

    step: int
    values: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The state of a model at one moment."""

    step: int
    state: dict[str, np.ndarray]


class BackgroundEvaluator(Callback):
    """Evaluates a model while its training continues.

    `submit` copies parameters and buffers; a thread loads them into its own model and evaluates
    that. Native code does not hold the GIL, so both run at the same time. A copy must be
    consistent: call `submit` between steps, in the thread that trains; or hold `lock` during each
    step, and submit from any thread.

    As a callback of `fit` it submits after each epoch and waits for the last result at the end.
    As a context manager it closes itself.

    Args:
        model: the model that is trained.
        examine: (a copy of the model) -> a function without arguments that evaluates it, such as
            `evaluator` returns: its result is a dict, name -> value.
        waiting: how many copies may wait for the thread; `submit` waits if there are more.
        report: called in the thread with each result.

    Attributes:
        lock: held while a copy is made.

    Raises:
        ArgumentError: `examine` does not return a function; or, raised by the next call, that
            function does not return a dict.

    Example:
        >>> import smelt
        >>> from smelt import nn
        >>> model = nn.Linear(2, 1)
        >>> size = lambda copy: lambda: {"bias": float(copy.bias.abs().sum())}
        >>> with BackgroundEvaluator(model, size) as evaluator:
        ...     for step in range(3):  # here would be a step of the training
        ...         _ = evaluator.submit(step)
        >>> [result.step for result in evaluator.results]
        [0, 1, 2]
    """

    def __init__(
        self,
        model: Module,
        examine: Callable[[Module], Validate],
        waiting: int = 1,
        report: Callable[[Evaluation], object] | None = None,
    ) -> None:
        self.lock: Any = reentrant_lock()  # free in a forked child, which is told there
        self._model = model
        self._results: list[Evaluation] = []
        replica, results = copy.deepcopy(model), self._results
        validate = _callable(examine(replica))

        def evaluate(snapshot: _Snapshot) -> None:
            replica.load_state_dict(snapshot.state)
            start = time.perf_counter()
            values = _named(validate())
            results.append(Evaluation(snapshot.step, values, time.perf_counter() - start))
            if report is not None:
                report(results[-1])

        self._consumer: Consumer[_Snapshot] = Consumer(evaluate, waiting, "smelt evaluation")

    @property
    def results(self) -> list[Evaluation]:
        """The results so far, in the order of submission."""
        return list(self._results)

    def submit(self, step: int, wait: bool = True) -> bool:
        """Copies the model as it is now, to be evaluated.

        Args:
            step: the number of the result.
            wait: whether to wait if the thread is behind; if not, the copy is dropped.

        Returns:
            Whether there will be a result.

        Raises:
            ChannelClosed: the evaluator is closed, or was made before the process was forked.
            BaseException: the error of an earlier evaluation.
        """
        self._consumer.require_here()
        with self.lock:
            state = {name: np.array(tensor) for name, tensor in self._model.state_dict().items()}
        return self._consumer.send(_Snapshot(step, state), wait)

    def flush(self) -> None:
        """Waits for the result of the last copy.

        Raises:
            BaseException: the error of an evaluation.
        """
        self._consumer.flush()

    def close(self) -> None:
        """Waits for the result of the last copy, and ends the thread.

        Raises:
            BaseException: the error of an evaluation.
        """
        self._consumer.close()

    def epoch(self, epoch: Epoch) -> None:
        """Submits the model after an epoch."""
        self.submit(epoch.number)

    def end(self, history: History) -> None:
        """Waits for the result of the last epoch."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _callable(validate: Any) -> Validate:
    if not callable(validate):
        raise ArgumentError(
            "BackgroundEvaluator: examine(copy) must return a function without arguments that "
            "evaluates the copy, as `lambda copy: lambda: {...}`; got a "
            f"{type(validate).__name__}"
        )
    return validate


def _named(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ArgumentError(
            "BackgroundEvaluator: the function that evaluates a copy must return a dict, name -> "
            f"value; got a {type(values).__name__}"
        )
    return dict(values)
