"""C as text: the types of numbers, literals, and names that C allows."""

from __future__ import annotations

import math

import numpy as np

from smelt.dtypes import DType, bfloat16, encode, float32

# in memory and of variables; 16-bit floats are kept as bits, since their arithmetic is done in
# float32
TYPES = {
    "bool": "bool",
    "int8": "int8_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float16": "uint16_t",
    "bfloat16": "uint16_t",
    "float32": "float",
    "float64": "double",
}
SHORT = {  # of dtypes in the names of functions
    "bool": "bool",
    "int8": "i8",
    "int32": "i32",
    "int64": "i64",
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
    "float64": "f64",
}
# words that C, C++, the headers stddef.h, stdbool.h and stdint.h, some compilers, or the prelude of
# a file use
RESERVED = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while bool true false asm typeof NULL offsetof alignas alignof "
    "and bitand bitor catch class compl concept constexpr decltype delete dynamic_cast explicit "
    "export friend mutable namespace new noexcept not nullptr operator or private protected public "
    "requires static_assert template this throw try typeid typename using virtual wchar_t xor "
    "linux unix SUPPORT".split()
)
INFINITY, NAN = "INFINITY_", "NAN_"  # macros of `support/`


def type_of(dtype: DType) -> str:
    """Returns the C type of a number."""
    return TYPES[dtype.name]


def literal(value: bool | int | float, dtype: DType) -> str:
    """Returns a number as a C literal, from which a float is read back exactly."""
    if dtype.kind == "bool":
        return "true" if value else "false"
    if dtype.kind == "int":
        return _integer(int(value), 8 * dtype.itemsize)
    with np.errstate(over="ignore"):
        if dtype.itemsize == 2:
            narrow = encode(np.array(value), bfloat16) if dtype is bfloat16 else np.float16(value)
            return f"0x{int(np.asarray(narrow).view(np.uint16)):04x}u"
        number = np.float32(value) if dtype is float32 else np.float64(value)
    return _real(number, "f" if dtype is float32 else "")


def _real(number: np.floating, suffix: str) -> str:
    if np.isnan(number):
        return f"{NAN}" if suffix else f"(double){NAN}"
    if np.isinf(number):
        sign = "-" if number < 0 else ""
        return f"{sign}{INFINITY}" if suffix else f"{sign}(double){INFINITY}"
    text = str(number)  # the shortest that is read back as this number
    return text + suffix if any(mark in text for mark in ".e") else f"{text}.0{suffix}"


def _integer(value: int, width: int) -> str:
    wrapped = (value + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
    if wrapped == -(1 << (width - 1)):
        return f"INT{width}_MIN"
    return str(wrapped) if abs(wrapped) < 1 << 31 else f"INT64_C({wrapped})"


def values(array: np.ndarray, dtype: DType, indent: str = "    ") -> str:
    """Returns the elements of an array in storage form as the lines of an initializer."""
    flat = array.reshape(-1)
    if dtype.is_float and dtype.itemsize == 2:
        texts = [f"0x{int(bits):04x}" for bits in flat.view(np.uint16)]
    else:
        texts = [literal(number, dtype) for number in flat.tolist()] or ["0"]
    if dtype is float32:
        texts = [literal(number, dtype) for number in flat]
    texts = texts or ["0"]
    width = max(1, min(16, 88 // (max(map(len, texts)) + 2)))
    lines = [", ".join(texts[at : at + width]) for at in range(0, len(texts), width)]
    return ",\n".join(indent + line for line in lines)


def shape_text(dtype: DType, shape: tuple[int, ...]) -> str:
    """Returns a dtype and a shape for a comment: `float32[32, 10]`."""
    return f"{dtype.name}[{', '.join(map(str, shape))}]" if shape else dtype.name


def elements(shape: tuple[int, ...]) -> int:
    """Returns the elements of an array in C: at least one, since C has no empty arrays."""
    return max(1, math.prod(shape))


class Names:
    """Makes identifiers that C allows and that are unique in a scope."""

    def __init__(self, taken: frozenset[str] | set[str] = frozenset()) -> None:
        self.taken: set[str] = set(taken)

    def fresh(self, wanted: str) -> str:
        """Returns `wanted` as an identifier, with a number after it if it is taken."""
        stem = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in wanted)
        stem = stem.strip("_") or "value"
        if stem[0].isdigit():
            stem = f"n{stem}"
        name, number = stem, 1
        while name in self.taken or name in RESERVED:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def child(self) -> Names:
        """Returns names for a scope within this one."""
        return Names(self.taken)
