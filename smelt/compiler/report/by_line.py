"""By line: which lines of the user's code the time of a step goes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt.compiler.graph.fusion import Fused, Group
from smelt.compiler.report.decisions import inlined_nodes
from smelt.ir.graph import Leaf, Node, Origin

SHOWN = 12  # lines that are printed, the slowest first


@dataclass(frozen=True, slots=True)
class Part:
    """A group of operations, the numbers of the kernels that compute it, and their time."""

    kernels: range
    fused: Fused
    group: Group
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's code in a module; `asked` is the line that asked for its derivative."""

    line: str
    module: str
    walk: str = ""
    asked: str = ""

    def __str__(self) -> str:
        place = " ".join(part for part in (self.module, self.line) if part)
        return f"{self.walk} of {place} ({self.asked})" if self.walk else place


def place_of(node: Node) -> Place | None:
    """Returns where a node comes from; for a derivative, the line that is differentiated."""
    origin, asked = node.origin, short(node.origin.line)
    rule = origin.derivative
    if rule is not None and rule.differentiated is not None:
        line = short(rule.differentiated.line)
        if line and line != asked:
            return Place(line, origin.module, rule.walk, asked)
    return Place(asked, origin.module) if asked or origin.module else None


def lines_text(parts: Sequence[Part], values: Callable[[Sequence[Any]], Sequence[int]]) -> str:
    """Returns a table with a row for each line of the user's code, the slowest first.

    Args:
        parts: the groups of a step with their times.
        values: turns numbers that may be symbolic into integers.
    """
    times: dict[tuple[str, str], list[float]] = {}  # of the line itself, and of its derivative
    for part in parts:
        nodes = [*part.group.members, *inlined_nodes(part.fused, part.group)]
        weights = values([_work(node) for node in nodes])
        whole = sum(weights)
        for node, weight in zip(nodes, weights, strict=True):
            line, is_derivative = _root(node.origin)
            found = times.setdefault((node.origin.module, line), [0.0, 0.0])
            found[is_derivative] += part.seconds * weight / whole
    rows = [
        (" ".join(key).strip() or "no line", own, derivative)
        for key, (own, derivative) in sorted(times.items(), key=lambda row: -sum(row[1]))
    ]
    if len(rows) > SHOWN:
        rest = rows[SHOWN:]
        sums = sum(own for _, own, _ in rest), sum(derivative for *_, derivative in rest)
        rows[SHOWN:] = [(f"{len(rest)} other lines", *sums)]
    total = sum(part.seconds for part in parts)
    width = max((len(name) for name, *_ in rows), default=0)
    lines = [
        "Where the time goes in your code (a kernel of several lines is shared by an estimate):",
        f"     {'':<{width}}{'us':>10}{'of time':>9}{'forward':>10}{'derivative':>12}",
    ]
    for name, own, derivative in rows:
        both = own + derivative
        lines.append(
            f"     {name:<{width}}{1e6 * both:>10.2f}{both / total:>9.0%}{1e6 * own:>10.2f}"
            f"{1e6 * derivative:>12.2f}"
        )
    return "\n".join(lines)


def _root(origin: Origin) -> tuple[str, bool]:
    """Returns the line that was written, and whether it was differentiated, once or often."""
    is_derivative = False
    while origin.derivative is not None and origin.derivative.differentiated is not None:
        origin, is_derivative = origin.derivative.differentiated, True
    return short(origin.line), is_derivative


def _work(node: Node) -> Any:
    """Returns an estimate of what a node costs: elements times loops inside times operations."""
    if isinstance(node.op, Leaf):
        return 0
    inner: dict[int, Any] = {}
    for operand, loops in zip(node.inputs, node.op.operand_loops(node), strict=False):
        for axis, loop in enumerate(loops):
            if loop is not None and loop >= node.ndim:
                inner[loop] = operand.shape[axis]
    return node.size * math.prod(inner.values()) * max(1, node.op.element_cost(node))


def short(line: str) -> str:
    """Returns a line without the folders of its file: "train.py:7"."""
    file, _, number = line.rpartition(":")
    return f"{file.rpartition('/')[2]}:{number}" if file else ""
