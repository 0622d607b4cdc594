"""E3.23 to E3.27 and E3.29: who owns memory, who borrows it, and how long it lives."""

from __future__ import annotations

import sys
import threading

import numpy as np

import smelt
from smelt.book.entry import Page, entry


@entry("E3.23", "Ownership that moves into a function")
def moved(page: Page) -> None:
    """In Rust a value that was passed on belongs to the function; using it later is not compiled.

    A compiled step can take its argument in the same way: what is donated is the step's, which may
    put its result there, and the caller's name for it raises from then on.
    """
    consume = smelt.compile(lambda dataset: dataset * 2, donate=0)
    dataset = smelt.tensor([1, 2, 3, 4, 5])
    page.print(f"Dataset with {len(dataset)} elements")
    doubled = consume(dataset)
    expected = [2, 4, 6, 8, 10]
    page.claim("what the function made of it", expected, doubled, doubled.tolist() == expected)
    refused = ""
    try:
        dataset.sum()
    except smelt.errors.MovedError as error:
        refused = str(error)
    page.print(f"error: {refused}")
    page.claim("using it afterwards", "MovedError", refused and "MovedError", refused)


@entry("E3.24", "Borrowing: many readers, or one writer")
def borrowed(page: Page) -> None:
    """First a function only looks (sum), then one writes (sets the first element to 10).

    Tensors are values, so writing makes a new one: readers of the old one are never surprised.
    State that has to change in place (a parameter) does so by `copy_` alone. (The book's text
    prints the new sum, 24; its program stops before it.)
    """
    numbers = smelt.tensor([1, 2, 3, 4, 5])
    total = numbers.sum()
    page.print(f"sum {total.item()}")
    changed = numbers.at[0].set(10)
    page.print(changed.tolist(), f"new sum {changed.sum().item()}")
    page.claim("sum", 15, total, total.item() == 15)
    page.claim("changed", [10, 2, 3, 4, 5], changed, changed.tolist() == [10, 2, 3, 4, 5])
    page.claim("new sum", 24, changed.sum(), changed.sum().item() == 24)
    kept = [1, 2, 3, 4, 5]
    page.claim("who looked before still sees", kept, numbers, numbers.tolist() == kept)
    array = np.array([1, 2, 3])
    smelt.from_numpy(array)  # shares the memory, so the array must not change any more
    locked = not array.flags.writeable
    page.claim("an array that is lent is locked", True, locked, locked)


@entry("E3.25", "Counting references")
def counted(page: Page) -> None:
    """`Rc` counts its owners. Every Python object does: three names, count 3, no copy of the data.

    CPython's answer includes the name within the question, which is taken off.
    """
    vector = [1, 2, 3]
    first, second = vector, vector  # what Rc::clone does
    count = sys.getrefcount(vector) - 1
    page.print(f"reference count {count}")
    page.claim("names", 3, count, count == 3)
    same = first is vector is second
    page.claim("all are the same object", True, same, same)
    del second
    after = sys.getrefcount(vector) - 1
    page.claim("after one is gone", 2, after, after == 2)


@entry("E3.26", "One vector, three threads")
def shared(page: Page) -> None:
    """`Arc` lets several threads own a value. A tensor can be given to any thread as it is."""
    vector = smelt.tensor([1, 2, 3])
    seen: list[list[int]] = []
    threads = [threading.Thread(target=lambda: seen.append(vector.tolist())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page.print(*seen, sep="\n")
    page.claim("every thread saw", 3 * [[1, 2, 3]], seen, seen == 3 * [[1, 2, 3]])


@entry("E3.27", "Copy and clone")
def copies(page: Page) -> None:
    """In Rust `let y = x` copies a number and moves a text; `clone` keeps both names usable.

    In Python assignment never copies: both names hold one object, a number as well as a text, and
    both stay usable. It makes no difference where nothing can change the object. A tensor can be
    written into by `copy_`: every name of it sees that, and only `clone` makes another.
    """
    x = 42
    y = x
    text = "Deep Learning"
    name = text
    page.print(x, y, text, name)
    shared = [x is y, text is name]
    page.claim("two names hold one object: number, text", [True, True], shared, all(shared))
    tensor = smelt.tensor([1.0, 2.0])
    alias, clone = tensor, tensor.clone()
    tensor.copy_(smelt.tensor([7.0, 8.0]))
    page.print(f"after copy_: alias {alias.tolist()}, clone {clone.tolist()}")
    page.claim("an alias sees the change", [7.0, 8.0], alias, alias.tolist() == [7, 8])
    page.claim("a clone does not", [1.0, 2.0], clone, clone.tolist() == [1, 2])
    apart = not np.shares_memory(tensor.numpy(), clone.numpy())
    page.claim("the clone has memory of its own", True, apart, apart)


def longer(a: str, b: str) -> str:
    """Returns the longer text; in Rust its type says that it lives as long as both."""
    return a if len(a) >= len(b) else b


@entry("E3.29", "Lifetimes")
def lifetimes(page: Page) -> None:
    """Rust proves that a reference never outlives what it refers to. Python makes sure in another
    way: what is referred to lives on. A view of a tensor's memory keeps that memory.
    """
    page.print(longer("Deep Learning", "Rust"))
    long = longer("Deep Learning", "Rust")
    page.claim("longer", "Deep Learning", long, long == "Deep Learning")
    tensor = smelt.arange(5)
    view = tensor.numpy()
    del tensor
    page.print(view)
    numbers = view.tolist()
    page.claim("a view after its tensor is gone", [0, 1, 2, 3, 4], numbers, numbers == [*range(5)])
