"""Expressions of the loop IR: numbers, or vectors of numbers (`lanes`), and operators on them.

`loops.py` says what they mean and holds the statements; everybody imports both from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from smelt.dtypes import DType, bool_, int64
from smelt.ir.postorder import postorder
from smelt.ir.symbolic import is_symbolic

UNARY = frozenset(
    "neg abs sqrt exp exp2 log log2 log10 sin cos tanh erf floor ceil round trunc sign logical_not "
    "bitwise_not log1p expm1 isnan isinf bitcast".split()
)
ARITHMETIC = frozenset(
    "add sub mul div floordiv mod pow maximum minimum bitwise_and bitwise_or bitwise_xor shl shr "
    "atan2".split()
)
COMPARE = frozenset("eq ne lt le gt ge".split())
REDUCE = frozenset("add mul maximum minimum".split())
COSTS = {  # of one element, where an addition costs 1; so does what is not named
    "div": 4,
    "sqrt": 4,
    "floordiv": 6,
    "mod": 6,
    "exp": 12,
    "exp2": 12,
    "log": 14,
    "log2": 14,
    "log10": 14,
    "expm1": 16,
    "tanh": 16,
    "log1p": 18,
    "sin": 20,
    "cos": 20,
    "erf": 20,
    "atan2": 30,
    "pow": 40,
}


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """A dense row-major array that a kernel reads or writes; `Scratch` declares a local one.

    The last `missing` elements do not exist: so it is where an array is read from a place behind
    its beginning on, and its strides still are those of the whole.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    missing: int = 0

    def viewed(self, shape: tuple[int, ...]) -> Buffer:
        """Returns a buffer for the same memory under another shape of as many elements."""
        return Buffer(self.name, shape, self.dtype, self.missing)

    @property
    def size(self) -> int:
        """Number of elements, those that are missing among them."""
        return math.prod(self.shape)

    @property
    def existing(self) -> int:
        """Number of elements that exist."""
        return self.size - self.missing

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements to step over for one step along each axis."""
        strides, step = [], 1
        for extent in reversed(self.shape):
            strides.append(step)
            step *= extent
        return tuple(reversed(strides))


def _operator(op: str) -> Callable[[Operators, Operand], Expression]:
    return lambda self, other: binary(op, self, other)


def _reflected(op: str) -> Callable[[Operators, Operand], Expression]:
    return lambda self, other: binary(op, other, self)


def _operator_of_one(op: str) -> Callable[[Operators], Expression]:
    return lambda self: unary(op, self)


class Operators:
    """Python's operators on expressions, so that a formula of the loop IR reads as one.

    A Python number beside an expression becomes a constant of its dtype. Arithmetic on indices
    (int64) is folded as far as constants go; on other dtypes nothing is, so that a sum of floats
    stays as it was written.
    """

    __slots__ = ()

    __add__: Final = _operator("add")
    __radd__: Final = _reflected("add")
    __sub__: Final = _operator("sub")
    __rsub__: Final = _reflected("sub")
    __mul__: Final = _operator("mul")
    __rmul__: Final = _reflected("mul")
    __truediv__: Final = _operator("div")
    __rtruediv__: Final = _reflected("div")
    __floordiv__: Final = _operator("floordiv")
    __mod__: Final = _operator("mod")
    __and__: Final = _operator("bitwise_and")
    __or__: Final = _operator("bitwise_or")
    __xor__: Final = _operator("bitwise_xor")
    __lshift__: Final = _operator("shl")
    __rshift__: Final = _operator("shr")
    __lt__: Final = _operator("lt")
    __le__: Final = _operator("le")
    __gt__: Final = _operator("gt")
    __ge__: Final = _operator("ge")
    equals: Final = _operator("eq")  # nan equals nothing (`==` compares expressions)
    differs: Final = _operator("ne")
    minimum: Final = _operator("minimum")  # nan when either is
    maximum: Final = _operator("maximum")

    __neg__: Final = _operator_of_one("neg")
    __abs__: Final = _operator_of_one("abs")
    __invert__: Final = _operator_of_one("logical_not")

    def to(self, dtype: DType) -> Expression:
        """The value converted to another dtype."""
        return Cast(_expression(self), dtype)


def derived() -> int:
    """Declares `lanes` as worked out once from the operands: parts are shared, walking is not."""
    return field(init=False, compare=False, repr=False, default=1)


def derive(expression: object, lanes: int) -> None:
    """Sets the derived `lanes` of an expression that is being made."""
    object.__setattr__(expression, "lanes", lanes)


@dataclass(frozen=True, slots=True)
class Constant(Operators):
    """A number known at compile time; `value` is a Python bool, int or float."""

    value: bool | int | float
    dtype: DType
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Variable(Operators):
    """A loop index (int64, one lane) or the value that a `Let` named."""

    name: str
    dtype: DType
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Lanes(Operators):
    """The vector <0, 1, ..., lanes - 1> of int64; vectorizing adds it to the loop's index."""

    lanes: int

    @property
    def dtype(self) -> DType:
        """Lane numbers are int64, like every index."""
        return int64


@dataclass(frozen=True, slots=True)
class Unary(Operators):
    """`op(x)`, op one of UNARY; `bitcast` reads the bits of x as `dtype` of the same width."""

    op: str
    x: Expression
    dtype: DType
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, self.x.lanes)


@dataclass(frozen=True, slots=True)
class Binary(Operators):
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
class Fma(Operators):
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
class Select(Operators):
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
class Cast(Operators):
    """`x` converted to another dtype; bool to number gives 0 and 1, number to bool asks `!= 0`."""

    x: Expression
    dtype: DType
    lanes: int = derived()

    def __post_init__(self) -> None:
        derive(self, self.x.lanes)


@dataclass(frozen=True, slots=True)
class Load(Operators):
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
class Read(Operators):
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
class Reduce(Operators):
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
Operand = Operators | bool | int | float


# --- making expressions --------------------------------------------------------------------------


def binary(op: str, a: Operand, b: Operand) -> Expression:
    """Returns `op(a, b)`, folded if it is arithmetic on indices; one side may be a number."""
    if not isinstance(a, Operators):
        a = Constant(a, _expression(b).dtype)
    elif not isinstance(b, Operators):
        b = Constant(b, _expression(a).dtype)
    x, y = _expression(a), _expression(b)
    fold = _FOLD.get(op) if x.dtype is int64 else None
    return Binary(op, x, y) if fold is None else fold(x, y)


def unary(op: str, x: Operand) -> Expression:
    """Returns `op(x)` in the dtype of x."""
    expression = _expression(x)
    return Unary(op, expression, expression.dtype)


def _expression(x: Operand) -> Expression:
    return x  # type: ignore[return-value]  # every Operators is one of the classes of Expression


def _add(a: Expression, b: Expression) -> Expression:
    """`x + 0` -> `x`,  `1 + x` -> `x + 1`,  `(x + 1) + 2` -> `x + 3`"""
    if type(a) is Constant:
        a, b = b, a
    if type(b) is Constant:
        if type(a) is Constant:
            return _index(a.value + b.value)
        if b.value == 0:
            return a
        if type(a) is Binary and a.op == "add" and type(a.b) is Constant:
            return _add(a.a, _index(a.b.value + b.value))
    return Binary("add", a, b)


def _subtract(a: Expression, b: Expression) -> Expression:
    """`x - 1` -> `x + -1`,  `3 - 1` -> `2`"""
    return _add(a, _index(-b.value)) if type(b) is Constant else Binary("sub", a, b)


def _multiply(a: Expression, b: Expression) -> Expression:
    """`x * 1` -> `x`,  `x * 0` -> `0`,  `2 * x` -> `x * 2`"""
    if type(a) is Constant:
        a, b = b, a
    if type(b) is Constant:
        if type(a) is Constant:
            return _index(a.value * b.value)
        if b.value in (0, 1):
            return a if b.value else _index(0)
    return Binary("mul", a, b)


def _floor_divide(a: Expression, b: Expression) -> Expression:
    """`x // 1` -> `x`,  `7 // 2` -> `3`"""
    if type(b) is Constant and b.value:
        if type(a) is Constant:
            return _index(a.value // b.value)
        if b.value == 1:
            return a
    return Binary("floordiv", a, b)


def _modulo(a: Expression, b: Expression) -> Expression:
    """`x % 1` -> `0`,  `7 % 2` -> `1`"""
    if type(b) is Constant and b.value:
        if type(a) is Constant:
            return _index(a.value % b.value)
        if b.value == 1:
            return _index(0)
    return Binary("mod", a, b)


def _index(value: bool | int | float) -> Constant:
    """Returns an index constant; like every int64 it wraps."""
    if is_symbolic(value):
        return Constant(value, int64)
    return Constant((int(value) + (1 << 63)) % (1 << 64) - (1 << 63), int64)


_FOLD: dict[str, Callable[[Expression, Expression], Expression]] = {
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "floordiv": _floor_divide,
    "mod": _modulo,
}


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


def written_size(expression: Expression) -> int:
    """Returns how many parts an expression has where it is written out: 3 for `x * x`."""
    sizes: dict[int, int] = {}
    for part in postorder((expression,), children):
        sizes[id(part)] = 1 + sum(sizes[id(below)] for below in children(part))
    return sizes[id(expression)]


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
