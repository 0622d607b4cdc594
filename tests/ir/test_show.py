from __future__ import annotations

import time
from dataclasses import replace

from smelt.dtypes import float32, float64, int32, int64
from smelt.ir.loops import (
    Binary,
    Buffer,
    Cast,
    Constant,
    Fma,
    Lanes,
    Load,
    Select,
    Store,
    constant,
    index_variable,
)
from smelt.ir.show import expression_text, kernel_text, program_text, statement_text
from tests.compiler import nests
from tests.ir.test_interpret import program

SOFTMAX = """\
def softmax(y: float32[2, 3]; x: float32[2, 3]):
    for i in range(0, 2):
        top: float32 = -inf
        for j in range(0, 3):
            top = maximum(top, x[i, j])
        m = top
        e = scratch(float32[3])
        total: float32 = 0.0
        for j in range(0, 3):
            t = exp(x[i, j] - m)
            e[j] = t
            total = total + t
        s = total
        for j in range(0, 3):
            y[i, j] = e[j] / s"""

PROGRAM = """\
program step:  # arena of 128 bytes
    x: float32[3, 2]  # argument 0
    t: float32[2, 3]  # arena at 64
    y: float32[3, 2]  # result 0
    ok: int64[1]  # status 0
    transpose(t, x)
    check 4: stop unless ok == 0
    transpose_2(y, t)

def transpose("""


def test_a_kernel_reads_like_python():
    assert kernel_text(nests.softmax(2, 3)) == SOFTMAX


def test_a_program_lists_slots_calls_and_kernels():
    text = program_text(program(0)[0])
    assert text.startswith(PROGRAM)
    assert "def transpose_2(" in text


def test_names_do_not_matter_in_the_canonical_text():
    first, second = nests.softmax(4, 5), nests.softmax(4, 5)
    second = replace(second, name="other")
    assert kernel_text(first) != kernel_text(second)
    assert kernel_text(first, canonical=True) == kernel_text(second, canonical=True)
    assert kernel_text(nests.softmax(4, 6), canonical=True) != kernel_text(first, canonical=True)


def test_what_differs_in_meaning_differs_in_text():
    x = Buffer("x", (8,), float64)
    load = Load(x, (constant(0),))
    tenth = Constant(0.1, float32)
    texts = [
        expression_text(e)
        for e in (
            tenth,
            Constant(0.1, float64),
            Cast(tenth, float64),
            Constant(1, int64),
            Constant(1, int32),
            Constant(1, float32),
            Constant(1.0, float32),
            Constant(-0.0, float32),
            Constant(0.0, float32),
            Constant(0.0, float32, 16),
            Binary("add", Binary("add", load, load), load),
            Binary("add", load, Binary("add", load, load)),
            Fma(load, load, load),
            Binary("mul", Binary("add", load, load), load),
        )
    ]
    assert len(set(texts)) == len(texts), texts


def test_masks_lanes_and_precedence():
    x, i = Buffer("x", (10,), float32), index_variable("i")
    place = Binary("add", i, Lanes(16))
    mask = Binary("lt", place, constant(10))
    load = Load(x, (place,), mask)
    assert expression_text(load) == "x[i + lanes(16) where i + lanes(16) < 10]"
    store = Store(x, (place,), Select(Binary("gt", load, load), load, load), mask)
    assert statement_text(store).startswith("x[i + lanes(16) where i + lanes(16) < 10] = select(")
    product = Binary("mul", Binary("sub", i, Binary("sub", i, constant(-1))), i)
    assert expression_text(product) == "(i - (i - -1)) * i"


def test_two_buffers_of_one_name_are_told_apart():
    kernel = nests.transpose(2, 2)
    same = Buffer("x", (2, 2), float32)
    text = kernel_text(replace(kernel, inputs=(*kernel.inputs, same)))
    assert "x_2: float32[2, 2]" in text


def test_the_text_is_fast():
    kernels = [nests.softmax(8, 8 + size) for size in range(25)]
    best = 1.0
    for _ in range(5):
        begin = time.perf_counter()
        for kernel in kernels:
            kernel_text(kernel, canonical=True)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.1  # about 2 ms on an idle machine
