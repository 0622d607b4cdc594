"""Split kernels: each long loop nest of a kernel becomes a kernel of its own.

Threads share the iterations of one loop, the outermost of a kernel. If tiles do not divide the
extents, there is a nest for each shape of tile, one after another, in one kernel:

    for n in range(0, 32): for tile in range(0, 2): <6 rows of positions>
    for n in range(0, 32): <4 rows of positions>

Each becomes a kernel, so that threads share both. Short nests stay together, since starting and
ending a kernel on several threads takes as long as they do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smelt.compiler.loops.nest import find_nest
from smelt.ir.loops import Buffer, Kernel, Load, Loop, Statement, Store, walk
from smelt.ir.program import Call, Program, with_calls
from smelt.ir.symbolic import sample
from smelt.ir.visit import Body, expressions, statements

LONG = 1 << 20  # operations of a nest that is worth a kernel of its own


def split_kernels(program: Program) -> Program:
    """Returns the program in which long nests of one kernel are kernels of their own."""
    new = {kernel: _split(kernel) for kernel in program.kernels}

    def parts(call: Call) -> tuple[Call, ...]:
        kernels = new[call.kernel]
        return tuple([_part(call, kernel) for kernel in kernels]) if len(kernels) > 1 else (call,)

    return with_calls(program, parts)


def _split(kernel: Kernel) -> tuple[Kernel, ...]:
    """Returns the kernels that a kernel becomes: itself, if it has one nest or only short ones."""
    if len(kernel.body) < 2 or not all(isinstance(part, Loop) for part in kernel.body):
        return (kernel,)
    bodies: list[tuple[Body, bool]] = []
    for statement in kernel.body:
        is_long = _is_long(statement)
        if bodies and not is_long and not bodies[-1][1]:
            bodies[-1] = (*bodies[-1][0], statement), False
        else:
            bodies.append(((statement,), is_long))
    if not any(is_long for _, is_long in bodies):
        return (kernel,)
    return tuple([_kernel(kernel, body) for body, _ in bodies])


def _is_long(statement: Statement) -> bool:
    assert isinstance(statement, Loop)
    nest = find_nest(statement)
    return sample(nest.iterations * nest.info.work) >= LONG


def _kernel(kernel: Kernel, body: Body) -> Kernel:
    """Returns a kernel with a part of another one's body, and the buffers of that part."""
    written = {part.buffer for part in statements(body) if isinstance(part, Store)}
    read = set(_loaded(body))
    return replace(
        kernel,
        inputs=tuple([buffer for buffer in kernel.inputs if buffer in read]),
        outputs=tuple([buffer for buffer in kernel.outputs if buffer in written]),
        body=body,
    )


def _loaded(body: Body) -> Iterable[Buffer]:
    for expression in expressions(body):
        for part in walk(expression):
            if type(part) is Load:
                yield part.buffer


def _part(call: Call, kernel: Kernel) -> Call:
    """Returns the call of a part of the kernel that is called, on its slots."""
    places = dict(zip(call.kernel.buffers, call.places, strict=True))
    slots, offsets = zip(*[places[buffer] for buffer in kernel.buffers], strict=True)
    return Call(kernel, slots, offsets if call.offsets else ())
