"""Regions without gradients, which PyTorch forgets when it decomposes operators.

What leaves such a region is detached instead, which decomposing keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

__all__ = ["detach_regions"]


def detach_regions(exported: ExportedProgram) -> None:
    """Detaches what leaves a `torch.no_grad()` of the module, in its graph and those within it.

    PyTorch writes nested regions one behind the other, so that one without gradients has none with.
    """
    import torch

    for module in exported.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for name, detached in _detached(module).items():
                if module is exported.graph_module:
                    exported.graph_signature.replace_all_uses(name, detached)
            module.recompile()


def _detached(module: GraphModule) -> dict[str, str]:
    """Changes a graph; returns by what each result of a region is replaced."""
    import torch

    disabled = torch.ops.higher_order.wrap_with_set_grad_enabled
    replaced: dict[str, str] = {}
    graph = module.graph
    for region in graph.find_nodes(op="call_function", target=disabled):
        if region.args[0]:
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
