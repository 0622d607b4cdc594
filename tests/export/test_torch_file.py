"""Files of `torch.save`: what comes back, and what is refused in which words."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import nn
from smelt.errors import FileError, MissingExtra
from smelt.export import load_file
from tests.export import torch_bytes as made

TORCH = os.environ.get("SMELT_TORCH", sys.executable)  # a Python that has PyTorch
W = np.arange(6, dtype=np.float32).reshape(2, 3)


def loaded(content: bytes, path: Path, **options: Any) -> Any:
    (path / "model.pt").write_bytes(content)
    return smelt.load(path / "model.pt", **options)


# --- files that PyTorch wrote ---------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
@pytest.mark.parametrize("kept", [made.ZIP, made.LEGACY], ids=["zip", "legacy"])
def test_what_pytorch_wrote_comes_back(kept: str, mmap: bool, tmp_path: Path) -> None:
    found = loaded(made.kept(kept), tmp_path, mmap=mmap)
    model = nn.Linear(3, 2)
    assert type(found["model"]) is OrderedDict
    model.load_state_dict(found["model"])
    assert model(smelt.ones(1, 3)).tolist() == [[3.5, 11]]
    w, transposed, row = found["tied"]
    assert w.tolist() == W.tolist()
    assert transposed.tolist() == W.T.tolist()
    assert row.tolist() == [3, 4, 5]
    assert (found["steps"].item(), found["steps"].dtype) == (7, smelt.int64)
    assert (found["mask"].tolist(), found["mask"].dtype) == ([True, False], smelt.bool)
    assert (found["half"].tolist(), found["half"].dtype) == ([1.5], smelt.bfloat16)
    assert isinstance(found["weight"], nn.Parameter)
    assert found["weight"].requires_grad
    assert not w.requires_grad
    rest = [found[name] for name in ("epoch", "rate", "pair", "shape")]
    assert rest == [3, 0.1, (None, "x", b"\xff"), (2, 3)]


WRITE = """
import sys
try:
    import torch
except ImportError:
    sys.exit(3)
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3), nn.LayerNorm(3)
)
optimizer = torch.optim.Adam(model.parameters())
x = torch.randn(5, 1, 4, 4)
model(x).square().sum().backward()
optimizer.step()
model.eval()
numbers = {
    str(dtype): torch.tensor([0, 1, 100]).to(dtype)
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
                  torch.float16, torch.bfloat16, torch.float32, torch.float64)
}
value = {
    "model": model.state_dict(), "optimizer": optimizer.state_dict(), "numbers": numbers,
    "views": [x, x[1:, :, ::2], x.permute(3, 1, 0, 2), x[0, 0, 0, :1].expand(3, 4), x[:0]],
    "x": x, "y": model(x).detach(),
}
for protocol in (2, 3, 4, 5):
    for new in (True, False):
        torch.save(
            value, f"{protocol}-{new}.pt", pickle_protocol=protocol,
            _use_new_zipfile_serialization=new,
        )
torch.serialization.set_crc32_options(False)
torch.save(value, "unchecked.pt")
torch.save(model, "module.pt")
for name in ("complex64", "uint16", "float8_e4m3fn"):
    torch.save({"layer.w": torch.ones(2).to(getattr(torch, name))}, name + ".pt")
import numpy
numpy.savez("views.npz", *(view.numpy() for view in value["views"]), y=value["y"].numpy())
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that PyTorch has just written."""
    folder = tmp_path_factory.mktemp("torch")
    done = subprocess.run([TORCH, "-c", WRITE], cwd=folder, capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("needs PyTorch, or SMELT_TORCH=/path/to/a/python/with/torch")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mapped"])
def test_every_form_that_pytorch_writes_is_read(written: Path, mmap: bool) -> None:
    arrays = np.load(written / "views.npz")
    names = [f"{protocol}-{new}.pt" for protocol in (2, 3, 4, 5) for new in (True, False)]
    for name in [*names, "unchecked.pt"]:
        found = smelt.load(written / name, mmap=mmap)
        for index, view in enumerate(found["views"]):
            np.testing.assert_array_equal(view.numpy(), arrays[f"arr_{index}"])
        for dtype, value in found["numbers"].items():
            wide = dtype in ("torch.uint8", "torch.int16")
            assert value.dtype is (smelt.int32 if wide else getattr(smelt, dtype[6:]))
            assert value.tolist() == ([False, True, True] if dtype[6:] == "bool" else [0, 1, 100])
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3), nn.LayerNorm(3)
        )
        model.load_state_dict(found["model"])
        assert found["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
        assert found["optimizer"]["state"][0]["exp_avg"].shape == (2, 1, 3, 3)
        model.eval()
        np.testing.assert_allclose(model(found["x"]).numpy(), arrays["y"], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("module.pt", "torch.nn.modules.container.Sequential.*state_dict"),
        ("complex64.pt", "at 'layer.w' of dtype complex64"),
        ("uint16.pt", "at 'layer.w' of dtype uint16"),
        ("float8_e4m3fn.pt", "at 'layer.w' of dtype .*float8"),
    ],
)
def test_what_smelt_has_not_is_named(written: Path, name: str, words: str) -> None:
    with pytest.raises(FileError, match=words):
        smelt.load(written / name)


# --- files put together by hand -------------------------------------------------------------------


def test_a_state_dict_put_together_by_hand(tmp_path: Path) -> None:
    content = made.state_dict({"weight": W, "bias": np.ones(2, np.float32)})
    model = nn.Linear(3, 2)
    model.load_state_dict(loaded(content, tmp_path))
    assert model.weight.tolist() == W.tolist()


@pytest.mark.parametrize("name", made.STORAGES)
def test_every_kind_of_storage(name: str, tmp_path: Path) -> None:
    array = np.array([[0, 1], [1, 0]], name)
    found = loaded(made.state_dict({"x": array}), tmp_path)["x"]
    assert found.tolist() == array.tolist()
    assert found.dtype is smelt.tensor(array).dtype


@pytest.mark.parametrize("mmap", [False, True])
def test_numbers_in_the_other_order_of_bytes(mmap: bool, tmp_path: Path) -> None:
    for order in "<>":
        name = b"little" if order == "<" else b"big"
        data = {"0": W.astype(f"{order}f4").tobytes()}
        content = made.archive(made.of_array("0", W), data, byteorder=name)
        assert loaded(content, tmp_path, mmap=mmap).tolist() == W.tolist()
    old = made.archive(made.of_array("0", W), {"0": W.tobytes()}, byteorder=None)
    assert loaded(old, tmp_path).tolist() == W.tolist()


def test_tensors_of_one_storage_share_it(tmp_path: Path) -> None:
    held = made.storage("FloatStorage", "0", 6)
    parts = [made.tensor(held, 0, (2, 3), (3, 1)), made.tensor(held, 3, (3,), (1,))]
    parts.append(made.tensor(held, 0, (2, 2), (0, 1)))
    whole, row, expanded = loaded(made.archive(made.many(parts), {"0": W.tobytes()}), tmp_path)
    with smelt.no_grad():
        whole.copy_(whole + 1)
    assert row.tolist() == [4, 5, 6]
    assert row.version == 1
    assert expanded.tolist() == [[0, 1], [0, 1]]  # has memory of its own


def test_a_mapped_file_is_not_changed(tmp_path: Path) -> None:
    content = made.state_dict({"w": W})
    found = loaded(content, tmp_path, mmap=True)["w"]
    with smelt.no_grad():
        found.copy_(found * 0)
    assert found.tolist() == (W * 0).tolist()
    assert (tmp_path / "model.pt").read_bytes() == content


def test_safetensors_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert loaded(made.state_dict({"w": W}), tmp_path)["w"].shape == (2, 3)
    (tmp_path / "model.pt").write_bytes(struct.pack("<Q", 2) + b"{}")
    with pytest.raises(MissingExtra):
        smelt.load(tmp_path / "model.pt")


def test_a_safetensors_file_as_long_as_the_signature_of_a_zip_archive(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    header = b"{}".ljust(int.from_bytes(b"PK\3\4\0\0\0\0", "little"))
    assert loaded(b"PK\3\4\0\0\0\0" + header, tmp_path) == {}


def test_load_file_says_who_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for content in (made.state_dict({"w": W}), made.kept(made.LEGACY)):
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(FileError, match="smelt.load.path. reads it"):
            load_file(tmp_path / "model.pt")


def test_a_list_longer_than_memory_is_worth(tmp_path: Path) -> None:
    values = b"](" + made.number(5) * 50_000 + b"e"
    assert loaded(made.archive(values), tmp_path) == [5] * 50_000
    with pytest.raises(FileError, match="more memory than its"):
        loaded(made.archive(b"](" + b"]" * 1_000_000 + b"e"), tmp_path)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"version": b"11"}, "version b'11'"),
        ({"version": b"x"}, "version b'x'"),
        ({"version": None}, "version b''"),
        ({"byteorder": b"middle"}, "byte order is b'middle'"),
        ({"constants.pkl": b""}, "torch.jit.save"),
        ({"data.pkl": None}, "not one of torch.save"),
        ({"sub/data.pkl": b""}, "several members data.pkl"),
        ({"data.pkl": b""}, "no end"),
    ],
)
def test_members_that_do_not_belong(
    members: Mapping[str, bytes | None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=words):
        loaded(made.archive(b"}", **members), tmp_path)
