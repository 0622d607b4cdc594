"""The loop IR: what a kernel does, written as loops, loads, stores and arithmetic.

The back ends see nothing else. It is small on purpose: an expression is a number or a vector of
numbers (`lanes` of them), a statement uses expressions, a kernel is a list of statements over named
buffers. `ir/show.py` prints it, `ir/interpret.py` runs it and so defines its meaning,
`compiler/loops` rewrites it, `compiler/codegen` turns it into machine code.

The semantics in short:

- Buffers are dense and row-major; a `Load` or `Store` names one index per axis.
- Floating-point arithmetic is IEEE, and every operation is rounded: nothing is contracted unless
  the program says `Fma`, nothing is reordered; `nan`, `inf` and `-0.0` behave as in NumPy.
- Integers wrap around. Integer division by zero gives 0. `floordiv` and `mod` have Python's signs.
- Float to integer truncates, saturates, and maps nan to 0.
- Shift counts are taken modulo the width; `shr` is logical.
- `maximum` and `minimum` return nan when either side is nan, as NumPy's do.
- A scalar operand next to a vector is repeated over the lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from smelt.ir.expressions import (  # noqa: F401  everybody imports both from here
    ARITHMETIC,
    COMPARE,
    COSTS,
    REDUCE,
    UNARY,
    Binary,
    Buffer,
    Cast,
    Constant,
    Expression,
    Fma,
    Lanes,
    Load,
    Read,
    Reduce,
    Register,
    Select,
    Unary,
    Variable,
    binary,
    children,
    constant,
    index_variable,
    unary,
    walk,
    written_size,
)
from smelt.ir.symbolic import is_symbolic


@dataclass(frozen=True, slots=True)
class Let:
    """Names a value, which does not change within its block."""

    variable: Variable
    value: Expression


@dataclass(frozen=True, slots=True)
class Declare:
    """Declares a register and sets all its elements and lanes to `start`."""

    register: Register
    start: Expression


@dataclass(frozen=True, slots=True)
class Assign:
    """Gives a register (or one element of a register array) a new value."""

    register: Register
    index: tuple[Expression, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Store:
    """Writes `value` to the element at `index`; where `mask` is false nothing is written."""

    buffer: Buffer
    index: tuple[Expression, ...]
    value: Expression
    mask: Expression | None = None


@dataclass(frozen=True, slots=True)
class Scratch:
    """Declares a small local buffer for the rest of the block; its contents start undefined."""

    buffer: Buffer


@dataclass(frozen=True, slots=True)
class Transpose:
    """`target[j, i] = source[i, j]` for a tile, in registers; both extents are powers of two.

    `source_index` and `target_index` name the tile's first element; rows run along the source's
    axis `source_axis` and the target's last axis, columns along the source's last axis and
    `target_axis`.
    """

    source: Buffer
    source_index: tuple[Expression, ...]
    source_axis: int
    target: Buffer
    target_index: tuple[Expression, ...]
    target_axis: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Loop:
    """`for variable in range(start, stop, step)`; kind is "serial", "parallel" or "unroll".

    Only the outermost loop of a kernel may be parallel; its iterations are independent. Bounds are
    ints; those of a serial loop may be int64 expressions.
    """

    variable: Variable
    start: int | Expression
    stop: int | Expression
    step: int
    body: tuple[Statement, ...]
    kind: str = "serial"


def trip_count(loop: Loop) -> int:
    """Returns how often a loop with known bounds runs; if they are symbolic, the stop is assumed
    not to lie before the start.
    """
    assert isinstance(loop.start, int)
    assert isinstance(loop.stop, int)
    trips = -((loop.start - loop.stop) // loop.step)
    return trips if is_symbolic(trips) else max(0, trips)


@dataclass(frozen=True, slots=True)
class If:
    """Runs `body` when `condition` (bool, one lane) holds."""

    condition: Expression
    body: tuple[Statement, ...]


Statement = Let | Declare | Assign | Store | Scratch | Transpose | Loop | If


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A function over buffers: runs `body`, which reads `inputs` and writes `outputs`.

    A buffer may be in both. The body of a parallel kernel is one parallel loop; only cheap lets may
    stand before it. `cycles` is an estimate of what it takes on one thread; 0 before there is one.
    """

    name: str
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    body: tuple[Statement, ...]
    cycles: int = 0

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every buffer once, outputs first: the order of the native function's parameters."""
        return tuple(dict.fromkeys(self.outputs + self.inputs))

    @property
    def parallel(self) -> Loop | None:
        """The parallel loop, if there is one."""
        last = self.body[-1] if self.body else None
        return last if isinstance(last, Loop) and last.kind == "parallel" else None
