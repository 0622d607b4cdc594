"""Stack walk: what a function's bytecode does with the objects that it reads.

CPython runs a function on a stack of values. The walk interprets it abstractly, on a stack of what
these values may be (`Known`): once through the code, and again while it learns more about local
names. It tells a `Listener` which names are looked up, what is called with what, and which values
are *read*: computed with, compared, iterated, returned or passed on. Assigning to an item is not a
read, nor is a method such as `append` that returns nothing.

At an instruction that the walk does not know, everything on the stack counts as read.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import CellType, CodeType
from typing import Any, Protocol

PASSES = 5  # at most, until nothing new is learned about local names
_SLICING = 26  # the number of BINARY_OP for `a[b]`, from Python 3.14 on


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a value may be: one of `objects`, taken out of the containers `taken_from`.

    With `method` it is the method of that name of a container, which has not been called yet.
    """

    objects: tuple[Any, ...] = ()
    taken_from: tuple[Any, ...] = ()
    method: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for values of which the same is known."""
        return tuple(map(id, self.objects)), tuple(map(id, self.taken_from)), self.method


UNKNOWN = object()  # stands in a tuple for a value of which nothing is known
NOTHING = Known()  # a value of which nothing is known


class Use(Enum):
    """How much of a value is read: only its identity, its own items, or theirs, too."""

    IDENTITY = 1
    ITEMS = 2
    ALL = 3


@dataclass(frozen=True, slots=True, eq=False)
class LocalFunction:
    """A function that is defined within another one, with what its outer names may be."""

    code: CodeType
    frame: Frame

    def free(self) -> dict[str, CellType | Known]:
        """Returns its outer names: cells, or what they are in the function around it."""
        outer = self.frame
        return {
            name: outer.free[name] if name in outer.free else outer.names.get(name, NOTHING)
            for name in self.code.co_freevars
        }


@dataclass(slots=True, eq=False)
class Frame:
    """One call of a function, as far as it is known: its names, and what it returns."""

    code: CodeType
    namespace: dict[str, Any]
    free: Mapping[str, CellType | Known]
    names: dict[str, Known] = field(default_factory=dict)  # its arguments and local names
    returned: Known = NOTHING


class Listener(Protocol):
    """What the walk asks, and what it tells."""

    def global_name(self, namespace: dict[str, Any], name: str) -> Known:
        """Returns what a global name stands for."""

    def cell(self, cell: CellType, name: str) -> Known:
        """Returns what is in a closure cell."""

    def attribute(self, value: Known, name: str) -> Known:
        """Returns what an attribute may be."""

    def item(self, value: Known, key: Known) -> Known:
        """Returns what `value[key]` may be."""

    def iterated(self, value: Known) -> None:
        """Is told that a function iterates over a value."""

    def entries(self, value: Known) -> Known:
        """Returns what iterating over a value may give."""

    def unpacked(self, value: Known, count: int) -> list[Known]:
        """Returns what each of `count` names may be to which a value is unpacked."""

    def made(self, parts: Iterable[Any]) -> tuple[Any, ...]:
        """Returns a tuple that a function builds; from the same parts, the same tuple."""

    def changed_in_place(self, value: Known) -> bool:
        """Returns whether `value += other` would change the value itself."""

    def call(self, callee: Known, arguments: list[Known], named: dict[str, Known]) -> Known:
        """Returns what a call may give back."""

    def read(self, value: Known, use: Use) -> None:
        """Is told that a value is read."""


def union(values: Iterable[Known]) -> Known:
    """Returns what may be any of several values."""
    objects: dict[int, Any] = {}
    taken_from: dict[int, Any] = {}
    method = ""
    for value in values:
        objects |= {id(x): x for x in value.objects}
        taken_from |= {id(x): x for x in value.taken_from}
        method = method or value.method
    return Known(tuple(objects.values()), tuple(taken_from.values()), method)


@functools.lru_cache(maxsize=4096)
def instructions(code: CodeType) -> list[dis.Instruction]:
    """Returns the instructions of a function, without those that do nothing to the stack."""
    return [step for step in dis.get_instructions(code) if step.opname not in _NEUTRAL]


def walk(frame: Frame, listener: Listener) -> None:
    """Follows the values of a function; fills in the frame's names and what it returns."""
    for _ in range(PASSES):
        before = {name: value.key for name, value in frame.names.items()}
        StackWalk(frame, listener).run()
        if before == {name: value.key for name, value in frame.names.items()}:
            return


class StackWalk:
    """One pass through the code."""

    def __init__(self, frame: Frame, listener: Listener) -> None:
        self._frame = frame
        self._listener = listener
        self._stack: list[Known] = []
        self._waiting: dict[int, list[Known]] = {}  # stacks of jumps, by their targets
        self._is_reachable = True
        self._keywords: tuple[str, ...] = ()

    def run(self) -> None:
        """Goes through all instructions in order."""
        for step in instructions(self._frame.code):
            self._arrive(step.offset)
            self._step(step)

    def _arrive(self, offset: int) -> None:
        """Merges the stack of a jump to this place with the current stack."""
        other = self._waiting.get(offset)
        if not self._is_reachable:  # except by a jump, or as an exception handler (stack unknown)
            self._stack = list(other or [])
            self._is_reachable = True
        elif other is not None and len(other) == len(self._stack):
            self._stack = [union(pair) for pair in zip(self._stack, other, strict=True)]

    def _step(self, step: dis.Instruction) -> None:
        top = self._stack[-1] if self._stack else NOTHING
        handler = _HANDLERS.get(step.opname)
        if handler is not None:
            handler(self, step)
        elif step.opname.startswith(_DROPPING):
            self._pops(-_effect(step))
        elif (pushed := _PUSHED.get(step.opname)) is not None:
            self._compute(pushed - _effect(step), pushed, _USES.get(step.opname, Use.ALL))
        else:
            self._give_up(step)
        if step.opcode in _JUMPS:
            self._jump(step, top)
        if step.opname in _ENDS:
            self._is_reachable = False

    def _compute(self, popped: int, pushed: int, use: Use = Use.ALL) -> None:
        for value in self._pops(popped):
            self._listener.read(value, use)
        self._stack += [NOTHING] * pushed

    def _give_up(self, step: dis.Instruction) -> None:
        depth = max(len(self._stack) + _effect(step), 0)
        self._compute(len(self._stack), depth)

    def _jump(self, step: dis.Instruction, top: Known) -> None:
        stack, more = list(self._stack), 0
        if step.opname.endswith("_OR_POP"):
            stack.append(top)
        else:
            more = _effect(step, jump=True) - _effect(step)
        stack = stack[: len(stack) + more] if more < 0 else stack + [NOTHING] * more
        self._waiting.setdefault(step.argval, stack)

    # --- the stack --------------------------------------------------------------------------------

    def _pop(self) -> Known:
        return self._stack.pop() if self._stack else NOTHING

    def _pops(self, count: int) -> list[Known]:
        """Takes the uppermost values, the lowest of them first."""
        return [self._pop() for _ in range(count)][::-1]

    def _push_twice(self, value: Known, step: dis.Instruction) -> None:
        """Pushes a value, and NULL after it if the instruction prepares a call."""
        self._stack.append(value)
        if step.opname == "LOAD_METHOD" or (step.opname != "LOAD_NAME" and _pushes_null(step)):
            self._stack.append(NOTHING)

    def _push_nothing(self, step: dis.Instruction) -> None:
        self._stack.append(NOTHING)

    def _copy(self, step: dis.Instruction) -> None:
        depth = step.arg or 1
        self._stack.append(self._stack[-depth] if depth <= len(self._stack) else NOTHING)

    def _swap(self, step: dis.Instruction) -> None:
        depth = step.arg or 1
        self._stack[:0] = [NOTHING] * (depth - len(self._stack))
        self._stack[-1], self._stack[-depth] = self._stack[-depth], self._stack[-1]

    # --- names ------------------------------------------------------------------------------------

    def _load(self, name: str) -> None:
        is_cell = name in self._frame.code.co_cellvars or name in self._frame.code.co_freevars
        # such a cell goes to a function that is defined here, and is followed with that
        self._stack.append(NOTHING if is_cell else self._frame.names.get(name, NOTHING))

    def _store(self, name: str) -> None:
        known = self._frame.names.get(name, NOTHING)
        self._frame.names[name] = union((known, self._pop()))

    def _load_fast(self, step: dis.Instruction) -> None:
        for name in step.argval if isinstance(step.argval, tuple) else (step.argval,):
            self._load(name)

    def _store_fast(self, step: dis.Instruction) -> None:
        for name in step.argval if isinstance(step.argval, tuple) else (step.argval,):
            self._store(name)

    def _store_and_load(self, step: dis.Instruction) -> None:
        first, second = step.argval
        self._store(first)
        self._load(second)

    def _load_deref(self, step: dis.Instruction) -> None:
        self._pops(1 - _effect(step))
        name = step.argval
        outer = self._frame.free.get(name)
        if isinstance(outer, CellType):
            inner = self._frame.names.get(name, NOTHING)  # what this function assigns to it
            self._stack.append(union((self._listener.cell(outer, name), inner)))
        else:
            self._stack.append(union((outer or NOTHING, self._frame.names.get(name, NOTHING))))

    def _load_global(self, step: dis.Instruction) -> None:
        if step.opname == "LOAD_NAME" and step.argval in self._frame.names:
            self._load(step.argval)
        else:
            value = self._listener.global_name(self._frame.namespace, step.argval)
            self._push_twice(value, step)

    def _load_const(self, step: dis.Instruction) -> None:
        self._stack.append(Known((step.argval,)))

    def _load_attribute(self, step: dis.Instruction) -> None:
        self._push_twice(self._listener.attribute(self._pop(), step.argval), step)

    def _load_super_attribute(self, step: dis.Instruction) -> None:
        self._pops(3)
        self._push_twice(self._listener.attribute(self._super(), step.argval), step)

    def _super(self) -> Known:
        """Returns what `super()` gives here."""
        code, outer = self._frame.code, self._frame.free.get("__class__")
        if not isinstance(outer, CellType) or not code.co_varnames:
            return NOTHING
        own = self._frame.names.get(code.co_varnames[0], NOTHING)
        found = self._listener.cell(outer, "__class__").objects
        objects = [super(above, x) for above in found for x in own.objects if isinstance(x, above)]
        return Known(tuple(objects), own.taken_from)

    def _store_attribute(self, step: dis.Instruction) -> None:
        value, _ = self._pops(2)
        self._listener.read(value, Use.ALL)

    # --- items ------------------------------------------------------------------------------------

    def _subscript(self, step: dis.Instruction) -> None:
        value, key = self._pops(2)
        self._listener.read(key, Use.ALL)
        self._stack.append(self._listener.item(value, key))

    def _slice(self, step: dis.Instruction) -> None:
        value, *ends = self._pops(3)
        for end in ends:
            self._listener.read(end, Use.ALL)
        self._stack.append(self._listener.item(value, NOTHING))

    def _store_item(self, step: dis.Instruction) -> None:
        given, holder, *key = self._pops(4 if step.opname == "STORE_SLICE" else 3)
        setter = self._listener.attribute(holder, "__setitem__")
        self._listener.call(setter, [*key, given], {})

    def _delete_item(self, step: dis.Instruction) -> None:
        holder, key = self._pops(2)
        self._listener.call(self._listener.attribute(holder, "__delitem__"), [key], {})

    def _contains(self, step: dis.Instruction) -> None:
        key, value = self._pops(2)
        self._listener.read(key, Use.ALL)
        self._listener.read(value, Use.ITEMS)
        self._stack.append(NOTHING)

    def _iterator(self, step: dis.Instruction) -> None:
        self._listener.iterated(self._stack[-1] if self._stack else NOTHING)

    def _next(self, step: dis.Instruction) -> None:
        iterated = self._stack[-1] if self._stack else NOTHING
        self._stack.append(self._listener.entries(iterated))

    def _look(self, step: dis.Instruction) -> None:
        """Reads what stays on the stack: its length, or what it matches."""
        self._listener.read(self._stack[-1] if self._stack else NOTHING, Use.ITEMS)
        self._stack.append(NOTHING)

    def _unpack(self, step: dis.Instruction) -> None:
        count = step.arg or 0
        self._stack += self._listener.unpacked(self._pop(), count)[::-1]

    def _unpack_rest(self, step: dis.Instruction) -> None:
        arg = step.arg or 0
        self._compute(1, (arg & 0xFF) + (arg >> 8) + 1)

    def _sequence(self, step: dis.Instruction) -> None:
        """A tuple or list display, which may be unpacked again."""
        parts = self._pops(step.arg or 0)
        if any(len(part.objects) > 1 or part.method for part in parts):
            for part in parts:
                self._listener.read(part, Use.ALL)
            self._stack.append(NOTHING)
            return
        made = self._listener.made([part.objects[0] if part.objects else UNKNOWN for part in parts])
        holders = tuple([holder for part in parts for holder in part.taken_from])
        self._stack.append(Known((made,), holders))

    def _binary(self, step: dis.Instruction) -> None:
        if step.arg == _SLICING:
            self._subscript(step)
            return
        left, right = self._pops(2)
        self._listener.read(right, Use.ALL)
        if not (step.argrepr.endswith("=") and self._listener.changed_in_place(left)):
            self._listener.read(left, Use.ALL)
        self._stack.append(NOTHING)

    # --- calls ------------------------------------------------------------------------------------

    def _keyword_names(self, step: dis.Instruction) -> None:
        self._keywords = self._frame.code.co_consts[step.arg or 0]

    def _call(self, step: dis.Instruction) -> None:
        if step.opname == "CALL_KW":
            self._keywords = self._pop().objects[0]
        first, second, *arguments = self._pops((step.arg or 0) + 2)
        if first is not NOTHING and second is not NOTHING:  # an iterator for a comprehension
            arguments.insert(0, second)
        callee = second if first is NOTHING else first
        if len(callee.objects) == 1 and callee.objects[0] is super and not arguments:
            self._stack.append(self._super())
            return
        count = len(arguments) - len(self._keywords)
        named = dict(zip(self._keywords, arguments[count:], strict=True))
        self._keywords = ()
        self._stack.append(self._listener.call(callee, arguments[:count], named))

    def _function(self, step: dis.Instruction) -> None:
        *parts, code = self._pops(1 - _effect(step))
        for part in parts:
            self._listener.read(part, Use.ALL)
        found = [LocalFunction(x, self._frame) for x in code.objects if isinstance(x, CodeType)]
        self._stack.append(Known(tuple(found)))

    def _function_part(self, step: dis.Instruction) -> None:
        part, function = self._pops(2)
        self._listener.read(part, Use.ALL)
        self._stack.append(function)

    def _return(self, step: dis.Instruction) -> None:
        self._frame.returned = union((self._frame.returned, self._pop()))


def _effect(step: dis.Instruction, jump: bool = False) -> int:
    arg = step.arg if step.opcode >= dis.HAVE_ARGUMENT or step.arg is not None else None
    return dis.stack_effect(step.opcode, arg, jump=jump)


def _pushes_null(step: dis.Instruction) -> bool:
    return _effect(step) == {"LOAD_GLOBAL": 2, "LOAD_SUPER_ATTR": -1}.get(step.opname, 1)


_NEUTRAL = frozenset(
    "CACHE COPY_FREE_VARS EXTENDED_ARG MAKE_CELL NOP NOT_TAKEN PRECALL RESUME"
    " SETUP_ANNOTATIONS".split()
)
_DROPPING = ("POP_TOP", "END_FOR", "POP_ITER", "POP_EXCEPT", "DELETE_FAST", "DELETE_DEREF")
_ENDS = frozenset(
    "JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT RETURN_VALUE RETURN_CONST RAISE_VARARGS"
    " RERAISE".split()
)
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
# Other instructions, by how many values they push. The values that they pop are read.
_PUSHED = dict.fromkeys(
    "BINARY_OP UNARY_INVERT UNARY_NEGATIVE UNARY_POSITIVE UNARY_NOT COMPARE_OP IS_OP TO_BOOL"
    " BUILD_SET BUILD_MAP BUILD_CONST_KEY_MAP BUILD_STRING BUILD_SLICE FORMAT_VALUE FORMAT_SIMPLE"
    " FORMAT_WITH_SPEC CONVERT_VALUE CALL_FUNCTION_EX CALL_INTRINSIC_1 CALL_INTRINSIC_2"
    " LIST_TO_TUPLE IMPORT_NAME IMPORT_FROM LOAD_ASSERTION_ERROR LOAD_BUILD_CLASS"
    " LOAD_COMMON_CONSTANT LOAD_LOCALS MATCH_CLASS PUSH_NULL CHECK_EXC_MATCH WITH_EXCEPT_START"
    " YIELD_VALUE".split(),
    1,
) | dict.fromkeys(
    "LIST_APPEND LIST_EXTEND SET_ADD SET_UPDATE MAP_ADD DICT_MERGE DICT_UPDATE RAISE_VARARGS"
    " RERAISE STORE_GLOBAL STORE_NAME DELETE_ATTR DELETE_GLOBAL DELETE_NAME JUMP_FORWARD"
    " JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT RETURN_CONST".split(),
    0,
)
_PUSHED |= dict.fromkeys(("BEFORE_WITH", "LOAD_SPECIAL", "PUSH_EXC_INFO"), 2)
_PUSHED |= {name: 0 for name in dis.opmap if name.startswith(("POP_JUMP_", "JUMP_IF_"))}
_USES = dict.fromkeys(("TO_BOOL", "UNARY_NOT"), Use.ITEMS) | {"IS_OP": Use.IDENTITY}
_USES |= {name: Use.ITEMS for name in dis.opmap if name.startswith(("POP_JUMP_", "JUMP_IF_"))}
_USES |= {name: Use.IDENTITY for name in dis.opmap if name.endswith("_NONE")}
_USES["DELETE_ATTR"] = Use.IDENTITY

_HANDLERS = {
    "COPY": StackWalk._copy,
    "SWAP": StackWalk._swap,
    "LOAD_FAST": StackWalk._load_fast,
    "LOAD_FAST_AND_CLEAR": StackWalk._load_fast,
    "LOAD_FAST_BORROW": StackWalk._load_fast,
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": StackWalk._load_fast,
    "LOAD_FAST_CHECK": StackWalk._load_fast,
    "LOAD_FAST_LOAD_FAST": StackWalk._load_fast,
    "LOAD_CLOSURE": StackWalk._load_fast,
    "STORE_FAST": StackWalk._store_fast,
    "STORE_FAST_STORE_FAST": StackWalk._store_fast,
    "STORE_FAST_LOAD_FAST": StackWalk._store_and_load,
    "STORE_DEREF": StackWalk._store_fast,
    "LOAD_DEREF": StackWalk._load_deref,
    "LOAD_CLASSDEREF": StackWalk._load_deref,
    "LOAD_FROM_DICT_OR_DEREF": StackWalk._load_deref,
    "LOAD_GLOBAL": StackWalk._load_global,
    "LOAD_NAME": StackWalk._load_global,
    "LOAD_CONST": StackWalk._load_const,
    "LOAD_SMALL_INT": StackWalk._load_const,
    "LOAD_ATTR": StackWalk._load_attribute,
    "LOAD_METHOD": StackWalk._load_attribute,
    "LOAD_SUPER_ATTR": StackWalk._load_super_attribute,
    "STORE_ATTR": StackWalk._store_attribute,
    "BINARY_SUBSCR": StackWalk._subscript,
    "BINARY_SLICE": StackWalk._slice,
    "STORE_SUBSCR": StackWalk._store_item,
    "STORE_SLICE": StackWalk._store_item,
    "DELETE_SUBSCR": StackWalk._delete_item,
    "CONTAINS_OP": StackWalk._contains,
    "GET_ITER": StackWalk._iterator,
    "FOR_ITER": StackWalk._next,
    "GET_LEN": StackWalk._look,
    "MATCH_SEQUENCE": StackWalk._look,
    "MATCH_MAPPING": StackWalk._look,
    "UNPACK_SEQUENCE": StackWalk._unpack,
    "UNPACK_EX": StackWalk._unpack_rest,
    "BUILD_TUPLE": StackWalk._sequence,
    "BUILD_LIST": StackWalk._sequence,
    "BINARY_OP": StackWalk._binary,
    "KW_NAMES": StackWalk._keyword_names,
    "CALL": StackWalk._call,
    "CALL_KW": StackWalk._call,
    "MAKE_FUNCTION": StackWalk._function,
    "SET_FUNCTION_ATTRIBUTE": StackWalk._function_part,
    "RETURN_GENERATOR": StackWalk._push_nothing,
    "RETURN_VALUE": StackWalk._return,
}
