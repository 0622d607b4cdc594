"""Substitution: other expressions for variables, other registers, fresh names for copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smelt.dtypes import DType
from smelt.ir.loops import (
    Assign,
    Binary,
    Constant,
    Expression,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Statement,
    Variable,
)
from smelt.ir.visit import Body, Transformer, statements

Element = tuple[Register, tuple[Expression, ...]]  # of a register array


class Names:
    """Gives out names that nothing in a kernel has yet."""

    def __init__(self, body: Body) -> None:
        bound = (part for part in statements(body) if isinstance(part, (Let, Loop)))
        self.taken = {part.variable.name for part in bound}
        self.copied: set[str] = set()

    def copy(self, name: str) -> str:
        """Returns a name for a copy of the let `name`: the first copy takes the let's own."""
        if name in self.copied:
            return self.fresh(name)
        self.copied.add(name)
        return name

    def fresh(self, wanted: str) -> str:
        """Returns `wanted`, or `wanted_2` and so on when it is taken."""
        name = self.unused(wanted)
        self.taken.add(name)
        return name

    def unused(self, wanted: str) -> str:
        """Returns such a name without taking it, for a loop that ends before others are needed."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        return name


class Substitution(Transformer):
    """Replaces variables by expressions and registers by elements of other registers.

    With a `mask`, loads that become vectors read only the lanes where it holds. Then
    `replace_load` may replace a load by something else.
    """

    def __init__(
        self,
        variables: dict[str, Expression],
        registers: Mapping[Register, Element] | None = None,
        mask: Expression | None = None,
        replace_load: Callable[[Load], Expression] | None = None,
    ) -> None:
        super().__init__()
        self.variables = variables
        self.registers = {} if registers is None else registers
        self.mask = mask
        self.replace_load = replace_load

    def masked(self, mask: Expression | None, lanes: int) -> Expression | None:
        """Returns an access's mask, together with the tile's when the access is a vector."""
        mask = self.optional(mask)
        if self.mask is None or lanes == 1:
            return mask
        return self.mask if mask is None else Binary("bitwise_and", mask, self.mask)

    def variable(self, variable: Variable) -> Expression:
        return self.variables.get(variable.name, variable)

    def load(self, load: Load) -> Expression:
        index = self.all(load.index)
        bare = Load(load.buffer, index, self.optional(load.mask))
        mask = self.masked(load.mask, bare.lanes)
        full = bare if mask is bare.mask else Load(load.buffer, index, mask)
        return full if self.replace_load is None else self.replace_load(full)

    def assign(self, assign: Assign) -> Body:
        element = self.registers.get(assign.register)
        if element is None:
            return super().assign(assign)
        return (Assign(*element, self(assign.value)),)

    def read(self, read: Read) -> Expression:
        element = self.registers.get(read.register)
        return super().read(read) if element is None else Read(*element)


def renamed(body: Sequence[Statement], names: Names) -> Body:
    """Returns a copy of statements in which all lets and loops have names that nothing else has.

    The statements must bind each name once, as every kernel does in these rewrites.

    A rewrite that repeats code must rename the copy: then what is known of a name (its range, its
    affine value, its replacement) holds in the whole kernel, wherever a rewrite moves the code.

        for i in range(0, 16):          for i_2 in range(0, 16):
            t = x[i]              ->        t_2 = x[i_2]
            y[i] = t * t                    y[i_2] = t_2 * t_2
    """
    return Renaming(names, {}).block(body)


class Renaming(Substitution):
    """A substitution that renames all variables that the copy binds."""

    def __init__(
        self,
        names: Names,
        variables: dict[str, Expression],
        registers: Mapping[Register, Element] | None = None,
    ) -> None:
        super().__init__(variables, registers)
        self.names = names

    def bind(self, variable: Variable) -> Variable:
        new = Variable(self.names.fresh(variable.name), variable.dtype, variable.lanes)
        self.variables[variable.name] = new
        return new


def add_terms(base: Expression, offset: Expression) -> Expression:
    """Returns `base + offset` term by term: `i + (c * 16 + lanes)` is `i + c * 16 + lanes`."""
    if type(offset) is Binary and offset.op == "add":
        return add_terms(base, offset.a) + offset.b
    return base + offset


def combined(op: str, terms: Sequence[Expression]) -> Expression:
    """Returns 2^n terms as one, combined in pairs, and these in pairs again."""
    while len(terms) > 1:
        terms = [Binary(op, a, b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def identity(op: str, dtype: DType) -> Constant:
    """Returns the identity element of an operation: 0 for a sum, 1 for a product, ..."""
    if op in ("add", "mul"):
        return Constant(int(op == "mul") if not dtype.is_float else float(op == "mul"), dtype)
    if dtype.is_float:
        return Constant(float("-inf") if op == "maximum" else float("inf"), dtype)
    if dtype.kind == "bool":
        return Constant(op == "minimum", dtype)
    bits = 8 * dtype.itemsize - 1
    return Constant(-(2**bits) if op == "maximum" else 2**bits - 1, dtype)
