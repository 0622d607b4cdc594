"""Library files that are damaged, that lie, or that are none: a clean error, and nothing runs."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt import export
from smelt_runtime import LibraryError, load
from smelt_runtime.processor import Code
from tests.export.test_to_c import batch, classifier
from tests.export.test_to_library import pytestmark as pytestmark


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    _, step = classifier()
    path = tmp_path_factory.mktemp("library") / "net.smeltlib"
    export.to_library(step, path, *batch())
    return path.read_bytes()


def with_header(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Returns a library with another header, and a checksum that fits."""
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[48 : 48 + length])
    rest = data[-(-(48 + length) // 64) * 64 :]
    change(header)
    text = json.dumps(header).encode()
    return signed(text + bytes(-(48 + len(text)) % 64) + rest, len(text))


def signed(body: bytes, length: int, version: int = 1) -> bytes:
    digest = hashlib.sha256(body).digest()
    return b"SMELTLIB" + struct.pack("<II", version, length) + digest + body


def refused(data: bytes, folder: Path) -> str:
    path = folder / "hostile.smeltlib"
    path.write_bytes(data)
    with pytest.raises(LibraryError) as caught:
        load(path)
    message = str(caught.value)
    assert "hostile.smeltlib" in message
    assert len(message) < 400
    return message


def test_any_changed_byte_is_found(valid: bytes, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(valid)
        place = int(random.integers(len(data)))
        data[place] ^= 1 << int(random.integers(8))
        refused(bytes(data), tmp_path)
    for length in (0, 1, 8, 47, 48, 100, len(valid) // 2, len(valid) - 1):
        refused(valid[:length], tmp_path)
    assert "damaged" in refused(valid + b"\0", tmp_path)


HEADERS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda h: h.pop("name"), "no name of type str"),
    (lambda h: h.update(name=3), "no name of type str"),
    (lambda h: h.update(code_bytes=0), "code_bytes=0"),
    (lambda h: h.update(code_bytes=True), "no code_bytes of type int"),
    (lambda h: h.update(code_bytes=1 << 60), "code_bytes=1152921504606846976"),
    (lambda h: h.update(entry=h["code_bytes"]), "entry="),
    (lambda h: h.update(entry=-1), "entry=-1"),
    (lambda h: h.update(state_bytes=1 << 60), "state_bytes=1152921504606846976"),
    (lambda h: h.update(state_bytes=8), "offset="),
    (lambda h: h["tensors"].pop(), "it should have"),
    (lambda h: h["tensors"].append(dict(h["tensors"][0])), "it should have"),
    (lambda h: h["tensors"][0].update(offset=1 << 50), "offset="),
    (lambda h: h["tensors"][0].update(offset=-8), "offset=-8"),
    (lambda h: h["tensors"][0].update(offset=3), "lies between two elements"),
    (lambda h: h["tensors"][0].update(shape=[1 << 50]), "shape"),
    (lambda h: h["tensors"][0].update(shape=[-1]), "shape"),
    (lambda h: h["tensors"][0].update(shape=[1 << 40, 1 << 40]), "shape"),
    (lambda h: h["tensors"][0].update(shape=[1] * 100), "shape"),
    (lambda h: h["tensors"][0].update(shape="abc"), "no shape of type list"),
    (lambda h: h["tensors"][0].update(dtype="object"), "no dtype object"),
    (lambda h: h["tensors"][1].update(name=h["tensors"][0]["name"]), "two tensors have one name"),
    (lambda h: h.update(tensors=[3]), "tensors in its header are no maps"),
    (lambda h: h.update(needs=[3]), "needs in its header are no texts"),
    (lambda h: h.update(checks={}), "no checks of type list"),
    (lambda h: h.update(structure=[]), "structure"),
    (lambda h: h.update(structure=[["result"], ["result"]]), "structure"),
    (lambda h: h.update(structure=[["tuple", 1 << 60]]), "structure"),
    (lambda h: h.update(structure=[["tuple", -1]]), "structure"),
    (lambda h: h.update(structure=[["list", 2], ["result"]]), "structure"),
    (lambda h: h.update(structure=[["value", []]]), "structure"),
    (lambda h: h.update(structure=[["dict", [[]]], ["result"]]), "structure"),
    (lambda h: h.update(structure=[["call", "os.system"]]), "structure"),
    (lambda h: h.update(machine="mips"), "is for mips"),
    (lambda h: h.update(needs=["telepathy"]), "lacks telepathy"),
]


@pytest.mark.parametrize(("change", "message"), HEADERS)
def test_headers_that_lie(
    change: Callable[[dict[str, Any]], object], message: str, valid: bytes, tmp_path: Path
) -> None:
    assert message in refused(with_header(valid, change), tmp_path)


def test_headers_that_are_none(valid: bytes, tmp_path: Path) -> None:
    assert "no map" in refused(signed(b"[]", 2), tmp_path)
    assert "no JSON" in refused(signed(b"{", 1), tmp_path)
    assert "no JSON" in refused(signed(b"\xff\xfe", 2), tmp_path)
    assert "no JSON" in refused(signed(b"[" * 100_000, 100_000), tmp_path)
    assert "twice" in refused(signed(b'{"name":1,"name":2}', 19), tmp_path)
    assert "longer than the file" in refused(signed(b"{}", 1 << 31), tmp_path)
    assert "version 2" in refused(signed(b"{}", 2, version=2), tmp_path)
    assert "does not begin as one" in refused(b"\x7fELF" + valid[4:], tmp_path)


def test_what_lies_between_the_parts_is_found(valid: bytes, tmp_path: Path) -> None:
    body = bytearray(valid[48:])
    length = struct.unpack_from("<I", valid, 12)[0]
    if (48 + length) % 64:
        body[length] = 1
        assert "between its parts" in refused(signed(bytes(body), length), tmp_path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "pipe", "a\0b"):
        with pytest.raises(LibraryError):
            load(path)


def test_a_system_that_forbids_code_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smelt_runtime.processor._PROT_EXEC", 1 << 30)  # none of mprotect's
    with pytest.raises(LibraryError, match="does not let this process run code"):
        Code(bytes(64), 0)
