"""Launch: whether this process is one of several that a launcher such as mpiexec has started."""

from __future__ import annotations

import os

__all__ = ["is_launched", "launched_here", "launched_size"]

# the number of processes, as MPICH's and Intel's hydra, Open MPI, MVAPICH and Cray's PALS say it
HERE = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_SIZE")


def is_launched() -> bool:
    """Returns whether a launcher has started this process, alone or with others: what it prints
    goes by way of the launcher, also where it looks like a terminal.
    """
    return any(name in os.environ for name in (*SIZES, "PMIX_RANK"))


def launched_size() -> int:
    """Returns how many processes the launcher has started; 1 where there is no launcher.

    Slurm's srun sets its variables also for programs that know nothing of MPI, so they count only
    where srun was told to start MPI programs (`--mpi`), which sets one of the others or PMIx's.
    """
    found = [os.environ[name] for name in SIZES if os.environ.get(name, "").isdecimal()]
    if not found and "PMIX_RANK" in os.environ:
        found = [os.environ.get("SLURM_STEP_NUM_TASKS", "1")]
    return int(found[0]) if found and found[0].isdecimal() else 1


def launched_here() -> int:
    """Returns how many of the processes run on this machine, where the launcher says so; else 1."""
    found = [os.environ[name] for name in HERE if os.environ.get(name, "").isdecimal()]
    return max(1, int(found[0])) if found and launched_size() > 1 else 1
