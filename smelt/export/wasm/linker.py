"""A linker for one object of WebAssembly: a module that takes nothing from elsewhere.

All functions that the code calls are in the object, so its functions and types keep their numbers,
and so does the only global, the stack pointer: it is imported by the object, and defined here, as
number 0. What is left to do is to lay out the memory, and to write the addresses of constants into
the code:

    0      the stack, which grows down: one that is too deep leaves the memory, which ends the call
    ...    constants
    ...    the state, with what it holds at first
    ...    free: room for arguments and results
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smelt.compiler.codegen.wasm_file import (
    CODE,
    DATA,
    EXPORT,
    FUNCTION,
    GLOBAL,
    IN_FUNCTION,
    IN_GLOBAL,
    IN_MEMORY,
    MEMORY,
    OF_ADDRESS,
    OF_SIGNED_ADDRESS,
    TYPE,
    WasmObject,
    read_wasm,
)
from smelt.errors import CompileError

__all__ = ["HEAP_BASE", "LINE", "PAGE", "LinkedModule", "link"]

HEAP_BASE = "__heap_base"  # what wasm-ld, too, calls the first address that is free
LINE = 64  # bytes at which the state, and what lies behind it, begin
PAGE = 65_536  # bytes of memory
MOST = 65_536  # pages of memory
_STACK_POINTER = "__stack_pointer"
_I32, _IS_CHANGED = 0x7F, 1
_CONSTANT, _END = 0x41, 0x0B  # i32.const, end


@dataclass(frozen=True, slots=True)
class LinkedModule:
    """A module, where its state lies, where free memory begins, and its bytes of memory."""

    contents: bytes
    state: int
    heap_base: int
    memory_bytes: int


def link(
    code: bytes, name: str, state_bytes: int, initial: Mapping[int, bytes], free: int, stack: int
) -> LinkedModule:
    """Returns the module of an object.

    The module exports its memory, NAME_step, and two constants: NAME_state, the address of the
    state, and __heap_base.

    Args:
        code: the object.
        name: of the step.
        state_bytes: the size of the state.
        initial: what the state holds at first: the offset in it, and bytes; 0 elsewhere.
        free: bytes of memory behind the state.
        stack: bytes of memory for the stack.

    Raises:
        CompileError: the object calls what it has not, or needs more memory than there can be.
    """
    file = read_wasm(code)
    _check(file)
    data, end = _placed(file.segments, _up(stack, LINE))
    state = _up(end, LINE)
    heap_base = _up(state + state_bytes, LINE)
    pages = -(-(heap_base + free) // PAGE)
    if pages > MOST:
        raise CompileError(
            f"the step needs {heap_base + free:,} bytes of memory; WebAssembly has {MOST * PAGE:,}"
        )
    contents = dict(zip(data, file.segments, strict=True))
    contents |= {state + offset: part for offset, part in initial.items()}
    constants = {f"{name}_state": state, HEAP_BASE: heap_base}
    variables = [_global(_up(stack, LINE), _IS_CHANGED), *map(_global, constants.values())]
    sections = {
        TYPE: file.sections[TYPE],
        FUNCTION: file.sections[FUNCTION],
        MEMORY: _vector([b"\0" + _number(pages)]),  # without a limit
        GLOBAL: _vector(variables),
        EXPORT: _vector(_exports(file, f"{name}_step", tuple(constants))),
        CODE: _relocated(file, data),
        # memory begins as zeros, so segments of zeros need not be there
        DATA: _vector([_segment(*pair) for pair in contents.items() if any(pair[1])]),
    }
    body = b"".join(bytes([kind]) + _sized(part) for kind, part in sections.items())
    return LinkedModule(b"\0asm\1\0\0\0" + body, state, heap_base, pages * PAGE)


def _check(file: WasmObject) -> None:
    """Raises CompileError unless the object has all that its code names."""
    missing = [one.name for one in file.imports if one.kind == IN_FUNCTION]
    if missing:
        raise CompileError(f"the code calls {', '.join(missing)}, which it cannot bring along")
    # LLVM imports a table of functions, too, in which none is: the reader knows no relocation that
    # would put one there
    others = [x.name for x in file.imports if x.kind == IN_GLOBAL and x.name != _STACK_POINTER]
    if others:
        raise CompileError(f"the code needs {', '.join(others)}, which a module has not")


def _placed(segments: tuple[bytes, ...], start: int) -> tuple[list[int], int]:
    """Returns the address of each segment, and where the last ends."""
    addresses = []
    for part in segments:
        start = _up(start, LINE)
        addresses.append(start)
        start += len(part)
    return addresses, start


def _relocated(file: WasmObject, data: list[int]) -> bytes:
    """Returns the code with the addresses of data in it, each in the five bytes left for it. What
    else a relocation may say, the number of a function, a type or a global, is there already.
    """
    code = bytearray(file.sections[CODE])
    for one in file.relocations:
        if one.kind in (OF_ADDRESS, OF_SIGNED_ADDRESS):
            symbol = file.symbols[one.index]
            if not symbol.is_defined:
                raise CompileError(f"the code refers to {symbol.name}, which it has not")
            address = data[symbol.index] + symbol.offset + one.addend
            code[one.offset : one.offset + 5] = _five_bytes(address, one.kind == OF_SIGNED_ADDRESS)
    return bytes(code)


def _exports(file: WasmObject, function: str, constants: tuple[str, ...]) -> list[bytes]:
    numbers = {one.name: one.index for one in file.symbols if not one.is_data and one.is_defined}
    exports = [(function, IN_FUNCTION, numbers[function]), ("memory", IN_MEMORY, 0)]
    exports += [(name, IN_GLOBAL, number) for number, name in enumerate(constants, 1)]
    return [_sized(name.encode()) + bytes([kind]) + _number(index) for name, kind, index in exports]


def _global(value: int, changes: int = 0) -> bytes:
    return bytes([_I32, changes]) + _constant(value)


def _segment(address: int, contents: bytes) -> bytes:
    return b"\0" + _constant(address) + _sized(contents)


def _constant(value: int) -> bytes:
    """Returns an expression: an i32, of which those of 2^31 and above are written as below 0."""
    return bytes([_CONSTANT]) + _five_bytes(value, is_signed=True) + bytes([_END])


def _five_bytes(value: int, is_signed: bool) -> bytes:
    """Returns 32 bits in LEB128, in five bytes whatever the value, as compilers leave them."""
    parts = [value >> shift & 127 | 128 for shift in (0, 7, 14, 21)]
    last = value >> 28 & 15
    return bytes([*parts, last | 0x70 if is_signed and last & 8 else last])


def _number(value: int) -> bytes:
    """Returns a number in LEB128."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _sized(part: bytes) -> bytes:
    return _number(len(part)) + part


def _vector(parts: list[bytes]) -> bytes:
    return _number(len(parts)) + b"".join(parts)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
