"""The batches of a training, from any position in a pass over the data on."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import tree
from smelt.compiler.frontend.minibatches import shuffled_rows
from smelt.compiler.runtime.batches import with_whole_rows
from smelt.data import DataLoader, DistributedSampler
from smelt.errors import ArgumentError, DTypeError
from smelt.random import Generator, get_rng_state, randint, set_rng_state
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import array_of
from smelt.train.batch import listed
from smelt.train.ranks import Ranks
from smelt.train.source import source_of, without_names
from smelt.train.step import Update

__all__ = ["BATCH", "Feed", "Pass", "feed_of"]

BATCH = 64  # samples a batch, where nobody says how many


@dataclass(slots=True)
class Pass:
    """A position in the data: what determines the order of a pass, and how much of it is done.

    Attributes:
        number: counted from 0.
        seed: determines the order of the pass, and the random numbers of its samples.
        generator: the state of the default generator when the pass began.
        own: the states of the generators of the user's loader, including its sampler's.
        done: how many batches were read.
        is_over: whether these were all.
    """

    number: int
    seed: int
    generator: Tensor
    own: list[Tensor]
    done: int = 0
    is_over: bool = False


class Feed(ABC):
    """Gives the batches of passes over some data to the updates of a model.

    Attributes:
        is_stepping: whether a step was begun and not ended, also because it failed.
        waited: seconds that steps have waited for their batches.
    """

    is_stepping: bool = False
    waited: float = 0.0

    @property
    @abstractmethod
    def batches(self) -> int | None:
        """How many batches a pass has; None if that is not known beforehand."""

    @property
    @abstractmethod
    def batch_size(self) -> int | None:
        """How many samples a batch has; None if that is not known beforehand."""

    def begin(self, number: int) -> Pass:
        """Returns the beginning of a new pass, whose order is drawn from the default generator."""
        seed = int(randint(0, 1 << 62, ()))
        return Pass(number, seed, get_rng_state(), self._generators())

    def _generators(self) -> list[Tensor]:
        """Returns the states of generators that the data bring with them."""
        return []

    @abstractmethod
    def go_to(self, place: Pass) -> None:
        """Moves to a position."""

    @abstractmethod
    def run(self, update: Update, place: Pass, steps: int) -> Iterator[float | np.ndarray]:
        """Runs up to that many steps, none beyond the end of the pass, and advances the position.

        Yields:
            The losses of the steps, one or many at a time; fewer than `steps` at the end.
        """

    def share(self, ranks: Ranks | None) -> None:  # noqa: B027  rows are chosen as steps are made
        """Sets the ranks that share each batch; None: this process reads all of it."""

    def not_finite(self) -> str:
        """Returns which rows of the data are not finite, for the error about a loss that is not
        finite; "" if there are none, or it is not known.
        """
        return ""

    def close(self) -> None:  # noqa: B027  arrays hold nothing
        """Releases what an unfinished pass holds."""


class MemoryFeed(Feed):
    """Batches of data in memory: many steps are one native call.

    Args:
        data: a tree of tensors (n, ...).
        batch_size: samples per batch.
        shuffle: whether each pass has its own order.
        drop_last: whether a smaller last batch is left out.
    """

    structure: tree.Structure

    def __init__(self, data: Any, batch_size: int, shuffle: bool, drop_last: bool) -> None:
        arrays, self.structure = tree.flatten(data)
        self.arrays: list[Tensor] = [_with_whole_rows(x) for x in arrays]
        self.samples: int = len(self.arrays[0])
        self._size = batch_size
        self.shuffle = shuffle
        self.rows: int = self.samples - (self.samples % batch_size if drop_last else 0)
        self._order = np.arange(self.rows)

    @property
    def batches(self) -> int:
        """How many batches a pass has."""
        return -(-self.rows // self._size)

    @property
    def batch_size(self) -> int:
        """How many samples a batch has."""
        return self._size

    def not_finite(self) -> str:
        """Returns which rows hold nan or inf."""
        for number, x in enumerate(self.arrays):
            if not x.dtype.is_float:
                continue
            rows = np.flatnonzero(~np.isfinite(x.numpy()).reshape(len(x), -1).all(1))
            if rows.size:
                return (
                    f": array {number} of the data holds nan or inf, first in row {rows[0]} "
                    f"({rows.size} rows in all); fill in what is missing, or leave these rows out"
                )
        return ""

    def go_to(self, place: Pass) -> None:
        """Computes the order of the pass."""
        if self.shuffle:
            (order,) = shuffled_rows(self.samples, Generator(place.seed))
            self._order = order[: self.rows]

    def run(self, update: Update, place: Pass, steps: int) -> Iterator[float | np.ndarray]:
        """Runs steps; those of one batch each are one native call."""
        batches = min(steps * update.accumulate, self.batches - place.done)
        rows = self._order[place.done * self._size : (place.done + batches) * self._size]
        self.is_stepping: bool = True
        if update.accumulate == 1 and batches:
            losses = self._run(update, rows)
        else:
            every = np.array_split(rows, range(self._size, len(rows), self._size))
            first = range(0, batches, update.accumulate)
            groups = [every[n : n + update.accumulate] for n in first]
            losses = np.asarray([update.by_several(self._batches(update, one)) for one in groups])
        self.is_stepping = False
        place.done += batches
        place.is_over = place.done >= self.batches
        yield losses

    def _run(self, update: Update, rows: np.ndarray) -> np.ndarray:
        """Makes the steps by these rows; returns their losses."""
        step, ranks = update.compiled(self.structure), update.ranks
        if ranks is None:
            return step.over(*self.arrays, batch_size=self._size, order=rows).numpy()
        whole = len(rows) // self._size * self._size
        losses = []
        for part in (rows[:whole].reshape(-1, self._size), rows[whole:].reshape(1, -1)):
            if part.size:
                ranks.begin(part.shape[1])
                own = ranks.chosen(part)
                order = np.ascontiguousarray(own).ravel()
                losses.append(step.over(*self.arrays, batch_size=own.shape[1], order=order).numpy())
        return np.concatenate(losses)

    def _batches(self, update: Update, several: Sequence[np.ndarray]) -> Iterator[Any]:
        """Yields batches, this rank's part of each where there are several."""
        for rows in several:
            if update.ranks is not None:
                update.ranks.begin(len(rows))
            yield self._batch(rows if update.ranks is None else update.ranks.chosen(rows))

    def _batch(self, rows: np.ndarray) -> Any:
        return tree.unflatten(self.structure, [x[as_tensor(rows)] for x in self.arrays])


class LoaderFeed(Feed):
    """Batches of a loader, or of anything that can be iterated over repeatedly.

    Args:
        loader: iterating over it is a pass.
        is_own: whether it was made for this training, so that Smelt chooses its order.
    """

    waited: float = 0.0

    def __init__(self, loader: Iterable[Any], is_own: bool = False) -> None:
        self.loader = loader
        self.is_own = is_own
        self._pass: Iterator[Any] = iter(())

    @property
    def batches(self) -> int | None:
        """How many batches a pass has, if the loader says so."""
        try:
            return len(self.loader) if isinstance(self.loader, Sized) else None
        except TypeError:  # of a loader over a stream
            return None

    @property
    def batch_size(self) -> int | None:
        """How many samples a batch has, if the loader says so."""
        if getattr(self.loader, "batch_sampler", None) is not None:
            return None
        return getattr(self.loader, "batch_size", None)

    def _generators(self) -> list[Tensor]:
        if self.is_own or not isinstance(self.loader, DataLoader):
            return []
        return self.loader.state_dict()["generators"]

    def go_to(self, place: Pass) -> None:
        """Begins the pass again in the same way, and skips what is done."""
        self.close()
        if isinstance(self.loader, DataLoader):
            if self.is_own:
                self.loader.generator = Generator(place.seed)
            state = self.loader.state_dict()
            drawn = state["generators"] if self.is_own else place.own
            begin = {"epoch": place.number, "begun": False, "generators": drawn}
            self.loader.load_state_dict({**state, **begin})
        now = get_rng_state()
        set_rng_state(place.generator)  # where a sampler draws from, when the pass begins
        self._pass = iter(self.loader)
        if place.is_over:
            self.close()
        elif place.done:
            self._skip(place.done)
        if place.done:
            set_rng_state(now)

    def _skip(self, count: int) -> None:
        """Goes over the first batches of the pass that has begun."""
        if isinstance(self.loader, DataLoader):  # without making them
            self.loader.load_state_dict({**self.loader.state_dict(), "batches": count})
            self._pass = iter(self.loader)
        else:
            for _ in itertools.islice(self._pass, count):
                pass

    def run(self, update: Update, place: Pass, steps: int) -> Iterator[float | np.ndarray]:
        """Runs steps on the loader's batches, one after the other."""
        for _ in range(steps):
            began = time.perf_counter()
            group = [_tensors(batch) for batch in itertools.islice(self._pass, update.accumulate)]
            self.waited += time.perf_counter() - began
            numbered = enumerate(group, place.done)
            if not group:
                place.is_over = True
                break
            self.is_stepping: bool = True
            own = (self._own_part(update, batch, number) for number, batch in numbered)
            if update.accumulate == 1:
                leaves, structure = tree.flatten(next(own))
                loss = float(update.compiled(structure)(*leaves))
            else:
                loss = update.by_several(own)
            self.is_stepping = False
            place.done += len(group)
            place.is_over = place.done == self.batches
            yield loss
            if place.is_over:
                break

    def _own_part(self, update: Update, batch: Any, number: int) -> Any:
        """Returns this rank's part of a batch; what a DistributedSampler chose is its part."""
        ranks = update.ranks
        if ranks is None:
            return batch
        if isinstance(self.loader, DataLoader) and number in self.loader.sizes:
            ranks.begin(self.loader.sizes.pop(number))
            return batch
        samples = len(tree.flatten(batch)[0][0])
        if isinstance(getattr(self.loader, "sampler", None), DistributedSampler):
            ranks.begin(samples * ranks.size)
            return batch
        ranks.begin(samples)
        return ranks.sliced(batch)

    def share(self, ranks: Ranks | None) -> None:
        """Lets a loader read only this rank's samples, if samples have indices."""
        loader = self.loader
        if isinstance(loader, DataLoader):
            is_part = isinstance(loader.sampler, DistributedSampler) or loader.batch_size is None
            loader.part = None if ranks is None or is_part else ranks.chosen
            loader.sizes.clear()

    def close(self) -> None:
        """Stops the loader's workers."""
        close = getattr(self._pass, "close", None)
        self._pass = iter(())
        if close is not None:
            close()


def feed_of(
    data: Any,
    *,
    batch_size: int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    target: str | Sequence[str] | None = None,
) -> Feed:
    """Returns the feed for training data.

    Args:
        data: what `source_of` takes, or a Table.
        batch_size: samples per batch, 64 or all when None; not for a loader, which has its own.
        shuffle: whether each pass has its own order; not for a loader.
        drop_last: whether a smaller last batch is left out; not for a loader.
        target: the columns of a table to predict.

    Raises:
        ArgumentError: the data are none of these, or empty, or smaller than a batch.
        ShapeError: arrays differ in the sizes of their first axis.
    """
    source = source_of(without_names(data, target), "fit")
    if batch_size is None:
        # a list of arrays, meant as a tuple, shall not become a batch of two samples
        few = source.samples if source.samples and not isinstance(source.data, list) else BATCH
        batch_size = min(BATCH, few)
    if source.samples is not None:
        _check_batch(batch_size, source.samples)
    match source.kind:
        case "arrays":
            return MemoryFeed(source.data, batch_size, shuffle, drop_last)
        case "samples":
            loader = DataLoader(source.data, batch_size, shuffle, drop_last)
        case "stream":
            loader = DataLoader(source.data, batch_size, drop_last=drop_last)
        case "batches":
            _check_again(source.data)
            return LoaderFeed(source.data)
    return LoaderFeed(loader, is_own=True)


def _check_again(batches: Iterable[Any]) -> None:
    if iter(batches) is batches:
        raise ArgumentError(
            f"fit: a {type(batches).__name__} can be read once only; give something that can be "
            "iterated over for every pass, such as a DataLoader or a list"
        )


def _check_batch(batch_size: int, samples: int) -> None:
    if not 1 <= batch_size <= samples:
        raise ArgumentError(
            f"fit: batch_size={batch_size} must lie between 1 and {samples}, the number of "
            "samples (arrays are given in a tuple, as (x, y); a list is one sample after the "
            "other)"
        )


def _with_whole_rows(x: Tensor) -> Tensor:
    """Returns a tensor that native calls read as it lies, so that they do not copy it each time."""
    data = array_of(x)
    whole = with_whole_rows(data)
    return x if whole is data else Tensor(whole, x.dtype)


def _tensors(batch: Any) -> Any:
    """Returns a loader's batch with tensors as leaves."""
    try:
        return tree.map(as_tensor, listed(batch))
    except DTypeError as error:
        raise DTypeError(
            f"fit: a batch holds something that is not a tensor ({error}); convert it in collate_fn"
        ) from None
