"""Contract to FMA: a sum of products that a register accumulates becomes fused multiply-adds."""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.substitute import Names
from smelt.ir.loops import Assign, Binary, Fma, Kernel, Read
from smelt.ir.visit import Body, Transformer


def contract_fma(kernel: Kernel, names: Names) -> Kernel:
    """Fuses the products of sums.

    Before: `acc = acc + x * y`; after: `acc = fma(x, y, acc)`.
    """
    return replace(kernel, body=_ContractFma().block(kernel.body))


class _ContractFma(Transformer):
    def assign(self, assign: Assign) -> Body:
        match assign.value:
            case Binary("add", Read(register) as total, Binary("mul", a, b)):
                if register is assign.register and register.dtype.is_float:
                    return (replace(assign, value=Fma(a, b, total)),)
        return (assign,)
