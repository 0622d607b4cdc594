"""E6.3: a model is evaluated while it is trained."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.book.entry import Page, entry
from smelt.data import load_digits

SCALE = 1 / 50  # the book's trainer sleeps 2 s an epoch and its evaluator 5 s: here 40 and 100 ms
EPOCHS = 10
Look = Callable[[smelt.Tensor, smelt.Tensor], smelt.Tensor]
BOOK = [3, 5, 8, 10]  # the epochs that the book's evaluator printed


@dataclass(slots=True)
class Model:
    """What the book's two threads share, under a lock."""

    epoch: int = 0


def book_program() -> list[int]:
    """Returns the epochs that an evaluator saw, looking now and then while a thread trains."""
    model, lock, seen, over = Model(), threading.Lock(), [], threading.Event()

    def trainer() -> None:
        for epoch in range(1, EPOCHS + 1):
            with lock:
                model.epoch = epoch
            time.sleep(2 * SCALE)
        over.set()

    def evaluator() -> None:
        while not over.wait(5 * SCALE):
            with lock:
                seen.append(model.epoch)

    threads = [threading.Thread(target=function) for function in (trainer, evaluator)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


class Digits:
    """A network that learns the bundled digits, 64-32-10, a native call an epoch."""

    def __init__(self) -> None:
        smelt.manual_seed(0)
        self.images, self.labels = load_digits("train")  # (1437, 8, 8), (1437,)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        opt = optim.Adam(self.model.parameters(), lr=3e-3)
        self.step = train.training_step(self.model, opt, F.cross_entropy)

    def train_epoch(self) -> None:
        """Shows all training digits five times."""
        self.step.over(self.images, self.labels, batch_size=64, shuffle=True, epochs=5)


def examine(model: nn.Module) -> Callable[[], Mapping[str, float]]:
    """Returns a function that looks at a model, on the held-out digits."""
    functions: dict[str, Look] = {"loss": F.cross_entropy, "accuracy": train.accuracy}
    return train.evaluator(model, load_digits("test"), functions)


def evaluated_in_between() -> list[Mapping[str, float]]:
    """Trains and evaluates in turn: what is known of each epoch for certain."""
    digits = Digits()
    validate, results = examine(digits.model), []
    for _ in range(EPOCHS):
        digits.train_epoch()
        results.append(validate())
    return results


def evaluated_beside() -> tuple[list[train.Evaluation], list[int]]:
    """Trains on while copies are evaluated; also returns the epoch reached when each was done."""
    digits = Digits()
    reached, at = 0, []
    with train.BackgroundEvaluator(
        digits.model, examine, waiting=EPOCHS, report=lambda result: at.append(reached)
    ) as evaluator:
        evaluator.submit(0)
        evaluator.flush()  # compiled before the training starts
        for epoch in range(1, EPOCHS + 1):
            digits.train_epoch()
            evaluator.submit(epoch)
            reached = epoch
    return evaluator.results[1:], at[1:]


@entry("E6.3", "Evaluation during training")
def evaluation_during_training(page: Page) -> None:
    """First the book's program, fifty times as fast: a trainer sets the epoch under a lock, an
    evaluator looks now and then. Then with a real network.

    Whoever looks at a model during a step sees some weights from before it and some from after.
    Holding the lock for a whole evaluation would stop the training. So the evaluator is given a
    *copy* of all weights, taken between two steps. The proof: the same training, evaluated in
    between, gives the same numbers to the last digit.
    """
    seen = book_program()
    page.print("book's evaluator saw epochs", BOOK)
    page.print("ours saw epochs           ", seen)
    rising = all(a <= b for a, b in itertools.pairwise(seen))
    page.claim("epochs that were seen", f"rising, like {BOOK}", seen,
               rising and seen and seen[-1] <= EPOCHS)  # fmt: skip

    certain = evaluated_in_between()
    results, reached = evaluated_beside()
    page.table(
        ["epoch of the copy", "loss", "accuracy", "training was at epoch", "evaluated in between"],
        [(one.step, one.values["loss"], f"{one.values['accuracy']:.2%}", at,
          certain[one.step - 1]["loss"]) for one, at in zip(results, reached, strict=True)],
    )  # fmt: skip
    steps = [one.step for one in results]
    every = list(range(1, EPOCHS + 1))
    page.claim("every copy was evaluated, in order", every, steps, steps == every)
    same = [one.values == certain[one.step - 1] for one in results]
    page.claim("each is the model of one moment, to the last digit", True, all(same), all(same))
    accuracy = results[-1].values["accuracy"]
    page.claim("it learned meanwhile", "> 85 %", f"{accuracy:.2%}", accuracy > 0.85)
