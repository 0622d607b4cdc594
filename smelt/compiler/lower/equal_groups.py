"""Equal groups: groups with equal descriptions, up to names, are lowered once.

Sixteen equal layers have sixteen equal products, normalizations and updates. A kernel depends on
the part of the graph that its group computes, on which of its nodes have memory, and on how the
group is computed; not on where its operands come from.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.graph.fusion import Group
from smelt.compiler.graph.memory_plan import Planned
from smelt.ir.description import describe_part
from smelt.ir.graph import Node, scalar_value
from smelt.ir.loops import Kernel

Places = list[tuple[Node, int]]  # for each buffer of a kernel, its node and byte offset
Lowered = tuple[Kernel, Places]


class EqualGroups:
    """The groups of a program that have been lowered, by their descriptions."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Kernel, list[tuple[int, int]]]] = {}

    def lowered(
        self, planned: Planned, group: Group, lower: Callable[[Planned, Group], Lowered]
    ) -> Lowered:
        """Returns what `lower` makes of a group; for one that equals an earlier one, the kernel of
        that one.
        """
        described = _described(planned, group)
        if described is None:
            return lower(planned, group)
        text, nodes = described
        if text not in self._known:
            kernel, places = lower(planned, group)
            numbers = {node: number for number, node in enumerate(nodes)}
            self._known[text] = kernel, [(numbers[node], offset) for node, offset in places]
        kernel, numbered = self._known[text]
        return kernel, [(nodes[number], offset) for number, offset in numbered]


def _described(planned: Planned, group: Group) -> tuple[str, list[Node]] | None:
    """Returns the text of all that a group's kernel depends on, and its nodes by number."""
    ordered, members = planned.fused.ordered, set(group.members)

    def is_given(node: Node) -> bool:
        in_memory = node not in members and node in ordered.materialized
        return in_memory and scalar_value(node) is None

    targets = [ordered.writes.get(node, node) for node in group.members]
    described = describe_part([*group.members, *targets, *group.workspace], is_given)
    if described is None:
        return None
    text, nodes = described
    numbers = {node: number for number, node in enumerate(nodes)}
    facts = (
        group.strategy.value,
        group.iteration_space,
        group.blocking,
        [numbers[node] for node in (*group.members, *targets, *group.workspace)],
        [node in planned.slots for node in group.members],
        sorted([numbers[node] for node in group.reads if node in numbers]),
    )
    return f"{facts!r}\n{text}", nodes
