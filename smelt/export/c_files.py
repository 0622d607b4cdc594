"""`to_c`: a compiled function or training step as C99 source that needs no library."""

from __future__ import annotations

import contextlib
import inspect
import keyword
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smelt import tree
from smelt.atomic import replacing, writable_folder
from smelt.compiler.artifacts import ResultTree, Traced
from smelt.compiler.frontend.signature import Call as Signature
from smelt.compiler.frontend.signature import flatten_call, is_static
from smelt.compiler.frontend.step import compile as compiled
from smelt.dtypes import DType
from smelt.errors import ArgumentError, FileError
from smelt.ir.graph import Node
from smelt.ir.program import Call, Program, regions
from smelt.memory import address
from smelt.random import default_generator
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.compiler.c.step import Field, Files

__all__ = ["CExport", "CParameter", "to_c"]

Location = str | os.PathLike[str]


class CParameter(NamedTuple):
    """An argument or a result of the C function, an array of that many elements."""

    name: str
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CExport:
    """What `to_c` wrote, and what it takes.

    Attributes:
        header, source, report_file: paths of the files.
        flash: bytes of constant arrays by part: "parameters", "buffers", "constants", "initial
            values" of what changes. The code is not among them: it depends on the compiler.
        ram: bytes of NAME_state by part: "parameters", "optimizer", "buffers", "generator",
            "other", "workspace".
        state_bytes: sizeof(NAME_state).
        stack_bytes: of the arrays in the kernel that keeps most on the stack; a frame has some
            registers besides.
        flops: floating-point operations of one step; a multiply-add counts 2, an exp 1.
        arguments, results: what the C function takes, in order, behind the state.
        fields: members of NAME_state: name in C, name of the tensor, dtype, shape, offset in bytes.
    """

    header: str
    source: str
    report_file: str
    name: str
    flash: dict[str, int]
    ram: dict[str, int]
    state_bytes: int
    stack_bytes: int
    flops: int
    arguments: tuple[CParameter, ...]
    results: tuple[CParameter, ...]
    fields: tuple[Field, ...]

    @property
    def report(self) -> str:
        """The figures as text."""
        lines = [f"{self.name}: exported to C"]
        for title, parts in (("flash, beside the code", self.flash), ("RAM", self.ram)):
            lines.append(f"{title}: {sum(parts.values()):,} bytes")
            lines += [f"  {part:<16}{nbytes:>14,}" for part, nbytes in parts.items()]
        lines += [
            f"{self.name}_state: {self.state_bytes:,} bytes",
            f"largest arrays of one function on the stack: {self.stack_bytes:,} bytes",
            f"floating-point operations a step: {self.flops:,}",
        ]
        return "\n".join(lines) + "\n"


def to_c(
    step: Callable[..., Any], folder: Location, *example_inputs: Any, name: str = "net"
) -> CExport:
    """Writes a function or a training step as C99 source: NAME.h, NAME.c and a report, NAME.txt.

    The C code needs no library and no heap, and has no variables of its own. Everything that the
    step changes lies in one structure:

        NAME_state state;
        NAME_init(&state);                                  // as it is now
        int code = NAME_step(&state, inputs, results);      // 0, or which check failed

    Captured tensors that the step does not change are constants in the C file. The same operations
    are made as in Python: elementwise results have the same bits on every target, and so have
    random numbers; sums are added up in another order. Compile with optimization; with gcc
    `-O3 -fno-math-errno -fno-trapping-math` make vectors of more loops.

    Args:
        step: a compiled function, a module, or a function, which is compiled.
        folder: where to; it is made if it is missing, and files of these names are replaced.
        example_inputs: what the step is called with; shapes, dtypes and settings are those of the
            C function.
        name: of files and functions; an identifier of C.

    Returns:
        The paths, and what the step takes of flash, RAM and stack.

    Raises:
        ArgumentError: `step` is no function, `name` no identifier, or the step uses up gradients
            that an earlier call left in .grad.
        CompileError: an operation has no C code; the message names it, the module and the line.
        FileError: the files cannot be written there.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> folder = tempfile.mkdtemp()
        >>> made = export.to_c(lambda x: smelt.tanh(x) * 2, folder, smelt.zeros(3), name="twice")
        >>> made.flops, made.ram
        (6, {})
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.compiler.c.schedule import schedule
    from smelt.compiler.c.step import Step, emit
    from smelt.compiler.pipeline import run_portable
    from smelt.ir.program import with_kernels

    _check_name(name)
    call, traced, function = _trace(step, example_inputs)
    state_names = _state_names(traced, function)
    graph_names = {
        node: text for node, (text, _) in zip(traced.graph.states, state_names, strict=True)
    }
    planned, plain = run_portable(traced.graph, name, graph_names)
    program = with_kernels(plain, {kernel: schedule(kernel) for kernel in plain.kernels})
    origins = dict(_origins(planned, program))
    updated = {old for old, _ in traced.graph.updates}
    arguments, results = _arguments(call, traced, function), _results(traced)
    made = emit(
        Step(
            name,
            program,
            list(_states(traced, state_names, updated)),
            planned.constants,
            arguments,
            results,
            [check.message for check in traced.graph.assertions],
            origins,
        )
    )
    return _write(folder, name, made, _flops(plain), arguments, results)


def _check_name(name: str) -> None:
    words = ("auto", "break", "case", "char", "const", "int", "float", "main")
    is_one = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name or "") is not None
    if not is_one or name in words or keyword.iskeyword(name):
        raise ArgumentError(f"to_c: name={name!r} is no identifier of C; use letters and digits")


def _trace(
    step: Callable[..., Any], inputs: tuple[Any, ...]
) -> tuple[Signature, Traced, Callable[..., Any]]:
    if not callable(step):
        raise ArgumentError(f"to_c needs a compiled function, got {type(step).__name__}")
    if not hasattr(step, "executables"):
        step = compiled(step)
    call = flatten_call(inputs, {})
    executables = step.executables  # type: ignore[attr-defined]
    traced = executables.traced(call)
    for grad in traced.gradients:
        if grad.entry is not None:
            raise ArgumentError(
                f"to_c: {executables.name} reads a .grad that an earlier call left; call "
                "zero_grad(), backward() and step() in one function"
            )
    return call, traced, getattr(step, "function", step)


# --- what the step captured -----------------------------------------------------------------------


def _closed_over(function: Callable[..., Any]) -> list[Any]:
    """Returns the objects that a function is a method of, or closes over."""
    cells = getattr(function, "__closure__", None) or ()
    found = [getattr(function, "__self__", None)]
    for cell in cells:
        with contextlib.suppress(ValueError):  # a name that has no value yet
            found.append(cell.cell_contents)
    return [thing for thing in found if hasattr(thing, "named_parameters")]


def _state_names(traced: Traced, function: Callable[..., Any]) -> list[tuple[str, str]]:
    """Returns the name and the kind of each captured tensor.

    A tensor is called what the outermost module calls it that is known: one that the function
    closes over, or that it called.
    """
    known: dict[int, tuple[str, str]] = {}
    optimizers = 0
    for module in (*_closed_over(function), *traced.modules):
        if hasattr(module, "named_parameters"):
            for kind in ("parameters", "buffers"):
                for name, tensor in getattr(module, f"named_{kind}")():
                    known.setdefault(address(tensor.stored), (name, kind))
        elif hasattr(module, "state_dict"):
            stem = type(module).__name__.lower() + (str(optimizers) if optimizers else "")
            optimizers += 1
            for key, value in module.state_dict().items():
                known.setdefault(address(value.stored), (f"{stem}_{key}", "optimizer"))
    known.setdefault(address(default_generator().state.stored), ("generator", "generator"))
    return [
        known.get(address(tensor.stored), (f"state{number}", "other"))
        for number, tensor in enumerate(traced.states)
    ]


def _states(traced: Traced, names: Sequence[tuple[str, str]], updated: set[Node]) -> Iterator[Any]:
    from smelt.compiler.c.step import Array

    for node, tensor, (name, kind) in zip(traced.graph.states, traced.states, names, strict=True):
        contents = np.ascontiguousarray(tensor.stored)
        yield Array(name, contents, tensor.dtype, node in updated, kind)


# --- parameters of the C function -----------------------------------------------------------------


def _arguments(call: Signature, traced: Traced, function: Callable[..., Any]) -> list[CParameter]:
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    places = [
        place
        for place, leaf in zip(tree.paths(call.structure), call.leaves, strict=True)
        if not is_static(leaf)
    ]
    nodes = traced.graph.arguments
    return [
        CParameter(_argument_name(place, names), node.dtype, node.shape)
        for place, node in zip(places, nodes, strict=True)
    ]


def _argument_name(place: str, names: Sequence[str]) -> str:
    """Returns `x_mask` for `[0]['mask']`, where x is the first parameter."""
    position, *keys = re.findall(r"\[(.*?)\]", place) or ["0"]
    number = int(position)
    stem = names[number] if number < len(names) else f"argument{number}"
    return "_".join([stem, *(key.strip("'") for key in keys)])


def _results(traced: Traced) -> list[CParameter]:
    result, nodes = traced.result, traced.graph.outputs
    places = [""] * len(nodes)
    if isinstance(result, ResultTree):
        every = zip(tree.paths(result.structure), result.leaves, strict=True)
        places = [place for place, leaf in every if isinstance(leaf, Tensor)]
    names = ["_".join(re.findall(r"\['?(.*?)'?\]", place)) for place in places]
    return [
        CParameter(f"result{name}" if name[:1].isdigit() else name or "result", x.dtype, x.shape)
        for name, x in zip(names, nodes, strict=True)
    ]


# --- where the operations stand -------------------------------------------------------------------


def _origins(planned: Any, program: Program) -> Iterator[tuple[Call, str]]:
    """Yields each call with the user's lines and modules that its operations come from."""
    from smelt.compiler.graph.fusion import Strategy

    groups = iter(planned.fused.groups)
    for part in program.body:
        inner = regions(part)
        if inner:
            group = next(groups)
            assert group.strategy is Strategy.REGION
            for region, body in zip(inner, _bodies(planned, group, part), strict=True):
                yield from _origins(body, region.program)
        elif isinstance(part, Call):
            places = dict.fromkeys(_place(node) for node in next(groups).members)
            yield part, ", ".join(place for place in places if place)


def _bodies(planned: Any, group: Any, part: Any) -> Sequence[Any]:
    """Returns the bodies of a loop or a branch in the order of its regions."""
    bodies: Sequence[Any] = planned.bodies[group.members[0]].planned
    return bodies[::-1] if len(bodies) == 2 else bodies  # no, yes as numbers: yes, no as regions


def _place(node: Node) -> str:
    file, _, line = node.origin.line.rpartition(":")
    short = f"{os.path.basename(file)}:{line}" if file else ""
    return " ".join(part for part in (short, node.origin.module) if part)


def _flops(program: Program, times: int = 1) -> int:
    from smelt.compiler.report.cost import count
    from smelt.compiler.report.explain import calls

    return sum(count(call.kernel).operations * trips for _, call, trips in calls(program, times))


# --- files ----------------------------------------------------------------------------------------


def _write(
    folder: Location,
    name: str,
    made: Files,
    flops: int,
    arguments: Sequence[CParameter],
    results: Sequence[CParameter],
) -> CExport:
    """Writes the files, each whole or not at all, the header last: it says that all is there."""
    path = writable_folder(folder)
    paths = [path / f"{name}{ending}" for ending in (".h", ".c", ".txt")]
    for one in paths:
        if one.is_dir():
            raise FileError(f"{one}: cannot be written (it is a folder); choose another name")
    header_path, source_path, report_path = map(str, paths)
    export = CExport(
        header_path,
        source_path,
        report_path,
        name,
        made.sizes.flash,
        made.sizes.ram,
        made.sizes.state,
        made.sizes.stack,
        flops,
        tuple(arguments),
        tuple(results),
        made.fields,
    )
    texts = (made.header, made.source, export.report)
    with replacing(paths[0]) as header, replacing(paths[1]) as source, replacing(paths[2]) as rest:
        for file, text in zip((header, source, rest), texts, strict=True):
            file.write_text(text, encoding="utf-8")
    return export
