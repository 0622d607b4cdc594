"""Lists, dicts, sets and objects that a step itself changes: refused if it reads them, too."""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, errors, nn

X = smelt.ones(2)
Step = Callable[[Tensor], Any]
NUMBERS = {"n": 0}


class Stats(dict[str, int]):
    """A dict with a method of its own."""

    def hit(self) -> int:
        self["n"] = self.get("n", 0) + 1
        return self["n"]


@dataclass
class Config:
    """An object of no special kind."""

    rate: float = 2.0
    log: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.log)

    def put(self, value: Any) -> None:
        self.log.append(value)


class Net(nn.Module):
    """Holds what its `run` reads and changes."""

    def __init__(self, run: Callable[[Net, Tensor], Any], **held: Any) -> None:
        super().__init__()
        self.run = run
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


class Heir(Net):
    """Does so in its parent's method."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) + 1


def bump(counts: dict[str, int]) -> int:
    counts["n"] += 1
    return counts["n"]


def put(log: list[Any], value: Any) -> None:
    log.append(value)


def step_of(changes: Callable[[Any], Any], held: Any) -> Step:
    """Returns a step that scales by what a function makes of an object that it changes."""
    return lambda x: x * changes(held)


def written(code: Callable[[Any, Tensor], object], held: Any) -> Step:
    """Returns a step that only leaves something in an object."""

    def step(x: Tensor) -> Tensor:
        code(held, x)
        return x * 2

    return step


def add(held: Any) -> int:
    held["n"] += 1
    return held["n"]


def first_item(held: Any) -> float:
    held[0] = held[0] * 0.5
    return held[0]


def extended(held: list[int]) -> int:
    held += [1]
    return len(held)


def merged(held: dict[str, int]) -> int:
    held |= {"n": held["n"] + 1}
    return held["n"]


def updated(held: Any) -> int:
    held.update(n=1)
    return held["n"]


def inner(held: Any) -> int:
    alias = held

    def change() -> int:
        alias["n"] += 1
        return alias["n"]

    return change()


def smaller(held: dict[int, int]) -> int:
    del held[max(held)]
    return len(held)


def rates(held: Any) -> float:
    total = 0.0
    for config in held.values():
        config.rate += 1
        total += config.rate
    return total


def numbered(held: Any) -> float:
    for number, part in enumerate(held):
        part[0] += number
    return held[1][0]


def grown(held: list[int]) -> int:
    held.append(1)
    return sum(x for x in held)


def first_time(held: set[str]) -> int:
    if "called" in held:
        return 1
    held.add("called")
    return 2


def by_default(held: Any, log: list[int] = []) -> int:  # noqa: B006  that is what is tried
    log.append(1)
    return len(log)


def object_length(held: Config) -> int:
    held.put(1)
    return len(held)


def attribute(held: Any) -> float:
    held.rate += 1
    return held.rate


def in_list(held: Any) -> float:
    held[0].rate += 1
    return held[0].rate


def in_namespace(held: Any) -> int:
    held.__dict__["n"] += 1
    return held.__dict__["n"]


def by_getattr(held: Any) -> float:
    held.log.append(1)
    return len(getattr(held, "log"))  # noqa: B009  that is what is tried


def array(held: np.ndarray) -> float:
    held[0] += 1
    return float(held[0])


def global_numbers(held: Any) -> int:
    NUMBERS["n"] += 1
    return NUMBERS["n"]


REFUSED: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "dict": (add, {"n": 0}), "list": (first_item, [1.0]), "counter": (add, Counter(n=0)),
    "default": (add, defaultdict(int)), "ordered": (add, OrderedDict(n=0)),
    "user dict": (add, UserDict(n=0)), "update": (updated, Counter()),
    "deque": (first_item, deque([1.0])),
    "rotate": (lambda q: (q.rotate(1), q[0])[1], deque([1, 2])),
    "nested": (lambda h: add(h["a"][0]), {"a": [{"n": 0}]}), "global": (global_numbers, None),
    "helper": (lambda h: bump(h), {"n": 0}), "extended": (extended, []),
    "merged": (merged, {"n": 0}),
    "get": (lambda h: (h.update(n=h.get("n", 0) + 1), h["n"])[1], {}), "inner": (inner, {"n": 0}),
    "pop": (lambda h: h.pop(), [1, 2, 3]), "delete": (smaller, {1: 0, 2: 0, 3: 0}),
    "subclass": (lambda h: h.hit(), Stats()), "objects": (rates, {"a": Config()}),
    "enumerate": (numbered, [[0], [0]]), "generator": (grown, [1]), "first": (first_time, set()),
    "set": (lambda h: (h.add(len(h)), len(h))[1], set()), "default argument": (by_default, None),
    "length": (object_length, Config()), "attribute": (attribute, Config()),
    "namespace": (attribute, SimpleNamespace(rate=1)), "object in a list": (in_list, [Config()]),
    "__dict__": (in_namespace, SimpleNamespace(n=0)), "getattr": (by_getattr, Config()),
    "array": (array, np.zeros(1)), "swap": (lambda h: (h.reverse(), h[0])[1], [1, 2]),
    "iterator": (lambda h: next(h), iter([1, 2, 3])),
    "bytes": (lambda h: (h.append(1), len(h))[1], bytearray()),
    "partial": (functools.partial(lambda log, held: (log.append(1), len(log))[1], []), None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_step_reads_and_changes_is_refused(name: str) -> None:
    changes, held = REFUSED[name]
    with pytest.raises(errors.TraceError, match=r"step.* and reads it"):
        smelt.compile(named(step_of(changes, held)))(X)


def named(step: Step) -> Step:
    """Returns a step with a name that its errors say."""
    step.__name__ = "step"
    return step


def count(net: Any, x: Tensor) -> Tensor:
    net.counts["n"] += 1
    return x * net.counts["n"]


def make(net: Any, x: Tensor) -> Tensor:
    if "w" not in net.made:
        net.made["w"] = smelt.randn(2)
    return x * net.made["w"]


def grow(net: Any, x: Tensor) -> Tensor:
    net.layers.append(nn.ReLU())
    return x * len(net.layers)


def average(net: Any, x: Tensor) -> Tensor:
    net.ema["h"] = net.ema["h"] * 0.9 + x
    return net.ema["h"]


@pytest.mark.parametrize(
    ("run", "name", "held", "change"),
    [
        (count, "counts", {"n": 0}, r"\['n'\]: 0 -> 1"),
        (make, "made", {}, r"\['w'\]: nothing -> a traced tensor of shape \(2,\)"),
        (grow, "layers", [], r"\[0\]: nothing -> a ReLU"),
        (grow, "layers", nn.ModuleList(), r"\['0'\]: nothing -> a ReLU"),
        (
            average,
            "ema",
            {"h": smelt.zeros(2)},
            r"\['h'\]: a Tensor -> a traced tensor of shape \(2,\)",
        ),
    ],
)
@pytest.mark.parametrize("kind", [Net, Heir])
def test_the_error_says_whose_it_is_what_it_was_and_what_it_is(
    kind: type[Net], run: Any, name: str, held: Any, change: str
) -> None:
    net = nn.Sequential(kind(run, **{name: type(held)(held)}))
    message = f"changes '{name}' of a {kind.__name__} \\({change}\\) .*a buffer of a module"
    with pytest.raises(errors.TraceError, match=message):
        smelt.compile(lambda x: net(x))(X)


def test_a_hook_that_counts() -> None:
    relu, counts = nn.ReLU(), {"n": 0}
    relu.register_forward_hook(lambda module, inputs, output: output * bump(counts))
    with pytest.raises(errors.TraceError, match="changes 'counts'"):
        smelt.compile(lambda x: relu(x))(X)


# --- side effects ---------------------------------------------------------------------------------


def appended(held: Any, x: Tensor) -> None:
    add = held.append
    add(x)


def to_each(held: Any, x: Tensor) -> None:
    [log.append(x) for log in held]
    for number, log in enumerate(held):
        log.append(x * number)
    for log, value in zip(held, (x, x * 2), strict=True):
        log.append(value)


WRITTEN: dict[str, tuple[Callable[[Any, Tensor], object], Any]] = {
    "append": (appended, []), "deque": (appended, deque(maxlen=3)),
    "assign": (lambda h, x: h.__setitem__("h", x), {}),
    "nested": (lambda h, x: h["a"].append(x), {"a": []}),
    "new key": (lambda h, x: h["a"].append(x), defaultdict(list)), "each": (to_each, [[], []]),
    "setdefault": (lambda h, x: h.setdefault("a", []).append(x), {}), "helper": (put, []),
    "by name": (lambda h, x: (lambda *, log: log.append(x))(log=h), []),
    "method": (lambda h, x: h.put(x), Config()), "set": (lambda h, x: h.add("a"), set()),
    "partial": (functools.partial(lambda log, h, x: log.append(x), []), None),
    "beside": (lambda h, x: (h["log"].append(x), x * h["rate"]), {"log": [], "rate": 2.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_step_only_writes_is_a_side_effect_that_happens_once(name: str) -> None:
    code, held = WRITTEN[name]
    calls: list[int] = []
    write = written(code, held)

    def step(x: Tensor) -> Any:
        calls.append(1)
        return write(x)

    compiled = smelt.compile(step)
    assert compiled(X).tolist() == compiled(X).tolist() == [2, 2]
    assert len(calls) == compiled.traces == 1


# --- tables and scratch space ---------------------------------------------------------------------


def missing(held: dict[int, Any], x: Tensor, make: Callable[[int], Any]) -> Tensor:
    n = x.shape[0]
    if n not in held:
        held[n] = make(n)
    return x * held[n]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n * 2.0,
        lambda n: np.arange(n, dtype=np.float32),
        lambda n: smelt.from_numpy(np.arange(n, dtype=np.float32)),
        lambda n: smelt.arange(n) * 2.0,
        lambda n: smelt.cos(smelt.tensor([0.5, 1.5])) + smelt.tril(smelt.ones(n, n))[1],
    ],
)
def test_a_table_that_is_filled_when_it_is_needed(make: Callable[[int], Any]) -> None:
    eager: dict[int, Any] = {}
    held: dict[int, Any] = {}
    compiled = smelt.compile(lambda x: missing(held, x, make))
    for n in (2, 2, 2):
        x = smelt.ones(n) * 3
        assert compiled(x).tolist() == pytest.approx(missing(eager, x, make).tolist())
    assert compiled.traces == 1
    assert not (isinstance(held[2], Tensor) and held[2].is_traced)  # eager code may use it, too
    assert missing(held, X, make).tolist() == pytest.approx(compiled(X).tolist())


def test_an_attribute_that_is_made_when_it_is_needed() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        if net.mask is None or net.mask.shape[0] < x.shape[0]:
            net.mask = smelt.tril(smelt.ones(x.shape[0], x.shape[0]))
        return net.mask[: x.shape[0], : x.shape[0]] @ x

    compiled = smelt.compile(Net(run, mask=None))
    assert compiled(smelt.ones(2)).tolist() == compiled(smelt.ones(2)).tolist() == [1, 2]
    assert compiled(smelt.ones(3)).tolist() == [1, 2, 3]
    assert compiled(smelt.ones(2)).tolist() == [1, 2]


def test_the_error_names_what_changes_again() -> None:
    held: dict[int, Any] = {}
    counts = {"n": 0}

    def step(x: Tensor) -> Tensor:
        return missing(held, x, lambda n: n) * bump(counts)

    with pytest.raises(errors.TraceError, match="changes 'counts'"):
        smelt.compile(step)(X)


def test_a_table_that_would_need_an_argument_is_refused() -> None:
    held: dict[int, Any] = {}
    with pytest.raises(errors.TraceError, match="changes 'held'"):
        smelt.compile(lambda x: missing(held, x, lambda n: x + 1))(X)


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_values_that_are_written_before_they_are_read(kind: type) -> None:
    held = kind()
    scratch: list[Tensor] = []

    def step(x: Tensor) -> Tensor:
        held["h"] = x * 2
        held["y"] = held["h"] + 1
        scratch.clear()
        scratch.extend(held.values())
        return sum(scratch, x)

    compiled = smelt.compile(step)
    assert compiled(X).tolist() == compiled(X).tolist() == [6, 6]
    assert compiled(smelt.ones(3)).tolist() == [6, 6, 6]
    assert compiled.traces == 2


def test_an_array_that_is_filled_before_it_is_read() -> None:
    buffer = np.zeros(2, np.float32)

    def step(x: Tensor) -> Tensor:
        buffer[:] = 3
        return x * smelt.tensor(buffer)

    compiled = smelt.compile(step)
    assert compiled(X).tolist() == compiled(X).tolist() == [3, 3]


def test_a_loss_that_a_module_keeps() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        net.loss = (x**2).mean()
        return x

    net = Net(run, loss=None)

    def step(x: Tensor) -> Tensor:
        net(x)
        return net.loss * 2

    compiled = smelt.compile(step)
    assert compiled(X).item() == compiled(X).item() == 2


def test_methods_of_classes_are_no_settings() -> None:
    class Scaler:
        @classmethod
        def double(cls, x: Tensor) -> Tensor:
            return x * 2

        @smelt.compile
        def step(self, x: Tensor) -> Tensor:
            return self.double(x)

    scaler = Scaler()
    assert scaler.step(X).tolist() == scaler.step(X).tolist() == [2, 2]
    assert scaler.step.traces == 1


def test_what_helpers_get_is_noticed_when_it_changes() -> None:
    configs = {"a": [Config()]}

    def rate(config: Config) -> float:
        return config.rate

    compiled = smelt.compile(lambda x: x * sum(rate(config) for config in configs["a"]))
    assert compiled(X).tolist() == [2, 2]
    configs["a"][0].rate = 3.0
    assert compiled(X).tolist() == [3, 3]
    compiled(X)
    assert compiled.traces == 2


def test_functions_that_call_and_return_each_other_come_to_an_end() -> None:
    def even(n: int) -> Any:
        return even if n == 0 else odd(n - 1)

    def odd(n: int) -> Any:
        return odd if n == 0 else even(n - 1)

    assert smelt.compile(lambda x: x * (2 if even(4) is even else 3))(X).tolist() == [2, 2]


def test_a_generator_function_reads_what_it_gives() -> None:
    held = [1.0]

    def each() -> Iterator[float]:
        yield from held

    def step(x: Tensor) -> Tensor:
        held.append(1.0)
        return x * sum(each())

    with pytest.raises(errors.TraceError, match="changes 'held'"):
        smelt.compile(step)(X)
