"""Attributes and methods that PyTorch's tensors have, with its meaning."""

from __future__ import annotations

import copy
import pickle

import pytest

import smelt
from smelt.errors import ArgumentError, ShapeError

x = smelt.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_size_is_a_number_and_gives_extents() -> None:
    assert x.size == x.numel() == x.nelement() == 6
    assert x.size() == x.shape == (2, 3)
    assert [x.size(0), x.size(-1), x.size(dim=1)] == [2, 3, 3]
    assert isinstance(x.size(), smelt.Size)
    assert pickle.loads(pickle.dumps(x.size)) == copy.deepcopy(x.size) == 6
    with pytest.raises(ArgumentError, match="axis 2"):
        x.size(2)
    assert smelt.compile(lambda x: x.view(x.size(0), -1) * x.size(1))(x).shape == (2, 3)


def test_where_a_tensor_comes_from() -> None:
    leaf = smelt.ones(2, requires_grad=True)
    assert leaf.is_leaf
    assert leaf.grad_fn is None
    assert not (leaf * 2).is_leaf
    assert (leaf * 2).grad_fn is not None


def test_to_takes_a_dtype_a_device_or_a_tensor() -> None:
    for y in (
        x.to(smelt.float64), x.to("cpu", smelt.float64), x.to(x.double()), x.double(),
        x.to(dtype="float64"), x.to(device="cpu", dtype=smelt.float64), x.type(smelt.double),
        x.to(smelt.float64, non_blocking=True), x.type_as(x.double()), x.to(smelt.double, True),
    ):  # fmt: skip
        assert y.dtype is smelt.float64
    assert x.to("cpu") is x.to() is x.to(x.device, non_blocking=True) is x
    assert x.to(smelt.float32, copy=True) is not x
    assert x.bfloat16().dtype is smelt.bfloat16
    assert x.is_floating_point()
    assert x.element_size() == 4
    assert x.is_contiguous()


def test_new_tensors_take_the_dtype() -> None:
    y = x.double()
    for made in (y.new_zeros(2, 3), y.new_ones((2, 3)), y.new_full((2, 3), 1), y.new_empty(2, 3)):
        assert (made.shape, made.dtype) == ((2, 3), smelt.float64)
    assert y.new_tensor([1, 2]).dtype is smelt.float64
    assert y.new_zeros(2, dtype=smelt.int64, device="cpu").dtype is smelt.int64


def test_shapes() -> None:
    assert x.t().tolist() == x.T.tolist()
    assert smelt.arange(3).t().shape == (3,)
    assert x.view_as(smelt.ones(3, 2)).shape == x.reshape_as(smelt.ones(3, 2)).shape == (3, 2)
    assert smelt.ones(3).expand_as(x).shape == (2, 3)
    assert x.tile(2).tolist() == x.repeat(1, 2).tolist()
    assert smelt.tile(x, (2, 1, 1)).shape == (2, 2, 3)
    assert x.select(1, -1).tolist() == [3, 6]
    assert x.unflatten(1, (3, -1)).shape == (2, 3, 1)
    assert smelt.hstack([x, x]).shape == (2, 6)
    assert smelt.vstack([smelt.ones(3), x]).shape == (3, 3)
    with pytest.raises(ShapeError, match="two axes"):
        smelt.ones(1, 2, 3).t()
    with pytest.raises(ShapeError, match="is not the extent of axis"):
        x.unflatten(1, (2, 2))
    with pytest.raises(ArgumentError, match="index 3 is out of range"):
        x.select(1, 3)


def test_arithmetic() -> None:
    numbers = smelt.tensor([-7, 7])
    assert smelt.div(numbers, 2, rounding_mode="trunc").tolist() == [-3, 3]
    assert smelt.div(numbers, 2, rounding_mode="floor").tolist() == [-4, 3]
    assert numbers.remainder(3).tolist() == [2, 1]
    assert numbers.floor_divide(2).tolist() == [-4, 3]
    assert x.addcmul(x, x, value=2).tolist() == (x + 2 * x * x).tolist()
    assert x.mm(x.t()).tolist() == (x @ x.T).tolist()
    assert x.mv(smelt.ones(3)).tolist() == [6, 15]
    assert smelt.var_mean(x, 0)[1].tolist() == x.mean(0).tolist()
    assert smelt.std_mean(x)[0].item() == x.std().item()
    with pytest.raises(ArgumentError, match="rounding_mode"):
        smelt.div(x, 2, rounding_mode="up")
    with pytest.raises(ShapeError, match="two matrices"):
        x.mm(smelt.ones(3))
