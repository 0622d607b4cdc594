"""E3.1 to E3.6: printing, names and values, numbers of a fixed size, text and views of it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Final

import numpy as np

import smelt
from smelt.book.entry import Page, entry


@entry("E3.1", "Printing, with placeholders")
def printing(page: Page) -> None:
    """Text is printed as it is; names in braces are replaced by their values."""
    page.print("Welcome to Rust Programming!")
    temperature, hour = 22, 8
    page.print(f"It is {temperature} C at {hour} AM.")
    lines = page.printed.splitlines()
    page.claim("lines", 2, len(lines), len(lines) == 2)
    page.claim("the placeholders are filled", "22 C at 8 AM", lines[1], "22 C at 8 AM" in lines[1])


@dataclass(frozen=True)
class Setting:
    """A value that cannot be changed."""

    x: int


@entry("E3.2", "What cannot be changed")
def immutable(page: Page) -> None:
    """In Rust a variable is immutable unless it says `mut`: assigning again is not compiled. (The
    book says in one place that `let` makes a mutable one. It does not.)

    A Python name can always be bound again; it is values that are immutable. Frozen records refuse
    a new field when it is assigned, and so do tensors an element.
    """
    setting = Setting(x=10)
    page.print(setting.x)
    refused = []
    try:
        setting.x = 20  # type: ignore[misc]  # the type checker refuses it before the run
    except FrozenInstanceError as error:
        refused.append(str(error))
    tensor = smelt.tensor([10])
    try:
        tensor[0] = 20
    except smelt.errors.AssignmentError as error:
        refused.append(str(error))
    for message in refused:
        page.print(f"error: {message}")
    page.claim("assigning is refused", 2, len(refused), len(refused) == 2)
    stand = [setting.x, tensor.item()]
    page.claim("the values stand", [10, 10], stand, stand == [10, 10])


@entry("E3.3", "What can be changed")
def mutable(page: Page) -> None:
    """From y = 20, y += 5. For a tensor `+=` makes a new value; who holds the old one keeps it."""
    y = smelt.tensor(20)
    before = y
    y += 5
    page.print(f"y = {y.item()}; the value from before is still {before.item()}")
    page.claim("y", 25, y, y.item() == 25)
    page.claim("the old value", 20, before, before.item() == 20)


LIMIT: Final[int] = 1_000
RATE: Final[float] = 0.001
VERBOSE: Final[bool] = True
LETTER: Final[str] = "s"


@entry("E3.4", "Typed constants")
def constants(page: Page) -> None:
    """`Final` tells the type checker that a name keeps its value, and which type it has.

    In a tensor the type is part of the value: its dtype says how many bits an element has.
    """
    for constant in (LIMIT, RATE, VERBOSE, LETTER):
        page.print(f"{constant!r}: {type(constant).__name__}")
    dtypes = [smelt.tensor(constant).dtype for constant in (LIMIT, RATE, VERBOSE)]
    page.print(*dtypes)
    expected = [smelt.int64, smelt.float32, smelt.bool_]
    page.claim("dtypes of tensors of them", expected, dtypes, dtypes == expected)
    refused = ""
    try:
        smelt.tensor(LETTER)
    except smelt.errors.DTypeError as error:
        refused = str(error)
    page.print(refused)
    page.claim("a letter is no number", "refused", "refused" if refused else "taken", refused)


@entry("E3.5", "Signed and unsigned, and the two's complement")
def signs(page: Page) -> None:
    """The same eight bits mean -13 or 243: a negative number is 256 less than it looks.

        13 = 0000 1101,  -13 = 1111 0011

    To change the sign, turn every bit and add 1. Native integers wrap around at their ends.
    """
    signed, unsigned = np.int8(-10), np.uint8(250)
    page.print(f"Signed: {signed}, Unsigned: {unsigned}")
    numbers = [int(signed), int(unsigned)]
    page.claim("both numbers", [-10, 250], numbers, numbers == [-10, 250])
    bits = [f"{np.int8(number).view(np.uint8):08b}" for number in (13, -13)]
    page.print(f"13 = {bits[0]}, -13 = {bits[1]}")
    expected = ["00001101", "11110011"]
    page.claim("bits of 13 and -13", expected, bits, bits == expected)
    low, high = np.iinfo(np.int8), np.iinfo(np.uint8)
    ranges = [low.min, low.max, high.min, high.max]
    page.claim("ranges of i8 and u8", [-128, 127, 0, 255], ranges, ranges == [-128, 127, 0, 255])
    largest = smelt.tensor([2**31 - 1], dtype=smelt.int32)
    after = smelt.compile(lambda x: x + 1)(largest)
    page.print(f"2^31 - 1 + 1 = {after.item()} in 32 bits")
    page.claim("one more than the largest int32", -(2**31), after, after.item() == -(2**31))


@entry("E3.6", "Text that is owned, and a view of it")
def text(page: Page) -> None:
    """A `String` owns its letters and can grow; a `&str` looks at letters of somebody else's.

    Python's own pair is `bytearray` and `memoryview`. As long as there is a view, the owner cannot
    grow: the rule of Rust's borrow checker, kept while the program runs.
    """
    owned = bytearray(b"Rust")
    owned += b" Programming"
    page.print(owned.decode())
    page.claim("appended", "Rust Programming", owned.decode(), owned == b"Rust Programming")

    owned = bytearray(b"Deep Learning")
    view = memoryview(owned)
    page.print(f"owned: {owned.decode()}, view: {bytes(view).decode()}")
    page.claim("owner and view agree", "Deep Learning", bytes(view).decode(), view == owned)
    refused = ""
    try:
        owned += b" with Rust"
    except BufferError as error:
        refused = str(error)
    page.print(f"growing it now: {refused}")
    page.claim("no growing while it is lent", True, bool(refused), refused)
    view.release()
    owned += b" with Rust"
    expected = "Deep Learning with Rust"
    page.claim("but afterwards", expected, owned.decode(), owned.decode() == expected)
