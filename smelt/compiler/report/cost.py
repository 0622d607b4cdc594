"""Count: the arithmetic and the memory traffic of a kernel, read off its plain loops."""

from __future__ import annotations

from dataclasses import dataclass

from smelt.ir import loops as ir


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of one run of a kernel, and the bytes of the arrays it touches.

    Every operation counts 1, whatever it costs (an exp counts 1), a multiply-add 2.
    """

    operations: int
    nbytes: int


def count(kernel: ir.Kernel) -> Work:
    """Returns the work of a kernel of plain loops."""
    operations = sum(_operations(statement) for statement in kernel.body)
    nbytes = sum(buffer.size * buffer.dtype.itemsize for buffer in kernel.inputs + kernel.outputs)
    return Work(operations, nbytes)


def _operations(statement: ir.Statement) -> int:
    match statement:
        case ir.Loop(start=int(start), stop=int(stop), step=step, body=body):
            return len(range(start, stop, step)) * sum(map(_operations, body))
        case ir.If(body=body):
            return sum(map(_operations, body))
        case ir.Let(value=value) | ir.Assign(value=value) | ir.Store(value=value):
            return sum(map(_flops, ir.walk(value)))
        case ir.Declare(start=value):
            return sum(map(_flops, ir.walk(value)))
    return 0


def _flops(expression: ir.Expression) -> int:
    match expression:
        case ir.Fma():
            return 2
        case ir.Unary(x=operand) | ir.Binary(a=operand):
            return int(operand.dtype.is_float)
    return 0
