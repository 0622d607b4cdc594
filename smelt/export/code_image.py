"""Object code as one block of bytes that runs wherever it lies: a linker for one object.

LLVM makes code whose parts find each other by their distance. When all sections stand behind each
other in memory, these distances are known, so nothing is left to do when the code is loaded. What
each kind of relocation means is in the ABI of the architecture: for x86-64 the System V
supplement, table 4.9; for aarch64 "ELF for the Arm 64-bit Architecture", 5.7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from smelt.compiler.codegen.object_file import (
    EXECUTABLE,
    ObjectFile,
    Relocation,
    Section,
    read_elf,
)
from smelt.errors import CompileError

__all__ = ["code_image"]

PAGE = 4096  # of aarch64's instructions; the image begins on one
_WRITABLE = 1  # a flag of sections
_X86_64, _AARCH64 = 62, 183


def code_image(code: bytes, entry: str) -> tuple[bytes, int]:
    """Returns the bytes of an ELF object's sections, linked, and where a function begins.

    Args:
        code: the object, which needs nothing from elsewhere.
        entry: the name of the function.

    Raises:
        CompileError: the object has variables, or refers to something by its address.
    """
    file = read_elf(code)
    places: dict[int, int] = {}
    image = bytearray()
    numbered = [pair for pair in enumerate(file.sections) if pair[1].is_allocated]
    for number, section in sorted(numbered, key=lambda pair: not pair[1].flags & EXECUTABLE):
        if section.flags & _WRITABLE:
            raise CompileError(f"the object code has variables, in {section.name}")
        image += bytes(-len(image) % section.alignment)
        places[number] = len(image)
        image += section.contents
    for number, place in places.items():
        for relocation in file.sections[number].relocations:
            _apply(file, image, file.sections[number], place, relocation, places)
    start = next(one for one in file.symbols if one.name == entry)
    return bytes(image), places[start.section] + start.value


def _apply(
    file: ObjectFile,
    image: bytearray,
    section: Section,
    place: int,
    relocation: Relocation,
    places: dict[int, int],
) -> None:
    symbol = relocation.symbol
    rule = _RULES.get(file.machine, {}).get(relocation.kind)
    if rule is None or symbol.section not in places:
        what = symbol.name or f"section {symbol.section}"
        raise CompileError(
            f"{section.name} of the object code refers to {what} in a way that depends on where it "
            f"is loaded (relocation {relocation.kind})"
        )
    at = place + relocation.offset
    rule(image, at, places[symbol.section] + symbol.value + relocation.addend)


Rule = Callable[[bytearray, int, int], None]


def _distance(image: bytearray, at: int, target: int) -> None:
    struct.pack_into("<i", image, at, target - at)


def _wide_distance(image: bytearray, at: int, target: int) -> None:
    struct.pack_into("<q", image, at, target - at)


def _instruction(shift: int, bits: int, where: int) -> Rule:
    """Returns what puts bits of a distance, counted in 2^shift bytes, into an instruction."""

    def put(image: bytearray, at: int, target: int) -> None:
        distance = (target - at) >> shift
        if not -(1 << (bits - 1)) <= distance < 1 << (bits - 1):
            raise CompileError("the code is too long for its jumps")
        _put(image, at, (distance & ((1 << bits) - 1)) << where, ((1 << bits) - 1) << where)

    return put


def _page(image: bytearray, at: int, target: int) -> None:
    """Fills in ADRP: how many pages away the target's is, low two bits apart from the others."""
    _put_address(image, at, target // PAGE - at // PAGE)


def _near(image: bytearray, at: int, target: int) -> None:
    """Fills in ADR."""
    _put_address(image, at, target - at)


def _put_address(image: bytearray, at: int, distance: int) -> None:
    if not -(1 << 20) <= distance < 1 << 20:
        raise CompileError("the code and its constants are too far apart")
    _put(image, at, (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5, 3 << 29 | 0x7FFFF << 5)


def _within_page(shift: int) -> Rule:
    """Returns what puts a place within its page, counted in 2^shift bytes, into an instruction."""

    def put(image: bytearray, at: int, target: int) -> None:
        _put(image, at, (target % PAGE >> shift) << 10, 0xFFF << 10)

    return put


def _put(image: bytearray, at: int, bits: int, mask: int) -> None:
    (old,) = struct.unpack_from("<I", image, at)
    struct.pack_into("<I", image, at, old & ~mask | bits)


_RULES: dict[int, dict[int, Rule]] = {
    _X86_64: {2: _distance, 4: _distance, 24: _wide_distance},  # PC32, PLT32, PC64
    _AARCH64: {
        260: _wide_distance,  # PREL64
        261: _distance,  # PREL32
        274: _near,  # ADR_PREL_LO21
        275: _page,  # ADR_PREL_PG_HI21
        277: _within_page(0),  # ADD_ABS_LO12_NC
        278: _within_page(0),  # LDST8_ABS_LO12_NC
        279: _instruction(2, 14, 5),  # TSTBR14
        280: _instruction(2, 19, 5),  # CONDBR19
        282: _instruction(2, 26, 0),  # JUMP26
        283: _instruction(2, 26, 0),  # CALL26
        284: _within_page(1),  # LDST16_ABS_LO12_NC
        285: _within_page(2),  # LDST32_ABS_LO12_NC
        286: _within_page(3),  # LDST64_ABS_LO12_NC
        299: _within_page(4),  # LDST128_ABS_LO12_NC
    },
}
