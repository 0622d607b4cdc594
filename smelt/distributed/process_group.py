"""The process group of this program: its beginning, and its end."""

from __future__ import annotations

from importlib.util import find_spec

from smelt import guards
from smelt.mpi import agreement, ending
from smelt.mpi.group import Group, current, join, leave
from smelt.mpi.launch import launched_size
from smelt.random import get_rng_state
from smelt.version import __version__

__all__ = ["destroy_process_group", "init_process_group", "is_available", "is_initialized"]

_is_initialized = False


def init_process_group(backend: str = "mpi") -> None:
    """Makes this process one of the ranks that `mpiexec` has started; otherwise the only rank.

    From then on an uncaught exception ends all ranks with its message, and the end of the program
    waits for the others. A second call has no effect.

    Args:
        backend: "mpi"; PyTorch's other backends mean the same here.

    Raises:
        MissingExtra: several processes were started, and mpi4py is not installed.
        StateError: the launcher belongs to another MPI than mpi4py; or, on all ranks, their
            versions of Smelt or the seeds of their default generators differ.
    """
    global _is_initialized
    if _is_initialized:
        return
    group = join()
    if isinstance(group, Group):
        agreement.watch(group)
        ending.install()
        agreement.agree("init_process_group", {"Smelt": __version__})
        state = get_rng_state().tolist()
        agreement.agree("init_process_group", {"default generator (seed, position)": state})
    _is_initialized = True
    guards.changed()


def destroy_process_group() -> None:
    """Makes this process a single rank again; all ranks must call it, and wait for each other.

    Raises:
        StateError: on all ranks, if some are about to do something else.
    """
    global _is_initialized
    if isinstance(current(), Group):
        agreement.agree("destroy_process_group")
        ending.uninstall()
    leave()
    _is_initialized = False
    guards.changed()


def is_initialized() -> bool:
    """Returns whether `init_process_group` was called, and the group not destroyed since."""
    return _is_initialized


def is_available() -> bool:
    """Returns whether a group can be formed: mpi4py is installed, or there is one process."""
    return launched_size() == 1 or find_spec("mpi4py") is not None
