"""The stack machine that a pickle is written for, of which only containers and numbers are left.

A real one imports what a pickle names and calls it with what the pickle holds, so that whoever
writes a file runs what they like where it is read. This one imports and calls nothing: a name is
looked up in a table of the reader's own (see `torch_values`), and all that is not there is an
error. It does not call itself however deep a value is nested, and every object that it makes is
taken from the memory that the file allows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from smelt.export.bounded_file import BoundedFile
from smelt.export.pickle_operations import operations
from smelt.export.structure import is_key

__all__ = [
    "ORDERED_DICT",
    "Arguments",
    "Contradiction",
    "Meaning",
    "PickleMachine",
    "Unfinished",
]

# bytes of memory, as CPython takes them at most, also while a container grows
STACK = 32  # an object on the stack, and once more while it is taken from there
ITEM = 20  # of a list
MEMO = 200  # what is kept to be referred to, and that it is
NUMBER = 32
SHARED = range(-5, 257)  # integers that take none
LIST = 90
TUPLE = 64  # and 8 for each item
DICT = 120
FIRST = 300  # item of a dict, more than the others
PAIR = 100
ORDERED_DICT = 160
ORDERED_PAIR = 200

NEAR = 20  # objects of the stack among which the key of a value is looked for
LONGEST_NAME = 200


class Contradiction(Exception):
    """What a file says of a value, and cannot be; `PickleMachine` makes a FileError of it."""


class Unfinished:
    """What stands for something only until it is used, and is no value: a name, a storage."""

    __slots__ = ()


class Arguments(Unfinished, tuple):
    """A tuple with something unfinished in it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Meaning(Unfinished):
    """What a name in a file stands for.

    Attributes:
        name: such as "torch.Size".
        make: what makes a value of the arguments that a file gives; None for a mere
            name. It raises Contradiction where they do not fit.
        counts: how many arguments those may be.
        holds: whether the value may be one of its arguments, or hold it.
    """

    name: str
    make: Callable[..., Any] | None = None
    counts: tuple[int, ...] = ()
    holds: bool = True


class PickleMachine:
    """Reads one pickle.

    Args:
        file: to which it belongs.
        find: returns what a module's and a class's name mean, or raises FileError; it is told the
            key at which they stand as well.
        persistent: returns what a persistent id means, or raises Contradiction.
    """

    def __init__(
        self,
        file: BoundedFile,
        find: Callable[[str, str, str], Any],
        persistent: Callable[[tuple[Any, ...]], Any],
    ) -> None:
        self._file = file
        self._find = find
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}  # only what is referred to later
        self._referred: set[int] = set()
        self._memo_size = 0
        self._kept: set[int] = set()  # the identities of what the memo holds
        self._highest = 0  # the stack so far

    def value(self, stream: BinaryIO, end: int) -> Any:
        """Returns the value of the pickle that begins where a stream stands.

        Args:
            stream: left where the pickle ends.
            end: where the stream ends.

        Raises:
            FileError: the pickle is damaged, or holds what is none of the values above.
        """
        self._find_references(stream, end)
        for name, argument in operations(self._file, stream, end):
            if len(self._stack) > self._highest:
                self._file.take(STACK * (len(self._stack) - self._highest))
                self._highest = len(self._stack)
            if name in PLAIN:
                self._stack.append(PLAIN[name])
            elif name in MADE:
                MADE[name](self, argument)
            else:
                HANDLERS[name](self)
        result = self._pop()
        if self._stack or self._marks:
            self._refuse("more than one value")
        return self._finished(result)

    def _find_references(self, stream: BinaryIO, end: int) -> None:
        """Notes which numbers of the memo are read: writers put nearly everything there, and refer
        to little of it. What is made meanwhile is gone when it ends.
        """
        start, left = stream.tell(), self._file.left
        for name, argument in operations(self._file, stream, end):
            if name == "get" and argument not in self._referred:
                self._file.take(MEMO)
                left -= MEMO
                self._referred.add(argument)
        self._file.left = left
        stream.seek(start)

    def _refuse(self, reason: str) -> NoReturn:
        raise self._file.damaged(f"its pickle has {reason}")

    # --- the stack ----------------------------------------------------------------------------

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            self._refuse("an operation without a value to work on")
        return self._stack.pop()

    def _popped(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _above_mark(self) -> list[Any]:
        """Returns all above the last mark, and takes both away."""
        if not self._marks:
            self._refuse("no mark where one is needed")
        start = self._marks.pop()
        self._file.give(NUMBER + ITEM)
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _container(self, *kinds: type) -> Any:
        """Returns what lies on top, which stays there."""
        container = self._pop()
        if type(container) not in kinds:
            self._refuse(f"items for something that is not a {kinds[0].__name__}")
        self._stack.append(container)
        return container

    def _finished(self, value: Any) -> Any:
        """Returns a value that may be a part of the result."""
        if isinstance(value, Unfinished):
            self._refuse(f"something that is not a value: {_described(value)}")
        return value

    # --- what operations do -----------------------------------------------------------------------

    def _number(self, value: Any) -> None:
        if type(value) is float or value not in SHARED:
            self._file.take(NUMBER)
        self._stack.append(value)

    def _mark(self) -> None:
        self._file.take(NUMBER + ITEM)
        self._marks.append(len(self._stack))

    def _list(self) -> None:
        self._file.take(LIST)
        self._stack.append([])

    def _dict(self) -> None:
        self._file.take(DICT)
        self._stack.append({})

    def _tuple(self, values: list[Any]) -> None:
        self._file.take(TUPLE + 8 * len(values))
        unfinished = any(isinstance(value, Unfinished) for value in values)
        self._stack.append(Arguments(values) if unfinished else tuple(values))

    def _append(self, values: list[Any]) -> None:
        self._file.take(ITEM * len(values))
        self._container(list).extend(map(self._finished, values))

    def _set_items(self, values: list[Any]) -> None:
        container = self._container(dict, OrderedDict)
        each = PAIR if type(container) is dict else ORDERED_PAIR
        self._file.take(each * len(values) // 2 + (0 if container else FIRST))
        if len(values) % 2:
            self._refuse("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(key, Unfinished) or not is_key(key):
                self._refuse("a key that is neither text nor a number")
            if key in container:
                self._refuse("a key that occurs twice")
            container[key] = self._finished(value)

    def _put(self, number: int) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo_size = max(self._memo_size, number + 1)
        if number in self._referred:
            self._file.take(MEMO)
            self._memo[number] = value
            self._kept.add(id(value))

    def _get(self, number: int) -> None:
        if number not in self._memo:
            self._refuse("a reference to nothing")
        self._stack.append(self._memo[number])

    def _global(self, names: Sequence[Any]) -> None:
        module, name = names
        if not isinstance(module, str) or not isinstance(name, str):
            self._refuse("a name that is not text")
        if len(module) + len(name) > LONGEST_NAME:
            self._refuse(f"a name of {len(module) + len(name)} characters")
        self._stack.append(self._find(module, name, self._place()))

    def _place(self) -> str:
        """Returns the key under which something is about to stand, as far as it is known."""
        for value in reversed(self._stack[-NEAR:]):
            if isinstance(value, str) and value != "storage":
                return value
        return ""

    def _reduce(self) -> None:
        """Makes a value of what a name means and its arguments."""
        arguments, meaning = self._pop(), self._pop()
        if not isinstance(meaning, Meaning) or not isinstance(arguments, tuple):
            self._refuse("a call of something that is not a name, or without valid arguments")
        if meaning.make is None or len(arguments) not in meaning.counts:
            self._refuse(f"{meaning.name} with {len(arguments)} arguments")
        try:
            self._stack.append(meaning.make(*arguments))
        except Contradiction as error:
            self._refuse(f"{meaning.name} with {error}")
        self._give_back(arguments, meaning.holds)

    def _build(self) -> None:
        """Takes the attributes of a dict away: a state_dict's `_metadata`, which Smelt has not."""
        state = self._finished(self._pop())
        self._container(OrderedDict)
        if not isinstance(state, dict):
            self._refuse("attributes that are not a dict")

    def _persistent_id(self) -> None:
        given = self._pop()
        if not isinstance(given, tuple):
            self._refuse("a persistent id that is not a tuple")
        try:
            self._stack.append(self._persistent(given))
        except Contradiction as error:
            self._refuse(f"a persistent id with {error}")
        self._give_back(given, holds=False)

    def _give_back(self, arguments: tuple[Any, ...], holds: bool) -> None:
        """Gives back the memory of arguments that were taken from the stack and are gone.

        Only the memo lets a value be referred to twice, so what is not there has just been referred
        to for the last time; what it consists of, too, unless the value that was made holds it.
        """
        if id(arguments) in self._kept or not arguments:
            return
        self._file.give(TUPLE + 8 * len(arguments))
        for part in () if holds else arguments:
            if id(part) in self._kept:
                continue
            if type(part) is tuple and part:
                self._file.give(TUPLE + 8 * len(part))
            elif type(part) is OrderedDict and not part:
                self._file.give(ORDERED_DICT)


def _described(value: Unfinished) -> str:
    return value.name if isinstance(value, Meaning) else "a storage outside of a tensor"


PLAIN: dict[str, Any] = {"none": None, "true": True, "false": False, "tuple0": ()}
# operations with an argument
MADE: dict[str, Callable[[PickleMachine, Any], None]] = {
    "number": PickleMachine._number,
    "value": lambda machine, value: machine._stack.append(value),
    "put": PickleMachine._put,
    "get": PickleMachine._get,
    "global": PickleMachine._global,
}
HANDLERS: dict[str, Callable[[PickleMachine], None]] = {
    "stop": lambda machine: None,
    "mark": PickleMachine._mark,
    "list": PickleMachine._list,
    "dict": PickleMachine._dict,
    "tuple1": lambda machine: machine._tuple(machine._popped(1)),
    "tuple2": lambda machine: machine._tuple(machine._popped(2)),
    "tuple3": lambda machine: machine._tuple(machine._popped(3)),
    "tuple": lambda machine: machine._tuple(machine._above_mark()),
    "append": lambda machine: machine._append(machine._popped(1)),
    "appends": lambda machine: machine._append(machine._above_mark()),
    "set_item": lambda machine: machine._set_items(machine._popped(2)),
    "set_items": lambda machine: machine._set_items(machine._above_mark()),
    "memoize": lambda machine: machine._put(machine._memo_size),
    "stack_global": lambda machine: machine._global(machine._popped(2)),
    "reduce": PickleMachine._reduce,
    "build": PickleMachine._build,
    "persistent": PickleMachine._persistent_id,
}
