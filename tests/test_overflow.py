"""Counting what leaves the range of its dtype."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.overflow import OverflowCount, OverflowCounts
from smelt.tracing.engine import EAGER, context


def only(counts: OverflowCounts) -> OverflowCount:
    (row,) = [row for row in counts.rows if not row.is_clean]
    return row


def found(row: OverflowCount) -> tuple[int, int, int, int]:
    return row.overflowed, row.to_zero, row.subnormal, row.results


@pytest.mark.parametrize("dtype", [smelt.float32, smelt.float64], ids=lambda dtype: dtype.name)
def test_products_and_exponentials_are_counted(dtype: smelt.DType) -> None:
    limit = np.finfo(dtype.storage)
    x = smelt.tensor([float(limit.max) / 2, float(limit.tiny) * 2, 1.0], dtype=dtype)
    with smelt.count_overflow() as counts:
        x * x
    assert found(only(counts)) == (1, 1, 0, 3)
    with smelt.count_overflow() as counts:
        smelt.exp(smelt.tensor([1e3, -1e3, np.log(limit.tiny) - 1.0, 0.0], dtype=dtype))
    assert found(only(counts)) == (1, 1, 1, 4)
    assert only(counts).dtype is dtype


@pytest.mark.parametrize(
    ("dtype", "numbers", "expected"),
    [
        (smelt.float16, [7e4, 1e-9, 1e-6, 1.0], (1, 1, 1, 4)),
        (smelt.bfloat16, [3.4e38, 1e-44, 1e-39, 1.0], (1, 1, 1, 4)),
    ],
    ids=["float16", "bfloat16"],
)
def test_the_small_floats_are_counted_where_they_are_stored(
    dtype: smelt.DType, numbers: list[float], expected: tuple[int, ...]
) -> None:
    with smelt.count_overflow() as counts:
        smelt.tensor(numbers).to(dtype)
    assert found(only(counts)) == expected
    assert only(counts).operation == "cast"


def test_sums_and_matrix_products_are_counted() -> None:
    x = smelt.tensor([3e38, 3e38])
    with smelt.count_overflow() as counts:
        x.sum()
        x @ x
    assert [found(row) for row in counts.rows if not row.is_clean] == [(1, 0, 0, 1)] * 2
    with smelt.count_overflow() as counts:
        x.double().pow(8).sum()
    assert not [row for row in counts.rows if row.operation == "sum" and not row.is_clean]


def test_what_is_no_overflow_is_not_counted() -> None:
    x = smelt.tensor([1e-40, 0.0, float("inf"), float("nan")])
    with smelt.count_overflow() as counts:
        smelt.where(x > 0, x, -float("inf"))
        smelt.neg(x)
        x.reshape(2, 2).transpose(0, 1)
        smelt.relu(x)
        1 / smelt.zeros(2)
        smelt.log(smelt.zeros(2))
    assert all(row.is_clean for row in counts.rows)
    assert str(counts).startswith("no overflow and no underflow in ")


def test_a_compiled_step_is_counted_forward_and_backward() -> None:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3))
    opt = optim.SGD(model.parameters(), lr=0.1)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        half = model(x * 1e4).half()
        loss = F.cross_entropy(half, y).float() * 1e-9
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    with smelt.count_overflow() as counts:
        step(smelt.randn(5, 4), smelt.tensor([0, 1, 2, 0, 1]))
    vanished = [row for row in counts.rows if row.operation == "cast" and row.to_zero]
    assert vanished
    for row in vanished:
        assert row.derivative.startswith(f"the backward of cast at {__file__}:")
        assert row.line.startswith(f"{__file__}:")
    assert "cast float16 the backward of cast at" in str(counts)
    assert step.traces == 0


def test_the_block_ends_with_the_counting() -> None:
    with pytest.raises(ZeroDivisionError), smelt.count_overflow() as counts:
        raise ZeroDivisionError
    assert context.engine is EAGER
    smelt.tensor([1e30]) * 1e30
    assert counts.rows == []
