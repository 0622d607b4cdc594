"""Regions without gradients, which PyTorch forgets when it decomposes operators.

What leaves such a region is detached instead, which decomposing keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from smelt.errors import CompileError

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

__all__ = ["detach_regions"]

DISABLED = torch.ops.higher_order.wrap_with_set_grad_enabled


def detach_regions(exported: ExportedProgram) -> None:
    """Detaches what leaves a `torch.no_grad()` of the module, in its graph and those within it.

    Raises:
        CompileError: a region with gradients within one without.
    """
    for module in exported.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            is_whole = module is exported.graph_module
            for name, detached in _detached(module, is_whole).items():
                if is_whole:
                    exported.graph_signature.replace_all_uses(name, detached)
            module.recompile()


def _detached(module: GraphModule, is_whole: bool) -> dict[str, str]:
    """Changes a graph; returns by what each result of a region is replaced."""
    replaced: dict[str, str] = {}
    graph = module.graph
    for region in graph.find_nodes(op="call_function", target=DISABLED):
        if region.args[0]:
            if not is_whole:
                raise CompileError(
                    "from_torch: the module enables gradients within torch.no_grad(); leave one out"
                )
            continue
        for result in list(region.users):
            with graph.inserting_after(result):
                detach: Node = graph.call_function(torch.ops.aten.detach.default, (result,))
            detach.meta = dict(result.meta)
            result.replace_all_uses_with(
                detach, delete_user_cb=lambda user, own=detach: user is not own
            )
            replaced[result.name] = detach.name
    return replaced
