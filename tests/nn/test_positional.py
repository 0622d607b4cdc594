"""Positions, the class token, and the mean over a sequence."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn, optim


def test_sinusoids_are_the_formula() -> None:
    table = F.sinusoidal_encoding(7, 6, dtype="float64").numpy()
    for t in range(7):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert table[t, 2 * i] == pytest.approx(np.sin(angle))
            assert table[t, 2 * i + 1] == pytest.approx(np.cos(angle))


def test_layouts_are_permutations_of_each_other() -> None:
    interleaved = F.sinusoidal_encoding(9, 8).numpy()
    concatenated = F.sinusoidal_encoding(9, 8, "concatenated").numpy()
    np.testing.assert_array_equal(concatenated[:, :4], interleaved[:, 0::2])
    np.testing.assert_array_equal(concatenated[:, 4:], interleaved[:, 1::2])


def test_sinusoids_are_compiled_for_all_lengths() -> None:
    """A step with them is not compiled once more for every length of a sentence."""
    model = nn.Sequential(nn.Embedding(5, 8), nn.PositionalEncoding(8, batch_first=True))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @smelt.compile
    def step(tokens: smelt.Tensor) -> smelt.Tensor:
        loss = (model(tokens) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for length in range(17, 33):
        tokens = smelt.ones(2, length).long()
        expected = (model(tokens) ** 2).mean().item()
        assert step(tokens).item() == pytest.approx(expected, rel=1e-5)
    assert step.traces < 6


@pytest.mark.parametrize(
    "make",
    [
        lambda batch_first: nn.PositionalEncoding(4, batch_first=batch_first),
        lambda batch_first: nn.LearnedPositions(9, 4, batch_first=batch_first),
        lambda batch_first: nn.ClassToken(4, batch_first=batch_first),
    ],
)
def test_layouts_of_the_batch_agree(make) -> None:
    x = smelt.tensor(np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32))
    smelt.manual_seed(0)
    first = make(True)(x).numpy()
    smelt.manual_seed(0)
    layer = make(False)
    np.testing.assert_array_equal(layer(x.transpose(0, 1)).numpy().swapaxes(0, 1), first)
    np.testing.assert_array_equal(layer(x[0]).numpy(), first[0])


def test_the_class_token_stands_in_front() -> None:
    layer, x = nn.ClassToken(4, batch_first=True), smelt.ones(3, 5, 4)
    y = layer(x)
    assert y.shape == (3, 6, 4)
    np.testing.assert_array_equal(y[:, 0].numpy(), np.tile(layer.weight.numpy(), (3, 1)))
    np.testing.assert_array_equal(y[:, 1:].numpy(), x.numpy())
    y[:, 0].sum().backward()
    assert layer.weight.grad.tolist() == [3.0] * 4


def test_learned_positions_learn() -> None:
    layer = nn.LearnedPositions(9, 4)
    layer(smelt.ones(5, 3, 4)).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [3] * 5 + [0] * 4)


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_mean_leaves_padding_out(batch_first: bool) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    x[1, 2:] = np.nan  # what stands in padding must not matter
    lengths = [5, 2, 0]
    padding = smelt.tensor(np.arange(5) >= np.array(lengths)[:, None])
    given = smelt.tensor(x if batch_first else x.swapaxes(0, 1))
    found = nn.MeanPooling(batch_first)(given, padding).numpy()
    expected = [x[0].mean(0), x[1, :2].mean(0), np.zeros(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        nn.MeanPooling(batch_first)(given).numpy()[[0, 2]], x[[0, 2]].mean(1), rtol=1e-12
    )


def test_dropout_falls_on_the_sum() -> None:
    smelt.manual_seed(0)
    layer = nn.PositionalEncoding(8, dropout=0.5)
    assert (layer(smelt.ones(20, 4, 8)).numpy() == 0).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.PositionalEncoding(7), errors.ArgumentError, "even"),
        (lambda: nn.PositionalEncoding(8, layout="mixed"), errors.ArgumentError, "'mixed'"),
        (lambda: nn.PositionalEncoding(8)(smelt.ones(3, 2, 6)), errors.ShapeError, "C = 8"),
        (lambda: nn.PositionalEncoding(8)(smelt.ones(8)), errors.ShapeError, "T, C"),
        (lambda: F.sinusoidal_encoding(-1, 4), errors.ArgumentError, "must not be negative"),
        (lambda: nn.LearnedPositions(4, 2)(smelt.ones(5, 1, 2)), errors.BoundsError, "length 5"),
        (lambda: nn.LearnedPositions(-4, 2), errors.ArgumentError, "max_len"),
        (lambda: nn.ClassToken(2, std=-1.0), errors.ArgumentError, "std"),
        (lambda: nn.ClassToken(2)(smelt.ones(3, 3)), errors.ShapeError, "C = 2"),
        (
            lambda: F.masked_mean(smelt.ones(2, 3, 4), smelt.ones(3, 2).bool()),
            errors.ShapeError,
            r"must have shape \(2, 3\)",
        ),
        (
            lambda: F.masked_mean(smelt.ones(2, 3, 4), smelt.ones(2, 3)),
            errors.DTypeError,
            "float32",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
