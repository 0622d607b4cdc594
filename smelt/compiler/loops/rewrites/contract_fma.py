"""Contract to FMA: a sum of products that a register accumulates becomes fused multiply-adds."""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.substitute import Names
from smelt.ir.loops import REDUCE, Assign, Binary, Expression, Fma, Kernel, Read, Register
from smelt.ir.visit import Body, Transformer


def contract_fma(kernel: Kernel, names: Names) -> Kernel:
    """Fuses the products of sums; the register comes to stand where an accumulator belongs.

    Before: `acc = x * y + acc`; after: `acc = fma(x, y, acc)`.
    """
    return replace(kernel, body=_ContractFma().block(kernel.body))


class _ContractFma(Transformer):
    def assign(self, assign: Assign) -> Body:
        value = _accumulated(assign.register, assign.value)
        return (Assign(assign.register, assign.index, value),)


def _accumulated(register: Register, value: Expression) -> Expression:
    if not isinstance(value, Binary) or value.op not in REDUCE:
        return value
    total, term = value.a, value.b
    if isinstance(term, Read) and term.register is register:
        total, term = term, total
    if not (isinstance(total, Read) and total.register is register):
        return value
    is_product = isinstance(term, Binary) and term.op == "mul" and register.dtype.is_float
    if value.op == "add" and is_product and isinstance(term, Binary):
        return Fma(term.a, term.b, total)
    return value if total is value.a else Binary(value.op, total, term)
