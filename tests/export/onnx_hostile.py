"""ONNX files that are meant to do harm, or that are only odd; written byte by byte."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

FLOAT, UINT8, INT64, STRING = 1, 2, 7, 8
DATA = "weights.bin"  # in the folder of each file: 64 bytes
MODEL = "model.onnx"


# --- protocol buffers -----------------------------------------------------------------------------


def varint(number: int) -> bytes:
    result = bytearray()
    number &= (1 << 64) - 1
    while number >= 128:
        result.append(number & 127 | 128)
        number >>= 7
    return bytes(result) + bytes([number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name: str, dims: list[int], kind: int = FLOAT, *content: bytes) -> bytes:
    axes = b"".join(number(1, extent) for extent in dims)
    return axes + number(2, kind) + block(8, name) + b"".join(content)


def raw(content: bytes) -> bytes:
    return block(9, content)


def outside(location: str, **settings: str) -> bytes:
    pairs = {"location": location, **settings}.items()
    return number(14, 1) + b"".join(block(13, block(1, k) + block(2, v)) for k, v in pairs)


def node(op_type: str, inputs: list[str], outputs: list[str], *attributes: bytes) -> bytes:
    names = b"".join(block(1, name) for name in inputs) + b"".join(block(2, x) for x in outputs)
    return names + block(4, op_type) + b"".join(block(5, one) for one in attributes)


def attribute(name: str, kind: int, content: bytes) -> bytes:
    return block(1, name) + number(20, kind) + content


def value(name: str, kind: int = FLOAT) -> bytes:
    return block(1, name) + block(2, block(1, number(1, kind)))


def graph(
    nodes: list[bytes] | None = None,
    initializers: list[bytes] | None = None,
    inputs: list[bytes] | None = None,
    outputs: list[bytes] | None = None,
) -> bytes:
    parts = [block(1, one) for one in ([ADD] if nodes is None else nodes)]
    parts += [block(5, one) for one in ([W] if initializers is None else initializers)]
    parts += [block(11, one) for one in ([value("x")] if inputs is None else inputs)]
    parts += [block(12, one) for one in ([value("y")] if outputs is None else outputs)]
    return b"".join(parts)


def model(content: bytes | None = None, version: int = 18, more: bytes = b"") -> bytes:
    content = graph() if content is None else content
    return number(1, 8) + block(8, number(2, version)) + block(7, content) + more


ADD = node("Add", ["x", "w"], ["y"])
W = tensor("w", [2], FLOAT, raw(np.ones(2, np.float32).tobytes()))
GOOD = model()


def of_one(op_type: str, inputs: list[str], *attributes: bytes, more: bytes = b"") -> bytes:
    """Returns a model of one node."""
    return model(graph(nodes=[node(op_type, inputs, ["y"], *attributes) + more]))


def axis(kind: int, content: bytes) -> bytes:
    """Returns a model of a softmax whose axis is described so."""
    return of_one("Softmax", ["x"], attribute("axis", kind, content))


def stored(*content: bytes, dims: list[int] | None = None, kind: int = FLOAT) -> bytes:
    """Returns a model whose tensor w is described so."""
    return model(graph(initializers=[tensor("w", [2] if dims is None else dims, kind, *content)]))


# --- what is refused ------------------------------------------------------------------------------


def _nested(depth: int) -> bytes:
    """Returns a graph within a graph, and so on."""
    content = graph(nodes=[], inputs=[], outputs=[])
    for _ in range(depth):
        branch = attribute("then_branch", 5, block(6, content))
        content = block(1, node("If", ["c"], ["y"], branch))
    return model(content)


def _deep(depth: int) -> bytes:
    """Returns fields of blocks within each other, where messages stand."""
    content = b""
    for _ in range(depth):
        content = block(7, block(1, block(5, block(6, content))))
    return model(more=content)


def function(name: str, *nodes: bytes) -> bytes:
    """Returns an operator of the file's own, of x and with the result y."""
    parts = b"".join(block(7, one) for one in nodes)
    return block(25, block(1, name) + block(4, "x") + block(5, "y") + parts)


def _doubling(count: int) -> bytes:
    """Returns functions each of which calls the one before twice."""
    parts = [function("f0", node("Relu", ["x"], ["y"]))]
    for number_ in range(1, count):
        name = f"f{number_ - 1}"
        parts.append(function(f"f{number_}", node(name, ["x"], ["a"]), node(name, ["a"], ["y"])))
    return model(graph(nodes=[node(f"f{count - 1}", ["x"], ["y"])]), more=b"".join(parts))


def _all_of_one_file(count: int) -> bytes:
    tensors = [tensor(f"w{k}", [4, 4], FLOAT, outside(DATA)) for k in range(count)]
    sums = [node("Sum", ["x", *(f"w{k}" for k in range(count))], ["y"])]
    return model(graph(nodes=sums, initializers=tensors))


SMALL: dict[str, bytes] = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "ones": b"\xff" * 1000,
    "text": b"this is a text, and no model at all" * 20,
    "a varint without an end": model() + b"\x80" * 30,
    "a group, which nobody writes": model() + varint(7 << 3 | 3),
    "a field zero": model() + b"\2\0",
    "a length beyond the file": model() + varint(7 << 3 | 2) + varint(1 << 60),
    "a length that is negative": model() + varint(7 << 3 | 2) + varint(-5),
    "an initializer beyond its graph": model(block(5, W)[:-3]),
    "no graph": number(1, 8) + block(8, number(2, 18)),
    "no version": model()[2:],
    "no operators": number(1, 8) + block(7, graph()),
    "version 2": number(1, 2) + model()[2:],
    "an operator set of 2^63": model(version=1 << 63),
    "an operator set of -1": model(version=-1),
    "bytes that are no text": of_one("Add", ["x", "w"], more=block(3, b"\xff\xfe")),
    "a graph that is a number": number(1, 8) + block(8, number(2, 18)) + number(7, 3),
    "a function that calls itself": model(
        graph(nodes=[node("f", ["x"], ["y"])]), more=function("f", node("f", ["x"], ["y"]))
    ),
    "functions that double": _doubling(14),
    "functions that double often": _doubling(40),
    "a function of too many inputs": model(
        graph(nodes=[node("f", ["x", "x"], ["y"])]), more=function("f", node("Relu", ["x"], ["y"]))
    ),
    "a function that reads what is around": model(
        graph(nodes=[node("f", ["x"], ["y"])]), more=function("f", node("Add", ["x", "w"], ["y"]))
    ),
    "deep graphs": _nested(40),
    "deeper graphs": _nested(2000),
    "deep messages": _deep(30),
    "a graph of nothing but an output": model(graph(nodes=[])),
    "an input that nothing gives": model(graph(nodes=[node("Add", ["x", "z"], ["y"])])),
    "a circle": model(graph(nodes=[node("Add", ["x", "b"], ["y"]), node("Relu", ["y"], ["b"])])),
    "a node that reads itself": model(graph(nodes=[node("Add", ["x", "y"], ["y"])])),
    "an output given twice": model(graph(nodes=[ADD, ADD])),
    "an output that is an input": model(graph(nodes=[node("Add", ["x", "w"], ["x"])])),
    "an input twice": model(graph(inputs=[value("x"), value("x")])),
    "an input without a name": model(graph(inputs=[value("x"), value("")])),
    "an initializer twice": model(graph(initializers=[W, W])),
    "an initializer without a name": model(graph(initializers=[W, tensor("", [0])])),
    "one input of two": of_one("Add", ["x"]),
    "no input of two": of_one("Add", []),
    "three inputs of two": of_one("Add", ["x", "w", "x"]),
    "an empty input": of_one("Add", ["x", ""]),
    "an unknown operator": of_one("__import__", ["x"]),
    "an operator with a path": of_one("../../etc/passwd", ["x"]),
    "an operator without a name": of_one("", ["x"]),
    "a long operator": of_one("A" * 100_000, ["x"]),
    "an unknown domain": of_one("Add", ["x", "w"], more=block(7, "os.system")),
    "an unknown setting": of_one("Add", ["x", "w"], attribute("__class__", 2, number(3, 1))),
    "a setting of another kind": axis(3, block(4, "0")),
    "a setting twice": of_one("Softmax", ["x"], *[attribute("axis", 2, number(3, 0))] * 2),
    "a setting without a kind": of_one("Softmax", ["x"], block(1, "axis")),
    "a setting of no kind there is": axis(99, b""),
    "a setting that is missing": of_one("Concat", ["x", "w"]),
    "a setting of a function": axis(2, block(21, "a")),
    "an empty graph": of_one("Loop", ["", "", "x"], attribute("body", 5, b"")),
    "an empty tensor": of_one("Constant", [], attribute("value", 4, b"")),
    "a tensor of text": stored(block(6, "a"), block(6, "b"), kind=STRING),
    "a tensor of no type": stored(raw(b""), kind=0),
    "a tensor of a type to come": stored(raw(b""), kind=1000),
    "a negative extent": stored(raw(b"\0" * 8), dims=[-2]),
    "two negative extents": stored(raw(b"\0" * 8), dims=[-1, -2]),
    "too many axes": stored(raw(b"\0" * 8), dims=[1] * 65 + [2]),
    "very many axes": stored(raw(b"\0" * 8), dims=[1] * 100_000),
    "2^40 elements": stored(raw(b"\0" * 8), dims=[1 << 40]),
    "2^62 elements": stored(raw(b"\0" * 8), dims=[1 << 31, 1 << 31]),
    "2^64 elements": stored(raw(b""), dims=[1 << 32, 1 << 32]),
    "2^126 elements and none": stored(raw(b""), dims=[1 << 63 - 1, 1 << 62, 0]),
    "too few bytes": stored(raw(b"\0" * 7)),
    "too many bytes": stored(raw(b"\0" * 9)),
    "no bytes": stored(),
    "too few floats": stored(block(4, struct.pack("<f", 1.0))),
    "too many floats": stored(block(4, struct.pack("<3f", 1, 2, 3))),
    "half a float": stored(block(4, b"\0" * 10)),
    "floats in the field of integers": stored(block(7, b"\1\2")),
    "too few integers": stored(block(7, varint(1 << 40)), kind=INT64),
    "too many integers": stored(block(7, b"\1\2\3"), kind=INT64),
    "integers without an end": stored(block(7, b"\x80\x80"), kind=INT64),
    "10^9 integers in two bytes": stored(block(7, b"\1\2"), dims=[10**9], kind=INT64),
    "10^9 halves in two bytes": stored(block(5, b"\1\2"), dims=[10**9], kind=10),
    "a segment": stored(raw(b"\0" * 8), block(3, number(1, 0))),
    "bools that are none": stored(raw(b"\2\3"), kind=9),
    "a sparse initializer": model(graph() + block(15, block(1, W))),
    "an input of text": model(graph(inputs=[value("x", STRING)])),
    "a map as an input": model(graph(inputs=[block(1, "x") + block(2, block(5, b""))])),
}  # fmt: skip


def _large() -> dict[str, Callable[[], bytes]]:
    """Returns files whose contents would grow when they are read."""
    empty = varint(1 << 3 | 2) + b"\0"
    return {
        "300,000 empty nodes": lambda: model(graph() + empty * 300_000),
        "300,000 empty settings": lambda: model(block(1, (varint(5 << 3 | 2) + b"\0") * 300_000)),
        "300,000 empty inputs": lambda: model(block(1, empty * 300_000 + block(4, "Sum"))),
        "300,000 extents": lambda: stored(raw(b""), dims=[0] * 300_000),
        "300,000 empty initializers": lambda: model(block(5, b"") * 300_000),
        "300,000 operator sets": lambda: model(more=(varint(8 << 3 | 2) + b"\0") * 300_000),
        "300,000 functions": lambda: model(more=(varint(25 << 3 | 2) + b"\0") * 300_000),
        "300,000 packed settings": lambda: of_one(
            "Transpose", ["x"], attribute("perm", 7, block(8, b"\0" * 3 * 10**5))
        ),
        "bytes that become integers": lambda: stored(
            raw(b"\0" * 4_000_000), dims=[4_000_000], kind=UINT8
        ),
        "varints that become integers": lambda: stored(
            block(7, b"\0" * 2_000_000), dims=[2_000_000], kind=INT64
        ),
        "6,000 tensors of one file": lambda: _all_of_one_file(6_000),
    }  # fmt: skip


LARGE = _large()

# --- data outside ---------------------------------------------------------------------------------


OUTSIDE: dict[str, bytes] = {
    name: stored(outside(location, **settings))
    for name, (location, settings) in {
        "an absolute path": ("/etc/passwd", {}),
        "the folder above": ("../secret.bin", {}),
        "up and down": ("sub/../../secret.bin", {}),
        "up and back": ("../folder/weights.bin", {}),
        "a folder of dots": ("./../secret.bin", {}),
        "dots in the middle": ("sub/./weights.bin", {}),
        "a double slash": ("//etc/passwd", {}),
        "an empty part": ("sub//weights.bin", {}),
        "a slash at the end": ("weights.bin/", {}),
        "no location": ("", {}),
        "a dot": (".", {}),
        "a zero byte": ("weights.bin\0.txt", {}),
        "a backslash": ("..\\secret.bin", {}),
        "a home": ("~/secret.bin", {}),
        "an address": ("http://localhost/weights.bin", {}),
        "a link to a file": ("link.bin", {}),
        "a link within the folder": ("inner.bin", {}),
        "a link to a folder": ("linked/secret.bin", {}),
        "a link to a device": ("zero.bin", {}),
        "a circle of links": ("circle", {}),
        "a pipe": ("pipe", {}),
        "a folder": ("sub", {}),
        "a file as a folder": ("weights.bin/x", {}),
        "nothing there": ("absent.bin", {}),
        "a very long name": ("a" * 5000, {}),
        "very many folders": ("a/" * 5000 + "b", {}),
        "an offset beyond the end": (DATA, {"offset": "60"}),
        "a huge offset": (DATA, {"offset": str(1 << 62)}),
        "an offset that is no number": (DATA, {"offset": "eval('1')"}),
        "a negative offset": (DATA, {"offset": "-8"}),
        "an offset of other digits": (DATA, {"offset": "\u0661"}),
        "an endless offset": (DATA, {"offset": "9" * 10_000}),
        "a length that differs": (DATA, {"length": "4"}),
        "a huge length": (DATA, {"length": str(1 << 60)}),
        "a negative length": (DATA, {"length": "-1"}),
    }.items()
}
OUTSIDE["more than the other file has"] = stored(outside(DATA), dims=[1000])
OUTSIDE["2^40 elements outside"] = stored(outside(DATA), dims=[1 << 40])
OUTSIDE["outside within a node"] = of_one(
    "Constant", [], attribute("value", 4, block(5, tensor("", [2], FLOAT, outside("/etc/passwd"))))
)


def prepare(folder: Path) -> Path:
    """Makes a folder with what hostile files point to; returns the path of the model in it."""
    inner = folder / "folder"
    (inner / "sub").mkdir(parents=True)
    (folder / "secret.bin").write_bytes(b"secret!!")
    for path in (inner / DATA, inner / "sub" / DATA):
        path.write_bytes(np.ones(16, np.float32).tobytes())
    os.symlink(folder / "secret.bin", inner / "link.bin")
    os.symlink(DATA, inner / "inner.bin")
    os.symlink(folder, inner / "linked")
    os.symlink("/dev/zero", inner / "zero.bin")
    os.symlink("circle", inner / "circle")
    os.mkfifo(inner / "pipe")
    return inner / MODEL


# --- what is only odd -----------------------------------------------------------------------------


HARMLESS: dict[str, bytes] = {
    "as it is": GOOD,
    "fields in another order": block(7, graph()) + block(8, number(2, 18)) + number(1, 8),
    "fields that nobody knows": model(more=block(99, b"x" * 100) + number(1000, 5)),
    "an unused initializer": model(graph(initializers=[W, tensor("v", [0], FLOAT, raw(b""))])),
    "floats one by one": stored(*[varint(4 << 3 | 5) + struct.pack("<f", 1.0)] * 2),
    "floats in two parts": stored(*[block(4, struct.pack("<f", 1.0))] * 2),
    "data in the folder": stored(outside(DATA)),
    "data in the folder, by its length": stored(outside(DATA, offset="8", length="8")),
    "data in a folder below": stored(outside(f"sub/{DATA}", offset="4")),
    "data in this very folder": stored(outside(f"./{DATA}")),
    "a checksum that nobody reads": stored(outside(DATA, checksum="00")),
    "the domain by its name": (
        number(1, 8) + block(8, block(1, "ai.onnx") + number(2, 18)) + block(7, graph())
    ),
    "an input that has an initializer": model(graph(inputs=[value("x"), value("w")])),
}  # fmt: skip
