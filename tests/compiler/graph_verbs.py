"""The verbs of random programs, by family of operations (see `graph_programs.py`)."""

from __future__ import annotations

import itertools
import math

import numpy as np

from smelt import dtypes
from smelt.dtypes import float16, float32, float64, int32, int64
from smelt.ops import elementwise as E
from smelt.ops import movement as M
from smelt.ops import reduction as R
from smelt.ops.contraction import matmul
from smelt.ops.indexing import scatter_add, take
from smelt.ops.random import random_bits
from smelt.ops.sorting import argsort
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.backward import backward
from smelt.tracing.engine import no_grad
from tests.compiler.graph_programs import (
    CHANGING,
    LIMIT,
    VERBS,
    Run,
    Value,
    fitting,
    positive_zero,
    some_axes,
    verb,
)

__all__ = ["VERBS"]

# --- elementwise ----------------------------------------------------------------------------------

EXACT = (E.neg, E.abs, E.relu, E.floor, E.ceil, E.round, E.trunc, E.sign)
SMOOTH = (E.sin, E.cos, E.tanh, E.sigmoid, E.erf)


@verb(2)
def exact_function(run: Run, a: int, b: int, p: int) -> None:
    x = run.exact(a)
    run.make(positive_zero(EXACT[p % len(EXACT)](x.tensor)), True, x.bound + 1)


@verb(3)
def smooth_function(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    run.make(SMOOTH[p % len(SMOOTH)](x.tensor), False, 1.0)


@verb(2)
def steep_function(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    small, square = E.sin(x.tensor), E.mul(x.tensor, x.tensor)
    made = (
        lambda: (E.exp(small), 3.0),
        lambda: (E.expm1(small), 2.0),
        lambda: (E.log(E.add(square, 1.0)), x.bound),
        lambda: (E.log1p(square), x.bound),
        lambda: (E.sqrt(E.add(square, 1.0)), x.bound + 1),
        lambda: (E.pow(E.add(small, 1.5), E.tanh(x.tensor)), 4.0),
        lambda: (E.atan2(small, E.add(square, 1.0)), 4.0),
        lambda: (E.div(small, E.add(square, 1.0)), 1.0),
    )
    tensor, bound = made[p % len(made)]()
    run.make(tensor, False, bound)


@verb(4)
def add_or_sub(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.float(a), run.float(b)
    op = E.sub if p % 2 else E.add
    run.make(op(x.tensor, run.pair(x, y)), x.exact and y.exact, x.bound + y.bound)


@verb(3)
def multiply(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.float(a), run.float(b)
    run.make(E.mul(x.tensor, run.pair(x, y)), x.exact and y.exact, x.bound * y.bound)


@verb()
def by_number(run: Run, a: int, b: int, p: int) -> None:
    x, number = run.float(a), (1, 0, -1, 2, 0.5, 1.0)[p % 6]
    op = (E.add, E.sub, E.mul, E.div, E.maximum)[b % 5]
    if (op is E.maximum and not x.exact) or (op is E.div and number == 0):
        op = E.mul
    made = op(x.tensor, float(number))
    run.make(positive_zero(made) if op is E.maximum else made, x.exact, 2 * x.bound + 2)


@verb()
def number_by(run: Run, a: int, b: int, p: int) -> None:
    x, number = run.float(a), (1.0, 0.0, -1.0, 2.0)[p % 4]
    run.make((E.add, E.sub, E.mul)[b % 3](number, x.tensor), x.exact, 2 * x.bound + 2)


@verb(2)
def divide(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.exact(a), run.exact(b)
    below = run.pair(x, y)
    below = E.add(below, E.sign(below))  # at least 1 in size, or 0
    run.make(E.div(x.tensor, below), True, x.bound)


@verb(2)
def extreme(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.exact(a), run.exact(b)
    op = E.minimum if p % 2 else E.maximum
    made = positive_zero(op(x.tensor, run.pair(x, y)))
    run.make(made, True, max(x.bound, y.bound))


@verb()
def remainder(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.exact(a), run.exact(b)
    below = run.pair(x, y)
    below = E.add(below, E.sign(below))
    run.make((E.floordiv if p % 2 else E.mod)(x.tensor, below), True, x.bound + y.bound + 1)


@verb(2)
def compare(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.exact(a), run.exact(b)
    op = (E.eq, E.ne, E.lt, E.le, E.gt, E.ge)[p % 6]
    run.flags.append(run.value(op(x.tensor, run.pair(x, y))))


@verb()
def question(run: Run, a: int, b: int, p: int) -> None:
    run.flags.append(run.value((E.isnan, E.isinf)[p % 2](run.float(a).tensor)))


@verb()
def logic(run: Run, a: int, b: int, p: int) -> None:
    if run.flags:
        x, y = run.flags[a % len(run.flags)], run.flags[b % len(run.flags)]
        op = (E.bitwise_and, E.bitwise_or, E.bitwise_xor, E.bitwise_not)[p % 4]
        operands = (x.tensor,) if op is E.bitwise_not else (x.tensor, run.pair(x, y))
        run.flags.append(run.value(op(*operands)))


@verb(3)
def choose(run: Run, a: int, b: int, p: int) -> None:
    if run.flags:
        x, y = run.float(a), run.float(b)
        other = run.pair(x, y)
        flag = fitting(E.add(x.tensor, other), run.flags[p % len(run.flags)].tensor, run.limit)
        run.make(E.where(flag, x.tensor, other), x.exact and y.exact, max(x.bound, y.bound))


@verb()
def through_dtype(run: Run, a: int, b: int, p: int) -> None:
    x = run.exact(a)
    to = (float32, float64, float16, dtypes.bfloat16, int32, int64)[p % 6]
    there = E.mul(x.tensor, 1.0).to(to)  # never the tensor itself, whatever its dtype
    run.make(there.to(run.dtype), True, x.bound + 1)


# --- integers -------------------------------------------------------------------------------------


@verb()
def float_to_whole(run: Run, a: int, b: int, p: int) -> None:
    run.whole(run.value(run.exact(a).tensor.to(int64)))


@verb()
def flag_to_number(run: Run, a: int, b: int, p: int) -> None:
    if run.flags:
        flag = run.flags[a % len(run.flags)].tensor
        if p % 2:
            run.whole(run.value(flag.to(int64)))
        else:
            run.make(flag.to(run.dtype), True, 1.0)


@verb(2)
def whole_arithmetic(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.integer(a), run.integer(b)
    ops = (
        E.add, E.sub, E.mul, E.floordiv, E.mod, E.maximum, E.minimum, E.bitwise_and, E.bitwise_or,
        E.bitwise_xor, E.shl, E.shr,
    )  # fmt: skip
    run.whole(run.value(ops[p % len(ops)](x.tensor, run.pair(x, y))))


@verb()
def whole_sum(run: Run, a: int, b: int, p: int) -> None:
    x = run.integer(a).tensor
    run.whole(run.value((R.sum, R.prod)[b % 2](x, axes=some_axes(x.shape, p))))


@verb()
def whole_to_float(run: Run, a: int, b: int, p: int) -> None:
    x = E.mod(run.integer(a).tensor, 16).to(run.dtype)
    run.make(x, True, 16.0)


@verb(2)
def random_number(run: Run, a: int, b: int, p: int) -> None:
    shape = run.program.shapes[p % len(run.program.shapes)]
    bits = random_bits(run.generator, shape=shape)
    if a % 2:
        whole = E.bitwise_and(bits.to(int64), 0xFFFFFF)
        run.make(E.mul(whole.to(run.dtype), 2.0**-24), True, 1.0)
    else:
        run.whole(run.value(bits.to(int64)))
    if b % 3:
        with no_grad():
            step = np.array([0, (math.prod(shape) + 3) // 4])
            run.generator.copy_(E.add(run.generator, as_tensor(step)))


# --- movement -------------------------------------------------------------------------------------


@verb(2)
def reshaped(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    shape = x.tensor.shape
    choices = [(x.tensor.size,), (1, *shape), (*shape, 1), shape[::-1]]
    if len(shape) > 1:
        choices.append((shape[0] * shape[1], *shape[2:]))
    run.make(M.reshape(x.tensor, shape=choices[p % len(choices)]), x.exact, x.bound, x)


@verb(2)
def permuted(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    orders = list(itertools.permutations(range(x.tensor.ndim)))
    run.make(M.permute(x.tensor, axes=orders[p % len(orders)]), x.exact, x.bound, x)


@verb()
def repeated(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    shape = tuple(2 if extent == 1 else extent for extent in x.tensor.shape)
    shape = (p % 3 + 1, *shape)
    if math.prod(shape) <= run.limit:
        run.make(M.broadcast_to(x.tensor, shape=shape), x.exact, x.bound, x)


@verb(2)
def cut(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    start = tuple(min(extent, (p >> axis) % 3) for axis, extent in enumerate(x.tensor.shape))
    step = tuple(1 + (b >> axis) % 2 for axis in range(x.tensor.ndim))
    run.make(M.slice_(x.tensor, start=start, stop=x.tensor.shape, step=step), x.exact, x.bound, x)


@verb(2)
def padded(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    low = tuple((p >> axis) % 3 for axis in range(x.tensor.ndim))
    high = tuple((b >> axis) % 2 for axis in range(x.tensor.ndim))
    step = tuple(1 + (p + axis) % 2 for axis in range(x.tensor.ndim))
    if x.tensor.size <= run.limit // 6:
        run.make(M.pad(x.tensor, low=low, high=high, step=step), x.exact, x.bound, x)


@verb()
def flipped(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    run.make(M.flip(x.tensor, axes=some_axes(x.tensor.shape, p)), x.exact, x.bound, x)


@verb(2)
def joined(run: Run, a: int, b: int, p: int) -> None:
    x, y = run.float(a), run.float(b)
    if not x.tensor.ndim or x.tensor.size > run.limit // 3:
        return
    axis = p % x.tensor.ndim
    rest = [one.shape[:axis] + one.shape[axis + 1 :] for one in (x.tensor, y.tensor)]
    if x.tensor.ndim != y.tensor.ndim or rest[0] != rest[1]:
        y = x
    parts = (x.tensor, y.tensor, x.tensor)[: 2 + p % 2]
    run.make(M.concatenate(*parts, axis=axis), x.exact and y.exact, max(x.bound, y.bound))


# --- reductions, running sums, products -----------------------------------------------------------


@verb(4)
def summed(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    axes = some_axes(x.tensor.shape, p)
    count = math.prod(x.tensor.shape[axis] for axis in axes)
    total = positive_zero(R.sum(x.tensor, axes=axes))
    if b % 2:
        total = M.reshape(total, shape=R.kept_shape(x.tensor.shape, axes))
    exact = x.exact and count <= 1
    run.make(total, exact, x.bound * max(count, 1))


@verb()
def multiplied(run: Run, a: int, b: int, p: int) -> None:
    x = E.sin(run.float(a).tensor)
    run.make(R.prod(x, axes=some_axes(x.shape, p)), False, 1.0)


@verb(2)
def greatest(run: Run, a: int, b: int, p: int) -> None:
    x = run.exact(a)
    axes = some_axes(x.tensor.shape, p)
    if 0 not in (x.tensor.shape[axis] for axis in axes):
        made = positive_zero((R.max if b % 2 else R.min)(x.tensor, axes=axes))
        kept = M.reshape(made, shape=R.kept_shape(x.tensor.shape, axes))
        run.make(kept if p % 2 else made, True, x.bound)


@verb()
def running(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    if x.tensor.ndim and x.tensor.size <= run.limit // 5:
        axis = p % x.tensor.ndim
        if b % 2:
            run.make(R.cumsum(x.tensor, axis=axis), False, x.bound * max(1, x.tensor.shape[axis]))
        else:
            run.make(R.cumprod(E.sin(x.tensor), axis=axis), False, 1.0)


@verb(3)
def product(run: Run, a: int, b: int, p: int) -> None:
    wide = [value for value in run.floats if value.tensor.ndim > 1]
    if not wide:
        return
    x, y = wide[a % len(wide)], wide[b % len(wide)]
    right = y.tensor
    for number, right in enumerate((y.tensor, _turned(y.tensor), x.tensor, _turned(x.tensor))):
        if _fits_product(x.tensor, right, 8 * run.limit):
            bound = x.bound * (y.bound if number < 2 else x.bound) * max(1, x.tensor.shape[-1])
            run.make(matmul(x.tensor, right), False, bound)
            return


def _turned(x: Tensor) -> Tensor:
    return M.permute(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _fits_product(a: Tensor, b: Tensor, limit: int) -> bool:
    if a.shape[-1] != b.shape[-2]:
        return False
    try:
        batch = M.broadcast_shapes("product", a.shape[:-2], b.shape[:-2])
    except Exception:
        return False
    return math.prod(batch) * a.shape[-2] * b.shape[-1] * a.shape[-1] <= limit


# --- indexing -------------------------------------------------------------------------------------


@verb(2)
def taken(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    if x.tensor.size and x.tensor.ndim and x.tensor.size <= run.limit // 5:
        axis = p % x.tensor.ndim
        index = run.index(b, x.tensor.shape[axis])
        run.make(take(x.tensor, index, axis=axis), x.exact, x.bound)


@verb(2)
def scattered(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    if x.tensor.ndim:
        axis = p % x.tensor.ndim
        index = run.index(b, p % 3 + 1, (x.tensor.shape[axis],))
        made = scatter_add(x.tensor, index, axis=axis, extent=p % 3 + 1)
        run.make(made, False, x.bound * max(1, x.tensor.shape[axis]))


@verb()
def sorted_places(run: Run, a: int, b: int, p: int) -> None:
    x = run.exact(a)
    if x.tensor.ndim:
        run.whole(run.value(argsort(x.tensor)))


# --- states and gradients -------------------------------------------------------------------------


@verb(3)
def update(run: Run, a: int, b: int, p: int) -> None:
    if run.states:
        state, x = run.states[a % len(run.states)], run.float(b)
        new, exact = x.tensor, x.exact
        if new.shape != state.tensor.shape:
            new, exact = E.sub(state.tensor, E.sin(R.sum(new, axes=tuple(range(new.ndim))))), False
        change(run, [(state, new, exact, max(state.bound + 1, x.bound))])


@verb(2)
def exchange(run: Run, a: int, b: int, p: int) -> None:
    if run.states:
        first = run.states[a % len(run.states)]
        alike = [one for one in run.states if one.tensor.shape == first.tensor.shape]
        second = alike[b % len(alike)]
        old = (E.mul(first.tensor, 1.0), first.exact, first.bound)
        if p % 2:
            old = (E.add(first.tensor, second.tensor), first.exact and second.exact,
                   min(LIMIT, first.bound + second.bound))  # fmt: skip
        change(run, [(first, second.tensor, second.exact, second.bound)])
        if first is not second:
            change(run, [(second, *old)])


@verb(2)
def turn_onto_itself(run: Run, a: int, b: int, p: int) -> None:
    """A state read at other places than where it is written, by itself or by a neighbor."""
    if not run.states:
        return
    state, x = run.states[a % len(run.states)], run.float(b)
    own = state.tensor
    other = fitting(own, x.tensor, own.size)
    exact, bound = state.exact and x.exact, min(state.bound + x.bound, LIMIT)
    turned = E.add(M.flip(own, axes=some_axes(own.shape, p)), other)
    new = turned if b % 2 else E.add(own, other)
    if new.shape != own.shape:
        return
    run.make(E.mul(turned, 2.0), exact, 2 * bound)
    change(run, [(state, new, exact, bound)])


def change(run: Run, changes: list[tuple[Value, Tensor, bool, float]]) -> None:
    """Gives states new contents; what an eager view would share is forgotten, and histories end."""
    for state, new, exact, bound in changes:
        with no_grad():
            state.tensor.copy_(new)
        state.exact, state.bound = exact, bound
    forget(run, [state for state, *_ in changes])


CHANGING.extend([update, exchange, turn_onto_itself])


def forget(run: Run, changed: list[Value]) -> None:
    """Forgets views of changed states, and ends histories."""
    shared = {id(state.tensor) for state in changed}
    run.floats = [one for one in run.floats if one in run.states or not shared & one.views]
    for value in run.floats:
        if value not in run.states and value.tensor.tape_entry is not None:
            value.tensor = value.tensor.detach()


@verb(3)
def differentiate(run: Run, a: int, b: int, p: int) -> None:
    graded = [value for value in run.floats if value.tensor.tape_entry is not None]
    if not graded:
        return
    x = graded[a % len(graded)].tensor
    backward(R.sum(E.mul(x, x) if p % 2 else x, axes=tuple(range(x.ndim))))
    for value in list(run.floats):
        leaf = value.tensor
        if leaf.grad is not None:
            run.make(leaf.grad, False, LIMIT if p % 3 else 2 * LIMIT)
            leaf.grad = None
