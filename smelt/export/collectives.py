"""What several ranks compute together is not written into a file for one process."""

from __future__ import annotations

from smelt.errors import ArgumentError
from smelt.ir.graph import Graph, communicates

__all__ = ["check_no_collectives"]


def check_no_collectives(what: str, graph: Graph) -> None:
    """Raises where a traced graph has a collective.

    Args:
        what: the name of the function that writes the file.
        graph: as traced.

    Raises:
        ArgumentError: with the collective and where it stands.
    """
    for node in graph.nodes():
        if communicates(node.op, node.attributes):
            where = f" at {node.origin}" if str(node.origin) else ""
            raise ArgumentError(
                f"{what}: the function has a collective ({node.op.name}{where}), and a file is for "
                "one process; write it in a program of one rank, or give the module within the "
                "DistributedDataParallel"
            )
