"""What passes know of the CPU, in one record. `codegen/machine.py` says which one this machine is.

What costs nothing to be equal everywhere is: the sizes of panels and chunks are numbers that suit
every CPU (`loops/packing.py`, `graph/gemm_blocking.py`), and nothing follows from the number of
threads, since the order of sums would.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CPU:
    """A kind of CPU: how wide its vector registers are, in bits, how many there are, and whether it
    multiplies and adds in one instruction, with one rounding.
    """

    name: str
    vector_bits: int
    vector_registers: int
    has_fma: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.vector_registers} registers of {self.vector_bits} bits"


SSE = CPU("SSE", 128, 16, has_fma=False)
AVX2 = CPU("AVX2", 256, 16)
AVX512 = CPU("AVX-512", 512, 32)
NEON = CPU("NEON", 128, 32)
