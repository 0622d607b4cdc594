"""Functions of C's math library as LLVM text: the bits of NumPy, and of exact arithmetic."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.compiler.codegen import machine
from smelt.compiler.codegen.soft_float import AVAILABLE, definitions, with_inlined_fma
from smelt.ir import arithmetic

UNARY = {
    "trunc": np.trunc, "floor": np.floor, "ceil": np.ceil, "roundeven": np.rint, "sqrt": np.sqrt,
}  # fmt: skip
KINDS = [(np.float32, "f", ctypes.c_float), (np.float64, "", ctypes.c_double)]
SPECIAL = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, 3, -7.25, np.inf, -np.inf, np.nan]


@pytest.fixture(scope="module")
def library() -> machine.Library:
    """The functions under other names, so that none of the process's is called."""
    text = definitions(AVAILABLE).replace("define internal", "define")
    for name in AVAILABLE:
        text = re.sub(rf"@{name}\b", f"@soft_{name}", text)
    names = tuple(f"soft_{name}" for name in AVAILABLE)
    return machine.load_object(machine.compile_object(text), names)


def numbers(kind: Any, count: int, seed: int) -> np.ndarray:
    """Returns floats of any bits, of the size that people use, and those that are special."""
    random = np.random.default_rng(seed)
    bits = np.uint32 if kind is np.float32 else np.uint64
    any_bits = random.integers(0, np.iinfo(bits).max, count, dtype=bits, endpoint=True).view(kind)
    usual = (random.normal(size=count) * 10.0 ** random.integers(-3, 4, count)).astype(kind)
    info = np.finfo(kind)
    ends = [info.tiny, info.max, info.smallest_subnormal, info.tiny * 0.75]
    return np.concatenate([np.array([*SPECIAL, *ends], kind), any_bits, usual])


def same(a: Any, b: Any) -> bool:
    return bool(np.isnan(a) and np.isnan(b)) or a.tobytes() == b.tobytes()


@pytest.mark.parametrize(("kind", "short", "c_type"), KINDS)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(
    library: machine.Library, name: str, kind: Any, short: str, c_type: Any
) -> None:
    function = ctypes.CFUNCTYPE(c_type, c_type)(library[f"soft_{name}{short}"])
    with np.errstate(all="ignore"):
        for x in numbers(kind, 500, 0):
            assert same(kind(function(x)), UNARY[name](x)), x


@pytest.mark.parametrize(("kind", "short", "c_type"), KINDS)
def test_remainder(library: machine.Library, kind: Any, short: str, c_type: Any) -> None:
    function = ctypes.CFUNCTYPE(c_type, c_type, c_type)(library[f"soft_fmod{short}"])
    given, others = numbers(kind, 500, 1), numbers(kind, 500, 2)
    count = len(SPECIAL) + 4
    pairs = [*zip(given, others, strict=True)]
    pairs += [(a, b) for a in given[:count] for b in given[:count]]
    with np.errstate(all="ignore"):
        for a, b in pairs:
            assert same(kind(function(a, b)), np.fmod(a, b)), (a, b)


@pytest.mark.parametrize(("kind", "short", "c_type"), KINDS)
def test_fused_multiply_add(library: machine.Library, kind: Any, short: str, c_type: Any) -> None:
    function = ctypes.CFUNCTYPE(c_type, *[c_type] * 3)(library[f"soft_fma{short}"])
    dtype = smelt.float32 if short else smelt.float64
    given, others, third = (numbers(kind, 300, seed) for seed in (3, 4, 5))
    special = given[: len(SPECIAL) + 4]
    cases = [*zip(given, others, third, strict=True)]
    cases += [(a, b, c) for a in special for b in special for c in special]
    tiny, small = np.finfo(kind).tiny, kind(2.0 ** (-60 if short else -520))
    with np.errstate(all="ignore"):
        for a, b in zip(given, others, strict=True):
            near = -(a * b)
            cases += [(a, b, near), (a, b, np.nextafter(near, kind(0)))]  # nearly nothing is left
            cases.append((a * small, b * small, near * tiny))  # subnormal
        for a, b, c in cases:
            expected = kind(arithmetic.fma(a, b, c, dtype))
            assert same(kind(function(a, b, c)), expected), (a, b, c)


def test_only_what_is_asked_for_is_written() -> None:
    text = definitions({"floorf"})
    assert re.findall(r"define internal \w+ @(\w+)", text) == ["floorf", "truncf"]
    assert "compiler.used = appending global [1 x ptr] [ptr @floorf]" in text
    behind = definitions({"ceil"}, "declare double @llvm.copysign.f64(double, double)\n")
    assert "declare" not in behind


FUSED = """
declare float @llvm.fma.f32(float, float, float)
declare double @llvm.fma.f64(double, double, double)

define float @single(float %a, float %b, float %c) nounwind {
  %sum = call float @llvm.fma.f32(float %a, float %b, float %c)
  ret float %sum
}

define double @wide(double %a, double %b, double %c) nounwind {
  %sum = call double @llvm.fma.f64(double %a, double %b, double %c)
  ret double %sum
}
"""


def test_fused_multiply_adds_of_single_floats_become_arithmetic() -> None:
    text = with_inlined_fma(FUSED)
    assert "fma.f32" not in text
    assert text.count("call double @llvm.fma.f64") == 1
    assert with_inlined_fma(text) == text  # there is none left
    both = [machine.load_object(machine.compile_object(one), ("single",)) for one in (FUSED, text)]
    type_ = ctypes.CFUNCTYPE(*[ctypes.c_float] * 4)
    expected, found = (type_(library["single"]) for library in both)
    a, b, c = (numbers(np.float32, 300, seed) for seed in range(3))
    with np.errstate(all="ignore"):
        for x, y, z in zip(a, b, c, strict=True):
            assert same(np.float32(found(x, y, z)), np.float32(expected(x, y, z))), (x, y, z)
