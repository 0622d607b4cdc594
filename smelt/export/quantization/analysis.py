"""Analysis: what of a graph has an integer form, and which nodes are functions of one number.

Elementwise operations that depend on one tensor and on numbers otherwise, such as the dozen that a
GELU consists of, are together a function of one number, of the tensor that is their root: on int8
it is a table of 256 entries, or for the ReLU family a bound. So they are looked at as a whole.

What has no integer form is computed in float32 on dequantized numbers, where no product (of
matrices, a convolution) follows: a softmax at the end of a network. Elsewhere it is an error, or
float32 as well if the caller wants that.
"""

from __future__ import annotations

from smelt.errors import CompileError
from smelt.export.quantization.capture import REGIONS, Captured, located
from smelt.ir.graph import ARGUMENT, Node
from smelt.ops import contraction, elementwise, indexing, movement, pooling, reduction
from smelt.ops.barrier import optimization_barrier
from smelt.ops.convolution import convolution
from smelt.ops.elementwise import Elementwise

__all__ = ["Analysis", "analysed", "is_window_read"]

REDUCED = (reduction.sum, reduction.max, reduction.min)


class Analysis:
    """What is known of a captured graph.

    Attributes:
        users: of each node, those that read it, each once.
        roots: of each node, the tensor of which it is a function of one number; or itself.
        floats: the nodes that are computed in float32.
    """

    def __init__(self, captured: Captured) -> None:
        self.captured: Captured = captured
        self.nodes: list[Node] = [
            node for node in captured.graph.nodes() if node not in captured.constants
        ]
        self.users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in self.operands(node):
                self.users[operand].append(node)
        self.roots: dict[Node, Node] = {}
        for node in self.nodes:
            self.roots[node] = self._root(node)
        self._outputs = set(captured.graph.outputs)
        self.floats: set[Node] = set()

    def operands(self, node: Node) -> list[Node]:
        """Returns the operands that depend on an input, each once."""
        constants = self.captured.constants
        return list(dict.fromkeys(one for one in node.inputs if one not in constants))

    def _root(self, node: Node) -> Node:
        """Returns the one tensor that an elementwise node is a function of, or the node itself."""
        if not isinstance(node.op, Elementwise):
            return node
        roots = {self.roots[operand] for operand in self.operands(node)}
        constants = [one for one in node.inputs if one in self.captured.constants]
        if len(roots) != 1 or any(self.captured.constants[one].size != 1 for one in constants):
            return node
        (root,) = roots
        return root if root.shape == node.shape else node

    def region(self, node: Node) -> list[Node]:
        """Returns the nodes between the root of a node and itself, in order."""
        root, seen, stack = self.roots[node], {node}, [node]
        while stack:
            for operand in self.operands(stack.pop()):
                if operand is not root and operand not in seen:
                    seen.add(operand)
                    stack.append(operand)
        return [one for one in self.nodes if one in seen]

    def is_shared(self, node: Node) -> bool:
        """Whether several need the value of a node, functions of one number each counted once."""
        region = {one for one in self.nodes if self.roots[one] is self.roots[node]}
        ends = int(node in self._outputs)
        seen, stack = {node}, [node]
        while stack:
            for user in self.users[stack.pop()]:
                if user in seen or user not in region:
                    continue
                seen.add(user)
                stack.append(user)
                ends += self._leaves_region(user)
        return ends + sum(user not in region for user in self.users[node]) > 1

    def _leaves_region(self, node: Node) -> bool:
        root = self.roots[node]
        return node in self._outputs or any(
            self.roots[user] is not root for user in self.users[node]
        )

    # --- what has no integer form -----------------------------------------------------------------

    def find_floats(self, keep_float: bool) -> None:
        """Finds the nodes that are computed in float32.

        Raises:
            CompileError: one of them has a product behind it, and `keep_float` is off; or a loop.
        """
        for node in self.nodes:
            reason = self._reason(node)
            if reason is None:
                continue
            if node.op.pattern in REGIONS:
                raise CompileError(located(f"quantize: {node.op.name} {reason}", node))
            if not keep_float and self._feeds_product(node):
                raise CompileError(
                    located(
                        f"quantize: {node.op.name} {reason}; keep_float=True computes it in "
                        "float32, between integers",
                        node,
                    )
                )
            self.floats |= {node, *self._up_to_one_operand(node)}

    def _reason(self, node: Node) -> str | None:
        """Returns why a node has no integer form; None where it has one."""
        operands, op = self.operands(node), node.op
        if op is ARGUMENT or (self.roots[node] is not node and node.dtype.is_float):
            return None
        if op.pattern in REGIONS:
            return "runs a loop or a branch, which has no integer form"
        if op is contraction.matmul or op is elementwise.add:
            return None
        if op is elementwise.sub or op is elementwise.mul:
            own = "combines a tensor with its own mean or maximum, as a normalization or a softmax"
            return own if len(operands) > 1 and self._is_of_itself(node) else None
        if op is elementwise.div:
            by_constant = node.inputs[1] in self.captured.constants
            return None if by_constant else "divides by what depends on the inputs"
        if op is elementwise.neg:
            return None
        if op is convolution:
            return None if len(operands) == 1 and operands[0] is node.inputs[0] else "has no kernel"
        if op is indexing.take or op is movement.concatenate or op is optimization_barrier:
            is_known = operands == [node.inputs[0]] or op is movement.concatenate
            return None if is_known else "reads at places that depend on the inputs"
        if op in REDUCED or op.is_movement:
            return None
        if op is pooling.window_argmax and all(
            is_window_read(user, node) for user in self.users[node]
        ):
            return None
        if op is pooling.window_take and is_window_read(node, node.inputs[1]):
            return None
        if isinstance(op, Elementwise) and self.roots[node] is not node:
            return None  # a condition, within a function of one number
        return "has no integer form"

    def _is_of_itself(self, node: Node) -> bool:
        """Whether one operand is computed from a mean or a maximum of the other one: what a softmax
        or a normalization begins with, and what is too coarse with a scale for all samples.
        """
        for x, statistic in (node.inputs, node.inputs[::-1]):
            below = statistic
            while below.op not in REDUCED and len(self.operands(below)) == 1:
                if not below.op.is_movement and not isinstance(below.op, Elementwise):
                    break
                (below,) = self.operands(below)
            if below.op in REDUCED and self.roots[below.inputs[0]] is self.roots[x]:
                return True
        return False

    def _feeds_product(self, node: Node) -> bool:
        seen, stack = {node}, [node]
        while stack:
            for user in self.users[stack.pop()]:
                if user.op is contraction.matmul or user.op is convolution:
                    return True
                if user not in seen:
                    seen.add(user)
                    stack.append(user)
        return False

    def _up_to_one_operand(self, node: Node) -> set[Node]:
        """Returns what lies between a node and the one tensor that it is computed from; nothing
        where a product lies between.

        x - max(x) of int8 would lose what a softmax is about: the maximum is taken of floats, too.
        """
        place = {one: number for number, one in enumerate(self.nodes)}
        between: set[Node] = set()
        frontier = set(self.operands(node))
        while len(frontier) > 1:
            last = max(frontier, key=lambda one: place[one])
            if last.op is contraction.matmul or last.op is convolution or last.op is ARGUMENT:
                return set()
            frontier.remove(last)
            between.add(last)
            frontier |= set(self.operands(last))
        return between


def is_window_read(node: Node, places: Node) -> bool:
    """Whether a node reads windows at the places of their maxima: max pooling."""
    if node.op is not pooling.window_take or places.op is not pooling.window_argmax:
        return False
    return node.inputs == (places.inputs[0], places) and node.attributes == places.attributes


def analysed(captured: Captured, keep_float: bool) -> Analysis:
    """Returns what is known of a graph; see `Analysis.find_floats`."""
    analysis = Analysis(captured)
    analysis.find_floats(keep_float)
    return analysis
