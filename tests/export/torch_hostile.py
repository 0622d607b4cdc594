"""Hostile files of `torch.save`: by name, what `smelt.load` has to refuse, and what is only odd."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np

from tests.export import torch_bytes as made

__all__ = ["HARMLESS", "HOSTILE", "W"]

W = np.arange(6, dtype=np.float32).reshape(2, 3)
HELD = made.storage("FloatStorage", "0", 6)
GOOD = made.tensor(HELD, 0, (2, 3), (3, 1))
REBUILD = "torch._utils:_rebuild_tensor_v2"
AXES = made.many([made.number(1)])
HOOKS = made.named("collections:OrderedDict") + b")R"


def stacked(module: str, name: str) -> bytes:
    """Returns the operations of protocol 4 that name something."""
    return made.text(module) + made.text(name) + b"\x93"


OTHERS = """os:system posix:system nt:system builtins:eval builtins:exec __builtin__:eval
__builtin__:getattr builtins:getattr builtins:__import__ builtins:open io:open subprocess:Popen
subprocess:check_output pickle:loads torch:load torch.serialization:load torch.hub:load
numpy:load numpy.core.multiarray:_reconstruct numpy.core.multiarray:scalar pathlib:PosixPath
torch.nn.modules.linear:Linear __main__:Net importlib:import_module sys:exit shutil:rmtree
ctypes:CDLL codecs:encode collections:defaultdict collections:Counter functools:partial
operator:attrgetter torch._utils:_rebuild_sparse_tensor torch.storage:_load_from_bytes
torch._utils:_rebuild_from_type_v2 torch._tensor:_rebuild_from_type_v2 torch:Tensor
torch.jit:load copyreg:_reconstructor smelt:load smelt.export:load smelt.tensor:Tensor torch:os
collections:OrderedDict.__init__ torch.:FloatStorage torch:_utils._rebuild_tensor_v2""".split()
REDUCED = {f"{name} called": made.called(name, made.text("echo hit > hit")) for name in OTHERS}
NAMED = {
    f"{name} stacked": stacked(*name.split(":")) + b"(" + made.text("x") + b"tR"
    for name in OTHERS[:12]
}

SIZES = {
    "huge numel": made.tensor(made.storage("FloatStorage", "0", 2**50), 0, (2**50,), (1,)),
    "numel beyond 64 bits": made.tensor(made.storage("FloatStorage", "0", 2**70), 0, (6,), (1,)),
    "negative numel": made.tensor(made.storage("FloatStorage", "0", -6), 0, (2, 3), (3, 1)),
    "bool numel": GOOD.replace(made.number(6), b"\x88"),
    "larger numel than bytes": made.tensor(made.storage("FloatStorage", "0", 7), 0, (7,), (1,)),
    "smaller numel than bytes": made.tensor(made.storage("FloatStorage", "0", 5), 0, (5,), (1,)),
    "wider kind": made.tensor(made.storage("DoubleStorage", "0", 6), 0, (6,), (1,)),
    "no such storage": made.tensor(made.storage("FloatStorage", "7", 6), 0, (6,), (1,)),
    "a path as a key": made.tensor(made.storage("FloatStorage", "../../x", 6), 0, (6,), (1,)),
    "an absolute path": made.tensor(made.storage("FloatStorage", "/etc/passwd", 6), 0, (6,), (1,)),
    "negative size": made.tensor(HELD, 0, (-2, 3), (3, 1)),
    "two negative sizes": made.tensor(HELD, 0, (-2, -3), (3, 1)),
    "huge size": made.tensor(HELD, 0, (2**62, 2**62), (0, 0)),
    "size beyond 64 bits": made.tensor(HELD, 0, (2**80,), (0,)),
    "expanded to terabytes": made.tensor(HELD, 0, (2**42,), (0,)),
    "empty and huge": made.tensor(HELD, 0, (0, 2**62), (1, 1)),
    "negative stride": made.tensor(HELD, 5, (6,), (-1,)),
    "negative offset": made.tensor(HELD, -1, (6,), (1,)),
    "offset beyond": made.tensor(HELD, 1, (6,), (1,)),
    "huge offset": made.tensor(HELD, 2**61, (1,), (1,)),
    "stride beyond": made.tensor(HELD, 0, (2, 3), (4, 1)),
    "stride that overflows": made.tensor(HELD, 0, (3,), (2**63,)),
    "stride that wraps": made.tensor(HELD, 0, (5,), (2**62,)),
    "fewer strides": made.tensor(HELD, 0, (2, 3), (1,)),
    "65 axes": made.tensor(HELD, 0, (1,) * 65, (1,) * 65),
    "float size": GOOD.replace(made.number(2), b"G" + struct.pack(">d", 2.0)),
    "gradient of integers": made.tensor(
        made.storage("LongStorage", "0", 3), 0, (3,), (1,), b"\x88"
    ),
    "two accounts of a storage": made.many(
        [GOOD, made.tensor(made.storage("IntStorage", "0", 6), 0, (6,), (1,))]
    ),
    "many copies of an expanded one": made.many(
        made.tensor(HELD, 0, (10**6,), (0,)) for _ in range(10)
    ),
    "bools that are none": made.tensor(made.storage("BoolStorage", "0", 24), 0, (24,), (1,)),
}

PARAMETER = "torch._utils:_rebuild_parameter"
CODES = made.text("a" * 10**5) + b"q\1" + made.text("latin1") + b"q\2"
SHAPES = {
    "nothing": b"",
    "no stop": b"]" * 3,
    "pop of an empty stack": b"a",
    "tuple without a mark": b"t",
    "set items of a list": b"](" + made.text("a") + b"Ku",
    "append to a tuple": b")Ka",
    "reference to nothing": b"h\x07",
    "text longer than the file": b"X\xff\xff\xff\xffab",
    "long text": b"\x8d" + struct.pack("<Q", 2**63) + b"ab",
    "negative length": b"T\xff\xff\xff\xffab",
    "long integer": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"a",
    "negative integer": b"\x8b" + struct.pack("<i", -5) + b"a",
    "text that is none": b"X\x02\0\0\0\xff\xff",
    "the object operation": b"(" + b"cos\nsystem\n" + b"o",
    "the instance operation": b"(ios\nsystem\n",
    "an extension": b"\x82\x01",
    "new object": made.named("collections:OrderedDict") + b")\x81",
    "protocol 0": b"S'a'\n",
    "persistent id as text": b"Pstorage\n",
    "persistent id of a number": b"K\x01Q",
    "persistent id of a module": made.many([made.text("module"), b"N", b"N", b"N"]) + b"Q",
    "persistent id of nothing": b")Q",
    "storage as a value": HELD,
    "a name as a value": b"}" + made.text("a") + made.named("torch:FloatStorage") + b"s",
    "a tuple of names": b"](" + made.named("torch:FloatStorage") + b"\x85e",
    "a call of a tensor": GOOD + b")R",
    "a call with a list": made.named("torch:Size") + b"]R",
    "a call with too many": made.called("torch:Size", b")", b")"),
    "a call of a dtype": made.named("torch:float32") + b")R",
    "attributes of a list": b"]}b",
    "attributes of a tensor": GOOD + b"}b",
    "a size of lists": made.called("torch:Size", made.many([b"]"])),
    "bytes of a list": made.called("_codecs:encode", b"]", made.text("latin1")),
    "bytes by another encoding": made.called("_codecs:encode", made.text("a"), made.text("rot13")),
    "a parameter of text": made.called(PARAMETER, made.text("a"), b"\x88", b"}"),
    "hooks": GOOD.replace(b")R", b")R" + made.text("hook") + b"Ns"),
    "a key that is a tensor": b"}" + GOOD + b"Ns",
    "a key that is a list": b"}]Ns",
    "a key that is deep": b"}" + b")" + b"\x85" * 1000 + b"Ns",
    "a key named twice": b"}(" + made.text("a") + b"N" + made.text("a") + b"Nu",
    "keys that collide": b"}("
    + b"".join(made.number(row * (2**61 - 1)) + b"N" for row in range(1, 20_000))
    + b"u",
    "an endless name": b"c" + b"a" * 10_000,
    "a long name by the stack": made.text("a" * 10**6) + b"q\0h\0\x93",
    "very many lists": b"](" + b"]" * 400_000 + b"e",
    "very many dicts": b"](" + b"}" * 400_000 + b"e",
    "very many marks": b"(" * 400_000,
    "very many references": b"]q\0(" + b"h\0" * 400_000 + b"e",
    "bytes very many times": CODES
    + b"]("
    + (made.named("_codecs:encode") + b"h\1h\2\x86R") * 1000
    + b"e",
    "a large shape very many times": b"("
    + b"K\0" * 10**5
    + b"tq\1]("
    + (made.named("torch:Size") + b"h\1\x85R") * 10**4
    + b"e",
    "the same arguments very many times": b"]("
    + GOOD[:-1]
    + b"q\1R"
    + (made.named(REBUILD) + b"h\1R") * 60_000
    + b"e",
    "arguments of the same parts very many times": b"]("
    + made.called(REBUILD, HELD + b"q\1", made.number(0), AXES + b"q\2", AXES, b"\x89", HOOKS)
    + made.many([HOOKS + b"q\3"])
    + (made.named(REBUILD) + b"(h\1K\0h\2h\2\x89h\3tR") * 60_000
    + b"e",
}
FINE = {
    "deep tuples": b")" + b"\x85" * 20_000,
    "a frame of everything": b"\x95" + b"\xff" * 8 + b"N",
    "a list in itself": b"]q\0h\0a",
    "doubled sixty times": b"]" + b"q\0h\0\x86" * 60,
    "a good tensor": GOOD,
    "memo far away": b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86",
}


def archived(value: bytes, **more: bytes | None) -> bytes:
    return made.archive(value, {"0": W.tobytes()}, **more)


def rezipped(content: bytes, method: int) -> bytes:
    """Returns an archive with its members packed otherwise."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as file, zipfile.ZipFile(result, "w") as other:
        for name in file.namelist():
            other.writestr(name, file.read(name), method)
    return result.getvalue()


def bomb() -> bytes:
    """Returns a small archive that unpacks to a hundred megabytes."""
    numbers = made.tensor(made.storage("FloatStorage", "0", 25_000_000), 0, (25_000_000,), (1,))
    plain = made.archive(numbers, {"0": bytes(100_000_000)})
    return rezipped(plain, zipfile.ZIP_DEFLATED)


def patched(content: bytes, at: int, form: str, value: int, member: int = 0) -> bytes:
    """Returns an archive with another number at a place of an entry of its directory."""
    result = bytearray(content)
    entry = 0
    for _ in range(member + 1):
        entry = result.index(b"PK\1\2", entry + 1)
    struct.pack_into(form, result, entry + at, value)
    return bytes(result)


def at_end(at: int, form: str, value: int) -> bytes:
    """Returns an archive with another number at a place of the end of its directory."""
    result = bytearray(archived(GOOD))
    struct.pack_into(form, result, result.rindex(b"PK\5\6") + at, value)
    return bytes(result)


def twice() -> bytes:
    """Returns an archive with two members of one name."""
    result = archived(GOOD, **{"data/1": bytes(24)})
    return result.replace(b"model/data/1", b"model/data/0")


def sharing() -> bytes:
    """Returns an archive whose directory has one member under many names."""
    good = archived(GOOD)
    start = good.index(b"PK\1\2")
    entries = b"".join(good[start : good.index(b"PK\5\6")] for _ in range(2)).replace(
        b"model/data/0", b"model/data/1", 1
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 8, 8, len(entries), start, 0)
    return good[:start] + entries + end


def directory_of_many() -> bytes:
    """Returns an archive whose directory has many entries, and nothing else."""
    one = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 9, 4, *[0] * 6)
    entries = b"".join(one + struct.pack("<L", number) for number in range(100_000))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, len(entries), 4, 0)
    return b"PK\3\4" + entries + end


def old(value: bytes, *storages: tuple[str, int, bytes]) -> bytes:
    return made.legacy(value, {key: (count, data) for key, count, data in storages})


ARCHIVES = {
    "a zip bomb": bomb(),
    "deflated": rezipped(archived(GOOD), zipfile.ZIP_DEFLATED),
    "encrypted": patched(archived(GOOD), 8, "<H", 1),
    "two members of one name": twice(),
    "one member under many names": sharing(),
    "a huge member": patched(archived(GOOD), 24, "<L", 2**31, 2),
    "a member beyond the end": patched(archived(GOOD), 42, "<L", 2**31),
    "a member in the directory": patched(archived(GOOD), 42, "<L", 300, 2),
    "a member that needs 64 bits": patched(archived(GOOD), 24, "<L", 2**32 - 1),
    "a directory beyond the end": at_end(16, "<L", 2**31),
    "a huge directory": at_end(12, "<L", 2**32 - 1),
    "another count": at_end(10, "<H", 77),
    "a comment": at_end(20, "<H", 7),
    "a hundred thousand entries": directory_of_many(),
    "no directory": archived(GOOD)[:200],
    "a signature alone": b"PK\3\4",
    "an empty archive": b"PK\5\6" + bytes(18),
    "another checksum": patched(archived(GOOD), 16, "<L", 7),
    "byteorder of a middle kind": archived(GOOD, byteorder=b"middle"),
    "byteorder without an end": archived(GOOD, byteorder=b"l" * 10**6),
    "no version": archived(GOOD, version=None),
    "no pickle": archived(GOOD, **{"data.pkl": None}),
    "old with a missing storage": old(GOOD),
    "old with a truncated storage": old(GOOD, ("0", 6, W.tobytes()[:-1])),
    "old with another count": old(GOOD, ("0", 5, W.tobytes())),
    "old with a storage of another": old(GOOD, ("1", 6, W.tobytes())),
    "old with a call": old(made.called("os:system", made.text("echo hit > hit"))),
    "old with a huge storage": old(
        made.tensor(made.storage("FloatStorage", "0", 2**40), 0, (1,), (1,)), ("0", 2**40, b"")
    ),
    "old, and nothing else": made.pickled(made.number(made.LEGACY_MAGIC)),
}
# members that the pickle does not speak of are not looked at
FINE_ARCHIVES = {
    "a path as a member": archived(GOOD, **{"../../x": b"hit", "/etc/hit": b"hit"}),
    "old": old(GOOD, ("0", 6, W.tobytes())),
}
HOSTILE = {name: archived(value) for name, value in {**REDUCED, **NAMED, **SIZES, **SHAPES}.items()}
HOSTILE |= ARCHIVES
HARMLESS = {name: archived(value) for name, value in FINE.items()} | FINE_ARCHIVES
