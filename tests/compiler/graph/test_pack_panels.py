"""Panels of what a loop multiplies by: when they are made, and that results stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.compiler.graph import pack_panels
from smelt.ir.graph import Graph
from smelt.ir.operation import Pattern

Function = Callable[..., Any]


def drawn(*shape: int) -> Tensor:
    return smelt.tensor(np.random.default_rng(len(shape)).standard_normal(shape) / 16)


def recurrence(h: Tensor, w: Tensor, x: Tensor) -> Tensor:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = smelt.tanh(h @ w + x)
        return h, h

    return smelt.scan(body, h, x)[1]


def step_graph(step: Any) -> Graph:
    return step.executables.newest.stages.packed


def panels(function: Function, *given: Tensor) -> list[int]:
    """Returns how many products of panels each loop has."""
    with smelt.settings(verify=True):
        step = smelt.compile(function)
        step(*given)
    found = []
    for node in step_graph(step).nodes():
        if node.op.pattern is Pattern.REGION:
            (body,) = node.attributes["bodies"]
            products = [x for x in body.nodes() if x.op.name == "matmul"]
            found.append(sum(x.ndim == 3 and x.shape[-1] == 64 for x in products))
    return found


def gradient(h: Tensor, w: Tensor, x: Tensor) -> Any:
    return smelt.grad(lambda *given: (recurrence(*given) ** 2).sum(), argnums=(0, 1, 2))(h, w, x)


def test_both_passes_of_a_recurrence_multiply_by_panels() -> None:
    given = drawn(16, 256), drawn(256, 256), drawn(8, 16, 256)
    assert panels(gradient, *given) == [1, 1]


def test_a_program_with_panels_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = drawn(20, 192), drawn(192, 192), drawn(5, 20, 192)
    expected = gradient(*given)
    with smelt.settings(verify=True):
        found = smelt.compile(gradient)(*given)
        monkeypatch.setattr(pack_panels, "FAR_BYTES", 1 << 60)
        without = smelt.compile(gradient)(*given)
    for one, other, eager in zip(found, without, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), eager.numpy(), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("rows", "width", "length", "why"),
    [
        (16, 64, 8, "small"),
        (16, 250, 8, "no whole panels"),
        (2, 256, 8, "few rows"),
    ],
    ids=["small", "uneven", "few"],
)
def test_what_gains_nothing_stays(rows: int, width: int, length: int, why: str) -> None:
    given = drawn(rows, width), drawn(width, width), drawn(length, rows, width)
    assert panels(recurrence, *given) == [0], why


def test_what_is_read_otherwise_too_stays() -> None:
    def function(h: Tensor, w: Tensor, x: Tensor) -> Tensor:
        return smelt.scan(lambda h, x: (h @ w + (w * h[0]).sum(1), None), h, x)[0]

    assert panels(function, drawn(16, 256), drawn(256, 256), drawn(8, 16, 256)) == [0]


def test_loops_within_loops_and_branches() -> None:
    def outer(h: Tensor, w: Tensor, x: Tensor) -> Tensor:
        def body(h: Tensor, _: None) -> tuple[Tensor, None]:
            return recurrence(h, w, x)[-1], None

        return smelt.scan(body, h, None, length=2)[0]

    given = drawn(16, 256), drawn(256, 256), drawn(8, 16, 256)
    expected = outer(*given)
    np.testing.assert_allclose(
        smelt.compile(outer)(*given).numpy(), expected.numpy(), rtol=1e-10, atol=1e-13
    )
