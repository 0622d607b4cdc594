"""Worker processes of a `DataLoader`: for samples that slow Python code makes.

A process makes the requested batches and sends them back. The waiting thread notices if it ends or
hangs.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from smelt.data.reader import StreamReader
from smelt.errors import ArgumentError, WorkerError
from smelt.settings import get, settings
from smelt.tensor.checked import mark_foreign

__all__ = ["WorkerProcess", "context_of"]

FAREWELL = 1.0  # seconds that a process gets to end by itself
END = b"end"


def context_of(given: Any) -> Any:
    """Returns the multiprocessing context, given its name or the context itself.

    Raises:
        ArgumentError: this system does not have it.
    """
    if given is None or hasattr(given, "Process"):
        return given
    known = multiprocessing.get_all_start_methods()
    if given not in known:
        listed = ", ".join(f'"{name}"' for name in known)
        raise ArgumentError(
            f"DataLoader: multiprocessing_context={given!r} must be one of {listed}"
        )
    return multiprocessing.get_context(given)


class WorkerProcess:
    """A process that makes batches with a reader.

    Args:
        context: how it is started.
        reader: makes the batches; a copy of it is sent.
        number: of the worker.
        prepare: is called with the number in the process, at its beginning.

    Raises:
        ArgumentError: the dataset, or what belongs to it, cannot be sent.
    """

    def __init__(
        self,
        context: Any,
        reader: Any,
        number: int,
        prepare: Callable[[int], object] | None,
    ) -> None:
        self._here, there = context.Pipe()
        self._lock = threading.Lock()  # of what is sent
        arguments = (there, self._here, reader, number, prepare, get())
        name = f"smelt loader {number}"
        self.process: Any = context.Process(target=_run, args=arguments, name=name, daemon=True)
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self._here.close()
            raise ArgumentError(
                f"DataLoader: the dataset or collate_fn cannot be sent to a process ({error}); "
                "define what they need at the top of a module, or leave multiprocessing_context out"
            ) from error
        finally:
            there.close()

    def make(self, work: Any, timeout: float | None) -> Any:
        """Returns the process's result for some work.

        Args:
            work: for the reader.
            timeout: seconds to wait; None waits as long as the process lives.

        Raises:
            WorkerError: the process ended, or hangs.
            BaseException: the error of the reader.
        """
        try:
            with self._lock:
                self._here.send(work)
            ready = wait([self._here, self.process.sentinel], timeout)
            if not ready:
                self.process.kill()
                raise WorkerError(
                    f"DataLoader: {self.process.name} (process {self.process.pid}) made nothing in "
                    f"{timeout} s, and was ended; it worked on {_described(work)}"
                )
            succeeded, result = self._here.recv()
        except (EOFError, ConnectionError, BrokenPipeError):
            self.process.join(FAREWELL)
            raise WorkerError(
                f"DataLoader: {self.process.name} (process {self.process.pid}) ended with "
                f"{_ending(self.process.exitcode)} while it worked on {_described(work)}"
            ) from None
        if not succeeded:
            raise result
        return result

    def ask_to_stop(self) -> None:
        """Tells the process to end when it has finished what it does."""
        try:
            with self._lock:
                self._here.send_bytes(END)
        except (OSError, ValueError):
            return  # it has ended already

    def stop(self, until: float) -> None:
        """Ends the process: by itself before a moment of `time.monotonic`, else by force."""
        self.process.join(max(0.0, until - time.monotonic()))
        for force in (self.process.terminate, self.process.kill):
            if self.process.is_alive():
                force()
                self.process.join(FAREWELL / 2)
        self._here.close()


def _run(
    connection: Connection,
    parents: Connection,
    reader: Any,
    number: int,
    prepare: Callable[[int], object] | None,
    chosen: dict[str, Any],
) -> None:
    """What the process does: makes batches until it is told to end, or its parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends this
    parents.close()
    with settings(**chosen):
        if prepare is not None:
            prepare(number)
        while True:
            try:
                message = connection.recv_bytes()
            except (EOFError, OSError):
                return
            if message == END:
                return
            _answer(connection, reader, pickle.loads(message))


def _answer(connection: Connection, reader: Any, work: Any) -> None:
    try:
        made = reader.make(reader.next() if isinstance(reader, StreamReader) else work)
        connection.send((True, made))
    except BaseException as error:
        connection.send((False, _sendable(error)))


def _sendable(error: BaseException) -> BaseException:
    """Returns an error that can be sent, with the lines where it came from."""
    mark_foreign(error)
    error.add_note("in a worker process:\n" + "".join(traceback.format_tb(error.__traceback__)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        copy = WorkerError(f"{type(error).__name__}: {error}")
        for note in error.__notes__:
            copy.add_note(note)
        return copy
    return error


def _described(work: Any) -> str:
    if work is None:
        return "the next samples"
    listed = work.tolist()
    return f"samples {', '.join(map(str, listed[:5]))}{' ...' if len(listed) > 5 else ''}"


def _ending(code: int | None) -> str:
    """Returns how a process ended, in words."""
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    hint = '; a script that starts processes needs `if __name__ == "__main__":`'
    return f"exit code {code}{hint if code == 1 else ''}"
