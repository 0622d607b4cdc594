"""Collectives in LLVM: calls of MPI through the addresses in the block of `mpi/native.py`.

All arguments are passed as int64: a callee that expects an int reads the lower half of the
register. Arguments from the eighth on would be on the stack; no function here has more than seven.
"""

from __future__ import annotations

from smelt.compiler.codegen.writer import Writer
from smelt.ir.program import Collective, Program, Progress, agreed_text, collectives
from smelt.mpi.agreement import number_of
from smelt.mpi.native import STATUS, SYMBOL, place_of

DISAGREE = -1  # what `run` returns if the ranks do not agree on a step


def agreed_number(program: Program) -> int:
    """Returns a number that must be equal on all ranks that run a step together."""
    return number_of(agreed_text(program))


class Calls:
    """Emits the calls of MPI of one step function."""

    def __init__(self, writer: Writer, program: Program) -> None:
        self.writer = writer
        self.number: int = agreed_number(program)
        requests = [part.request for part in collectives(program)]
        self.requests: str = writer.alloca(f"[{max(requests, default=0) + 1} x i64]")
        self.pair: str = writer.alloca("[2 x i64]")
        self.largest: str = writer.alloca("[2 x i64]")

    def disagree(self) -> str:
        """Emits an exchange that shows the ranks whether all run the same step; returns the flag
        that they do not.
        """
        w = self.writer
        w.do(f"store i64 {self.number}, ptr {self.pair}")
        w.do(f"store i64 {-self.number}, ptr {self._element(self.pair, 1)}")
        operands = [f"ptr {self.pair}", f"ptr {self.largest}", "i64 2"]
        self._call("MPI_Allreduce", *operands, *self._handles("int64", "max", "communicator"))
        high = w.load("i64", self.largest)
        low = w.load("i64", self._element(self.largest, 1))
        return w.let(f"icmp ne i64 {w.let(f'sub i64 0, {low}')}, {high}")

    def collective(self, part: Collective, source: str, target: str) -> None:
        """Emits one collective on two addresses."""
        w = self.writer
        kind, (communicator,) = part.source.dtype.name, self._handles("communicator")
        count, request = f"i64 {part.count}", f"ptr {self._element(self.requests, part.request)}"
        match part.function:
            case "MPI_Wait":
                self._call("MPI_Wait", request, self._status())
                w.do(f"store i64 0, ptr {target}")
            case "MPI_Barrier":
                self._call("MPI_Barrier", communicator)
                w.do(f"store i64 0, ptr {target}")
            case "MPI_Bcast":
                nbytes = part.count * part.source.dtype.itemsize
                operands = f"ptr {target}", f"ptr {source}", f"i64 {nbytes}", "i1 false"
                w.call("void", "llvm.memcpy.p0.p0.i64", *operands)
                (datatype,) = self._handles(kind)
                root = f"i64 {part.root}"
                self._call("MPI_Bcast", f"ptr {target}", count, datatype, root, communicator)
            case "MPI_Allgather" | "MPI_Alltoall":
                (datatype,) = self._handles(kind)
                both = f"ptr {source}", count, datatype, f"ptr {target}", count, datatype
                self._call(part.function, *both, communicator)
            case _:
                handles = self._handles(kind, part.op)
                last = (request,) if part.function == "MPI_Iallreduce" else ()
                places = f"ptr {source}", f"ptr {target}", count
                self._call(part.function, *places, *handles, communicator, *last)

    def progress(self, part: Progress) -> None:
        """Emits a test of a request, which lets MPI make progress."""
        request = f"ptr {self._element(self.requests, part.request)}"
        self._call("MPI_Test", request, f"ptr {self.largest}", self._status())

    def _call(self, function: str, *operands: str) -> None:
        pointer = self.writer.load("ptr", self._place(place_of(function)))
        self.writer.define(f"call i32 {pointer}({', '.join(operands)})")

    def _handles(self, *names: str) -> list[str]:
        return [f"i64 {self.writer.load('i64', self._place(place_of(name)))}" for name in names]

    def _status(self) -> str:
        return f"ptr {self._place(STATUS)}"

    def _place(self, number: int) -> str:
        return self._element(f"@{SYMBOL}", number)

    def _element(self, pointer: str, number: int) -> str:
        return self.writer.let(f"getelementptr i64, ptr {pointer}, i64 {number}")
