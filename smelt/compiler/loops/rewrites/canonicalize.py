"""Canonicalize: loops that run once or never go."""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.dependence import trip_count
from smelt.compiler.loops.substitute import Names, Substitution
from smelt.ir.loops import Kernel, Loop, constant
from smelt.ir.visit import Body


def drop_unit_loops(kernel: Kernel, names: Names) -> Kernel:
    """Removes loops that run once or never.

    Before: `for i in range(0, 1): y[i] = x[i]`; after: `y[0] = x[0]`.
    """
    return replace(kernel, body=_DropUnitLoops({}).block(kernel.body))


class _DropUnitLoops(Substitution):
    def loop(self, loop: Loop) -> Body:
        count = trip_count(loop)
        if count == 1 and isinstance(loop.start, int):
            self.variables[loop.variable.name] = constant(loop.start)
            return self.block(loop.body)
        body = () if count == 0 else self.block(loop.body)
        if not body:
            return ()
        start, stop = self.bounds(loop)
        return (Loop(loop.variable, start, stop, loop.step, body, loop.kind),)
