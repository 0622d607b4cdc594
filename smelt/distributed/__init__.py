"""Training on several processes and machines: one program, once for each rank.

Under `mpiexec -n 4 python program.py` each of four processes is a rank; `init_process_group`
connects them, through mpi4py and its MPI. Without a launcher the same program is one rank, and
mpi4py is not needed.
"""

from smelt.data import DistributedSampler
from smelt.distributed.data_parallel import DistributedDataParallel
from smelt.distributed.process_group import (
    destroy_process_group,
    init_process_group,
    is_available,
    is_initialized,
)
from smelt.distributed.sharded_optimizer import ZeroRedundancyOptimizer
from smelt.functional.weighted_mean import weighted_mean
from smelt.pytorch_names import install as _install
from smelt.tensor.collectives import (
    all_gather,
    all_reduce,
    all_to_all,
    barrier,
    broadcast,
    get_rank,
    get_world_size,
    reduce_scatter,
)

__all__ = [
    "DistributedDataParallel", "DistributedSampler", "ZeroRedundancyOptimizer", "all_gather",
    "all_reduce", "all_to_all", "barrier", "broadcast", "destroy_process_group", "get_rank",
    "get_world_size", "init_process_group", "is_available", "is_initialized", "reduce_scatter",
    "weighted_mean",
]  # fmt: skip

_install(__name__)
