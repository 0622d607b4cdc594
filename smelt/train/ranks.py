"""Ranks: what `fit` does in addition if several processes train one model.

A batch is shared by all ranks; each computes its part of it (`samples`), in the order of the ranks.
So the batches, their order and the random numbers are those of one process, and a training may be
resumed with another number of ranks. The first rank shows the progress and writes the run folder;
each of the others has a temporary folder, so that code that writes there need not check its rank.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from smelt import guards, tree
from smelt.distributed.data_parallel import DistributedDataParallel
from smelt.distributed.process_group import init_process_group, is_initialized
from smelt.errors import ArgumentError
from smelt.mpi.agreement import agree
from smelt.mpi.group import current
from smelt.mpi.launch import launched_size
from smelt.nn.module import Module
from smelt.random import Rows, default_generator, drawing_rows
from smelt.tensor import Tensor
from smelt.tensor.collectives import broadcast
from smelt.tracing.engine import current_engine, no_grad
from smelt.tracing.hooks import set_exchange

__all__ = [
    "Ranks",
    "as_first_rank",
    "first_rank",
    "heard_by_all",
    "join",
    "other_folder",
    "own_folder",
    "ranks_of",
]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
ENDS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
_folders: list[tempfile.TemporaryDirectory[str]] = []  # of a rank that is not the first
_own: dict[Path, Path] = {}  # where this rank keeps what a program calls by a path


def join() -> int:
    """Makes this process a rank, if a launcher has started several; returns its number."""
    if launched_size() > 1 and not is_initialized():
        init_process_group()
    return current().rank


def first_rank() -> bool:
    """Returns whether this process is the first rank, or alone."""
    return join() == 0


def let_first_rank_speak() -> None:
    """Discards the output of this process, unless it is the first rank, since all ranks would print
    the same; errors of all ranks are shown.
    """
    if not first_rank():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  until the process ends


def as_first_rank(decision: bool) -> bool:
    """Returns the decision of the first rank, so that all ranks do the same: their clocks
    differ.
    """
    group = current()
    if group.size == 1:
        return decision
    return bool(group.broadcast(np.array([decision], np.int32), 0)[0])


def own_folder(path: Any, resume: bool, files: tuple[str, ...]) -> Path:
    """Returns the run folder of this rank: for the first rank `path`, for each other one a
    temporary folder.

    Args:
        path: the same on all ranks; only the first must be able to read it.
        resume: whether it holds a run; the other ranks get its files from the first.
        files: their names.
    """
    place, rank = Path(path), join()
    if current().size == 1:
        return place
    if place in _own:  # and in those of the other ranks
        return _own[place]
    own = place if rank == 0 else other_folder()
    for name in files if resume else ():
        content = _from_first(_read(place / name) if rank == 0 else b"")
        if content and rank:
            (own / name).write_bytes(content)
    _own[place] = _own[own] = own
    return own


def other_folder() -> Path:
    """Returns a new temporary folder for a rank that is not the first."""
    _folders.append(tempfile.TemporaryDirectory(prefix="smelt-rank-"))
    own = Path(_folders[-1].name) / "run"
    own.mkdir()
    return own


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _from_first(content: bytes) -> bytes:
    """Returns what the first rank has given."""
    group = current()
    (length,) = group.broadcast(np.array([len(content)], np.int64), 0)
    padded = np.zeros(-(-int(length) // 4), np.int32)
    padded.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)[: padded.nbytes]
    return group.broadcast(padded, 0).tobytes()[: int(length)] if length else b""


class Ranks:
    """The ranks that train one model together.

    Args:
        model: what `fit` was given; a DistributedDataParallel, which it may be itself, exchanges
            the gradients.
    """

    def __init__(self, model: Module) -> None:
        group = current()
        self.rank: int = group.rank
        self.size: int = group.size
        self._is_given = isinstance(model, DistributedDataParallel)
        if isinstance(model, DistributedDataParallel):
            self.parallel: DistributedDataParallel = model
        else:
            self.parallel = DistributedDataParallel(model)
        self._rows: tuple[int, int, int] | None = None

    def close(self) -> None:
        """Ends the exchange of gradients, if it was not there before."""
        if not self._is_given:
            set_exchange(self.parallel.parameters(), None)
            guards.changed()

    def part(self, total: int) -> tuple[int, int]:
        """Returns the bounds of this rank's samples in a batch: parts differ by at most 1."""
        a_part, more = divmod(total, self.size)
        start = self.rank * a_part + min(self.rank, more)
        return start, start + a_part + (self.rank < more)

    def chosen(self, rows: np.ndarray) -> np.ndarray:
        """Returns this rank's rows of a batch, (..., n); where there are none the first, which
        counts 0.
        """
        start, stop = self.part(rows.shape[-1])
        return rows[..., start:stop] if stop > start else rows[..., :1]

    def sliced(self, batch: Any) -> Any:
        """Returns this rank's part of a batch that is a tree of tensors."""
        tensors = (x for x in tree.flatten(batch)[0] if isinstance(x, Tensor) and x.ndim)
        total = next(map(len, tensors), 0)
        start, stop = self.part(total)
        keep = slice(start, stop) if stop > start else slice(0, 1)

        def part(x: Any) -> Any:
            return x[keep] if isinstance(x, Tensor) and x.ndim and len(x) == total else x

        return tree.map(part, batch)

    def begin(self, total: int) -> None:
        """Sets the number of samples of the next batches; each part has its own compiled step."""
        start, stop = self.part(total)
        rows = stop - start, start, total
        if rows != self._rows:
            self._rows = rows
            guards.changed()

    def fingerprint(self) -> Hashable:
        """Returns what a compiled step takes as constant."""
        return self._rows

    def backward(self, function: Callable[..., Tensor], batch: Any) -> Tensor:
        """Computes the gradient of the mean over the batch of all ranks; returns that mean."""
        current_engine().note_module(self)
        assert self._rows is not None
        with drawing_rows(Rows(*self._rows)):
            value = self.parallel.backward(lambda *parts: function(parts), *batch)
        if self._rows[2] % self.size:
            # a rank with another number of samples may have taken a draw for one of samples, or not
            state = default_generator().state
            with no_grad():
                state.copy_(broadcast(state, 0))
        return value

    # --- meetings ---------------------------------------------------------------------------------

    def meet(self, seconds: float) -> float:
        """Returns the longest time of a step on any rank; ends the training on all ranks if one of
        them was told to end.

        Raises:
            KeyboardInterrupt: a rank received Ctrl-C.
            SystemExit: a rank received another signal.
        """
        found = current().all_reduce(np.array([seconds, _heard[-1] if _heard else 0]), "max")
        number = int(found[1])
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if number:
            raise SystemExit(128 + number)
        return float(found[0])


def ranks_of(model: Module, plan: dict[str, Any]) -> Ranks | None:
    """Returns the ranks that train a model; None if this process is alone and nothing distributed
    is asked for.

    Args:
        model: the same on all of them.
        plan: what else must be the same on all ranks.

    Raises:
        StateError: on all ranks, if they are about to train different things.
    """
    join()
    if current().size == 1 and not isinstance(model, DistributedDataParallel):
        return None
    agree("fit", plan)
    return Ranks(model)


_heard: list[int] = []  # signals since the training began


@contextmanager
def heard_by_all(ranks: Ranks | None) -> Iterator[None]:
    """Within the block Ctrl-C, SIGTERM and SIGHUP wait until all ranks meet, and end the training
    on all of them after the same step; a second signal takes effect at once.
    """
    if ranks is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise ArgumentError("fit: with several ranks it must be called in the main thread")
    before = {number: signal.getsignal(number) for number in ENDS}
    _heard.clear()

    def hear(number: int, frame: FrameType | None) -> None:
        if _heard:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        _heard.append(int(number))

    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _heard.clear()
        ranks.close()
