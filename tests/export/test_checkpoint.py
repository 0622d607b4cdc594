"""Checkpoints that come back as they were, and values and files that are refused by name."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import pickle
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.errors import ArgumentError, FileError
from smelt.export import load_file, save_file
from smelt.export.structure import written

pytest.importorskip("safetensors")


def kind_name(value: Any) -> str:
    return type(value).__name__


PLAIN = [None, True, False, 0, -7, 2**63 - 1, -(2**63), 2**63, -(2**64), 2**20000, 0.1, -0.0]
PLAIN += [5e-324, 1.7e308, math.inf, -math.inf, math.nan, "", "word", "ä\n\0\ud800", b"", b"\0\xff"]
PLAIN += [bytearray(b"xy"), 1 - 0.0j, complex(math.inf, math.nan), smelt.bfloat16, [], (), {}]
PLAIN += [set(), {1, "a", (1, None)}, frozenset({2.5}), OrderedDict(b=1, a=2)]
PLAIN += [{1: 2, "1": 3, None: 4, (1, "a"): 5, 2.5: 6, b"k": 7, False: 8}, ((1, [2]), ([],))]
ARRAYS = [
    *(np.arange(6).reshape(2, 3).astype(kind) for kind in "?bhilqBHILQefdFD"),
    np.zeros((3, 0, 2), np.uint8),
    np.array(7, np.int8),
    np.arange(12, dtype=np.int16)[::3],
    np.array([complex(math.inf, math.nan)]),
]
NUMBERS = [np.float32(1.5), np.float64(math.nan), np.bool_(True), np.uint8(255), np.complex64(1j)]


class Color(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Settings:
    rate: float = 0.1


def returned(value: Any, path: Path) -> Any:
    smelt.save(value, path / "value.safetensors")
    return smelt.load(path / "value.safetensors")


def same(a: Any, b: Any) -> bool:
    """Returns whether values are alike, with their types and the order of dicts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, smelt.Tensor):
        return (a.dtype, a.requires_grad) == (b.dtype, b.requires_grad) and same(a.stored, b.stored)
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b if isinstance(a, (set, frozenset)) else repr(a) == repr(b)


@pytest.mark.parametrize("value", [*PLAIN, *ARRAYS, *NUMBERS], ids=kind_name)
def test_values_come_back_alone_and_within_others(value: Any, tmp_path: Path) -> None:
    if type(value) is int and abs(value) >= 2**4000:
        assert returned([value], tmp_path) == [value]  # its repr is refused by Python
        return
    assert same(returned(value, tmp_path), value)
    around = {"a": [value, (value,)], "b": {"c": value}}
    assert same(returned(around, tmp_path), around)


@pytest.mark.parametrize("dtype", smelt.dtypes.ALL, ids=str)
def test_tensors_of_every_dtype_come_back(dtype: smelt.DType, tmp_path: Path) -> None:
    given = [smelt.tensor([[0, 1, 3]]).to(dtype), smelt.zeros(2, 0, dtype=dtype)]
    given.append(smelt.tensor(1).to(dtype))
    if dtype.is_float:
        given += [nn.Parameter(given[0]), nn.Parameter(given[0], requires_grad=False)]
        given.append(smelt.tensor(given[0].numpy(), dtype=dtype, requires_grad=True))
    assert same(returned(given, tmp_path), given)


def test_what_stands_at_two_places_is_one_object_again(tmp_path: Path) -> None:
    x, array, words = smelt.ones(2), np.ones(2), ["a"]
    found = returned({"x": [x, x], "array": [array, array], "words": (words, words)}, tmp_path)
    for first, second in found.values():
        assert first is second
    tied = returned({"a": x.detach(), "b": x.detach(), "c": smelt.ones(2)}, tmp_path)
    with smelt.no_grad():
        tied["a"].copy_(smelt.zeros(2))
    assert (tied["b"].tolist(), tied["c"].tolist()) == ([0, 0], [1, 1])
    assert tied["b"].version == tied["a"].version == 1
    doubled: list[Any] = []
    for _ in range(100):  # as a tree it would not fit into any memory
        doubled = [doubled, doubled]
    assert len(written(doubled).rows) == 101
    found = returned(doubled, tmp_path)
    assert found[0] is found[1]


def test_values_may_be_as_deep_as_memory_allows(tmp_path: Path) -> None:
    deep: Any = smelt.ones(1)
    for _ in range(10_000):
        deep = {"in": (deep,)}
    found = returned(deep, tmp_path)
    for _ in range(10_000):
        (found,) = found["in"]
    assert found.tolist() == [1]


def test_other_programs_find_the_tensors_by_their_place(tmp_path: Path) -> None:
    path, x = tmp_path / "x.safetensors", smelt.ones(2)
    value = {"model": {"0.weight": x, "0": {"weight": x + 1}}, "list": [x + 2]}
    smelt.save(value, path)
    found = {name: tensor.tolist() for name, tensor in load_file(path).items()}
    expected = {"model.0.weight": [1, 1], "model.0.weight~2": [2, 2], "list.0": [3, 3]}
    assert found == expected
    save_file({"x": x}, path)
    assert same(smelt.load(path), {"x": x})
    assert same(smelt.load(path, mmap=True), {"x": x})


def test_options_of_pytorch_are_taken_where_they_mean_something(tmp_path: Path) -> None:
    smelt.save([smelt.ones(2)], tmp_path / "x")
    for options in ({"map_location": "cpu"}, {"weights_only": True}, {"mmap": True}):
        assert smelt.load(tmp_path / "x", **options)[0].tolist() == [1, 1]
    for elsewhere in ("cuda:0", lambda storage, device: storage):
        with pytest.raises(ArgumentError, match="(?i)cpu"):
            smelt.load(tmp_path / "x", map_location=elsewhere)
    for wrong in (lambda: smelt.save(tmp_path / "x", {}), lambda: smelt.load(b"x")):
        with pytest.raises(ArgumentError, match="needs a path, as in smelt"):
            wrong()


model = nn.Linear(2, 2)
Point = namedtuple("Point", "x y")
cycle: list[Any] = []
cycle.append({"again": cycle})
REFUSED: list[tuple[Any, str]] = [
    ({"model": model}, r"checkpoint\['model'\] is a Linear: save its state_dict\(\)"),
    (model, r"the value is a Linear: save its state_dict\(\)"),
    ([optim.SGD(model.parameters(), lr=1.0)], r"\[0\] is an? SGD: save its state_dict\(\)"),
    (smelt.Generator(0), "get_state"),
    ({"f": [math.sin]}, r"checkpoint\['f'\]\[0\] is the function sin: save its name"),
    (nn.Linear, "the class Linear"),
    (Color.RED, "save its value"),
    (np.array(["a"]), "tolist"),
    (np.array([None]), "tolist"),
    (np.str_("a"), "str"),
    (np.datetime64("2020"), "item"),
    (Point(1, 2), "_asdict"),
    (Counter("aa"), r"dict\("),
    (Path("x"), "str"),
    (Settings(), "asdict"),
    (iter([]), "list"),
    (range(3), "consists of"),
    ({2**60: 1}, r"2\*\*60"),
    ({((1,),): 1}, "the key"),
    ({smelt.ones(1): 1}, "the key"),
    (cycle, "contains itself"),
]


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=kind_name)
def test_what_is_refused_is_named_with_its_place(value: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=words):
        smelt.save(value, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_traced_tensor_is_refused(tmp_path: Path) -> None:
    step = smelt.compile(lambda x: smelt.save({"x": x}, tmp_path / "x"))
    with pytest.raises(smelt.errors.TraceError):
        step(smelt.ones(1))


def pickle_file(path: Path) -> None:
    path.write_bytes(pickle.dumps({"x": 1}))


def numpy_file(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, x=np.ones(2))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (pickle_file, "is a pickle.*does not read pickles.*save its tensors again"),
        (numpy_file, "numpy.load"),
    ],
)
def test_files_of_others_are_refused_by_name(
    write: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    write(tmp_path / "x.pt")
    with pytest.raises(FileError, match=words):
        smelt.load(tmp_path / "x.pt")


def test_a_changed_structure_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    smelt.save({"rate": 0.25, "x": smelt.ones(2)}, path)
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.35"))
    with pytest.raises(FileError, match="SHA-256"):
        smelt.load(path)


def test_a_newer_structure_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    smelt.save([], path)
    content = path.read_bytes().replace(b'\\"version\\":1', b'\\"version\\":9')
    path.write_bytes(content)
    with pytest.raises(FileError, match="SHA-256"):
        smelt.load(path)
    with pytest.raises(FileError, match="version 9"):
        smelt.load(path, mmap=True)


def training(seed: int) -> tuple[dict[str, Any], Callable[[int], list[float]]]:
    """Returns all that has a state, and a function that trains for some steps."""
    smelt.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    optimizer = optim.Adam(network.parameters(), lr=0.01, weight_decay=0.1)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)

    @smelt.compile
    def step() -> smelt.Tensor:
        loss = F.cross_entropy(network(smelt.randn(16, 4)), smelt.randint(0, 3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    parts = {"model": network, "optimizer": optimizer, "schedule": schedule}
    return parts, lambda count: [step().item() for _ in range(count)]


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    _, train = training(3)
    expected = train(10)
    parts, train = training(3)
    assert train(4) == expected[:4]
    states = {name: part.state_dict() for name, part in parts.items()}
    smelt.save({**states, "random": smelt.get_rng_state(), "epoch": 4}, tmp_path / "checkpoint")
    train(2)
    parts, train = training(99)
    checkpoint = smelt.load(tmp_path / "checkpoint", map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(checkpoint[name])
    smelt.set_rng_state(checkpoint["random"])
    assert checkpoint["epoch"] == 4
    assert train(6) == expected[4:]


def test_the_rows_are_those_of_the_description() -> None:
    weights = smelt.ones(1)
    rows = written({"layers": [64, 10], "weights": weights}).rows
    expected = [["list", 64, 10], ["tensor", "weights", False]]
    assert rows == [*expected, ["dict", "layers", [0], "weights", [1]]]
    assert json.loads(json.dumps(rows)) == rows
