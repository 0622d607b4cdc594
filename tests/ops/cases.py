"""What every primitive is tried on: shapes, attributes, dtypes, and what must come out.

An elementwise operation needs no line here: its card says how many operands it takes, of which kind
and from which interval. Its expected values come from Python's own arithmetic (`operator`, `math`)
when it has a function of that name, else from the card's NumPy value; `ARRAY_REFERENCES` holds
better ones. Any other operation needs one line per case in its family's table.
"""

from __future__ import annotations

import builtins
import itertools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.ops import REGISTRY, Op
from smelt.ops.elementwise import (
    ANY,
    BITS,
    FLOAT,
    INTEGER,
    NUMBER,
    Bitcast,
    Cast,
    Elementwise,
    Where,
)

Array = np.ndarray
FLOATS = (dtypes.float32, dtypes.float64)
NUMBERS = (dtypes.int32, dtypes.int64, *FLOATS)
FULL = (dtypes.bool_, *NUMBERS)
HALVES = (dtypes.float16, dtypes.bfloat16)
ACCEPTED = {
    ANY: FULL,
    NUMBER: NUMBERS,
    FLOAT: FLOATS,
    INTEGER: (dtypes.int32, dtypes.int64),
    BITS: (dtypes.bool_, dtypes.int32, dtypes.int64),
}


@dataclass(frozen=True)
class Case:
    """One operation on operands of given shapes; `reference` says what must come out."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    attributes: dict[str, Any]
    reference: Callable[..., Any]
    accepts: tuple[DType, ...] = FULL
    domain: tuple[float, float] = (-2.0, 2.0)
    fixed: dict[int, Array] = field(default_factory=dict)  # operands that are not drawn
    condition: bool = False  # the first operand is bool
    smooth: bool = True  # has a derivative that differences can see

    @property
    def op(self) -> Op:
        """The card; it is looked up as a test runs, so that a missing one fails its own tests."""
        return REGISTRY[self.name]

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) or "()" for shape in self.shapes)
        settings = ",".join(f"{key}={value}" for key, value in self.attributes.items())
        return f"{self.name}[{shapes}]{settings}".replace(" ", "")

    def operands(self, dtype: DType, random: np.random.Generator) -> list[Array]:
        """Returns random operands of one dtype, inside the operation's domain."""
        return [self.operand(place, dtype, random) for place in range(len(self.shapes))]

    def operand(self, place: int, dtype: DType, random: np.random.Generator) -> Array:
        """Returns one random operand."""
        shape = self.shapes[place]
        if place in self.fixed:
            return self.fixed[place]
        if dtype.kind == "bool" or (self.condition and place == 0):
            return random.random(shape) < 0.5
        low, high = self.domain
        if dtype.kind == "int":
            return random.integers(1 if low > 0 else -4, 6, shape).astype(dtype.storage)
        return dtypes.encode(random.uniform(low, high, shape), dtype)

    def expected(self, arrays: list[Array]) -> Array:
        """Returns what the operation must give."""
        return np.asarray(self.reference(*arrays, **self.attributes))


# --- elementwise: everything follows from the card ------------------------------------------------

ALIKE = [(), (1,), (0,), (1, 1), (0, 3), (2, 3, 5), (70,)]  # 70: full vectors and a tail
BROADCAST = [
    ((3, 1), (1, 4)),
    ((4,), (2, 4)),
    ((), (5,)),
    ((2, 1, 3), (4, 1)),
    ((0, 1), (3,)),
    ((70,), (1,)),
]
# where the card's name is not the one in `operator`, `math` or Python itself
PYTHON_NAMES = {
    "div": "truediv", "maximum": "max", "minimum": "min", "bitwise_and": "and_",
    "bitwise_or": "or_", "bitwise_xor": "xor",
}  # fmt: skip
ARRAY_REFERENCES: dict[str, Callable[..., Any]] = {
    "bitcast": lambda x, dtype: np.frombuffer(x.tobytes(), dtype.storage).reshape(x.shape),
    "bitwise_not": lambda x: ~x,
    "cast": lambda x, dtype: dtypes.decode(dtypes.encode(x, dtype), dtype),
    "relu": lambda x: x * (x > 0),
    "shl": lambda a, b: a * 2 ** (b % (8 * a.itemsize)).astype(a.dtype),
    "shr": lambda a, b: _as_signed(_as_unsigned(a) // 2 ** _as_unsigned(b % (8 * a.itemsize)), a),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sign": lambda x: (x > 0) * 1 - (x < 0) * 1,
    "where": lambda c, a, b: c * a + ~c * b,
}


def _as_unsigned(x: Array) -> Array:
    return x.astype(f"u{x.itemsize}")


def _as_signed(x: Array, like: Array) -> Array:
    return x.astype(like.dtype)


def python_reference(name: str) -> Callable[..., Any] | None:
    """Returns Python's function of that name, applied to each element."""
    name = PYTHON_NAMES.get(name, name)
    for module in (operator, math, builtins):
        if hasattr(module, name):
            return elementwise_by(getattr(module, name))
    return None


def elementwise_by(function: Callable[..., Any]) -> Callable[..., Array]:
    """Returns an array function that calls a scalar one on each element."""

    def reference(*arrays: Array) -> Array:
        together = np.broadcast_arrays(*arrays)
        flat = [
            function(*numbers)
            for numbers in zip(*(x.ravel().tolist() for x in together), strict=True)
        ]
        return np.asarray(flat, float if not flat else None).reshape(together[0].shape)

    return reference


def elementwise_cases(op: Elementwise) -> Iterator[Case]:
    """Yields the cases of an elementwise card."""
    reference = ARRAY_REFERENCES.get(op.name) or python_reference(op.name) or op.numpy
    for shapes, attributes in itertools.product(shapes_of(op), attributes_of(op)):
        accepts = ACCEPTED[op.accepts]
        if op.name == "bitcast":  # bits have a width, and no slope
            accepts = tuple(one for one in NUMBERS if one.itemsize == attributes["dtype"].itemsize)
        yield Case(
            op.name, shapes, attributes, reference, accepts, op.domain,
            condition=isinstance(op, Where),
            smooth=not op.to_bool and op.name != "bitcast",
        )  # fmt: skip


def shapes_of(op: Elementwise) -> list[tuple[tuple[int, ...], ...]]:
    """Returns the shapes of the operands: all alike, and such that broadcast."""
    alike = [(shape,) * op.arity for shape in ALIKE]
    pairs = BROADCAST if op.arity > 1 else []
    return alike + [tuple(itertools.islice(itertools.cycle(pair), op.arity)) for pair in pairs]


def attributes_of(op: Elementwise) -> list[dict[str, Any]]:
    """Returns the settings with which a card is tried."""
    if not isinstance(op, (Bitcast, Cast)):
        return [{}]
    return [{"dtype": to} for to in (NUMBERS if op.name == "bitcast" else dtypes.ALL)]


# --- the other families: a line per case ----------------------------------------------------------

Line = tuple[tuple[tuple[int, ...], ...], dict[str, Any]]


def _slice(x: Array, start: Any, stop: Any, step: Any) -> Array:
    return x[tuple(map(slice, start, stop, step))]


def _pad(x: Array, low: Any, high: Any, step: Any) -> Array:
    for axis, stride in enumerate(step):
        for place in range(x.shape[axis] - 1, 0, -1):
            x = np.insert(x, [place] * (stride - 1), 0, axis)
    return np.pad(x, list(zip(low, high, strict=True))) if x.ndim else x


def _first(*arrays: Array, **attributes: Any) -> Array:
    return arrays[0].copy()


def _join(*xs: Array, axis: int) -> Array:
    lines = [line for x in xs for line in np.moveaxis(x, axis, 0)]
    return np.stack(lines, axis) if lines else xs[0]


MOVEMENT: dict[str, tuple[Callable[..., Any], list[Line]]] = {
    "reshape": (
        lambda x, shape: np.array(x.ravel().tolist(), x.dtype).reshape(shape),
        [
            (((2, 6),), {"shape": (3, 4)}),
            (((),), {"shape": (1, 1)}),
            (((0, 3),), {"shape": (3, 0, 2)}),
            (((2, 3, 4),), {"shape": (2, 12)}),
            (((2, 6),), {"shape": (12,)}),
            (((2, 6),), {"shape": (2, 1, 6)}),
            (((2, 6),), {"shape": (4, 3, 1)}),
            (((1,),), {"shape": ()}),
        ],
    ),
    "permute": (
        np.transpose,
        [
            (((2, 3, 4),), {"axes": (2, 0, 1)}),
            (((33, 18),), {"axes": (1, 0)}),
            (((),), {"axes": ()}),
            (((1, 0),), {"axes": (1, 0)}),
        ],
    ),
    "broadcast_to": (
        lambda x, shape: x + np.zeros(shape, x.dtype),
        [
            (((3,),), {"shape": (2, 3)}),
            (((2, 1),), {"shape": (2, 4)}),
            (((3, 1),), {"shape": (2, 3, 4)}),
            (((1,),), {"shape": (0,)}),
            (((),), {"shape": (2,)}),
            (((1, 0),), {"shape": (3, 0)}),
        ],
    ),
    "slice": (
        _slice,
        [
            (((5, 4),), {"start": (1, 0), "stop": (5, 3), "step": (2, 1)}),
            (((3,),), {"start": (2,), "stop": (2,), "step": (1,)}),
            (((0, 2),), {"start": (0, 1), "stop": (0, 2), "step": (1, 1)}),
            (((7,),), {"start": (1,), "stop": (6,), "step": (3,)}),
            (((9, 4),), {"start": (1, 0), "stop": (8, 3), "step": (3, 2)}),
        ],
    ),
    "pad": (
        _pad,
        [
            (((2, 3),), {"low": (1, 0), "high": (0, 2), "step": (1, 1)}),
            (((2, 3),), {"low": (0, 1), "high": (1, 0), "step": (3, 2)}),
            (((0, 2),), {"low": (1, 0), "high": (1, 0), "step": (2, 1)}),
            (((3, 2),), {"low": (1, 0), "high": (0, 2), "step": (2, 1)}),
            (((),), {"low": (), "high": (), "step": ()}),
        ],
    ),
    "flip": (
        lambda x, axes: np.flip(x, axes),
        [
            (((2, 3),), {"axes": (1,)}),
            (((2, 3),), {"axes": (0, 1)}),
            (((70,),), {"axes": (0,)}),
            (((0,),), {"axes": (0,)}),
        ],
    ),
    "optimization_barrier": (
        lambda x, event: x.copy(),
        [(((2, 3), ()), {}), (((3, 4), (2,)), {}), (((0, 2), ()), {})],
    ),
    "concatenate": (
        _join,
        [
            (((2, 3), (1, 3)), {"axis": 0}),
            (((2, 3), (2, 0), (2, 2)), {"axis": 1}),
            (((2,),), {"axis": 0}),
            (((0,), (0,)), {"axis": 0}),
            (((0,), (70,)), {"axis": 0}),
        ],
    ),
}
AXES: list[Line] = [
    (((2, 3, 4),), {"axes": (1,)}),
    (((2, 3, 4),), {"axes": (0, 2)}),
    (((2, 3),), {"axes": (0, 1)}),
    (((2, 3, 70),), {"axes": (0, 2)}),
    (((4,),), {"axes": ()}),
    (((2, 1),), {"axes": (1,)}),
    (((),), {"axes": ()}),
    (((2, 0),), {"axes": (0,)}),
]
EMPTY: list[Line] = [(((0, 3),), {"axes": (0,)}), (((2, 0),), {"axes": (0, 1)})]


def _fold(function: Callable[[Any, Any], Any], start: Any) -> Callable[..., Array]:
    """A reduction as a plain loop over the reduced places."""

    def reference(x: Array, axes: tuple[int, ...]) -> Array:
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        count = math.prod(x.shape[axis] for axis in axes)
        rows = x.transpose((*axes, *kept)).reshape((count, *(x.shape[axis] for axis in kept)))
        total = np.full(rows.shape[1:], start if start is not None else 0, x.dtype)
        for number, row in enumerate(rows):
            total = row.copy() if number == 0 and start is None else function(total, row)
        return total

    return reference


REDUCTION: dict[str, tuple[Callable[..., Any], list[Line]]] = {
    "sum": (_fold(operator.add, 0), AXES + EMPTY),
    "prod": (_fold(operator.mul, 1), AXES + EMPTY),
    "max": (_fold(np.maximum, None), AXES),
    "min": (_fold(np.minimum, None), AXES),
}


def _running(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def reference(x: Array, axis: int) -> Array:
        rows = list(np.moveaxis(x, axis, 0))
        for number in range(1, len(rows)):
            rows[number] = function(rows[number - 1], rows[number])
        return np.moveaxis(
            np.asarray(rows, x.dtype).reshape(np.moveaxis(x, axis, 0).shape), 0, axis
        )

    return reference


LINES: list[Line] = [
    (((3,),), {"axis": 0}),
    (((2, 3, 2),), {"axis": 1}),
    (((1, 2),), {"axis": 0}),
    (((0, 2),), {"axis": 0}),
]
CUMULATIVE = {
    "cumsum": (_running(operator.add), LINES),
    "cumprod": (_running(operator.mul), LINES),
}


def _convolution(x: Array, w: Array, stride: Any, dilation: Any, groups: int) -> Array:
    """One sum for each element of the result."""
    reach = [(extent - 1) * gap for extent, gap in zip(w.shape[2:], dilation, strict=True)]
    axes = zip(x.shape[2:], reach, stride, strict=True)
    places = tuple((extent - most - 1) // step + 1 for extent, most, step in axes)
    y = np.zeros((x.shape[0], w.shape[0], *places), x.dtype)
    outputs, inner = w.shape[0] // groups, w.shape[1]
    for o, *p in np.ndindex(*y.shape[1:]):
        axes = zip(p, stride, reach, dilation, strict=True)
        taps = [slice(at * step, at * step + most + 1, gap) for at, step, most, gap in axes]
        first = o // outputs * inner
        part = x[(slice(None), slice(first, first + inner), *taps)]
        y[(slice(None), o, *p)] = (part * w[o]).sum(tuple(range(1, x.ndim)), dtype=x.dtype)
    return y


def _slid(stride: Any, dilation: Any, groups: int = 1) -> dict[str, Any]:
    return {"stride": stride, "dilation": dilation, "groups": groups}


CONTRACTION = {
    "convolution": (
        _convolution,
        [
            (((2, 3, 5, 4), (4, 3, 2, 3)), _slid((1, 1), (1, 1))),
            (((1, 1, 6, 6), (1, 1, 3, 3)), _slid((1, 1), (1, 1))),
            (((2, 4, 7), (6, 2, 3)), _slid((2,), (1,), 2)),
            (((1, 3, 9), (3, 1, 2)), _slid((3,), (2,), 3)),
            (((2, 2, 6, 7), (2, 2, 2, 3)), _slid((2, 3), (1, 2))),
            (((1, 2, 3, 4, 3), (2, 2, 2, 1, 3)), _slid((1, 2, 1), (1, 1, 1))),
            (((3, 1, 20), (5, 1, 3)), _slid((1,), (1,))),
            (((0, 2, 4), (3, 2, 4)), _slid((1,), (1,))),
            (((1, 5, 1, 1), (17, 5, 1, 1)), _slid((1, 1), (1, 1))),
        ],
    ),
    "matmul": (
        lambda a, b: (a[..., :, :, None] * b[..., None, :, :]).sum(-2, dtype=a.dtype),
        [
            (((2, 3), (3, 4)), {}),
            (((5, 2, 3), (3, 4)), {}),
            (((2, 1, 2, 3), (4, 3, 2)), {}),
            (((1, 1), (1, 1)), {}),
            (((2, 0), (0, 3)), {}),
            (((0, 3), (3, 2)), {}),
            (((2, 3), (4, 3, 2)), {}),
            (((17, 9), (9, 35)), {}),
        ],
    ),
}


def _take(x: Array, index: Array, axis: int) -> Array:
    rows = np.moveaxis(x, axis, 0)
    picked = np.asarray([rows[place] for place in index.ravel()], x.dtype)
    picked = picked.reshape((*index.shape, *rows.shape[1:]))
    return np.moveaxis(picked, range(index.ndim), range(axis, axis + index.ndim))


def _scatter_add(g: Array, index: Array, axis: int, extent: int) -> Array:
    places = range(axis, axis + index.ndim)
    rows = np.moveaxis(g, places, range(index.ndim))
    result = np.zeros((extent, *rows.shape[index.ndim :]), g.dtype)
    for where in np.ndindex(index.shape):
        result[index[where]] += rows[where]
    return np.moveaxis(result, 0, axis)


INDICES = [
    (((4, 3), (2,)), {"axis": 0}, [3, 1]),
    (((4, 3), (2, 2)), {"axis": 1}, [[0, 2], [2, 1]]),
    (((2, 4, 3), (3,)), {"axis": 1}, [3, 3, 0]),
    (((4,), ()), {"axis": 0}, 2),
    (((4, 2), (0,)), {"axis": 0}, []),
]
PLACES = [
    (((2, 3), (2,)), {"axis": 0, "extent": 4}, [3, 3]),
    (((3, 2, 2), (2, 2)), {"axis": 1, "extent": 3}, [[0, 2], [2, 1]]),
    (((2, 3, 2), (3,)), {"axis": 1, "extent": 5}, [4, 4, 0]),
    (((2, 70), (2,)), {"axis": 0, "extent": 3}, [1, 1]),
    (((), ()), {"axis": 0, "extent": 3}, 2),
    (((0, 2), (0,)), {"axis": 0, "extent": 2}, []),
]


def _in_windows(
    extents: Any, window: Any, stride: Any, dilation: Any, low: Any, counts: Any
) -> Any:
    """Yields each window, and the number and place of each of its elements that exist."""
    for p in np.ndindex(*counts):
        for number, taps in enumerate(np.ndindex(*window)):
            axes = zip(p, stride, taps, dilation, low, strict=True)
            at = tuple(one * step + tap * gap - before for one, step, tap, gap, before in axes)
            if all(0 <= one < extent for one, extent in zip(at, extents, strict=True)):
                yield p, number, at


def _window_argmax(x: Array, **given: Any) -> Array:
    kept = x.shape[: x.ndim - len(given["counts"])]
    places = np.full((*kept, *given["counts"]), -1, np.int32)
    best = np.zeros(places.shape)
    for p, number, at in _in_windows(x.shape[len(kept) :], **given):
        for i in np.ndindex(*kept):
            value = x[(*i, *at)]
            if places[(*i, *p)] < 0 or value > best[(*i, *p)] or np.isnan(value):
                places[(*i, *p)], best[(*i, *p)] = number, value
    return places


def _window_take(x: Array, place: Array, **given: Any) -> Array:
    y, kept = np.zeros(place.shape, x.dtype), x.shape[: x.ndim - len(given["counts"])]
    for p, number, at in _in_windows(x.shape[len(kept) :], **given):
        y[(..., *p)] = np.where(place[(..., *p)] == number, x[(..., *at)], y[(..., *p)])
    return y


def _window_put(y: Array, place: Array, extents: Any, **given: Any) -> Array:
    x = np.zeros((*y.shape[: y.ndim - len(extents)], *extents), y.dtype)
    for p, number, at in _in_windows(extents, **given):
        x[(..., *at)] += np.where(place[(..., *p)] == number, y[(..., *p)], 0).astype(y.dtype)
    return x


WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [  # the shape of x, and its windows
    (
        shape,
        {"window": window, "stride": stride, "dilation": dilation, "low": low, "counts": counts},
    )
    for shape, window, stride, dilation, low, counts in [
        ((2, 3, 4, 6), (2, 2), (2, 2), (1, 1), (0, 0), (2, 3)),
        ((2, 7), (3,), (1,), (1,), (0,), (5,)),
        ((3, 8), (2,), (3,), (2,), (1,), (3,)),
        ((5, 5), (3, 3), (2, 2), (1, 1), (1, 1), (3, 3)),
        ((4,), (2,), (1,), (1,), (1,), (5,)),
        ((2, 1, 9), (4,), (2,), (1,), (0,), (4,)),
        ((40,), (2,), (2,), (1,), (0,), (20,)),
        ((0, 4), (2,), (2,), (1,), (0,), (2,)),
    ]
]


def _philox(seed: int, block: int) -> list[int]:
    """Philox 4x32-10 with Python's unbounded integers."""
    word = 2**32
    c, k = [block % word, block // word, 0, 0], [seed % word, seed // word]
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [q // word ^ c[1] ^ k[0], q % word, p // word ^ c[3] ^ k[1], p % word]
        k = [(k[0] + 0x9E3779B9) % word, (k[1] + 0xBB67AE85) % word]
    return c


def _random_bits(state: Array, shape: tuple[int, ...]) -> Array:
    seed, start = (int(number) % 2**64 for number in state)
    count = math.prod(shape)
    words = [word for block in range(-(-count // 4)) for word in _philox(seed, start + block)]
    return np.asarray(words[:count], np.uint32).astype(np.int32).reshape(shape)


def other_cases() -> Iterator[Case]:
    """Yields the cases of every family but the elementwise one."""
    for name, (reference, lines) in MOVEMENT.items():
        yield from (Case(name, shapes, given, reference) for shapes, given in lines)
    for table, accepts in ((REDUCTION, NUMBERS), (CUMULATIVE, NUMBERS), (CONTRACTION, NUMBERS)):
        for name, (reference, lines) in table.items():
            yield from (Case(name, shapes, given, reference, accepts) for shapes, given in lines)
    for name, reference, lines, accepts in (
        ("take", _take, INDICES, FULL),
        ("scatter_add", _scatter_add, PLACES, NUMBERS),
    ):
        for shapes, given, index in lines:
            fixed = {1: np.asarray(index, np.int64).reshape(shapes[1])}
            yield Case(name, shapes, given, reference, accepts, fixed=fixed)
    for shape, given in WINDOWS:
        places = _window_argmax(np.random.default_rng(1).standard_normal(shape), **given)
        both, fixed = (shape, places.shape), {1: places}
        put = {**given, "extents": shape[len(shape) - len(given["counts"]) :]}
        yield Case("window_argmax", (shape,), given, _window_argmax, NUMBERS, smooth=False)
        yield Case("window_take", both, given, _window_take, NUMBERS, fixed=fixed)
        both = (places.shape, places.shape)
        yield Case("window_put", both, put, _window_put, NUMBERS, fixed=fixed)
    for shape in ((2, 3), (0,), (), (70,)):
        yield Case("detach", (shape,), {}, np.copy, smooth=False)
        yield Case("keep", (shape,), {}, np.copy)
        yield Case("composite", (shape,) * 2, {"function": "of the second"}, _first)
        yield Case("known_derivative", (shape,) * 3, {}, _first, FLOATS, smooth=False)
    for shape in ((2, 3), (0, 1), (9,), (4, 33)):
        yield Case("known_softmax", (shape,) * 2, {"axis": -1}, _first, FLOATS, smooth=False)
    for shape in ((3, 4), (5,), (2, 0), (1,), (3, 7), (33,), (2, 64), (130,)):

        def reference(x):
            return np.argsort(x, -1, kind="stable")

        yield Case("argsort", (shape,), {}, reference, smooth=False)
    for shape in ((2, 3), (0,), (), (9,), (70,), (4, 33)):
        state = {0: np.array([-7, 2**33 - 1], np.int64)}
        given = {"shape": shape}
        kinds = (dtypes.int64,)
        yield Case("random_bits", ((2,),), given, _random_bits, kinds, fixed=state, smooth=False)
    for shape, axis in (((2, 3), 1), ((2, 3), 0), ((0,), 0), ((70,), 0)):

        def reference(shape, axis):
            return np.indices(shape)[axis]

        given = {"shape": shape, "axis": axis}
        yield Case("iota", (), given, reference, (dtypes.int64,), smooth=False)


CASES: list[Case] = [
    case
    for op in REGISTRY.values()
    if isinstance(op, Elementwise)
    for case in elementwise_cases(op)
] + list(other_cases())
