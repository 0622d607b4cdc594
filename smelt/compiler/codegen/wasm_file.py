"""Object files of WebAssembly, as LLVM writes them, read: sections, symbols, and relocations.

The binary format is that of the WebAssembly specification, chapter 5. What a linker needs besides
stands in custom sections, "linking" and "reloc.CODE", as in "WebAssembly Object File Linking"
(WebAssembly/tool-conventions, Linking.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from smelt.errors import CompileError

# sections
CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY = 0, 1, 2, 3, 4, 5
GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = 6, 7, 8, 9, 10, 11, 12
IN_FUNCTION, IN_TABLE, IN_MEMORY, IN_GLOBAL = 0, 1, 2, 3  # kinds of imports and exports
_SYMBOLS = 8  # a part of "linking"
_DATA_SYMBOL, _SECTION_SYMBOL = 1, 3  # kinds of symbols
_UNDEFINED, _NAMED = 0x10, 0x40  # flags of symbols
# kinds of relocations in code: what five bytes of an instruction say
OF_FUNCTION, OF_ADDRESS, OF_SIGNED_ADDRESS, OF_TYPE, OF_GLOBAL = 0, 3, 4, 6, 7
_KNOWN = (OF_FUNCTION, OF_ADDRESS, OF_SIGNED_ADDRESS, OF_TYPE, OF_GLOBAL)
_VERSION = 2  # of "linking"


class Reader:
    """Reads numbers and names in the binary format of WebAssembly."""

    def __init__(self, data: bytes) -> None:
        self.data: bytes = data
        self.at: int = 0

    @property
    def has_more(self) -> bool:
        """Whether the end is not reached."""
        return self.at < len(self.data)

    def number(self) -> int:
        """Returns a number in LEB128."""
        value, shift = 0, 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self) -> int:
        """Returns a number in signed LEB128."""
        start = self.at
        value, bits = self.number(), 7 * (self.at - start)
        return value - (value >> (bits - 1) << bits)

    def take(self, count: int) -> bytes:
        """Returns so many bytes."""
        self.at += count
        return self.data[self.at - count : self.at]

    def name(self) -> str:
        """Returns a text, before which its length stands."""
        return self.take(self.number()).decode()


@dataclass(frozen=True, slots=True)
class WasmImport:
    """What an object takes from elsewhere: its kind, and its name."""

    kind: int
    name: str


@dataclass(frozen=True, slots=True)
class WasmSymbol:
    """A function, or a place in the data.

    `index` is that of the function in the module, or of the data's segment; `offset` is the place
    in the segment.
    """

    name: str
    is_data: bool
    is_defined: bool
    index: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class WasmRelocation:
    """Says that the bytes at an offset of the code depend on where something lies.

    `index` is that of a symbol, or of a type.
    """

    kind: int
    offset: int
    index: int
    addend: int = 0


@dataclass(frozen=True, slots=True)
class WasmObject:
    """An object: its sections by kind, what it imports, and what a linker reads."""

    sections: dict[int, bytes]
    imports: tuple[WasmImport, ...]
    symbols: tuple[WasmSymbol, ...]
    relocations: tuple[WasmRelocation, ...]  # of the code
    segments: tuple[bytes, ...]  # of the data


def wasm_sections(code: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the sections of a module: the kind of each, and its contents."""
    reader = Reader(code)
    reader.at = 8  # behind the version
    while reader.has_more:
        kind = reader.number()
        yield kind, reader.take(reader.number())


def imported_functions(code: bytes) -> set[str]:
    """Returns the names of the functions that a module takes from elsewhere."""
    parts = [part for kind, part in wasm_sections(code) if kind == IMPORT]
    return {one.name for part in parts for one in _imports(part) if one.kind == IN_FUNCTION}


def read_wasm(code: bytes) -> WasmObject:
    """Returns what is in an object of LLVM's.

    Raises CompileError when a linker would need more than is read here.
    """
    sections: dict[int, bytes] = {}
    customs: dict[str, Reader] = {}
    for kind, part in wasm_sections(code):
        if kind == CUSTOM:
            reader = Reader(part)
            customs[reader.name()] = reader
        else:
            sections[kind] = part
    if "reloc.DATA" in customs:
        raise CompileError("the object code has addresses in its data")
    symbols = tuple(_symbols(customs["linking"]))
    relocations = tuple(_relocations(customs["reloc.CODE"])) if "reloc.CODE" in customs else ()
    imports = tuple(_imports(sections.get(IMPORT, b"\0")))
    return WasmObject(sections, imports, symbols, relocations, tuple(_segments(sections)))


def _imports(part: bytes) -> Iterator[WasmImport]:
    reader = Reader(part)
    for _ in range(reader.number()):
        reader.name()  # of the module
        name, kind = reader.name(), reader.number()
        yield WasmImport(kind, name)
        if kind == IN_FUNCTION:
            reader.number()
        elif kind == IN_GLOBAL:  # its type, and whether it changes
            reader.take(2)
        else:  # a table (with the type of its elements) or a memory: its limits
            if kind == IN_TABLE:
                reader.take(1)
            has_most = reader.number() & 1
            for _ in range(1 + has_most):
                reader.number()


def _symbols(reader: Reader) -> Iterator[WasmSymbol]:
    if reader.number() != _VERSION:
        raise CompileError("the object code is written for another version of linkers")
    while reader.has_more:
        part, end = reader.number(), reader.number()
        end += reader.at
        if part == _SYMBOLS:
            for _ in range(reader.number()):
                yield _symbol(reader)
        reader.at = end


def _symbol(reader: Reader) -> WasmSymbol:
    kind, flags = reader.number(), reader.number()
    is_defined = not flags & _UNDEFINED
    if kind == _DATA_SYMBOL:
        name = reader.name()
        segment, offset, _ = [reader.number() if is_defined else 0 for _ in range(3)]
        return WasmSymbol(name, True, is_defined, segment, offset)
    index = reader.number()
    has_name = kind != _SECTION_SYMBOL and (is_defined or flags & _NAMED)
    return WasmSymbol(reader.name() if has_name else "", False, is_defined, index)


def _relocations(reader: Reader) -> Iterator[WasmRelocation]:
    reader.number()  # of the section
    for _ in range(reader.number()):
        kind, offset, index = reader.number(), reader.number(), reader.number()
        if kind not in _KNOWN:
            raise CompileError(f"the object code has a relocation of kind {kind}")
        has_addend = kind in (OF_ADDRESS, OF_SIGNED_ADDRESS)
        yield WasmRelocation(kind, offset, index, reader.signed() if has_addend else 0)


def _segments(sections: dict[int, bytes]) -> Iterator[bytes]:
    reader = Reader(sections.get(DATA, b"\0"))
    for _ in range(reader.number()):
        start = struct.unpack_from("BB", reader.data, reader.at)
        if start != (0, 0x41):  # in the first memory, at a constant
            raise CompileError("the object code has data that begin at no constant address")
        reader.at += 2
        reader.signed()
        reader.take(1)  # the end of the expression
        yield reader.take(reader.number())
