"""Programs that make random graphs: lists of small numbers, every one of which means something.

A program is a list of leaves and a list of instructions `(verb, a, b, p)`. A verb takes operands
`a` and `b` from the values made so far (modulo how many there are) and `p` chooses its details
(axes, extents, ...). Where operands do not fit they are made to fit, so every list of numbers is a
program and Hypothesis can cut one down to the few instructions that matter.

Each value knows two things about itself. `exact`: every engine must give the same bits, since only
IEEE operations made it; only such values may decide (compare, round, sort), so that no engine
takes another branch. `bound`: the size it may have, so that errors stay small beside the largest
intermediate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from smelt.dtypes import DType
from smelt.ops import elementwise as E
from smelt.ops import movement as M
from smelt.ops.iota import iota
from smelt.tensor import Tensor, as_tensor

SMALL_LIMIT = 400  # elements of a result from which on operands are cut down: interpreters are slow
LARGE_LIMIT = 200_000  # the same for programs that only machine code runs
LIMIT = 64.0  # size of values from which on they are squashed
SHAPES = (
    (), (1,), (5,), (3, 4), (4, 3), (2, 3, 4), (1, 4), (3, 1), (4, 4), (0,), (3, 0), (70,), (2, 66),
    (33,), (2, 1, 3), (17, 2), (2, 2, 2, 2),
)  # fmt: skip
LARGE_SHAPES = (
    (70, 130), (130,), (5000,), (64, 64), (3, 70, 33), (1, 130), (70, 1), (), (40_000,),
    (130, 64), (2, 1, 33),
)  # fmt: skip
ROLES = ("argument", "state", "parameter")


@dataclass(frozen=True)
class Leaf:
    """Where a value of a program comes from: `role` and `shape` number tables, `seed` gives
    numbers.
    """

    role: int
    shape: int
    seed: int


Instruction = tuple[int, int, int, int]


@dataclass(frozen=True)
class Program:
    """A random step: its leaves and what it does; a large one is too much for an interpreter.

    A structured one has loops, branches and windows: its verbs come from a table of its own.
    """

    leaves: tuple[Leaf, ...]
    instructions: tuple[Instruction, ...]
    large: bool = False
    structured: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """What a leaf's `shape` chooses from."""
        return LARGE_SHAPES if self.large else SHAPES

    @property
    def verbs(self) -> list[Verb]:
        """What an instruction's `verb` chooses from."""
        return STRUCTURED_VERBS if self.structured else VERBS


@dataclass(eq=False)
class Value:
    """A tensor on its way; `views` are the states whose memory an eager tensor may share."""

    tensor: Tensor
    exact: bool
    bound: float
    views: frozenset[int] = frozenset()


def leaf_array(leaf: Leaf, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """Returns the numbers of a leaf: eighths, which float16 holds too, now and then something
    special.
    """
    draw = np.random.default_rng(leaf.seed)
    array = draw.integers(-32, 33, shape) / 8
    if leaf.seed % 7 == 6:
        special = draw.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], shape)
        array = np.where(draw.random(shape) < 0.2, special, array)
    return np.asarray(array, dtype.storage)


class Run:
    """One program, run with whatever engine is current."""

    def __init__(
        self, program: Program, dtype: DType, states: list[Tensor], given: list[Tensor]
    ) -> None:
        self.dtype = dtype
        self.program = program
        self.limit = LARGE_LIMIT if program.large else SMALL_LIMIT
        self.generator, *rest = states
        self.pending: list[Instruction] = []
        self.inside = False  # of another run, as the body of a function
        self.pure = False  # whether states may not be changed
        self.states: list[Value] = []
        self.floats: list[Value] = []
        self.wholes: list[Value] = []
        self.flags: list[Value] = []
        pending = {"argument": iter(given), "state": iter(rest)}
        for leaf in program.leaves:
            role = "argument" if ROLES[leaf.role % 3] == "argument" else "state"
            value = Value(next(pending[role]), True, 4.0)
            if role == "state":
                value.views = frozenset([id(value.tensor)])
                self.states.append(value)
            self.floats.append(value)
        self.whole(self.value(iota(shape=(3,), axis=0)))

    def outputs(self) -> list[Value]:
        """Runs the program and returns its results."""
        self.play(self.program.instructions)
        for (
            state
        ) in self.states:  # a state may be returned; eagerly it would change behind the caller
            assert id(state.tensor) in state.views
        last = [*self.floats[-4:], *self.wholes[-2:], *self.flags[-1:]]
        return [*last, last[0]]

    def play(self, instructions: Sequence[Instruction]) -> None:
        """Follows instructions; some take those behind them for the body of a function."""
        self.pending = list(instructions)
        while self.pending:
            verb, a, b, p = self.pending.pop(0)
            chosen = self.program.verbs[verb % len(self.program.verbs)]
            if not (self.pure and chosen in CHANGING):
                chosen(self, a, b, p)

    def body(self, *given: Value, share: int = 1, pure: bool = False) -> Run:
        """Returns a run inside of this one, which sees its values and those given to it.

        States are inexact there, since a turn before may have changed them, and views of them are
        not seen. Results may have a `share` of the elements that they may have here.
        """
        inner = copy.copy(self)
        states = {id(one): replace(one, exact=False, bound=2 * LIMIT) for one in self.states}
        inner.states = list(states.values())
        seen = [one for one in self.floats if id(one) in states or not one.views]
        inner.floats = [states.get(id(one)) or replace(one) for one in seen]
        inner.floats += given
        inner.wholes, inner.flags = list(self.wholes), list(self.flags)
        inner.limit = max(1, self.limit // max(1, share))
        inner.inside, inner.pure = True, self.pure or pure
        return inner

    # --- values -----------------------------------------------------------------------------------

    def value(self, tensor: Tensor, exact: bool = True, bound: float = 8.0) -> Value:
        return Value(tensor, exact, bound)

    def whole(self, value: Value) -> None:
        self.wholes.append(value)

    def make(self, tensor: Tensor, exact: bool, bound: float, *sources: Value) -> None:
        """Adds a float value, squashed if it may be large; movements of states are remembered as
        views.
        """
        if bound > LIMIT:
            clamped = E.minimum(E.maximum(tensor, -8.0), 8.0)
            tensor = positive_zero(clamped) if exact else E.sin(tensor)
            bound, sources = 8.0, ()
        views = frozenset().union(*(source.views for source in sources))
        self.floats.append(Value(tensor, exact, bound, views))

    def float(self, number: int) -> Value:
        return self.floats[number % len(self.floats)]

    def exact(self, number: int) -> Value:
        """An exact value near `number`; the leaves are always there, unless a state has changed."""
        found = [value for value in self.floats if value.exact]
        if not found:
            zeros = as_tensor(np.arange(6.0).reshape(2, 3), self.dtype)
            found = [Value(zeros, True, 8.0)]
        return found[number % len(found)]

    def integer(self, number: int) -> Value:
        return self.wholes[number % len(self.wholes)]

    def pair(self, x: Value, y: Value) -> Tensor:
        """Returns y's tensor, or a part of it, such that it broadcasts with x's."""
        return fitting(x.tensor, y.tensor, self.limit)

    def index(self, number: int, extent: int, shape: tuple[int, ...] | None = None) -> Tensor:
        """Returns indices below `extent`."""
        if shape is None:
            wholes = [one for one in self.wholes if one.tensor.size <= 12]
            chosen = wholes[number % len(wholes)].tensor
        else:
            chosen = E.add(iota(shape=shape, axis=0), E.mul(iota(shape=shape, axis=0), number % 5))
        return E.mod(chosen, extent)


def positive_zero(x: Tensor) -> Tensor:
    """Makes -0 to 0: which zero a maximum of both returns, NumPy leaves open."""
    return E.add(x, 0.0)


def fitting(x: Tensor, y: Tensor, limit: int) -> Tensor:
    """Returns y, or one element of it, so that it broadcasts with x to few enough elements."""
    try:
        shape = M.broadcast_shapes("pair", x.shape, y.shape)
    except Exception:
        shape = None
    if shape is not None and math.prod(shape) <= limit:
        return y
    if not y.size:
        return as_tensor(1, y.dtype)
    start, stop = (0,) * y.ndim, (1,) * y.ndim
    return M.reshape(M.slice_(y, start=start, stop=stop, step=stop), shape=())


def some_axes(shape: tuple[int, ...], p: int) -> tuple[int, ...]:
    """Returns a set of axes chosen by the bits of p; all when none is chosen."""
    chosen = tuple(axis for axis in range(len(shape)) if p >> axis & 1)
    return chosen or tuple(range(len(shape)))


Verb = Callable[[Run, int, int, int], None]
VERBS: list[Verb] = []
STRUCTURED_VERBS: list[Verb] = []
CHANGING: list[Verb] = []  # verbs that change states


def verb(weight: int = 1, table: list[Verb] = VERBS) -> Callable[[Verb], Verb]:
    """Adds a verb to a table, `weight` times."""

    def add(function: Verb) -> Verb:
        table.extend([function] * weight)
        return function

    return add
