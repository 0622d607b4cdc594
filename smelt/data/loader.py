"""DataLoader: the batches of a dataset, one after the other, optionally prefetched by workers."""

from __future__ import annotations

import itertools
import math
import operator
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from smelt.data.dataset import Dataset, IterableDataset, Samples, as_dataset
from smelt.data.place import Place, restored_place
from smelt.data.prefetch import prefetched
from smelt.data.processes import FAREWELL, WorkerProcess, context_of
from smelt.data.reader import Exhausted, IndexReader, StreamReader
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.random import Generator, default_generator
from smelt.tensor.checked import checked_methods

__all__ = ["DataLoader"]


@checked_methods
class DataLoader:
    """Iterates over a dataset in batches; each pass over it is an epoch.

    The batches and their order are the same to the bit for any number of workers. Workers are
    threads: they share the dataset, which is not copied, and help where reading waits for files or
    releases the GIL, as NumPy and Pillow do. If slow Python code makes the samples, use processes,
    by `multiprocessing_context`. Workers stop when a loop over the loader is left for any reason.

    Args:
        dataset: a Dataset, a list, or any object with `__len__` and `__getitem__`, which several
            threads read at the same time if there are workers; or an IterableDataset.
        batch_size: samples per batch; None yields single samples without batching.
        shuffle: whether each epoch has its own random order.
        drop_last: whether to leave out a last batch that is smaller than the others. If it is kept,
            a compiled step is compiled once more for it.
        generator: draws the order; the default generator when None.
        num_workers: number of threads, or processes, that prefetch batches; with 0 each batch is
            made when it is needed, in the thread of the loop.
        prefetch_factor: number of batches that each worker may be ahead.
        seed: instead of `generator`: the seed of the loader's own generator.
        collate_fn: (list of samples) -> batch, such as padding texts to the same length; when None,
            samples of the same structure and shape are stacked. Without batching it gets one
            sample.
        sampler: the indices of an epoch, any object that can be iterated over each epoch, instead
            of `shuffle`.
        batch_sampler: the lists of indices of an epoch, as `BatchSampler` yields them, instead of
            `batch_size`, `shuffle`, `sampler` and `drop_last`.
        timeout: seconds to wait for a batch of a worker; 0 waits without a limit.
        multiprocessing_context: "spawn", "fork" or "forkserver", or a context of Python's
            `multiprocessing`, makes the workers processes. Each gets a copy of the dataset; its
            batches are sent back.
        worker_init_fn: (number of the worker) -> anything, called in each worker process when it
            starts.

    Attributes:
        epoch: counted from 0, the number of the next pass; a dataset that changes from epoch to
            epoch, such as `Augmented`, gets it. It can be set, to resume a training.

    Raises:
        ArgumentError: `dataset` is not a dataset, a number is out of range, or settings exclude
            each other.

    Example:
        >>> import smelt
        >>> from smelt.data import DataLoader, TensorDataset
        >>> for (x,) in DataLoader(TensorDataset(smelt.arange(5)), batch_size=2, num_workers=2):
        ...     print(x.tolist())
        [0, 1]
        [2, 3]
        [4]
    """

    def __init__(
        self,
        dataset: Samples | IterableDataset,
        batch_size: int | None = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        *,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        seed: int | None = None,
        collate_fn: Callable[[Any], Any] | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Iterable[int]] | None = None,
        timeout: float = 0,
        multiprocessing_context: Any = None,
        worker_init_fn: Callable[[int], object] | None = None,
    ) -> None:
        if batch_size is not None:
            _at_least("batch_size", batch_size, 1, "a batch has at least 1 sample")
        _at_least("num_workers", num_workers, 0, "0 loads in the thread that asks")
        _at_least("prefetch_factor", prefetch_factor, 1, "a worker makes at least 1 batch ahead")
        _at_least("timeout", timeout, 0, "0 waits as long as it takes")
        if not isinstance(dataset, IterableDataset):
            as_dataset(dataset)  # which refuses what is none
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator: Generator | None = generator if seed is None else Generator(seed)
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.collate_fn = collate_fn
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.timeout = timeout
        self.multiprocessing_context: Any = context_of(multiprocessing_context)
        self.worker_init_fn = worker_init_fn
        self.epoch: int = 0
        self._place: Place | None = None  # in the epoch that runs, or was left
        self._resumed: Place | None = None  # from which the next pass goes on
        self.part: Callable[[np.ndarray], np.ndarray] | None = None  # of a batch: what is read
        self.sizes: dict[int, int] = {}  # of whole batches of which parts are read, by number
        self._require_consistent(generator, seed)

    def __len__(self) -> int:
        """Returns the number of batches in an epoch.

        Raises:
            ArgumentTypeError: the sampler, or the iterable dataset, does not say how many it gives.
        """
        sampler = self.dataset if self.sampler is None else self.sampler
        source: Any = sampler if self.batch_sampler is None else self.batch_sampler
        if not isinstance(source, Sized):
            kind = type(source).__name__
            raise ArgumentTypeError(
                f"DataLoader: the number of batches is not known: a {kind} has no __len__"
            )
        return self._batches(len(source)) if self.batch_sampler is None else len(source)

    def __iter__(self) -> Iterator[Any]:
        place, self._resumed = self._resumed, None
        if place is None or place.epoch != self.epoch:
            place = self._begin()
        self.epoch = place.epoch + 1
        self._place = place
        return self._loop(place)

    def state_dict(self) -> dict[str, Any]:
        """Returns the loader's position, as plain values and tensors, for a file.

        In a loop over it that is the position after the last batch. `load_state_dict` of a loader
        with the same settings continues there, with any number of workers: its next pass yields the
        remaining batches of the epoch, and later passes the same epochs as here.
        """
        place = self._place or Place(self.epoch)
        return {
            **place.state(),
            "begun": self._place is not None,
            "samples": len(self.dataset) if isinstance(self.dataset, Sized) else None,
            "batch_size": self.batch_size,
            "generators": [generator.get_state() for generator in self._generators()],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the position of another loader.

        Args:
            state_dict: what `state_dict` returned.

        Raises:
            StateError: it belongs to a loader with other samples, batches or generators.
        """
        generators = list(self._generators())
        samples = len(self.dataset) if isinstance(self.dataset, Sized) else None
        place = restored_place(state_dict, samples, self.batch_size, len(generators))
        for generator, state in zip(generators, state_dict["generators"], strict=True):
            generator.set_state(state)
        self.epoch = place.epoch
        self._place = self._resumed = place if state_dict["begun"] else None

    def _require_consistent(self, generator: Generator | None, seed: int | None) -> None:
        if generator is not None and seed is not None:
            raise ArgumentError("DataLoader: give a generator or a seed, not both")
        if self.sampler is not None and self.shuffle:
            raise ArgumentError("DataLoader: give a sampler or shuffle, not both")
        ordered = self.shuffle or self.sampler is not None
        if self.batch_sampler is not None and (self.batch_size != 1 or ordered or self.drop_last):
            raise ArgumentError(
                "DataLoader: a batch_sampler takes the place of batch_size, shuffle, sampler and "
                "drop_last; leave these out"
            )
        if isinstance(self.dataset, IterableDataset) and (
            ordered or self.batch_sampler is not None
        ):
            raise ArgumentError(
                "DataLoader: an IterableDataset determines the order itself; leave out shuffle, "
                "sampler and batch_sampler"
            )
        if self.batch_size is None and self.drop_last:
            raise ArgumentError("DataLoader: without batches there is no last one to drop")
        if not self.num_workers and (self.timeout or self.multiprocessing_context is not None):
            raise ArgumentError(
                "DataLoader: timeout and multiprocessing_context are about workers; give "
                "num_workers as well"
            )

    def _generators(self) -> Iterator[Generator]:
        """Yields the generators that belong to the loader."""
        if self.generator is not None:
            yield self.generator
        inner = getattr(self.batch_sampler, "sampler", None)
        for sampler in (self.sampler, self.batch_sampler, inner):
            found = getattr(sampler, "generator", None)
            if isinstance(found, Generator):
                yield found

    def _batches(self, count: int) -> int:
        """Returns into how many batches a number of samples falls."""
        size = self.batch_size or 1
        return count // size if self.drop_last else math.ceil(count / size)

    def _begin(self) -> Place:
        """Returns the beginning of a new epoch; draws its order."""
        if isinstance(self.dataset, IterableDataset):
            return Place(self.epoch)
        if self.batch_sampler is not None:
            batches = [_indices(batch) for batch in _given("batch_sampler", self.batch_sampler)]
            ends = np.cumsum([len(batch) for batch in batches], dtype=np.int64)
            order = np.array(list(itertools.chain(*batches)), np.int64)
            return Place(self.epoch, order=order, ends=ends)
        if self.sampler is not None:
            order = np.array(_indices(_given("sampler", self.sampler)), np.int64)
            return Place(self.epoch, order=order)
        if not self.shuffle:
            return Place(self.epoch)
        # one number, so that a state need not hold the order
        high, low = (self.generator or default_generator()).bits(2).tolist()
        return Place(self.epoch, seed=(high << 32) + low)

    def _loop(self, place: Place) -> Iterator[Any]:
        for batch in self._made(place):
            place.done += 1
            yield batch
        if self._place is place:
            self._place = None

    def _made(self, place: Place) -> Iterator[Any]:
        """Yields the batches of an epoch from a place on."""
        if isinstance(self.dataset, IterableDataset):
            stream = StreamReader(
                self.dataset.at_epoch(place.epoch),
                self.batch_size,
                self.drop_last,
                self.collate_fn,
                place.done,
            )
            return self._streamed(stream)
        dataset: Dataset = as_dataset(self.dataset).at_epoch(place.epoch)
        reader = IndexReader(dataset, self.collate_fn, self.batch_size is None)
        return self._indexed(reader, place)

    def _indexed(self, reader: IndexReader, place: Place) -> Iterator[Any]:
        order, first = place.indices(len(reader.dataset)), place.done
        size = self.batch_size or 1
        count = len(place.ends) if place.ends is not None else self._batches(len(order))

        def chosen(number: int) -> np.ndarray:
            batch = first + number
            if place.ends is None:
                whole = order[batch * size : (batch + 1) * size]
            else:
                whole = order[place.ends[batch - 1] if batch else 0 : place.ends[batch]]
            if self.part is None:
                return whole
            self.sizes[batch] = len(whole)
            return self.part(whole)

        if self.num_workers == 0:
            return (reader.make(chosen(number)) for number in range(count - first))
        if self.multiprocessing_context is not None:
            return self._by_processes(reader, chosen, count - first, self.num_workers)
        functions = [lambda number: reader.make(chosen(number))] * self.num_workers
        return self._by_threads(functions, count - first)

    def _streamed(self, reader: StreamReader) -> Iterator[Any]:
        if self.multiprocessing_context is not None and self.num_workers:
            return self._by_processes(reader, lambda number: None, None, 1)
        in_turn = _InTurn(reader)
        if self.num_workers == 0:
            return _until_exhausted(in_turn)
        return self._by_threads([in_turn] * self.num_workers, None)

    def _by_threads(
        self, functions: list[Callable[[int], Any]], count: int | None
    ) -> Iterator[Any]:
        ahead = self.num_workers * self.prefetch_factor
        return prefetched(functions, count, ahead, self.timeout or None)

    def _by_processes(
        self,
        reader: IndexReader | StreamReader,
        work: Callable[[int], Any],
        count: int | None,
        workers: int,
    ) -> Iterator[Any]:
        """Yields what processes make, each asked by a thread of its own."""
        processes: list[WorkerProcess] = []

        def halt() -> None:
            for process in processes:
                process.ask_to_stop()
            end = time.monotonic() + FAREWELL
            for process in processes:
                process.stop(end)

        def asked(process: WorkerProcess) -> Callable[[int], Any]:
            return lambda number: process.make(work(number), self.timeout or None)

        started = workers if count is None else min(workers, count)
        try:
            for number in range(started):
                context, prepare = self.multiprocessing_context, self.worker_init_fn
                processes.append(WorkerProcess(context, reader, number, prepare))
        except BaseException:
            halt()
            raise
        functions = [asked(process) for process in processes]
        yield from prefetched(functions, count, workers * self.prefetch_factor, None, halt)


class _InTurn:
    """Reads the samples of a stream in the order of the batches' numbers, in whatever threads."""

    def __init__(self, reader: StreamReader) -> None:
        self.reader = reader
        self.turn = 0
        self.changed = threading.Condition()

    def __call__(self, number: int) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.turn == number)
            try:
                samples = self.reader.next()
            finally:
                self.turn += 1
                self.changed.notify_all()
        return self.reader.make(samples)


def _until_exhausted(make: Callable[[int], Any]) -> Iterator[Any]:
    for number in itertools.count():
        try:
            batch = make(number)
        except Exhausted:
            return
        yield batch


def _given(name: str, sampler: Any) -> Iterator[Any]:
    if not isinstance(sampler, Iterable):
        raise ArgumentTypeError(
            f"DataLoader: {name} is a {type(sampler).__name__}, which yields no indices"
        )
    return iter(sampler)


def _indices(given: Any) -> list[int]:
    """Returns indices as Python's numbers."""
    try:
        return [operator.index(index) for index in given]
    except TypeError as error:
        raise ArgumentTypeError(
            f"DataLoader: the sampler does not yield indices ({error})"
        ) from None


def _at_least(name: str, value: float, least: int, why: str) -> None:
    if value < least:
        raise ArgumentError(f"DataLoader: {name}={value}; {why}")
