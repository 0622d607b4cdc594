"""Object files as LLVM writes them, read: ELF, of 32 and 64 bits, and WebAssembly.

Of ELF all that a linker needs: sections, symbols, relocations (System V ABI, chapters 4 and 5). Of
WebAssembly which functions are missing, and how long the code is; the rest is in `wasm_file.py`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from smelt.compiler.codegen.wasm_file import CODE, imported_functions, wasm_sections
from smelt.errors import CompileError

ALLOCATED, EXECUTABLE = 2, 4  # flags of sections
_SYMBOLS, _RELA, _NOBITS, _REL = 2, 4, 8, 9  # types of sections


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name for a place in a section; section 0 means that it is missing."""

    name: str
    section: int
    value: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """Says that the bytes at an offset of a section depend on where a symbol lies."""

    offset: int
    kind: int
    symbol: Symbol
    addend: int


@dataclass(slots=True)
class Section:
    """A section: its bytes, and what must be filled in."""

    name: str
    kind: int
    flags: int
    alignment: int
    contents: bytes
    relocations: list[Relocation] = field(default_factory=list)

    @property
    def is_allocated(self) -> bool:
        """Whether it is in memory when the code runs."""
        return bool(self.flags & ALLOCATED) and bool(self.contents)


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """An ELF file: the number of its architecture, and what is in it."""

    machine: int
    sections: list[Section]
    symbols: list[Symbol]


def undefined(code: bytes) -> list[str]:
    """Returns the names of what an object needs and does not have, sorted."""
    if code.startswith(b"\0asm"):
        return sorted(imported_functions(code))
    return sorted({one.name for one in read_elf(code).symbols if one.name and not one.section})


def code_bytes(code: bytes) -> int:
    """Returns how many bytes the instructions of an object take."""
    if code.startswith(b"\0asm"):
        return sum(len(part) for kind, part in wasm_sections(code) if kind == CODE)
    sections = read_elf(code).sections
    return sum(len(one.contents) for one in sections if one.flags & EXECUTABLE)


def read_elf(code: bytes) -> ObjectFile:
    """Returns what is in an ELF object file of little-endian byte order.

    Raises CompileError when it is none.
    """
    if code[:4] != b"\x7fELF" or code[5] != 1:
        raise CompileError("the object code is not an ELF file of little-endian byte order")
    is_wide = code[4] == 2
    machine = struct.unpack_from("<H", code, 18)[0]
    table = (
        struct.unpack_from("<Q", code, 40)[0] if is_wide else struct.unpack_from("<I", code, 32)[0]
    )
    size, count, names = struct.unpack_from("<HHH", code, 58 if is_wide else 46)
    form = "<IIQQQQIIQQ" if is_wide else "<IIIIIIIIII"
    heads = [struct.unpack_from(form, code, table + number * size) for number in range(count)]

    def contents(head: tuple[int, ...]) -> bytes:
        return b"" if head[1] == _NOBITS else code[head[4] : head[4] + head[5]]

    texts = contents(heads[names])
    sections = [
        Section(_name(texts, head[0]), head[1], head[2], max(head[8], 1), contents(head))
        for head in heads
    ]
    symbols: list[Symbol] = []
    for head in heads:
        if head[1] == _SYMBOLS:
            symbols = _read_symbols(contents(head), contents(heads[head[6]]), is_wide)
    for head in heads:
        if head[1] in (_RELA, _REL):
            target = sections[head[7]]
            target.relocations += _relocations(contents(head), symbols, is_wide, head[1] == _RELA)
    return ObjectFile(machine, sections, symbols)


def _name(texts: bytes, at: int) -> str:
    return texts[at : texts.index(b"\0", at)].decode()


def _read_symbols(table: bytes, texts: bytes, is_wide: bool) -> list[Symbol]:
    symbols = []
    for record in struct.iter_unpack("<IBBHQQ" if is_wide else "<IIIBBH", table):
        if is_wide:
            name, _, _, section, value, _ = record
        else:
            name, value, _, _, _, section = record
        symbols.append(Symbol(_name(texts, name), section, value))
    return symbols


def _relocations(
    table: bytes, symbols: list[Symbol], is_wide: bool, has_addend: bool
) -> list[Relocation]:
    form = ("<QQ" if is_wide else "<II") + (("q" if is_wide else "i") if has_addend else "")
    bits = 32 if is_wide else 8
    found = []
    for offset, info, *addend in struct.iter_unpack(form, table):
        kind = info & ((1 << bits) - 1)
        found.append(Relocation(offset, kind, symbols[info >> bits], *(addend or [0])))
    return found
