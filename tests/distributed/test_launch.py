import pytest

from smelt.mpi.launch import HERE, SIZES, launched_here, launched_size


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
