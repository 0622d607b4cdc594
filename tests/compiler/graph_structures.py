"""The verbs of random programs that have bodies: loops, branches, batches, gradients of functions.

The instructions behind such a verb are its body, so bodies nest, and a failing program shrinks as a
whole. What comes out of a body is exact or not by the verb's own number, not by what happened
inside: a branch that is not taken happens nowhere but in a trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import smelt
from smelt.dtypes import float16, int64
from smelt.ops import elementwise as E
from smelt.ops import movement as M
from smelt.ops import reduction as R
from smelt.tensor import Tensor
from smelt.tracing.backward import backward
from tests.compiler.graph_programs import (
    CHANGING,
    LIMIT,
    STRUCTURED_VERBS,
    Instruction,
    Run,
    Value,
    positive_zero,
    verb,
)
from tests.compiler.graph_verbs import VERBS, differentiate, fitting, forget

__all__ = ["STRUCTURED_VERBS"]

MOST_TURNS = 6
Body = list[Instruction]
STRUCTURED_VERBS.extend([one for one in dict.fromkeys(VERBS) if one is not differentiate])


@verb(12, STRUCTURED_VERBS)
def scanned(run: Run, a: int, b: int, p: int) -> None:
    exact = p % 2 == 0
    start, rows = _operand(run, a, exact), _rows(run.float(b))
    turns = p // 2 % (MOST_TURNS + 1) if rows is None else rows.tensor.shape[0]
    body, reverse = _taken(run, 1 + p // 14 % 4), p // 56 % 2 == 1

    def turn(carry: tuple[Tensor, ...], row: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:
        x, number, flag, half = carry
        given = [Value(x, exact, 8.0)]
        if row is not None and rows is not None:
            given.append(Value(row, rows.exact, rows.bound))
        inner = run.body(*given, share=2 * turns)
        inner.wholes.append(inner.value(number))
        inner.flags.append(inner.value(flag))
        inner.play(body)
        half = x.to(float16) if exact else half
        after = (_delivered(inner, x, exact, a), _single(inner.wholes[-1]), ~flag, half)
        output = inner.exact(b) if exact else inner.floats[-1]
        return after, (output.tensor, inner.wholes[-1].tensor, half)

    first = (start.tensor, smelt.tensor(p % 5), smelt.tensor(True))
    half = smelt.zeros(start.tensor.shape, dtype=float16)
    length = turns if rows is None else None
    inputs = None if rows is None else rows.tensor
    last, (outputs, numbers, halves) = smelt.scan(
        turn, (*first, half), inputs, length=length, reverse=reverse
    )
    _changed_by(run, body)
    run.make(last[0], exact, 8.0)
    if turns * math.prod(outputs.shape[1:]) <= run.limit:
        run.make(outputs, exact, LIMIT)
    if exact:
        run.make(E.add(last[3].to(run.dtype), halves.to(run.dtype).sum(0)), False, 8.0 * 7)
    run.whole(run.value(last[1]))
    run.whole(run.value(numbers))
    run.flags.append(run.value(last[2]))


@verb(6, STRUCTURED_VERBS)
def chosen_side(run: Run, a: int, b: int, p: int) -> None:
    exact, flag = p % 2 == 0, _flag(run, b)
    x = _operand(run, a, exact)
    bodies = [_taken(run, p // 2 % 3), _taken(run, 1 + p // 6 % 3)]

    def side(body: Body) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        def function(given: Tensor) -> tuple[Tensor, Tensor]:
            inner = run.body(Value(given, exact, x.bound, x.views))
            inner.play(body)
            return _delivered(inner, given, exact, b), _single(inner.wholes[-1])

        return function

    result, whole = smelt.cond(flag, side(bodies[0]), side(bodies[1]), E.mul(x.tensor, 1.0))
    _changed_by(run, bodies[0] + bodies[1])
    run.make(result, exact, 8.0)
    run.whole(run.value(whole))


@verb(4, STRUCTURED_VERBS)
def repeated_while(run: Run, a: int, b: int, p: int) -> None:
    exact, limited = p % 2 == 0, p // 2 % 2 == 0
    start, body = _operand(run, a, exact), _taken(run, 1 + p // 4 % 3)
    most = E.mod(_single(run.integer(b)), MOST_TURNS)

    def turn(carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, count = carry
        inner = run.body(Value(x, exact, 8.0), share=MOST_TURNS)
        inner.wholes.append(inner.value(count))
        inner.play(body)
        return _delivered(inner, x, exact, a), E.add(count, 1)

    x, count = smelt.while_loop(
        lambda carry: E.lt(carry[1], most),
        turn,
        (start.tensor, smelt.tensor(0)),
        max_steps=MOST_TURNS if limited else None,
    )
    _changed_by(run, body)
    run.make(x if limited else x.detach(), exact, 8.0)
    run.whole(run.value(count))


@verb(4, STRUCTURED_VERBS)
def batched(run: Run, a: int, b: int, p: int) -> None:
    """A function of one row, for all rows together; it may draw random numbers, the same ones."""
    rows, body = _rows(run.float(a)), _taken(run, 1 + p % 4)
    if rows is None:
        return
    made: list[Value] = []

    def function(row: Tensor) -> tuple[Tensor, Tensor]:
        inner = run.body(
            Value(row, rows.exact, rows.bound, rows.views), share=2 * MOST_TURNS, pure=True
        )
        inner.play(body)
        made[:] = [inner.floats[-1], inner.wholes[-1]]
        return E.mul(made[0].tensor, 1.0), E.add(made[1].tensor, 0)

    result, whole = smelt.vmap(function)(rows.tensor)
    run.make(result, made[0].exact, made[0].bound)
    run.whole(run.value(whole))


@verb(4, STRUCTURED_VERBS)
def derivative(run: Run, a: int, b: int, p: int) -> None:
    """The gradient, or one tangent, of a function of x; or its value, computed again later."""
    x, body = run.float(a), _taken(run, 1 + p // 4 % 4)
    now = run.body(pure=True)  # a function that is run again must not see what comes later
    # what a branch not taken uses has no gradient eagerly, and natively one of 0, which times inf
    # or nan is nan (docs/sharp_edges.md)
    now.floats = [replace(one, tensor=_finite(one.tensor)) for one in now.floats]

    def function(given: Tensor) -> Tensor:
        inner = now.body(Value(given, False, x.bound, x.views))
        inner.play(body)
        return _total(inner.floats[-1].tensor)

    given = E.mul(_finite(x.tensor), 1.0)
    if p % 4 == 0:
        run.make(smelt.grad(function)(given), False, 2 * LIMIT)
    elif p % 4 == 1:
        tangent = E.sin(E.add(given, fitting(given, run.float(b).tensor, given.size)))
        if tangent.shape == given.shape:
            run.make(smelt.jvp(function, (given,), (tangent,))[1], False, 2 * LIMIT)
    else:
        made = function(given) if p % 4 == 2 else smelt.checkpoint(function, given)
        run.make(made, False, 2 * LIMIT)


@verb(6, STRUCTURED_VERBS)
def differentiated(run: Run, a: int, b: int, p: int) -> None:
    """Gradients by all parameters, of second order now and then; not inside of a body."""
    parameters = [one.tensor for one in run.states if one.tensor.requires_grad]
    if run.inside or not parameters:
        return
    every = sum((_total(one) for one in parameters), smelt.zeros((), dtype=run.dtype))
    backward(E.add(_total(run.float(a).tensor), every), create_graph=p % 3 == 0)
    if p % 3 == 0:
        first = [one.grad for one in parameters]
        for one in parameters:
            one.grad = None
        backward(sum((_total(one) for one in first if one is not None), every * 1.0))
    for one in parameters:
        assert one.grad is not None
        run.make(one.grad.detach(), False, 2 * LIMIT)
        one.grad = None


@verb(2, STRUCTURED_VERBS)
def detached(run: Run, a: int, b: int, p: int) -> None:
    x = run.float(a)
    run.make(x.tensor.detach(), x.exact, x.bound, x)


# --- bodies ---------------------------------------------------------------------------------------


def _taken(run: Run, count: int) -> Body:
    taken, run.pending = run.pending[:count], run.pending[count:]
    return taken


def _operand(run: Run, number: int, exact: bool) -> Value:
    return run.exact(number) if exact else run.float(number)


def _rows(x: Value) -> Value | None:
    """Returns at most `MOST_TURNS` rows of a value that has rows."""
    if not x.tensor.ndim:
        return None
    stop = (min(MOST_TURNS, x.tensor.shape[0]), *x.tensor.shape[1:])
    start, step = (0,) * len(stop), (1,) * len(stop)
    return Value(M.slice_(x.tensor, start=start, stop=stop, step=step), x.exact, x.bound, x.views)


def _delivered(inner: Run, like: Tensor, exact: bool, number: int) -> Tensor:
    """Returns a result of a body in the shape of `like`, of numbers up to 8.

    Inexact ones are made small, so that a loop does not magnify errors from turn to turn.
    """
    new = inner.exact(number).tensor if exact else inner.floats[-1].tensor
    if new.shape != like.shape:
        total = new if exact else R.sum(new, axes=tuple(range(new.ndim))) * (1 / max(1, new.size))
        new = E.sub(like, fitting(like, total, like.size))
        new = new if new.shape == like.shape else E.neg(like)
    return positive_zero(E.minimum(E.maximum(new, -8.0), 8.0)) if exact else E.sin(new) * 0.125


def _single(value: Value) -> Tensor:
    """Returns one element of a whole value, or 1 where it has none."""
    x = value.tensor
    if not x.size:
        return smelt.tensor(1)
    one = M.slice_(x, start=(0,) * x.ndim, stop=(1,) * x.ndim, step=(1,) * x.ndim)
    return E.add(M.reshape(one, shape=()), 0)


def _flag(run: Run, number: int) -> Tensor:
    if run.flags and number % 3:
        flag = run.flags[number % len(run.flags)].tensor
        if flag.size:
            return R.max(flag.to(int64), axes=tuple(range(flag.ndim))).to(smelt.bool_)
    return E.gt(_single(run.integer(number)), 0)


def _finite(x: Tensor) -> Tensor:
    """Puts 0 in the place of inf and nan."""
    return E.where(E.lt(E.abs(x), float("inf")), x, 0.0)


def _total(x: Tensor) -> Tensor:
    return R.sum(E.sin(x), axes=tuple(range(x.ndim)))


def _changed_by(run: Run, body: Body) -> None:
    """Notes that a body may have changed any state, if it could."""
    verbs = run.program.verbs
    if not run.pure and any(verbs[one[0] % len(verbs)] in CHANGING for one in body):
        for state in run.states:
            state.exact, state.bound = False, 2 * LIMIT
        forget(run, run.states)
