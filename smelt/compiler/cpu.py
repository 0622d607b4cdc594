"""What the scheduler needs to know of the CPU."""

from __future__ import annotations

import functools

from smelt.compiler import machine

_WIDTHS = (("+avx512f", 512), ("+avx2", 256))


@functools.cache
def vector_bits() -> int:
    """Returns the width of the CPU's vector registers in bits: 128 where none wider is known."""
    features = machine.host().features.split(",")
    return next((bits for feature, bits in _WIDTHS if feature in features), 128)
