"""Memory begins on a cache line: blocks, parameters, moments, and what steps return."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import smelt
from smelt import nn, optim
from smelt.memory import LINE, SMALL, address, aligned_bytes, aligned_copy, aligned_empty


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 5000])
def test_blocks(nbytes: int) -> None:
    for _ in range(20):
        block = aligned_bytes(nbytes)
        assert address(block) % LINE == 0
        assert block.nbytes == max(1, nbytes)


@pytest.mark.parametrize("storage", ["f4", "f8", "i8", "?", "u2"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (40, 50), (7, 11, 13)])
def test_arrays(shape: tuple[int, ...], storage: str) -> None:
    array = aligned_empty(shape, np.dtype(storage))
    assert array.shape == shape
    assert array.dtype == storage
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.nbytes < SMALL or address(array) % LINE == 0


def test_copies_are_in_c_order_and_of_their_own() -> None:
    source = np.arange(6000.0).reshape(60, 100).T
    copied = aligned_copy(source)
    assert (copied == source).all()
    assert copied.flags.c_contiguous
    copied[0, 0] = -1
    assert source[0, 0] == 0


def test_what_lasts_lies_so() -> None:
    layer = nn.Linear(100, 100)
    optimizer = optim.Adam(layer.parameters())
    x = smelt.tensor(np.ones((50, 100), np.float32))

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        y = layer(x)
        optimizer.zero_grad()
        (y * y).sum().backward()
        optimizer.step()
        return y

    lasting = [x, layer.weight, copy.copy(layer.weight), step(x), step.repeat(3, x)]
    lasting += optimizer.state[layer.weight].values()
    assert len(lasting) >= 7
    for tensor in lasting:
        assert address(tensor.numpy()) % LINE == 0
