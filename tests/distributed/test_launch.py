import io

import pytest

from smelt.mpi.launch import HERE, SIZES, is_launched, launched_here, launched_size
from smelt.train.progress import LiveProgress, PlainProgress, progress


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in (*SIZES, *HERE, "PMIX_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "size", "here"),
    [
        ({}, 1, 1),
        ({"PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}, 4, 2),
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, 8, 8),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "6"}, 6, 1),
        ({"SLURM_STEP_NUM_TASKS": "6"}, 1, 1),  # srun without MPI
        ({"PMI_SIZE": "x", "MPI_LOCALNRANKS": "3"}, 1, 1),
    ],
)
def test_what_launchers_say(variables, size, here, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (launched_size(), launched_here()) == (size, here)


def test_what_goes_by_way_of_a_launcher_is_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    kinds = []
    for name in (None, "OMPI_COMM_WORLD_SIZE", "PMIX_RANK"):
        if name is not None:
            monkeypatch.setenv(name, "1")
        kinds.append((is_launched(), type(progress(Terminal()))))
    assert kinds == [(False, LiveProgress), (True, PlainProgress), (True, PlainProgress)]
