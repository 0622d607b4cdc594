"""Of a 16-bit number that is widened, the 16 bits are what is stored."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_activations_between_products_take_half(name: str) -> None:
    dtype = getattr(smelt, name)
    weights = [smelt.randn(64, 64).to(dtype) / 8 for _ in range(4)]

    def network(x: smelt.Tensor, *weights: smelt.Tensor) -> smelt.Tensor:
        for weight in weights:
            x = F.gelu(x @ weight)
        return x

    def gradients(x: smelt.Tensor, *weights: smelt.Tensor) -> tuple[smelt.Tensor, ...]:
        loss = lambda *weights: network(x, *weights).float().square().sum()  # noqa: E731
        return smelt.grad(loss, argnums=tuple(range(4)))(*weights)

    x = smelt.randn(1024, 64).to(dtype)
    step = smelt.compile(gradients)
    found = step(x, *weights)
    wide = smelt.compile(gradients)
    wide(x.float(), *[weight.float() for weight in weights])
    assert step.memory().arena < 0.7 * wide.memory().arena
    for one, expected in zip(found, gradients(x, *weights), strict=True):
        assert one.dtype is dtype
        np.testing.assert_allclose(one.float().numpy(), expected.float().numpy(), rtol=0.1, atol=2)


def test_what_is_delivered_stays_as_wide_as_it_is() -> None:
    def widened(x: smelt.Tensor) -> smelt.Tensor:
        return x.bfloat16().float()

    x = smelt.randn(300, 7)
    step = smelt.compile(widened)
    assert step(x).dtype is smelt.float32
    assert (step(x) == widened(x)).all()
    assert step.memory().arena == 0


def test_a_loop_reads_what_was_widened() -> None:
    def scanned(x: smelt.Tensor) -> smelt.Tensor:
        rows = x.bfloat16().float()
        return smelt.scan(lambda h, row: (h + row, h @ rows), smelt.zeros(8), rows)[1]

    x = smelt.randn(8, 8)
    np.testing.assert_allclose(
        smelt.compile(scanned)(x).numpy(), scanned(x).numpy(), rtol=1e-4, atol=1e-4
    )
