"""The training of the members of a network, each on other rows.

The rows are divided into as many folds as there are members; a member learns from all folds except
its own. So for every row there is one member that has not seen it, and the loss over all rows, each
predicted by that member, decides when to stop: all rows count, for training and for stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import optim
from smelt.compiler import compile
from smelt.tabular.network import Design, TabularNetwork
from smelt.tabular.task import Task
from smelt.tensor import Tensor, as_tensor
from smelt.train.early_stopping import EarlyStopping
from smelt.train.evaluate import evaluating
from smelt.train.fit import fit
from smelt.train.history import Callback, History

__all__ = ["Fitted", "Plan", "dense_rows", "folds_of", "outputs_of", "train_members"]

Inputs = dict[str, np.ndarray]  # as Preprocessing makes them: "numbers", "categories", "text"
PENALTIES = (0.1, 1.0, 10.0, 100.0)  # of the linear part, among which held-out rows choose
CHUNK = 256  # rows of each member that are evaluated in one native call
PREDICTED = 1024  # rows that are predicted at a time


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Attributes:
        learning_rate: at the start; it falls to 0 along half a cosine over `max_epochs`.
        weight_decay: of AdamW.
        batch_size: rows per step.
        max_epochs: maximum number of passes over the rows.
        patience: number of epochs without a better held-out loss after which training ends.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int


@dataclass
class Fitted:
    """The result of a training.

    Attributes:
        network: with the weights of the best epoch.
        history: its epochs.
        penalty: of the linear part.
        linear_loss: of held-out rows by the linear part alone.
        loss: of held-out rows by the network.
        epoch: the best one; 0 where the hidden layers found nothing beyond the linear part.
        held_out: (n, outputs), of each row by the member that has not seen it.
    """

    network: TabularNetwork
    history: History
    penalty: float
    linear_loss: float
    loss: float
    epoch: int
    held_out: np.ndarray


def dense_rows(inputs: Inputs, cardinalities: Sequence[int]) -> np.ndarray:
    """Returns what a linear model sees of rows: numbers, text, and a column of zeros and ones for
    each category; float64 (n, features).
    """
    parts = [inputs[key].astype(np.float64) for key in ("numbers", "text") if key in inputs]
    if cardinalities:
        columns = zip(inputs["categories"].T, cardinalities, strict=True)
        parts += [np.eye(places)[column] for column, places in columns]
    return np.concatenate(parts, 1)


def folds_of(target: np.ndarray, members: int, random: np.random.Generator) -> np.ndarray:
    """Returns the fold of each row, int (n,): dealt out in the order of the targets, those that
    are equal in random order, so that folds have the same classes and the same range.
    """
    order = np.lexsort((random.random(len(target)), target))
    folds = np.empty(len(target), np.int64)
    for start in range(0, len(target), members):
        rows = order[start : start + members]
        folds[rows] = random.permutation(members)[: len(rows)]
    return folds


def train_members(
    inputs: Inputs,
    target: np.ndarray,
    task: Task,
    design: Design,
    plan: Plan,
    random: np.random.Generator,
    callbacks: Sequence[Callback] = (),
    run: Callable[[TabularNetwork], Any] | None = None,
    progress: bool = False,
) -> Fitted:
    """Trains a network on rows.

    Args:
        inputs: arrays (n, columns).
        target: (n,), as the task makes them.
        task: what is predicted.
        design: of the network.
        plan: how it is trained.
        random: deals out the rows.
        callbacks: further callbacks.
        run: makes the run folder in which the training of a network is kept; None for none.
        progress: whether to show the progress.

    Raises:
        NumericsError: a loss or a weight was nan or infinite.
    """
    folds = folds_of(target, design.members, random)
    network = TabularNetwork(design)
    held_out = _HeldOut(network, inputs, target, task, folds)
    penalty, linear_loss = _fit_linear_part(held_out, dense_rows(inputs, design.cardinalities))
    if "numbers" in inputs:
        network.pieces.fit(inputs["numbers"].astype(np.float64))
    first = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    data, batches = _batches(inputs, target, folds, plan.batch_size, random)
    stop = EarlyStopping("loss", patience=plan.patience)
    history = fit(
        network,
        lambda outputs, given: (task.losses(outputs, given[0]) * given[1].T).mean(),
        optimizer,
        data,
        epochs=plan.max_epochs,
        batch_size=plan.batch_size,
        validation=lambda: {"loss": held_out.loss()},
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.max_epochs * batches),
        scheduler_interval="step",
        callbacks=[*callbacks, stop],
        run=None if run is None else run(network),
        progress=progress,
    )
    epoch, loss = stop.best_epoch, stop.best
    if loss is None or loss >= linear_loss:
        network.load_state_dict(first)
        epoch, loss = 0, linear_loss
    return Fitted(network, history, penalty, linear_loss, loss, epoch, held_out.outputs())


def _batches(
    inputs: Inputs,
    target: np.ndarray,
    folds: np.ndarray,
    batch_size: int,
    random: np.random.Generator,
) -> tuple[Any, int]:
    """Returns the data of `fit`, and how many batches they are: filled up with rows that count
    nothing, so that all batches have one size; of each row how much it counts for each member.
    """
    members = int(folds.max()) + 1
    counts = (folds[:, None] != np.arange(members)) * (members / (members - 1))
    missing = -len(target) % batch_size
    rows = np.concatenate([np.arange(len(target)), random.integers(0, len(target), missing)])
    weights = np.concatenate([counts, np.zeros((missing, members))]).astype(np.float32)
    arrays = {key: as_tensor(array[rows]) for key, array in inputs.items()}
    return (arrays, (as_tensor(target[rows]), as_tensor(weights))), len(rows) // batch_size


def _fit_linear_part(held_out: _HeldOut, x: np.ndarray) -> tuple[float, float]:
    """Gives each member the linear model of its rows; returns penalty and loss of held-out rows."""
    model = held_out.task.linear_model(x, held_out.target)
    members, found = range(held_out.network.design.members), []
    for penalty in PENALTIES:
        fits = [model.fit((held_out.folds != member) * 1.0, penalty) for member in members]
        slopes, biases = (np.stack(parts) for parts in zip(*fits, strict=True))
        outputs = np.empty((len(x), held_out.task.outputs))
        for rows, slope, bias in zip(held_out.rows, slopes, biases, strict=True):
            outputs[rows] = x[rows] @ slope + bias
        loss = held_out.task.loss(outputs, held_out.target)
        found.append((loss, penalty, slopes, biases))
    loss, penalty, slopes, biases = min(found, key=lambda each: each[0])
    held_out.network.linear.set_weights(slopes, biases)
    return penalty, loss


class _HeldOut:
    """The rows of each fold, as the member that has not seen them predicts them."""

    def __init__(
        self,
        network: TabularNetwork,
        inputs: Inputs,
        target: np.ndarray,
        task: Task,
        folds: np.ndarray,
    ) -> None:
        self.network, self.target, self.task, self.folds = network, target, task, folds
        self.rows = [np.flatnonzero(folds == member) for member in range(network.design.members)]
        longest = max(map(len, self.rows))
        size = min(CHUNK, 1 << (longest - 1).bit_length())
        together = np.stack([np.resize(rows, -(-longest // size) * size) for rows in self.rows])
        parts = np.split(together, together.shape[1] // size, axis=1)
        self._chunks = [
            {key: as_tensor(array[part]) for key, array in inputs.items()} for part in parts
        ]

        @compile
        def forward(inputs: dict[str, Tensor]) -> Tensor:
            return network(**inputs)

        self._forward = forward

    def outputs(self) -> np.ndarray:
        """Returns the outputs of all rows, float64 (n, outputs)."""
        with evaluating(self.network):
            found = [self._forward(chunk).numpy() for chunk in self._chunks]
        outputs = np.empty((len(self.target), self.task.outputs))
        for rows, given in zip(self.rows, np.concatenate(found, 1), strict=True):
            outputs[rows] = given[: len(rows)]
        return outputs

    def loss(self) -> float:
        """Returns the mean loss of all rows."""
        return self.task.loss(self.outputs(), self.target)


def outputs_of(network: TabularNetwork, inputs: Inputs) -> np.ndarray:
    """Returns the outputs of all members for rows, float64 (members, n, outputs).

    It computes in float64 (of categories alone in float32), in NumPy: except for the last bit, a
    row's result does not depend on the other rows, and nothing is compiled for a number of rows.
    """
    rows = len(next(iter(inputs.values())))
    precise = {
        key: array if key == "categories" else array.astype(np.float64)
        for key, array in inputs.items()
    }
    with evaluating(network):
        found = [
            network(
                **{
                    key: as_tensor(array[None, start : start + PREDICTED])
                    for key, array in precise.items()
                }
            ).numpy()
            for start in range(0, rows, PREDICTED)
        ]
    return np.concatenate(found, 1, dtype=np.float64)
