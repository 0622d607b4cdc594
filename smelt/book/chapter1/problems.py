"""P1.1 to P1.3: what Rust gives to deep learning, and how a compiled step gives it to Python."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.book.entry import Page, entry


@entry("P1.1", "Three features of Rust that are good for deep learning")
def three_features(page: Page) -> None:
    """The question asks for Rust's; the answer also says how a Smelt step has them."""
    page.answer("""
        - Native speed without a runtime: abstractions are compiled away. Smelt compiles the whole
          training step, so between its operations no Python runs either.
        - Errors before the program runs: types and lifetimes are checked by the compiler. Smelt
          checks shapes, dtypes and donated memory when a step is traced, before anything changes.
        - Ownership: it is known when memory is freed, so nothing is collected while a model serves.
          Smelt plans the memory of a step and says its peak before the first run.
    """)
    first = nn.Linear(8, 16)
    model = nn.Sequential(first, nn.Tanh(), nn.Linear(16, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, y = smelt.randn(32, 8), smelt.randn(32, 1)

    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    compiled = smelt.compile(step)
    compiled(x, y)  # traces and compiles
    eager = min(seconds(lambda: step(x, y)) for _ in range(10))
    native = seconds(lambda: compiled.repeat(1000, x, y)) / 1000
    page.print(f"a training step: eager {1e6 * eager:.0f} us, native {1e6 * native:.2f} us")
    page.claim(
        "native speed: eager time / native time", "> 20", eager / native, eager > 20 * native
    )

    before = first.weight.numpy().copy()
    try:
        compiled(smelt.randn(32, 9), y)
        message = "no error"
    except smelt.errors.ShapeError as error:
        message = str(error)
    page.print(message)
    unchanged = bool((before == first.weight.numpy()).all())
    page.claim("a wrong shape is refused before anything changes", True, unchanged, unchanged)
    named = "(32, 9)" in message and "sequential.0" in message
    page.claim("the error names the shape and the layer", True, named, named)
    arena = compiled.memory().arena
    page.claim("the peak of temporaries is known, in bytes", "> 0", arena, arena > 0)


@entry("P1.2", "Memory: Rust's ownership against Java's collector")
def memory(page: Page) -> None:
    """When is memory given back? Three measurements, with the collector of Python switched off."""
    page.answer("""
        Rust frees a value when its owner goes out of scope: the place is known when the program is
        compiled, and nothing runs beside the program. Java's collector looks for unreachable
        objects now and then; it frees programmers from thinking of owners, and costs pauses and
        memory (6.01 times Pascal's in T1.1, against 1.54 for Rust).

        CPython stands between them: an object is freed with its last reference, at once, and the
        collector is needed for rings of references only. Inside a compiled step there is neither:
        the lifetimes of all temporaries are known when it is compiled, so they share one block that
        is allocated once.
    """)
    gc.disable()
    try:
        tracemalloc.start()
        tensor = smelt.zeros(1000, 1000)
        held = tracemalloc.get_traced_memory()[0]
        del tensor
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

        weight = nn.Parameter(smelt.randn(256, 256))

        @smelt.compile
        def step() -> None:
            with smelt.no_grad():
                weight.copy_(smelt.tanh(weight @ weight))

        step.repeat(10)
        tracemalloc.start()
        step.repeat(1000)
        grown, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    finally:
        gc.enable()
    page.print(f"a tensor: {held} bytes; {kept} after its last name is gone")
    page.claim("a tensor goes with its last name", "< 1 % stays", kept, kept < held / 100)
    page.print(f"1,000 native steps: {grown} bytes more in use, {peak} at the most")
    page.claim("bytes that 1,000 steps leave behind", "< 10,000", grown, grown < 10_000)
    page.claim("bytes that they took for a while", "< 100,000", peak, peak < 100_000)


@entry("P1.3", "How a language stops data races in AI programs")
def data_races(page: Page) -> None:
    """Rust's rule, and what takes its place when the program is a compiled step."""
    page.answer("""
        A race needs two threads, one memory, and one of them writing. Rust's compiler lets a value
        have many readers or one writer, and lets only such types cross threads for which that holds
        (Send, Sync); what breaks the rule is not compiled.

        In Smelt tensors are values: nobody can write into one that another thread reads. A step's
        work is split among threads by the compiler, each part of a result has one writer, and the
        split does not depend on how many threads there are. So there is nothing to race for, and
        the bits are the same for any number of threads.
    """)
    x = smelt.randn(400, 400)
    step = smelt.compile(lambda x: smelt.softmax(x @ x / 20, dim=1).sum(dim=0))
    results = {}
    for threads in (1, 2, 4):
        with smelt.settings(threads=threads):
            results[threads] = step(x).numpy().tobytes()
    same = len(set(results.values()))
    page.claim("different results of 1, 2 and 4 threads", 1, same, same == 1)
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda _: step(x).numpy().tobytes(), range(32)))
    same = len({*at_once, results[1]})
    page.claim("different results of 32 calls from 4 threads at once", 1, same, same == 1)
    refused = ""
    try:
        x[0, 0] = 1.0
    except smelt.errors.AssignmentError as error:
        refused = str(error)
    page.print(refused)
    page.claim("writing into a tensor that others read is refused", True, bool(refused), refused)


def seconds(work: Callable[[], object]) -> float:
    """Returns how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
