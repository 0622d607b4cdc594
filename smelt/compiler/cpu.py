"""What passes know of the CPU, in one record. `codegen/machine.py` finds that of this machine.

The caches decide how large panels and blocks of products are (`loops/packing.py`,
`graph/product_blocking.py`). What can be equal everywhere at no cost is equal: chunks of work and
blocks of convolutions have sizes that suit every CPU. Nothing depends on the number of threads,
since the order of sums would depend on it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_PANEL, MOST_PANEL = 128 << 10, 512 << 10


@dataclass(frozen=True, slots=True)
class CPU:
    """A kind of CPU: how wide its vector registers are, in bits, how many there are, whether it
    multiplies and adds in one instruction, with one rounding, and the bytes of a core's first and
    second cache.
    """

    name: str
    vector_bits: int
    vector_registers: int
    has_fma: bool = True
    first_cache: int = 32 << 10
    second_cache: int = 512 << 10

    @property
    def panel_bytes(self) -> int:
        """The most bytes of a packed panel, which is read repeatedly: half of the second cache, and
        no more than fits on a thread's stack.
        """
        return min(max(self.second_cache // 2, LEAST_PANEL), MOST_PANEL)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.vector_registers} registers of {self.vector_bits} bits, caches of "
            f"{self.first_cache >> 10} and {self.second_cache >> 10} KiB"
        )


SSE = CPU("SSE", 128, 16, has_fma=False)
AVX2 = CPU("AVX2", 256, 16)
AVX512 = CPU("AVX-512", 512, 32)
NEON = CPU("NEON", 128, 32)
