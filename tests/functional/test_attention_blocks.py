"""Attention by blocks of scores gives what attention with all of them gives, and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor
from smelt.functional import attention_blocks

MASKS = {
    "none": None,
    "pairs": (37, 41),
    "padding": (2, 1, 1, 41),
    "keys": (41,),
    "all": (2, 3, 37, 41),
    "queries": (3, 37, 1),
}
both_engines = pytest.mark.parametrize("run", [lambda f: f, smelt.compile], ids=["eager", "native"])
Run = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Chooses whether blocks are made, of few scores then."""
    monkeypatch.setattr(attention_blocks, "SCORES", 700)
    return lambda wanted: monkeypatch.setattr(attention_blocks, "MANY", 1 if wanted else 1 << 62)


def operands(*shapes: tuple[int, ...]) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [smelt.tensor(rng.standard_normal(shape)) for shape in shapes]


def mask_of(name: str, dtype: str) -> Tensor | None:
    shape = MASKS[name]
    rng = np.random.default_rng(1)
    if shape is None:
        return None
    return smelt.tensor(rng.random(shape) < 0.7 if dtype == "bool" else rng.standard_normal(shape))


@both_engines
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "float"])
@pytest.mark.parametrize("name", MASKS)
def test_values_and_gradients_are_those_of_all_scores(
    name: str, dtype: str, is_causal: bool, run: Run, small_blocks: Callable[[bool], None]
) -> None:
    given = operands((2, 3, 37, 8), (2, 3, 41, 8), (2, 3, 41, 5))
    mask = mask_of(name, dtype)

    def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal)
        return (out**3).sum()

    small_blocks(False)
    value, expected = loss(*given).item(), smelt.grad(loss, argnums=(0, 1, 2))(*given)
    small_blocks(True)
    found = run(smelt.grad(loss, argnums=(0, 1, 2)))(*given)
    assert run(loss)(*given).item() == pytest.approx(value, rel=1e-12)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "shapes",
    [
        ((16, 4), (17, 4), (17, 3)),  # no heads
        ((5, 1, 16, 4), (1, 2, 17, 4), (2, 17, 3)),  # heads that broadcast
        ((7, 131, 4), (7, 5, 4), (7, 5, 3)),  # more queries than keys, of a prime number
        ((2, 1, 4), (2, 900, 4), (2, 900, 3)),  # one query
    ],
    ids=["flat", "broadcast", "prime", "one"],
)
@pytest.mark.parametrize("is_causal", [False, True])
def test_any_extents(
    shapes: tuple[tuple[int, ...], ...],
    is_causal: bool,
    small_blocks: Callable[[bool], None],
) -> None:
    given = operands(*shapes)

    def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)

    small_blocks(False)
    expected = attended(*given)
    small_blocks(True)
    for found in (attended(*given), smelt.compile(attended)(*given)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_second_derivatives_forward_mode_and_vmap(small_blocks: Callable[[bool], None]) -> None:
    q, k, v = operands((2, 20, 4), (2, 40, 4), (2, 40, 3))

    def loss(q: Tensor) -> Tensor:
        return (F.scaled_dot_product_attention(q, k, v) ** 2).sum()

    def second(q: Tensor) -> Tensor:
        return (smelt.grad(loss)(q) ** 2).sum()

    def results() -> list[np.ndarray]:
        tangent = smelt.jvp(loss, (q,), (smelt.ones(q.shape, dtype=q.dtype),))[1]
        stacked = smelt.vmap(F.scaled_dot_product_attention)(q, k, v)
        return [smelt.grad(second)(q).numpy(), tangent.numpy(), stacked.numpy()]

    small_blocks(False)
    expected = results()
    small_blocks(True)
    for found, wanted in zip(results(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    def peak(length: int) -> int:
        q = smelt.zeros(8, length, 16)
        step = smelt.compile(smelt.grad(lambda q: F.scaled_dot_product_attention(q, q, q).sum()))
        step(q)
        return step.memory().arena

    assert peak(4096) < 2.5 * peak(2048) < 8 * 2048**2


def test_dropout_of_blocks_drops_its_share(small_blocks: Callable[[bool], None]) -> None:
    q, k = smelt.zeros(4, 64, 8), smelt.zeros(4, 64, 8)
    v = smelt.ones(4, 64, 1)
    small_blocks(True)
    smelt.manual_seed(3)
    rows = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy()
    assert abs(rows.mean() - 1) < 0.05
    assert len(np.unique(rows.round(4))) > 10  # every block has its own numbers


def test_a_mask_that_does_not_fit_is_refused_before(small_blocks: Callable[[bool], None]) -> None:
    small_blocks(True)
    q = smelt.zeros(2, 20, 4)
    with pytest.raises(
        smelt.errors.ShapeError, match=r"a mask of shape \(3, 20\) does not broadcast"
    ):
        F.scaled_dot_product_attention(q, q, q, smelt.ones(3, 20, dtype=smelt.bool_))
    with pytest.raises(smelt.errors.DTypeError, match="a mask must be bool or float"):
        F.scaled_dot_product_attention(q, q, q, smelt.ones(20, 20, dtype=smelt.int64))
