"""Canonicalize: removes loops that run once or never, and lets of indices that are divided."""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.division import divisions, is_arithmetic
from smelt.compiler.loops.substitute import Names, Substitution
from smelt.dtypes import int64
from smelt.ir.loops import Expression, Kernel, Let, Loop, constant, trip_count, written_size
from smelt.ir.visit import Body


def drop_unit_loops(kernel: Kernel, names: Names) -> Kernel:
    """Removes loops that run once or never.

    Before: `for i in range(0, 1): y[i] = x[i]`; after: `y[0] = x[0]`.
    """
    return replace(kernel, body=_DropUnitLoops({}).block(kernel.body))


class _DropUnitLoops(Substitution):
    def loop(self, loop: Loop) -> Body:
        if trip_count(loop) == 1:
            self.variables[loop.variable.name] = constant(0)
            return self.block(loop.body)
        return super().loop(loop) if trip_count(loop) and loop.body else ()


def inline_indices(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with index arithmetic inlined where it is used, if there are divisions.

    Before: `k = i * 8 + j; y[k // 4] = 0.0`; after: `y[(i * 8 + j) // 4] = 0.0`.
    """
    if next(divisions(kernel.body), None) is None:
        return kernel
    return replace(kernel, body=InlineIndices({}).block(kernel.body))


LARGEST = 256  # parts of an expression that is inlined, at most


class InlineIndices(Substitution):
    """Inlines index arithmetic, unless it is long."""

    def let(self, let: Let) -> Body:
        value = self(let.value)
        if self.is_known(value):
            self.variables[let.variable.name] = value
            return ()
        return (Let(let.variable, value),)

    def is_known(self, value: Expression) -> bool:
        """Whether a value is inlined."""
        is_index = value.dtype is int64 and is_arithmetic(value)
        return is_index and written_size(value) <= LARGEST
