"""Reads graphs of `torch.export` as programs."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smelt.errors import DTypeError
from smelt.export.torch.exported import Exported, Input, Missing, State
from smelt.export.torch.program import Call, Program, Value
from smelt.export.torch.structure import plain
from smelt.export.torch.table import reason, rule_of
from smelt.export.torch.types import dtype_of, tensor_of
from smelt.tensor import Tensor

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

__all__ = ["read", "skeleton_of_arguments", "table_of_decompositions"]

IGNORED = ("device", "layout", "memory_format", "pin_memory", "non_blocking", "generator")
FRAME = re.compile(r'^\s*File "(.+)", line (\d+), in ', re.MULTILINE)
ALSO = ("grid_sampler_2d", "upsample_bicubic2d")  # to be decomposed, though they are core


def table_of_decompositions() -> Any:
    """Returns PyTorch's table of decompositions without the operators that have a rule."""
    import torch

    table = torch.export.default_decompositions()
    table.update(torch._decomp.get_decompositions([getattr(torch.ops.aten, name) for name in ALSO]))
    kept = [op for op in table if _has_rule(op)]
    for op in kept:
        table.pop(op)
    return table


def _has_rule(op: Any) -> bool:
    schema = getattr(op, "_schema", None)
    return schema is not None and not schema.is_mutable and rule_of(_operator(op)) is not None


def read(exported: ExportedProgram, missing: list[Missing]) -> Exported:
    """Returns an exported program as Smelt computes it; adds to `missing` what has no rule."""
    from torch.export.graph_signature import InputKind, OutputKind

    reader = _Reader(missing)
    program = reader.program(exported.graph_module)
    signature = exported.graph_signature
    placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
    sources: list[State | Tensor | int] = []
    inputs: list[Input] = []
    for spec, node in zip(signature.input_specs, placeholders, strict=True):
        if spec.kind is InputKind.USER_INPUT:
            sources.append(len(inputs))
            inputs.append(_input(spec.arg, node))
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            sources.append(State(spec.target))
        elif spec.kind is InputKind.CONSTANT_TENSOR:
            sources.append(tensor_of(exported.constants[spec.target]))
        else:
            missing.append(Missing(spec.kind.name, "", "", "Smelt has no such input"))
            sources.append(-1)
    updates: list[tuple[str, int]] = []
    results: list[int] = []
    for number, output in enumerate(signature.output_specs):
        if output.kind is OutputKind.USER_OUTPUT:
            results.append(number)
        elif output.kind.name in ("BUFFER_MUTATION", "PARAMETER_MUTATION"):
            updates.append((output.target, number))
        else:
            why = f"the module changes its input {output.target!r}; tensors of Smelt's are values"
            missing.append(Missing(output.kind.name, "", "", why))
    return Exported(
        program,
        tuple(sources),
        tuple(inputs),
        tuple(updates),
        tuple(results),
        plain(_skeleton(exported.call_spec.out_spec)),
        _ranges(exported),
    )


def skeleton_of_arguments(exported: ExportedProgram) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments and options of a call, with numbers in the place of leaves."""
    inputs, options = _skeleton(exported.call_spec.in_spec)
    return inputs, options


def _skeleton(spec: Any) -> Any:
    from torch.utils import _pytree as pytree

    return pytree.tree_unflatten(list(range(spec.num_leaves)), spec)


def _input(argument: Any, node: Node) -> Input:
    import torch

    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        shape = tuple([_extent(extent) for extent in value.shape])
        return Input(argument.name, "tensor", shape, dtype_of(value.dtype, may_widen=True))
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return Input(argument.name, "length")
    return Input(argument.name, "constant", value=getattr(argument, "value", value))


def _extent(extent: Any) -> int | str:
    return extent if isinstance(extent, int) else str(extent.node.expr)


def _ranges(exported: ExportedProgram) -> dict[str, tuple[float, float]]:
    ranges = {}
    for symbol, bounds in exported.range_constraints.items():
        low, high = (_number(bound) for bound in (bounds.lower, bounds.upper))
        # PyTorch's 2 says that it has not looked at 0 and 1, and allows them
        ranges[str(symbol)] = (low if low > 2 else 0, high)
    return ranges


def _number(bound: Any) -> float:
    """Returns a bound of a size; PyTorch has an infinity of integers."""
    return int(bound) if bound.is_Integer else float("inf")


class _Reader:
    """Reads graphs; collects what has no rule."""

    def __init__(self, missing: list[Missing]) -> None:
        self._missing = missing

    def program(self, module: GraphModule) -> Program:
        """Returns a graph, or that of a body, as a program."""
        numbers: dict[Node, Any] = {}
        nodes = list(module.graph.nodes)
        placeholders = [node for node in nodes if node.op == "placeholder"]
        for node in placeholders:
            numbers[node] = Value(len(numbers))
        count = len(placeholders)
        calls: list[Call] = []
        outputs: tuple[Any, ...] = ()
        for node in nodes:
            if node.op == "get_attr":
                numbers[node] = self._attribute(module, node)
            elif node.op == "call_function":
                calls.append(self._call(node, numbers))
                numbers[node] = Value(count)
                count += 1
            elif node.op == "output":
                (given,) = node.args
                results = given if isinstance(given, (tuple, list)) else (given,)
                outputs = tuple(self._argument(result, numbers, node) for result in results)
        calls = _with_drops(calls, len(placeholders), outputs)
        return Program(len(placeholders), tuple(calls), outputs)

    def _attribute(self, module: GraphModule, node: Node) -> Any:
        import torch

        value: Any = module
        for name in node.target.split("."):
            value = getattr(value, name)
        if isinstance(value, torch.fx.GraphModule):
            return self.program(value)
        return tensor_of(value)

    def _call(self, node: Node, numbers: dict[Node, Any]) -> Call:
        name = _operator(node.target)
        modules, line = _modules(node), _line(node)
        rule = rule_of(name)
        if rule is None:
            self._missing.append(Missing(name, ".".join(modules), line, reason(name)))
            rule = _never
        arguments = tuple(self._argument(argument, numbers, node) for argument in node.args)
        options = {
            key: self._argument(value, numbers, node)
            for key, value in node.kwargs.items()
            if key not in IGNORED
        }
        return Call(name, rule, arguments, options, (), modules, line)

    def _argument(self, given: Any, numbers: dict[Node, Any], node: Node) -> Any:
        import torch

        if isinstance(given, torch.fx.Node):
            return numbers[given]
        if isinstance(given, (tuple, list)):
            kind = tuple if type(given) is tuple else list
            return kind(self._argument(one, numbers, node) for one in given)
        if isinstance(given, slice):
            bounds = (given.start, given.stop, given.step)
            return slice(*[self._argument(bound, numbers, node) for bound in bounds])
        if isinstance(given, torch.dtype):
            return self._dtype(given, node)
        if isinstance(given, complex):
            self._lacks(node, "Smelt has no complex numbers")
        return given

    def _dtype(self, dtype: torch.dtype, node: Node) -> Any:
        try:
            return dtype_of(dtype)
        except DTypeError as error:
            self._lacks(node, str(error.message).removeprefix("from_torch: "))
            return None

    def _lacks(self, node: Node, why: str) -> None:
        name = _operator(node.target)
        self._missing.append(Missing(name, ".".join(_modules(node)), _line(node), why))


def _never(*arguments: Any, **options: Any) -> None:
    raise AssertionError("a program with an operator that has no rule is never run")


def _with_drops(calls: list[Call], first: int, outputs: tuple[Any, ...]) -> list[Call]:
    """Has each value dropped after the last call that reads it."""
    needed = set(_numbers(outputs))
    result: list[Call] = []
    for position in reversed(range(len(calls))):
        call = calls[position]
        read = set(_numbers((call.arguments, tuple(call.options.values()))))
        own = first + position
        dropped = (read | {own}) - needed
        needed |= read
        parts = (call.operator, call.rule, call.arguments, call.options)
        result.append(Call(*parts, tuple(sorted(dropped)), call.modules, call.line))
    return result[::-1]


def _numbers(tree: Any) -> Iterator[int]:
    if isinstance(tree, Value):
        yield tree.number
    elif isinstance(tree, (tuple, list)):
        for one in tree:
            yield from _numbers(one)
    elif isinstance(tree, slice):
        yield from _numbers((tree.start, tree.stop, tree.step))


# --- names and places -----------------------------------------------------------------------------


def _operator(target: Any) -> str:
    """Returns the name of what a node calls: "aten.add.Tensor", "_operator.mul"."""
    import torch

    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target.name()}"
    if isinstance(target, torch._ops.OperatorBase):
        return str(target)
    module = getattr(target, "__module__", None) or ""
    return f"{module.partition('.')[0]}.{getattr(target, '__name__', target)}"


def _modules(node: Node) -> tuple[str, ...]:
    """Returns the path of the module that called a node, name by name."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ()
    path, _ = list(stack.values())[-1]
    path = path.removeprefix("L['self']").removeprefix(".")
    return tuple(re.sub(r"\[['\"]?(.*?)['\"]?\]", r".\1", path).split(".")) if path else ()


def _line(node: Node) -> str:
    """Returns `file:line` of the user's code, the innermost that is not PyTorch's own."""
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    others = [frame for frame in frames if not frame[0].startswith(_folder())]
    chosen = others or frames
    return ":".join(chosen[-1]) if chosen else ""


@functools.cache
def _folder() -> str:
    """Returns the folder of PyTorch's own files."""
    import torch

    return os.path.join(os.path.dirname(torch.__file__), "")
