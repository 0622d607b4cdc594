"""The loop IR: what a kernel does, written as loops, loads, stores and arithmetic.

This is the only thing that the back ends see. It is small on purpose: an expression is a number or
a vector of them (its `lanes`), a statement does something with one, a kernel is a list of
statements over named buffers. `ir/show.py` prints it, `ir/interpret.py` runs it and so defines what
it means, `compiler/schedule.py` rewrites it, `compiler/llvm.py` turns it into machine code.

Meaning, in short:

- Buffers are dense and row-major; a `Load` or `Store` names one index per axis.
- Floating-point arithmetic is IEEE, each operation rounded by itself: nothing is contracted unless
  the program says `Fma`, nothing is reordered, `nan`, `inf` and `-0.0` behave as in NumPy.
- Integers wrap. Division by an integer zero gives 0. `floordiv` and `mod` follow Python's signs.
- Float to integer truncates, saturates, and maps nan to 0.
- Shifts count modulo the width; `shr` is logical.
- `maximum` and `minimum` return nan when either side is nan, as NumPy's do.
- A scalar operand next to a vector is repeated over the lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from smelt.dtypes import DType, bool_, int64

UNARY = frozenset(
    "neg abs sqrt exp log sin cos tanh erf floor ceil round trunc sign logical_not bitwise_not "
    "log1p expm1 isnan isinf bitcast".split()
)
ARITHMETIC = frozenset(
    "add sub mul div floordiv mod pow maximum minimum bitwise_and bitwise_or bitwise_xor shl shr "
    "atan2".split()
)
COMPARE = frozenset("eq ne lt le gt ge".split())
REDUCE = frozenset("add mul maximum minimum".split())


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A dense row-major array that a kernel reads or writes; `Scratch` declares a local one."""

    name: str
    shape: tuple[int, ...]
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements to step over for one step along each axis."""
        strides, step = [], 1
        for extent in reversed(self.shape):
            strides.append(step)
            step *= extent
        return tuple(reversed(strides))


# -------------------------------------------------------------------------------------------------
# expressions
# -------------------------------------------------------------------------------------------------


def derived() -> int:
    """Declares `lanes` as worked out once from the operands: parts are shared, walking is not."""
    return field(init=False, compare=False, repr=False, default=1)


def derive(expression: object, lanes: int) -> None:
    """Sets the derived `lanes` of an expression that is being made."""
    object.__setattr__(expression, "lanes", lanes)


@dataclass(frozen=True, slots=True)
class Constant:
    """A number known at compile time; `value` is a Python bool, int or float."""

    value: bool | int | float
    dtype: DType
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Variable:
    """A loop index (int64, one lane) or the value that a `Let` named."""

    name: str
    dtype: DType
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Lanes:
    """The vector <0, 1, ..., lanes - 1> of int64; vectorising adds it to the loop's index."""

    lanes: int

    @property
    def dtype(self) -> DType:
        """Lane numbers are int64, like every index."""
        return int64


@dataclass(frozen=True, slots=True)
class Unary:
    """`op(x)`, op one of UNARY; `bitcast` reads the bits of x as `dtype` of the same width."""

    op: str
    x: Expression
    dtype: DType
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, self.x.lanes)


@dataclass(frozen=True, slots=True)
class Binary:
    """`op(a, b)`, op one of ARITHMETIC or COMPARE; both sides have the same dtype."""

    op: str
    a: Expression
    b: Expression
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, max(self.a.lanes, self.b.lanes))

    @property
    def dtype(self) -> DType:
        """That of the operands; bool for a comparison."""
        return bool_ if self.op in COMPARE else self.a.dtype


@dataclass(frozen=True, slots=True)
class Fma:
    """`a * b + c` with one rounding."""

    a: Expression
    b: Expression
    c: Expression
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, max(self.a.lanes, self.b.lanes, self.c.lanes))

    @property
    def dtype(self) -> DType:
        """That of the operands."""
        return self.a.dtype


@dataclass(frozen=True, slots=True)
class Select:
    """`yes if condition else no`, lane by lane; both sides are evaluated."""

    condition: Expression
    yes: Expression
    no: Expression
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, max(self.condition.lanes, self.yes.lanes, self.no.lanes))

    @property
    def dtype(self) -> DType:
        """That of the two sides."""
        return self.yes.dtype


@dataclass(frozen=True, slots=True)
class Cast:
    """`x` converted to another dtype; bool to number gives 0 and 1, number to bool asks `!= 0`."""

    x: Expression
    dtype: DType
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, self.x.lanes)


@dataclass(frozen=True, slots=True)
class Load:
    """The element at `index` (one expression per axis), or 0, unread, where `mask` is false.

    At most one index has more than one lane, unless a gather is meant.
    """

    buffer: Buffer
    index: tuple[Expression, ...]
    mask: Expression | None = None
    lanes: int = derived()

    def __post_init__(self) -> None:
        widest = 1 if self.mask is None else self.mask.lanes
        derive(self, max([part.lanes for part in self.index] + [widest]))

    @property
    def dtype(self) -> DType:
        """That of the buffer's elements."""
        return self.buffer.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """A mutable local number, or a small array of them (`shape`), each with `lanes` lanes."""

    name: str
    dtype: DType
    lanes: int = 1
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """A register's present value; `index` is made of constants and indices of unrolled loops."""

    register: Register
    index: tuple[Expression, ...] = ()

    @property
    def dtype(self) -> DType:
        """That of the register."""
        return self.register.dtype

    @property
    def lanes(self) -> int:
        """That of the register."""
        return self.register.lanes


@dataclass(frozen=True, slots=True)
class Reduce:
    """All lanes of `x` combined to one number: upper half with lower half, again and again."""

    op: str  # one of REDUCE
    x: Expression

    @property
    def dtype(self) -> DType:
        """That of the vector."""
        return self.x.dtype

    @property
    def lanes(self) -> int:
        """One number is left."""
        return 1


Expression = (
    Constant | Variable | Lanes | Unary | Binary | Fma | Select | Cast | Load | Read | Reduce
)


# -------------------------------------------------------------------------------------------------
# statements
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let:
    """Names a value; it never changes within its block."""

    variable: Variable
    value: Expression


@dataclass(frozen=True, slots=True)
class Declare:
    """Brings a register to life and sets every element and lane of it to `start`."""

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
    """Brings a small local buffer to life for the rest of the block; it starts undefined."""

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

    Only the outermost loop of a kernel may be parallel: its iterations touch no common element.
    Bounds are ints, or int64 expressions for a serial loop.
    """

    variable: Variable
    start: int | Expression
    stop: int | Expression
    step: int
    body: tuple[Statement, ...]
    kind: str = "serial"


@dataclass(frozen=True, slots=True)
class If:
    """Runs `body` when `condition` (bool, one lane) holds."""

    condition: Expression
    body: tuple[Statement, ...]


Statement = Let | Declare | Assign | Store | Scratch | Transpose | Loop | If


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """A function over buffers: runs `body`, which reads `inputs` and writes `outputs`.

    A buffer may be in both. If the kernel is parallel, its body is exactly one parallel loop, after
    lets that cost nothing.
    """

    name: str
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    body: tuple[Statement, ...]

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every buffer once, outputs first: the order of the native function's parameters."""
        return tuple(dict.fromkeys(self.outputs + self.inputs))

    @property
    def parallel(self) -> Loop | None:
        """The parallel loop, when there is one."""
        last = self.body[-1] if self.body else None
        return last if isinstance(last, Loop) and last.kind == "parallel" else None


# -------------------------------------------------------------------------------------------------
# small helpers that every pass uses
# -------------------------------------------------------------------------------------------------


def constant(value: bool | int | float, dtype: DType = int64) -> Constant:
    """Returns `value` as a constant of `dtype` (an index unless said otherwise)."""
    return Constant(value, dtype)


def index_variable(name: str) -> Variable:
    """Returns a loop index."""
    return Variable(name, int64)


def children(expression: Expression) -> tuple[Expression, ...]:
    """Returns the expressions that an expression is made of."""
    match expression:
        case Unary(x=x) | Cast(x=x) | Reduce(x=x):
            return (x,)
        case Binary(a=a, b=b):
            return (a, b)
        case Fma(a=a, b=b, c=c):
            return (a, b, c)
        case Select(condition=condition, yes=yes, no=no):
            return (condition, yes, no)
        case Load(index=index, mask=mask):
            return index if mask is None else (*index, mask)
        case Read(index=index):
            return index
    return ()


def with_children(whole: Expression, parts: Sequence[Expression]) -> Expression:
    """Returns an expression of the same kind made of other parts; undoes `children`."""
    match whole:
        case Unary() | Cast() | Reduce():
            return replace(whole, x=parts[0])
        case Binary():
            return replace(whole, a=parts[0], b=parts[1])
        case Fma():
            return replace(whole, a=parts[0], b=parts[1], c=parts[2])
        case Select():
            return replace(whole, condition=parts[0], yes=parts[1], no=parts[2])
        case Load(mask=None) | Read():
            return replace(whole, index=tuple(parts))
        case Load():
            return replace(whole, index=tuple(parts[:-1]), mask=parts[-1])
    return whole


def walk(expression: Expression) -> Iterator[Expression]:
    """Yields an expression and everything below it, each object once, without recursion."""
    seen: set[int] = set()
    stack = [expression]
    while stack:
        part = stack.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            stack.extend(children(part))
