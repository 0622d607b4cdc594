"""Naive loop nests as the lowering writes them: scalar, serial, one statement after another."""

from __future__ import annotations

import numpy as np

from smelt.dtypes import DType, float32, int64
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Constant,
    Declare,
    Expression,
    Kernel,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Select,
    Statement,
    Store,
    Unary,
    Variable,
    constant,
    index_variable,
)


def add(a: Expression, b: Expression) -> Binary:
    return Binary("add", a, b)


def mul(a: Expression, b: Expression) -> Binary:
    return Binary("mul", a, b)


def number(value: float, dtype: DType = float32) -> Constant:
    return Constant(value, dtype)


def nest(indices: list[Variable], extents: list[int], *body: Statement) -> Statement:
    """Wraps statements in one loop an index, the first outermost."""
    for index, extent in reversed(list(zip(indices, extents, strict=True))):
        body = (Loop(index, 0, extent, 1, body),)
    return body[0]


def let(name: str, value: Expression) -> tuple[Variable, Let]:
    variable = Variable(name, value.dtype)
    return variable, Let(variable, value)


def bias_relu(rows: int, columns: int, dtype: DType = float32) -> Kernel:
    """y[i, j] = maximum(x[i, j] + b[j], 0)"""
    x, y = Buffer("x", (rows, columns), dtype), Buffer("y", (rows, columns), dtype)
    b = Buffer("b", (columns,), dtype)
    i, j = index_variable("i"), index_variable("j")
    t, name_t = let("t", add(Load(x, (i, j)), Load(b, (j,))))
    store = Store(y, (i, j), Binary("maximum", t, number(0.0, dtype)))
    return Kernel("bias_relu", (x, b), (y,), (nest([i, j], [rows, columns], name_t, store),))


def in_place_axpy(*shape: int) -> Kernel:
    """p -= 0.1 * g, and m = 0.9 * m + g, both in place."""
    p, m, g = (Buffer(name, shape, float32) for name in "pmg")
    index = tuple(index_variable(f"i{axis}") for axis in range(len(shape)))
    moment, name_moment = let("moment", add(mul(Load(m, index), number(0.9)), Load(g, index)))
    body = (
        name_moment,
        Store(m, index, moment),
        Store(p, index, Binary("sub", Load(p, index), mul(number(0.1), moment))),
    )
    loops = (nest(list(index), list(shape), *body),) if shape else body
    return Kernel("in_place", (p, m, g), (p, m), loops)


def softmax(rows: int, columns: int, dtype: DType = float32) -> Kernel:
    """Row-wise softmax: a maximum, a sum of exponentials into a scratch row, a division."""
    x, y = Buffer("x", (rows, columns), dtype), Buffer("y", (rows, columns), dtype)
    e = Buffer("e", (columns,), dtype)
    i, j = index_variable("i"), index_variable("j")
    top, total = Register("top", dtype), Register("total", dtype)
    m, name_m = let("m", Read(top))
    t, name_t = let("t", Unary("exp", Binary("sub", Load(x, (i, j)), m), dtype))
    s, name_s = let("s", Read(total))
    row = (
        Declare(top, number(-np.inf, dtype)),
        nest([j], [columns], Assign(top, (), Binary("maximum", Read(top), Load(x, (i, j))))),
        name_m,
        Scratch(e),
        Declare(total, number(0.0, dtype)),
        nest([j], [columns], name_t, Store(e, (j,), t), Assign(total, (), add(Read(total), t))),
        name_s,
        nest([j], [columns], Store(y, (i, j), Binary("div", Load(e, (j,)), s))),
    )
    return Kernel("softmax", (x,), (y,), (nest([i], [rows], *row),))


def column_sum(rows: int, columns: int, dtype: DType = float32) -> Kernel:
    """y[j] = 2 * sum over i of x[i, j]"""
    x, y = Buffer("x", (rows, columns), dtype), Buffer("y", (columns,), dtype)
    i, j = index_variable("i"), index_variable("j")
    total = Register("total", dtype)
    body = (
        Declare(total, number(0.0, dtype)),
        nest([i], [rows], Assign(total, (), add(Read(total), Load(x, (i, j))))),
        Store(y, (j,), mul(Read(total), number(2.0, dtype))),
    )
    return Kernel("column_sum", (x,), (y,), (nest([j], [columns], *body),))


def full_sum(rows: int, columns: int, dtype: DType = float32) -> Kernel:
    """y = sum of x[i, j]**2"""
    x, y = Buffer("x", (rows, columns), dtype), Buffer("y", (), dtype)
    i, j = index_variable("i"), index_variable("j")
    total = Register("total", dtype)
    v, name_v = let("v", Load(x, (i, j)))
    body = (
        Declare(total, number(0.0, dtype)),
        nest([i, j], [rows, columns], name_v, Assign(total, (), add(Read(total), mul(v, v)))),
        Store(y, (), Read(total)),
    )
    return Kernel("full_sum", (x,), (y,), body)


def matmul(
    m: int,
    k: int,
    n: int,
    batch: tuple[int, ...] = (),
    dtype: DType = float32,
    transposed: str = "",
    epilogue: bool = True,
    shared: bool = False,
) -> Kernel:
    """out[i, j] = maximum(sum of a[i, k] * b[k, j] + bias[j], 0); a or b may lie transposed.

    With `shared`, b is one for the whole batch.
    """
    a_shape = (k, m) if "a" in transposed else (m, k)
    b_shape = (n, k) if "b" in transposed else (k, n)
    own = () if shared else batch
    a, b = Buffer("a", (*batch, *a_shape), dtype), Buffer("b", (*own, *b_shape), dtype)
    bias, out = Buffer("bias", (n,), dtype), Buffer("out", (*batch, m, n), dtype)
    outer = [index_variable(f"h{axis}") for axis in range(len(batch))]
    i, j, c = index_variable("i"), index_variable("j"), index_variable("k")
    acc = Register("acc", dtype)
    left = Load(a, (*outer, c, i) if "a" in transposed else (*outer, i, c))
    right = Load(b, (*outer[: len(own)], *((j, c) if "b" in transposed else (c, j))))
    z, name_z = let("z", add(Read(acc), Load(bias, (j,))))
    tail: tuple[Statement, ...] = (Store(out, (*outer, i, j), Read(acc)),)
    if epilogue:
        relu = Binary("maximum", z, number(0.0, dtype))
        tail = (name_z, Store(out, (*outer, i, j), relu))
    body = (
        Declare(acc, number(0.0, dtype)),
        nest([c], [k], Assign(acc, (), add(Read(acc), mul(left, right)))),
        *tail,
    )
    loops = nest([*outer, i, j], [*batch, m, n], *body)
    return Kernel("matmul", (a, b, bias) if epilogue else (a, b), (out,), (loops,))


def scores(heads: int, rows: int, width: int) -> Kernel:
    """z[h, i, j] = sum of q[i, h * width + k] * p[j, h * width + k], of each head's part"""
    q, p = (Buffer(name, (rows, heads * width), float32) for name in "qp")
    z = Buffer("z", (heads, rows, rows), float32)
    h, i, j, k = (index_variable(name) for name in "hijk")
    position = add(mul(h, constant(width)), k)
    acc = Register("acc", float32)
    product = mul(Load(q, (i, position)), Load(p, (j, position)))
    more = nest([k], [width], Assign(acc, (), add(Read(acc), product)))
    body = (Declare(acc, number(0.0)), more, Store(z, (h, i, j), Read(acc)))
    return Kernel("scores", (q, p), (z,), (nest([h, i, j], [heads, rows, rows], *body),))


def transpose(rows: int, columns: int, dtype: DType = float32) -> Kernel:
    """y[i, j] = x[j, i]"""
    x, y = Buffer("x", (columns, rows), dtype), Buffer("y", (rows, columns), dtype)
    i, j = index_variable("i"), index_variable("j")
    store = Store(y, (i, j), Load(x, (j, i)))
    return Kernel("transpose", (x,), (y,), (nest([i, j], [rows, columns], store),))


def cumulative_sum(rows: int, columns: int) -> Kernel:
    """y[i, j] = sum of x[i, :j + 1]"""
    x, y = (Buffer(name, (rows, columns), float32) for name in "xy")
    i, j = index_variable("i"), index_variable("j")
    total = Register("total", float32)
    body = (
        Declare(total, number(0.0)),
        nest(
            [j],
            [columns],
            Assign(total, (), add(Read(total), Load(x, (i, j)))),
            Store(y, (i, j), Read(total)),
        ),
    )
    return Kernel("cumulative_sum", (x,), (y,), (nest([i], [rows], *body),))


def gather(rows: int, columns: int, table: int) -> Kernel:
    """y[i, j] = table[index[i], j]"""
    source = Buffer("table", (table, columns), float32)
    index, y = Buffer("index", (rows,), int64), Buffer("y", (rows, columns), float32)
    i, j = index_variable("i"), index_variable("j")
    store = Store(y, (i, j), Load(source, (Load(index, (i,)), j)))
    return Kernel("gather", (source, index), (y,), (nest([i, j], [rows, columns], store),))


def gather_sum(rows: int, words: int, columns: int, table: int) -> Kernel:
    """y[i, j] = sum over k of table[index[i, k], j]: a bag of embeddings."""
    source = Buffer("table", (table, columns), float32)
    index, y = Buffer("index", (rows, words), int64), Buffer("y", (rows, columns), float32)
    i, j, k = index_variable("i"), index_variable("j"), index_variable("k")
    total = Register("total", float32)
    body = (
        Declare(total, number(0.0)),
        nest(
            [k],
            [words],
            Assign(total, (), add(Read(total), Load(source, (Load(index, (i, k)), j)))),
        ),
        Store(y, (i, j), Read(total)),
    )
    kernel = (nest([i, j], [rows, columns], *body),)
    return Kernel("gather_sum", (source, index), (y,), kernel)


def scatter_add(rows: int, columns: int, table: int) -> Kernel:
    """y = 0; y[index[i], j] += g[i, j]; rows of y may be hit more than once."""
    y, g = Buffer("y", (table, columns), float32), Buffer("g", (rows, columns), float32)
    index = Buffer("index", (rows,), int64)
    i, j = index_variable("i"), index_variable("j")
    position = (Load(index, (i,)), j)
    clear = nest([i, j], [table, columns], Store(y, (i, j), number(0.0)))
    store = Store(y, position, add(Load(y, position), Load(g, (i, j))))
    return Kernel("scatter_add", (g, index), (y,), (clear, nest([i, j], [rows, columns], store)))


def arrays_for(kernel: Kernel, seed: int = 0, indices_below: int = 5) -> list[np.ndarray]:
    """Returns random arrays for a kernel's buffers; integers lie in [0, indices_below)."""
    random = np.random.default_rng(seed)
    arrays = []
    for buffer in kernel.buffers:
        if buffer.dtype.kind == "int":
            values = random.integers(0, indices_below, buffer.shape)
        elif buffer.dtype.kind == "bool":
            values = random.integers(0, 2, buffer.shape)
        else:
            values = random.standard_normal(buffer.shape)
        arrays.append(np.asarray(values).astype(buffer.dtype.storage))
    return arrays


def reshaped(rows: int, columns: int, *, divisor: int) -> Kernel:
    """y[i, j] = x[i, j // divisor, j % divisor]"""
    x = Buffer("x", (rows, columns // divisor, divisor), float32)
    y = Buffer("y", (rows, columns), float32)
    i, j = index_variable("i"), index_variable("j")
    high, name_high = let("high", Binary("floordiv", j, constant(divisor)))
    load = Load(x, (i, high, Binary("mod", j, constant(divisor))))
    loops = nest([i, j], [rows, columns], name_high, Store(y, (i, j), load))
    return Kernel("reshaped", (x,), (y,), (loops,))


def padded_parts(rows: int, widths: tuple[int, ...], dtype: DType = float32) -> Kernel:
    """y[i] = the sum of x0[i], x1[i], ... side by side, each padded with zeros; x * x of each."""
    i, j = index_variable("i"), index_variable("j")
    y, parts = Buffer("y", (rows, sum(widths)), dtype), list[Buffer]()
    zero, start = Constant(0.0 if dtype.is_float else 0, dtype), 0
    total: Expression | None = None
    for number, width in enumerate(widths):
        part, position = Buffer(f"x{number}", (rows, width), dtype), add(j, constant(-start))
        above, below = Binary("ge", j, constant(start)), Binary("lt", position, constant(width))
        mask = Binary("bitwise_and", above, below)
        load = Load(part, (i, position), mask)
        element = Select(mask, mul(load, mul(load, load)), zero)
        total = element if total is None else add(total, element)
        parts.append(part)
        start += width
    assert total is not None
    loops = nest([i, j], [rows, start], Store(y, (i, j), total))
    return Kernel("padded_parts", tuple(parts), (y,), (loops,))


def stencil(rows: int, columns: int) -> Kernel:
    """y[i, j] = the largest x[i + k, j + l] and the sum of their squares, k and l from -1 to 1.

    Outside of x nothing counts. Conditions and elements have names, as the lowering gives them.
    """
    x, y, z = (Buffer(name, (rows, columns), float32) for name in "xyz")
    i, j = index_variable("i"), index_variable("j")
    body: list[Statement] = []
    best: Expression = number(-np.inf)
    total: Expression = number(0.0)
    for k in (-1, 0, 1):
        for m in (-1, 0, 1):
            suffix = f"{k + 1}{m + 1}"
            at = (add(i, constant(k)), add(j, constant(m)))
            inside, condition = let(f"inside{suffix}", _within(at, (rows, columns)))
            element, load = let(f"x{suffix}", Load(x, at, inside))
            larger = Binary("maximum", best, element)
            best, name_best = let(f"best{suffix}", Select(inside, larger, best))
            square = Select(inside, mul(element, element), number(0.0))
            total, name_total = let(f"total{suffix}", add(total, square))
            body += [condition, load, name_best, name_total]
    body += [Store(y, (i, j), best), Store(z, (i, j), total)]
    return Kernel("stencil", (x,), (y, z), (nest([i, j], [rows, columns], *body),))


def _within(index: tuple[Expression, ...], extents: tuple[int, ...]) -> Expression:
    """Whether every index lies within its axis."""
    sides = [
        side
        for part, extent in zip(index, extents, strict=True)
        for side in (Binary("ge", part, constant(0)), Binary("lt", part, constant(extent)))
    ]
    whole = sides[0]
    for side in sides[1:]:
        whole = Binary("bitwise_and", whole, side)
    return whole


def convolution(images: int, channels: int, side: int, filters: int, size: int) -> Kernel:
    """Windows times filters: rows are places, columns filters, k runs over a window."""
    out_side = side - size + 1
    rows, depth = images * out_side**2, channels * size**2
    x = Buffer("x", (images, channels, side, side), float32)
    w, out = Buffer("w", (filters, depth), float32), Buffer("out", (rows, filters), float32)
    i, j, k = index_variable("i"), index_variable("j"), index_variable("k")

    def digit(index: Expression, step: int, extent: int) -> Expression:
        part = Binary("floordiv", index, constant(step)) if step > 1 else index
        return Binary("mod", part, constant(extent))

    position = (
        Binary("floordiv", i, constant(out_side**2)),
        Binary("floordiv", k, constant(size**2)),
        add(digit(i, out_side, out_side), digit(k, size, size)),
        add(digit(i, 1, out_side), digit(k, 1, size)),
    )
    acc = Register("acc", float32)
    body = (
        Declare(acc, number(0.0)),
        nest(
            [k], [depth], Assign(acc, (), add(Read(acc), mul(Load(x, position), Load(w, (j, k)))))
        ),
        Store(out, (i, j), Binary("maximum", Read(acc), number(0.0))),
    )
    return Kernel("convolution", (x, w), (out,), (nest([i, j], [rows, filters], *body),))
