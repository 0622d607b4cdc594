"""Sizes of tiles, vectors and chunks."""

from __future__ import annotations

import pytest

from smelt.compiler.loops.tile_sizes import chunk_size, lanes_for, narrowed, tile_shape
from smelt.dtypes import bfloat16, bool_, float32, float64, int32, int64


@pytest.mark.parametrize("rows", [1, 2, 7, 16, 64, 1000])
@pytest.mark.parametrize("vectors", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("registers", [16, 32])
def test_a_tile_fits_into_registers(rows, vectors, registers):
    r, c = tile_shape(rows, vectors, registers, 1, 24)
    assert 1 <= r <= rows
    assert 1 <= c <= vectors
    assert r * c + c + 1 <= registers


def test_large_tiles_keep_the_multiply_adders_busy():
    for rows, vectors in [(64, 4), (128, 8), (512, 32), (100, 7)]:
        r, c = tile_shape(rows, vectors, 32, 1, 24)
        assert r * c >= 8


def test_a_vector_is_no_longer_than_its_axis_needs():
    assert [narrowed(16, extent) for extent in (1, 2, 3, 5, 8, 9, 100)] == [1, 2, 4, 8, 8, 16, 16]


def test_chunks():
    assert chunk_size(100.0, 50) == 50  # too little to split
    assert chunk_size(1e9, 1) == 1
    assert chunk_size(1e9, 1000) == 32  # at most so many chunks
    assert 1e5 / 64 * chunk_size(1e5, 64) >= 5000  # each with enough to do


def test_lanes():
    assert lanes_for([float32], 512) == 16
    assert lanes_for([float32, float64], 512) == 8
    assert lanes_for([bool_], 256) == 8
    assert lanes_for([bfloat16], 128) == 4
    assert lanes_for([int32, int64], 256) == 4
